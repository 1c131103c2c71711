"""Does the engine run the weights that the trainer has? Asked after every hand-over, before anything is learnt.

An engine that missed an update, or computes the model in another way, makes every ratio of the loss wrong and raises no
error. What it says of its own tokens shows it: under the same weights both give a token the same probability but for
rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dunwu.algorithms.logprob_difference import compare_logprobs
from dunwu.algorithms.samples import to_sample
from dunwu.errors import Fault
from dunwu.pipeline.stages.rl_system import RLSystem
from dunwu.rollout.seeds import derive_seed
from dunwu.types import GenerationRequest, GradedSample, SampleLogprobs

PROBES = 4
"""Sequences that the trainer reads again, where it does not read all of them anyway."""
PROBE_TOKENS = 64
"""New tokens of a sequence that is written to be read again, at most."""


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
