"""Does the engine run the weights that the trainer has? Asked after every hand-over, before anything is learnt.

An engine that missed an update, or computes the model in another way, makes every ratio of the loss wrong and raises no
error. What it says of its own tokens shows it: under the same weights both give a token the same probability but for
rounding. Where an engine is elsewhere, or lags behind, it is also asked for single tokens after each hand-over
(``WeightProbe``): the trainer has moved on when a rollout's own tokens come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float32

from dunwu.algorithms.logprob_difference import compare_logprobs
from dunwu.algorithms.samples import to_sample
from dunwu.errors import Fault, counted
from dunwu.pipeline.stages.rl_system import RLSystem
from dunwu.rollout.seeds import derive_seed
from dunwu.types import GenerationRequest, GradedSample, SampleLogprobs, Sampling

PROBES = 4
"""Sequences that the trainer reads again, where it does not read all of them anyway."""
PROBE_TOKENS = 64
"""New tokens of a sequence that is written to be read again, at most."""
PROBE_PROMPTS = 16
"""Prompts behind which an engine that got weights is asked for a token."""
NEARER = 10.0
"""Times as far from the weights that it was given as from others: then an engine has the others."""
ROUNDING = 1e-5
"""Nats a token that rounding alone may make."""


def check_handover(
    system: RLSystem, samples: Sequence[GradedSample], logprobs: Sequence[SampleLogprobs]
) -> dict[str, float]:
    """Compare engine and trainer on what the engine has just written.

    Where the trainer has made old log-probabilities, these are compared, which costs nothing; else it reads a few
    sequences again.

    Args:
        system: the stage's.
        samples: those of this rollout, none that is replayed.
        logprobs: what the trainer made of each.

    Returns:
        The metrics ``logprob_difference_mean`` and ``logprob_difference_max``, nats a token; none where nothing was
        written, or by older weights than the trainer's.

    Raises:
        Fault: the mean is above ``algorithm.logprob_difference_stop``.
    """
    if any(sample.policy_version != system.trainer.policy_version for sample in samples):
        return {}
    known = [own.old_logprobs for own in logprobs if own.old_logprobs is not None]
    if known and system.stage.algorithm.old_logprobs == "trainer":
        return _check_difference(system, compare_logprobs(samples, known))
    few = samples[:: max(1, len(samples) // PROBES)][:PROBES]
    return _check_difference(system, compare_logprobs(few, system.trainer.compute_policy_logprobs(few)))


def check_last_handover(system: RLSystem, rollout: int, position: int) -> None:
    """Compare engine and trainer on a few short completions that the engine writes now.

    After the last update no rollout follows that would show what the evaluation is of.

    Args:
        system: the stage's.
        rollout: rollouts done.
        position: of the mixture; it stays where it is.

    Raises:
        Fault: the mean is above ``algorithm.logprob_difference_stop``.
    """
    prompts, _ = system.draw_prompts(position, PROBES)
    sampling = system.sampling_at(rollout * system.stage.updates_per_rollout)
    sampling = replace(sampling, max_new_tokens=min(sampling.max_new_tokens, PROBE_TOKENS))
    place = (system.context.seed, system.context.name, "probe", rollout)
    requests = [
        GenerationRequest(prompt=prompt, seeds=(derive_seed(*place, number),)) for number, prompt in enumerate(prompts)
    ]
    samples = [
        to_sample(prompts[sample.request], completion, reward=0.0, group_id=sample.request, member=0)
        for sample, completion in system.engine.generate(requests, sampling)
    ]
    _check_difference(system, compare_logprobs(samples, system.trainer.compute_policy_logprobs(samples)))


class WeightProbe:
    """Asks an engine for a token behind each of a few prompts, whenever it has got weights.

    The trainer has computed beforehand how likely every token is there. An engine that is nearer to weights from
    before than to the newest has missed an update, however small the updates are. The prompts are the same each time,
    so that a cache which outlives an update shows too.

    Args:
        system: the stage's.
    """

    def __init__(self, system: RLSystem) -> None:
        self._system = system
        prompts, _ = system.draw_prompts(0, PROBE_PROMPTS)
        place = (system.context.seed, system.context.name, "weights")
        self._requests = [
            GenerationRequest(prompt=prompt, seeds=(derive_seed(*place, number),))
            for number, prompt in enumerate(prompts)
        ]
        self._expected: dict[int, Float32[np.ndarray, "N V"]] = {}

    def expect(self, rollouts: int) -> None:
        """Compute what an engine should say with the trainer's weights.

        Args:
            rollouts: that these have learnt from.
        """
        texts = [request.prompt.token_ids for request in self._requests]
        self._expected[rollouts] = np.stack(self._system.trainer.compute_next_logprobs(texts))
        self._expected.pop(rollouts - self._system.stage.rollout.max_staleness - 2, None)

    def check(self, rollouts: int) -> None:
        """Compare what the engine says with what it should.

        Args:
            rollouts: that the weights have learnt from which it was given.

        Raises:
            Fault: it says something else, or what weights from before would say.
        """
        if rollouts not in self._expected:  # of before this run was resumed
            return
        written = [
            (sample.request, completion)
            for sample, completion in self._system.engine.generate(self._requests, Sampling(max_new_tokens=1))
        ]
        rows = np.array([row for row, _ in written])
        tokens = np.array([completion.token_ids[0] for _, completion in written])
        said = np.array([completion.logprobs[0] for _, completion in written])
        expected = dict(self._expected)  # another thread may add to it
        differences = {number: float(np.abs(said - known[rows, tokens]).mean()) for number, known in expected.items()}
        mean = differences[rollouts]
        nearest = min(differences, key=lambda number: differences[number])
        stop = self._system.stage.algorithm.logprob_difference_stop
        if mean > NEARER * differences[nearest] and mean > ROUNDING:
            raise Fault(
                f"the engine was given the weights of {counted(rollouts, 'rollout')}, and answers with those of "
                f"{nearest}: it missed an update. Nothing was learnt from it; the newest checkpoint stands"
            )
        if stop and not mean <= stop:
            raise Fault(
                f"the engine differs from the trainer by {mean:.3g} nats a token under the same weights; "
                f"algorithm.logprob_difference_stop is {stop:g}. Nothing was learnt from it; the newest checkpoint "
                "stands"
            )


def _check_difference(system: RLSystem, difference: tuple[float, float] | None) -> dict[str, float]:
    if difference is None:
        return {}
    mean, largest = difference
    stop = system.stage.algorithm.logprob_difference_stop
    if stop and not mean <= stop:  # no number is no agreement
        raise Fault(
            f"engine and trainer differ by {mean:.3g} nats a token (largest {largest:.3g}) under the same weights; "
            f"algorithm.logprob_difference_stop is {stop:g}: the engine missed an update or computes this model "
            "differently. Nothing was learnt from it; the newest checkpoint stands"
        )
    return {"logprob_difference_mean": mean, "logprob_difference_max": largest}
