"""What the work of a stage cost, written down as it is done: seconds, tokens and FLOPs of each of R1's four modules.

Unlike metrics, a line stays when a run that was killed makes a rollout again: it was paid for twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dunwu.config.schema import RLStage
from dunwu.models.flops import count_forward_flops
from dunwu.models.shape import ModelShape, shape_from_config
from dunwu.pipeline.judges.reward_judge import RewardModel
from dunwu.runs import Spent, StageDirectory
from dunwu.types import ScoredGroup

BACKWARD = 2
"""Forward passes that a backward pass is worth."""


class Ledger:
    """Of one stage. FLOPs are reckoned from the shape of ``model``, one of transformers; 0 where that is not known, as
    of a model behind a server (None)."""

    def __init__(self, store: StageDirectory, model: Any | None) -> None:
        self._store = store
        self._shape: ModelShape | None = None if model is None else shape_from_config(model.config.to_dict())

    def training(self, step: int, seconds: float, lengths: Sequence[int], *, recomputed: bool) -> None:
        """An update on sequences of these lengths in tokens; ``recomputed`` where activations are made again."""
        passes = 1 + BACKWARD + recomputed
        flops = passes * self._flops(sum(lengths), len(lengths))
        self._store.spend(step, {"training": Spent(seconds, sum(lengths), flops)})

    def answers(self, module: str, step: int, seconds: float, groups: Sequence[ScoredGroup]) -> None:
        """Answers that nothing is learned from here: to held-out problems (``evaluation``), or to choose from."""
        tokens, sequences = generated(groups)
        self._store.spend(step, {module: Spent(seconds, tokens, self._flops(tokens, sequences))})

    def read(self, module: str, step: int, seconds: float, lengths: Sequence[int]) -> None:
        """A forward pass over texts of these lengths in tokens."""
        self._store.spend(step, {module: Spent(seconds, sum(lengths), self._flops(sum(lengths), len(lengths)))})

    def helped(self, step: int, seconds: float) -> None:
        """What choosing, rewriting and judging answers took, by rules or by others, whose tokens are not known here."""
        self._store.spend(step, {"reward": Spent(seconds, 0, 0.0)})

    def judged(self, step: int, judges: Iterable[RewardModel]) -> float:
        """What reward models have read since the last time; the seconds that they took."""
        whole = 0.0
        for judge in judges:
            seconds, lengths = judge.taken()
            if lengths:
                Ledger(self._store, judge.model).read("inference", step, seconds, lengths)
            whole += seconds
        return whole

    def rollout(
        self,
        step: int,
        stage: RLStage,
        groups: Sequence[ScoredGroup],
        seconds: Mapping[str, float],
        *,
        replayed: int = 0,
        judges: Iterable[RewardModel] = (),
    ) -> None:
        """A rollout and what was learned from it, ``replayed`` tokens of earlier ones among it. Prompts count once a
        group, a value network as another policy, reward models as inference."""
        written, sequences = generated(groups)
        tokens = written + sum(len(group.group.prompt.token_ids) for group in groups)
        one = self._flops(tokens, sequences)
        algorithm, update = stage.algorithm, stage.update
        forwards = int(stage.computes_old_logprobs) + (algorithm.kl_coefficient > 0) + (stage.value is not None)
        networks = 1 + (stage.value is not None)
        passes = networks * update.epochs * (1 + BACKWARD + update.gradient_checkpointing)
        written_flops, one = one, one * (1 + replayed / max(1, tokens))
        tokens += replayed
        self._store.spend(
            step,
            {
                "rollout": Spent(seconds.get("rollout", 0.0), written, written_flops),
                "reward": Spent(seconds.get("rewards", 0.0) - self.judged(step, judges), 0, 0.0),
                "inference": Spent(seconds.get("logprobs", 0.0), forwards * tokens, forwards * one),
                "training": Spent(
                    seconds.get("update", 0.0) + seconds.get("weights", 0.0), update.epochs * tokens, passes * one
                ),
            },
        )

    def _flops(self, tokens: int, sequences: int) -> float:
        """Of one forward pass over sequences of the mean length."""
        if self._shape is None or not tokens:
            return 0.0
        return tokens * count_forward_flops(self._shape, tokens / max(1, sequences))


def generated(groups: Sequence[ScoredGroup]) -> tuple[int, int]:
    """Tokens and completions."""
    lengths = [len(completion.token_ids) for group in groups for completion in group.group.completions]
    return sum(lengths), len(lengths)
