"""What the fields of a stage of reinforcement learning decide together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from dunwu.config.check_amounts import check_completions
from dunwu.config.check_learning import check_adapter, check_algorithm, check_optimizer
from dunwu.config.check_models import check_judges
from dunwu.config.check_rewards import check_reward
from dunwu.config.check_tasks import check_sets, check_texts, check_unread
from dunwu.config.issues import Issue
from dunwu.config.schema import RLStage
from dunwu.config.stage_kind import Upstream
from dunwu.errors import did_you_mean

RESULT_NAMES = (
    *("accuracy", "format", "truncated", "language", "length", "reflections", "reflection_rate"),
    *("loose", "instructions", "instructions_loose", "refused", "unsafe", "rating", "percentile"),
    *("win_rate", "win_rate_length", "inconsistent", "perplexity", "bits_per_character"),
)
"""Results of an evaluation that no judge and no function of the user's may have the name of."""


def check_rl(stage: RLStage, upstream: Upstream) -> Iterator[Issue]:
    """Check a stage of reinforcement learning."""
    yield from _check_updates(stage)
    yield from _check_curriculum(stage)
    yield from check_reward(stage)
    yield from check_algorithm(stage)
    yield from check_optimizer(stage.optimizer, stage.steps)
    optimizers = {"optimizer": stage.optimizer} | ({"value.optimizer": stage.value.optimizer} if stage.value else {})
    yield from check_adapter(stage.adapter, optimizers)
    yield from _check_evaluation(stage, upstream)
    yield from check_judges(stage.reward.models, "reward.models", upstream)


def _check_updates(stage: RLStage) -> Iterator[Issue]:
    """Check that steps are whole rollouts, and that these differ and grow."""
    rollout = stage.rollout
    completions, updates = rollout.questions * rollout.group_size, stage.updates_per_rollout
    made = f"minibatches x epochs = {updates} updates a rollout"
    if completions % stage.update.minibatches:
        message = f"questions x group_size = {completions} does not divide into {stage.update.minibatches} minibatches"
        yield Issue("update.minibatches", message)
    if stage.steps % updates:
        text = f"{stage.steps} steps are not whole rollouts: {made}"
        yield Issue("steps", f"{text}; {_suggest_multiples(stage.steps, updates)}")
    if stage.reference_every % updates:
        text = f"the reference cannot change after {stage.reference_every} updates: {made}"
        yield Issue("reference_every", f"{text}; {_suggest_multiples(stage.reference_every, updates)}")
    if rollout.temperature == 0:
        text = f"0 makes all {rollout.group_size} completions of a group equal, so no advantage is left; R1-Zero uses 1"
        yield Issue("rollout.temperature", text)
    lengths = [(0, rollout.max_new_tokens), *rollout.length_schedule.items()]
    for (update, length), (next_update, next_length) in pairwise(lengths):
        if next_update <= update or next_length <= length:
            text = f"{next_length} tokens from update {next_update} do not follow {length} from update {update}"
            yield Issue("rollout.length_schedule", f"{text}; updates and lengths must grow")
    yield from check_completions("rollout.questions", rollout.questions, "group_size", rollout.group_size)


def _check_curriculum(stage: RLStage) -> Iterator[Issue]:
    share, (low, high) = stage.rollout.curriculum, stage.rollout.curriculum_bounds
    if low >= high:
        yield Issue("rollout.curriculum_bounds", f"no accuracy lies between {low:g} and {high:g}")
    if not share:
        return
    group = stage.rollout.group_size
    if low < high and not any(low < right / group < high for right in range(1, group)):
        text = f"no accuracy of a group of {group} lies between {low:g} and {high:g}: nothing is ever half solved"
        yield Issue("rollout.curriculum_bounds", text)
    if int(share * stage.rollout.questions) == 0:
        yield Issue("rollout.curriculum", f"{share:g} of {stage.rollout.questions} questions is not one")
    if not any(task.has_levels for task in stage.tasks):
        named = ", ".join(task.name for task in stage.tasks)
        yield Issue("rollout.curriculum", f"only generators make similar problems; {named} has none")


def _check_evaluation(stage: RLStage, upstream: Upstream) -> Iterator[Issue]:
    """Check what is measured on the way, and that none of it is what any stage of the recipe trains on."""
    evaluation, sets = stage.evaluation, stage.inputs.sets
    if evaluation.every and not (evaluation.sets or evaluation.texts):
        yield Issue("evaluation.every", f"{evaluation.every}, but there are no evaluation.sets to measure")
    if evaluation.every and evaluation.sets and evaluation.during_problems > evaluation.sets[0].problems:
        text = f"{evaluation.during_problems} are more than the {evaluation.sets[0].problems} problems of the first set"
        yield Issue("evaluation.during_problems", text)
    custom = [part.name for part in stage.reward.custom]
    for index, name in enumerate(evaluation.measures):
        place = f"evaluation.measures.{index}"
        if name not in ("accuracy", *custom):
            text = f"no part of reward.custom is called {name!r} (known here: {', '.join(['accuracy', *custom])})"
            yield Issue(place, text + did_you_mean(name, custom))
        elif name in RESULT_NAMES and name != "accuracy":
            yield Issue(place, f"{name!r} is the name of another result: give the part of reward.custom another name")
    yield from check_sets(sets, evaluation.temperature, upstream.trained)
    yield from check_unread(sets, stage.from_, upstream.corpora)
    yield from check_texts(stage.inputs.texts, sets)
    during, samples = evaluation.during_problems, evaluation.during_samples
    yield from check_completions("evaluation.during_problems", during, "during_samples", samples)
    for place, chosen in sets.items():
        if chosen.judges:
            yield Issue(f"{place}.judges", "only a stage of kind eval asks judges")


def _suggest_multiples(number: int, step: int) -> str:
    below = number // step * step
    return f"{below} or {below + step} would do" if below else f"{step} would do"
