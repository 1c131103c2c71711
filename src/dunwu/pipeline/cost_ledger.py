"""What the work of a stage cost, written down as it is done: seconds, tokens and FLOPs of each of R1's four modules.

Unlike metrics, a line stays when a run that was killed makes a rollout again: it was paid for twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dunwu.config.schema import RLStage
from dunwu.models.flops import count_forward_flops, count_training_passes
from dunwu.models.shape import ModelShape, shape_from_config
from dunwu.pipeline.judges.reward_model import RewardModel
from dunwu.runs import Cost, StageWriter
from dunwu.types import ScoredGroup


class CostLedger:
    """The ledger of one stage.

    Args:
        store: the stage's.
        model: transformers', from whose shape FLOPs are estimated; None: behind a server. They are 0 where the shape
            is not known.
    """

    def __init__(self, store: StageWriter, model: Any | None) -> None:
        self._store = store
        self._shape: ModelShape | None = None if model is None else shape_from_config(model.config.to_dict())

    def record_training(self, step: int, seconds: float, lengths: Sequence[int], *, passes: int) -> None:
        """Record an update.

        Args:
            step: updates done with it.
            seconds: what it took.
            lengths: tokens of each sequence.
            passes: forward passes that learning from a token is worth.
        """
        flops = passes * self._flops(sum(lengths), len(lengths))
        self._store.append_costs(step, {"training": Cost(seconds, sum(lengths), flops)})

    def record_generation(self, module: str, step: int, seconds: float, groups: Sequence[ScoredGroup]) -> None:
        """Record answers that nothing is learned from here: to held-out problems, or to choose from.

        Args:
            module: ``evaluation`` or ``rollout``.
            step: updates done.
            seconds: what they took.
            groups: the answers.
        """
        tokens, sequences = _count_tokens(groups)
        self._store.append_costs(step, {module: Cost(seconds, tokens, self._flops(tokens, sequences))})

    def record_forward(self, module: str, step: int, seconds: float, lengths: Sequence[int]) -> None:
        """Record a forward pass over texts.

        Args:
            module: ``inference`` or ``evaluation``.
            step: updates done.
            seconds: what it took.
            lengths: tokens of each text.
        """
        self._store.append_costs(step, {module: Cost(seconds, sum(lengths), self._flops(sum(lengths), len(lengths)))})

    def record_grading(self, step: int, seconds: float) -> None:
        """Record choosing, rewriting and judging, by rules or by others, whose tokens are not known here."""
        self._store.append_costs(step, {"reward": Cost(seconds, 0, 0.0)})

    def record_judges(self, step: int, judges: Iterable[RewardModel]) -> float:
        """Record what reward models have read since the last time; return the seconds that they took."""
        whole = 0.0
        for judge in judges:
            seconds, lengths = judge.take_cost()
            if lengths:
                CostLedger(self._store, judge.model).record_forward("inference", step, seconds, lengths)
            whole += seconds
        return whole

    def record_rollout(
        self,
        step: int,
        stage: RLStage,
        groups: Sequence[ScoredGroup],
        seconds: Mapping[str, float],
        *,
        replayed: int = 0,
        judges: Iterable[RewardModel] = (),
    ) -> None:
        """Record a rollout and what was learned from it.

        Prompts count once a group, a value network as another policy, reward models as inference.

        Args:
            step: updates done with it.
            stage: the recipe's.
            groups: the rollout's.
            seconds: what its parts took, by name.
            replayed: tokens of earlier rollouts that were learned from too.
            judges: reward models that were asked.
        """
        written, sequences = _count_tokens(groups)
        tokens = written + sum(len(group.group.prompt.token_ids) for group in groups)
        one = self._flops(tokens, sequences)
        algorithm, update = stage.algorithm, stage.update
        forwards = int(stage.computes_old_logprobs) + (algorithm.kl_coefficient > 0) + (stage.value is not None)
        networks = 1 + (stage.value is not None)
        passes = networks * update.epochs * count_training_passes(stage)
        written_flops, one = one, one * (1 + replayed / max(1, tokens))
        tokens += replayed
        self._store.append_costs(
            step,
            {
                "rollout": Cost(seconds.get("rollout", 0.0), written, written_flops),
                "reward": Cost(seconds.get("rewards", 0.0) - self.record_judges(step, judges), 0, 0.0),
                "inference": Cost(seconds.get("logprobs", 0.0), forwards * tokens, forwards * one),
                "training": Cost(
                    seconds.get("update", 0.0) + seconds.get("weights", 0.0), update.epochs * tokens, passes * one
                ),
            },
        )

    def _flops(self, tokens: int, sequences: int) -> float:
        """Estimate one forward pass over sequences of the mean length."""
        if self._shape is None or not tokens:
            return 0.0
        return tokens * count_forward_flops(self._shape, tokens / max(1, sequences))


def _count_tokens(groups: Sequence[ScoredGroup]) -> tuple[int, int]:
    """Count the generated tokens and the completions."""
    lengths = [len(completion.token_ids) for group in groups for completion in group.group.completions]
    return sum(lengths), len(lengths)
