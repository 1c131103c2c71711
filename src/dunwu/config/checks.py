"""What the fields of a recipe decide together. Each issue says the field and the numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from pydantic import ValidationError

from dunwu.config.check_amounts import check_amounts
from dunwu.config.check_rewards import check_reward
from dunwu.config.check_tasks import CORPORA, MADE_OF, check_names, check_sets, check_task, check_unread
from dunwu.config.issues import Issue
from dunwu.config.packaged import PACKAGED_MODELS
from dunwu.config.schema import (
    ColdStartStage,
    DataSpec,
    DataStage,
    EvalStage,
    JudgeSpec,
    OptimizerSpec,
    PairJudgeSpec,
    PretrainStage,
    Recipe,
    RejectStage,
    RewardModelStage,
    RewriteSpec,
    RLStage,
    SamplingStage,
    ServerSpec,
    Strict,
    SupervisedStage,
    TaskSpec,
    TruthJudgeSpec,
    display_names,
    is_server,
    served,
)
from dunwu.config.schema.sources import RESERVED
from dunwu.errors import did_you_mean

GAPS: Mapping[type, tuple[str, ...]] = {
    RewriteSpec: ("{answer}",),
    PairJudgeSpec: ("{first}", "{second}"),
    TruthJudgeSpec: ("{gold}", "{answer}"),
}
"""What an instruction must hold."""
TEMPLATES = ("r1-zero", "nano", "chat")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
RESULT_NAMES = (
    *("accuracy", "format", "truncated", "language", "length", "reflections", "reflection_rate"),
    *("loose", "instructions", "instructions_loose", "refused", "unsafe", "rating", "percentile"),
    *("win_rate", "win_rate_length", "inconsistent"),
)
"""Results of an evaluation that no judge may have the name of."""


def check_recipe(recipe: Recipe) -> Iterator[Issue]:
    """Everything that is wrong between fields, in the recipe's order; touches no file."""
    earlier: list[str] = []  # stages that end in a model that writes
    scorers: dict[str, RewardModelStage] = {}
    sources = list(recipe.data)  # of conversations
    learning = [stage for stage in recipe.stages.values() if isinstance(stage, RLStage | SamplingStage)]
    taught = [
        TaskSpec(task=task, held_out=data.held_out) for data in recipe.data.values() for task in MADE_OF[data.task]
    ]
    read = dict(PACKAGED_MODELS)  # and what was begun from them: models by the corpus that they have read
    for name, data in recipe.data.items():
        yield from (Issue(f"data.{name}.{issue.field}", issue.message) for issue in _data(data))
    for name, stage in recipe.stages.items():
        place = f"stages.{name}"
        checks: Iterable[Issue]
        trained = [*taught, *(task for other in learning for task in other.tasks)]
        match stage:
            case RLStage():
                checks = (*_source(stage.from_, "from", earlier), *_rl(stage), *_held_out(stage, trained))
                checks = (*checks, *(check_unread(stage.evaluation.sets, "evaluation.", stage.from_, read)))
                checks = (*checks, *_judges(stage.reward.models, "reward.models", scorers))
                checks = (*checks, *_unasked(stage))
                if stage.value and stage.value.from_:
                    checks = (*checks, *_source(stage.value.from_, "value.from", [*earlier, *scorers]))
            case DataStage():
                checks = (*_source(stage.from_, "from", earlier), *_supervised(stage, sources))
                if isinstance(stage, RewardModelStage):
                    checks = (*checks, *_verdicts(stage))
                    checks = (*checks, *_helper(stage.judge, "judge")) if stage.judge else checks
            case ColdStartStage():
                checks = (*_source(stage.from_, "from", earlier), *_sampling(stage), *_helper(stage.rewrite, "rewrite"))
            case RejectStage():
                checks = (*_source(stage.from_, "from", earlier), *_sampling(stage), *_truth(stage))
            case EvalStage():
                checks = (*_eval(stage, earlier, trained, read), *_judges(stage.judges, "judges", scorers))
            case PretrainStage():
                checks = _pretrain(stage)
        issues = (*checks, *check_amounts(stage))
        yield from (Issue(f"{place}.{issue.field}", issue.message) for issue in issues)
        if isinstance(stage, RLStage | SupervisedStage) and stage.from_ in read:
            read[name] = read[stage.from_]
        elif isinstance(stage, PretrainStage):
            read[name] = stage.corpus
        if isinstance(stage, RewardModelStage):
            scorers[name] = stage
        elif isinstance(stage, SamplingStage):
            if name in recipe.data:
                yield Issue(f"data.{name}", "is the name of a stage that makes conversations too")
            sources.append(name)
        elif not isinstance(stage, EvalStage):
            earlier.append(name)


def _data(data: DataSpec) -> Iterator[Issue]:
    if (data.path is None) == (data.task is None):
        yield Issue("path", "say either a path or a task" if data.task else "is missing: say a path, or a task")
    made = ("count", "held_out", "languages", "quality", "seed")
    changed = [name for name in made if _is_changed(data, name)]
    if data.task is None and changed and data.path is not None:
        yield Issue(changed[0], "only tasks make conversations; a file has what it has")
    if data.task is not None and data.fields:
        yield Issue("fields", "only files have columns")


def _is_changed(table: Strict, field: str) -> bool:
    """Whether a field is not as it is where nobody writes it: a recipe.json writes every default out, and means nothing
    by it."""
    return bool(getattr(table, field) != type(table).model_fields[field].default)


def _verdicts(stage: RewardModelStage) -> Iterator[Issue]:
    for field in ("judge", "margin", "balance_lengths"):
        if stage.learn_from == "verdicts" and _is_changed(stage, field):
            yield Issue(field, "is for pairs, and learn_from is verdicts")


def _source(source: str, field: str, earlier: list[str]) -> Iterator[Issue]:
    """A model: an earlier stage, a packaged one, a folder (absolute by now), or a hub id with its owner."""
    known = [*earlier, *PACKAGED_MODELS]
    if source not in known and not Path(source).is_absolute() and not HUB_ID.fullmatch(source):
        names = ", ".join(known)
        hint = did_you_mean(source, known) or "; write ./NAME for a folder, OWNER/NAME for a hub id"
        yield Issue(field, f"no earlier stage or packaged model is called {source!r} (known here: {names}){hint}")


def _server(source: str, field: str) -> Iterator[Issue]:
    """A model behind a server: an address, then the name that it has there."""
    try:
        named = bool(served(source, ServerSpec()).model)
    except ValidationError:
        yield Issue(field, f"{source!r} is no address of a server")
    else:
        if not named:
            yield Issue(field, f"{source!r} says no model: write {source.rstrip('#')}#NAME, as the server calls it")


def _rl(stage: RLStage) -> Iterator[Issue]:
    rollout = stage.rollout
    completions, updates = rollout.questions * rollout.group_size, stage.updates_per_rollout
    made = f"minibatches x epochs = {updates} updates a rollout"
    if completions % stage.update.minibatches:
        message = f"questions x group_size = {completions} does not divide into {stage.update.minibatches} minibatches"
        yield Issue("update.minibatches", message)
    if stage.steps % updates:
        yield Issue("steps", f"{stage.steps} steps are not whole rollouts: {made}; {_multiples(stage.steps, updates)}")
    if stage.reference_every % updates:
        text = f"the reference cannot change after {stage.reference_every} updates: {made}"
        yield Issue("reference_every", f"{text}; {_multiples(stage.reference_every, updates)}")
    if rollout.temperature == 0:
        text = f"0 makes all {rollout.group_size} completions of a group equal, so no advantage is left; R1-Zero uses 1"
        yield Issue("rollout.temperature", text)
    lengths = [(0, rollout.max_new_tokens), *rollout.length_schedule.items()]
    for (update, length), (next_update, next_length) in pairwise(lengths):
        if next_update <= update or next_length <= length:
            text = f"{next_length} tokens from update {next_update} do not follow {length} from update {update}"
            yield Issue("rollout.length_schedule", f"{text}; updates and lengths must grow")
    yield from _curriculum(stage)
    yield from check_reward(stage)
    yield from _template(stage.prompt.template)
    for index, task in enumerate(stage.tasks):
        yield from check_task(task, f"tasks.{index}")
    yield from check_names(stage.tasks)
    yield from _algorithm(stage)
    yield from _optimizer(stage.optimizer, stage.steps)


def _template(template: str) -> Iterator[Issue]:
    if template not in TEMPLATES and "{prompt}" not in template:
        text = f"{template!r} is none of {', '.join(TEMPLATES)} and contains no {{prompt}}"
        yield Issue("prompt.template", text + did_you_mean(template, TEMPLATES))


def _supervised(stage: SupervisedStage | RewardModelStage, sources: list[str]) -> Iterator[Issue]:
    for index, name in enumerate(stage.data):
        if name not in sources:
            known = ", ".join(sources) or "none"
            text = f"no data of this recipe is called {name!r} (known here: {known}){did_you_mean(name, sources)}"
            yield Issue(f"data.{index}", text)
    yield from _template(stage.prompt.template)
    yield from _betas(stage.optimizer)


def _sampling(stage: SamplingStage) -> Iterator[Issue]:
    if stage.temperature == 0 and stage.samples > 1:
        yield Issue("samples", f"{stage.samples} samples at temperature 0 are all equal")
    if stage.keep > stage.samples:
        yield Issue("keep", f"{stage.keep} are more than the {stage.samples} samples")
    yield from _template(stage.prompt.template)
    for index, task in enumerate(stage.tasks):
        yield from check_task(task, f"tasks.{index}")
    yield from check_names(stage.tasks)


def _truth(stage: RejectStage) -> Iterator[Issue]:
    if stage.judge is None:
        return
    yield from _helper(stage.judge, "judge")
    names = [task.name for task in stage.tasks]
    for name in stage.judge.tasks:
        if name not in names:
            yield Issue("judge.tasks", f"no task of this stage is called {name!r}{did_you_mean(name, names)}")


def _helper(spec: RewriteSpec | PairJudgeSpec | TruthJudgeSpec, place: str) -> Iterator[Issue]:
    """What each kind of rewriter or judge needs, and nothing that another one does."""
    for kind, field, value in (("custom", "file", spec.file), ("endpoint", "endpoint", spec.endpoint)):
        if spec.by == kind and value is None:
            yield Issue(f"{place}.{field}", f"is missing: by = {kind} needs it")
        if spec.by != kind and value is not None:
            yield Issue(f"{place}.{field}", f"is for by = {kind}, and by is {spec.by}")
    for kind, field in (("custom", "function"), ("endpoint", "instruction")):
        if spec.by != kind and _is_changed(spec, field):
            yield Issue(f"{place}.{field}", f"is for by = {kind}, and by is {spec.by}")
    for gap in GAPS[type(spec)] if spec.instruction is not None else ():
        if gap not in (spec.instruction or ""):
            yield Issue(f"{place}.instruction", f"has no gap for {gap}: the model would never see it")


def _eval(stage: EvalStage, earlier: list[str], trained: list[TaskSpec], read: Mapping[str, str]) -> Iterator[Issue]:
    names = display_names(stage.models)
    for index, model in enumerate(stage.models):
        yield from _server(model, f"models.{index}") if is_server(model) else _source(model, f"models.{index}", earlier)
        yield from check_unread(stage.sets, "", model, read)
        if names[index] in names[:index]:
            yield Issue(f"models.{index}", f"{names[index]!r} is the name of an earlier model")
        if RESERVED.fullmatch(names[index]):
            text = "cannot name an evaluation, nor can base, trained and step-N: write more of the path"
            yield Issue(f"models.{index}", f"{names[index]!r} {text}")
    yield from _template(stage.prompt.template)
    yield from check_sets(stage.sets, "", stage.temperature, trained)
    known, custom = [judge.name for judge in stage.judges], [function.name for function in stage.custom]
    for field, names, others in (("judges", known, []), ("custom", custom, known)):
        for index, name in enumerate(names):
            if name in (*names[:index], *others, *RESULT_NAMES):
                yield Issue(f"{field}.{index}.name", f"{name!r} is the name of another result")
    for index, chosen in enumerate(stage.sets):
        for name in chosen.judges:
            if name not in known:
                text = f"no judge of this stage is called {name!r} (known here: {', '.join(known) or 'none'})"
                yield Issue(f"sets.{index}.judges", text + did_you_mean(name, known))


def _judges(judges: Sequence[JudgeSpec], field: str, scorers: Mapping[str, RewardModelStage]) -> Iterator[Issue]:
    """Reward models are asked as they were trained."""
    for index, part in enumerate(judges):
        place, trained = f"{field}.{index}", scorers.get(part.from_)
        if trained is None and not Path(part.from_).is_absolute() and not HUB_ID.fullmatch(part.from_):
            known = ", ".join(scorers) or "none"
            text = f"no earlier stage called {part.from_!r} makes a reward model (known here: {known})"
            yield Issue(f"{place}.from", text + did_you_mean(part.from_, scorers))
        if trained is not None and part.input != trained.input:
            yield Issue(f"{place}.input", f"{part.input}, but {part.from_} was trained on {trained.input}")
        if trained is not None and part.prompt.template != trained.prompt.template:
            text = f"{part.prompt.template!r}, but {part.from_} was trained with {trained.prompt.template!r}"
            yield Issue(f"{place}.prompt.template", text)


def _unasked(stage: RLStage) -> Iterator[Issue]:
    """Only evaluation stages have judges of their own."""
    for index, chosen in enumerate(stage.evaluation.sets):
        if chosen.judges:
            yield Issue(f"evaluation.sets.{index}.judges", "only a stage of kind eval asks judges")


def _curriculum(stage: RLStage) -> Iterator[Issue]:
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


def _algorithm(stage: RLStage) -> Iterator[Issue]:
    algorithm = stage.algorithm
    if algorithm.kl_in == "reward" and algorithm.kl_coefficient == 0:
        yield Issue("algorithm.kl_in", "reward has no effect with kl_coefficient = 0")
    if algorithm.kl_correction and (algorithm.kl_in == "reward" or algorithm.kl_coefficient == 0):
        why = "kl_coefficient = 0" if algorithm.kl_coefficient == 0 else "kl_in = reward"
        yield Issue("algorithm.kl_correction", f"true has no effect with {why}")
    in_loss = algorithm.kl_in == "loss" and algorithm.kl_coefficient > 0
    if in_loss and algorithm.kl_estimator == "k1" and not stage.corrects_kl:
        text = "k1 in the loss has a gradient of mean zero and holds nothing; use k2 or k3, or kl_in = reward"
        yield Issue("algorithm.kl_estimator", f"{text}, or kl_correction = true")
    if (algorithm.advantage == "gae") != (stage.value is not None):
        missing = "needs a value network: say [stages.NAME.value]" if stage.value is None else "uses no value network"
        yield Issue("algorithm.advantage" if stage.value is None else "value", f"{algorithm.advantage} {missing}")
    if algorithm.advantage == "gae" and algorithm.drop_uniform_groups:
        text = "true hides from the value network what is always right and what never is; gae needs no such filter"
        yield Issue("algorithm.drop_uniform_groups", text)
    if stage.value is not None:
        for issue in _optimizer(stage.value.optimizer, stage.steps):
            yield Issue(f"value.{issue.field}", issue.message)
    if stage.replay is not None and not algorithm.importance_cap:
        text = "what an older policy wrote needs a correction: set algorithm.importance_cap, 2 for one"
        yield Issue("replay", text)
    if algorithm.importance_cap > 0 and algorithm.old_logprobs == "sampler":
        text = f"{algorithm.importance_cap:g} corrects nothing where old_logprobs = sampler; use old_logprobs = trainer"
        yield Issue("algorithm.importance_cap", text)
    warning, stop = algorithm.logprob_difference_warning, algorithm.logprob_difference_stop
    if _is_changed(algorithm, "logprob_difference_warning") and 0 < stop < warning:
        yield Issue("algorithm.logprob_difference_warning", f"{warning:g} is above logprob_difference_stop = {stop:g}")
    if algorithm.refill and not algorithm.drop_uniform_groups:
        text = f"{algorithm.refill} further rollouts would replace nothing: drop_uniform_groups is false"
        yield Issue("algorithm.refill", text)
    if algorithm.overlong_buffer >= stage.rollout.max_new_tokens:
        text = f"{algorithm.overlong_buffer} tokens are not fewer than max_new_tokens = {stage.rollout.max_new_tokens}"
        yield Issue("algorithm.overlong_buffer", text)


def _betas(optimizer: OptimizerSpec) -> Iterator[Issue]:
    if not all(0 <= beta < 1 for beta in optimizer.betas):
        yield Issue("optimizer.betas", f"{list(optimizer.betas)} must lie in [0, 1)")


def _optimizer(optimizer: OptimizerSpec, steps: int) -> Iterator[Issue]:
    yield from _betas(optimizer)
    if optimizer.warmup_steps >= steps:
        yield Issue("optimizer.warmup_steps", f"{optimizer.warmup_steps} are not fewer than the {steps} steps")


def _held_out(stage: RLStage, trained: list[TaskSpec]) -> Iterator[Issue]:
    """No evaluation may draw what any stage of the recipe trains on."""
    evaluation = stage.evaluation
    if evaluation.every and not evaluation.sets:
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
    yield from check_sets(evaluation.sets, "evaluation.", evaluation.temperature, trained)


def _pretrain(stage: PretrainStage) -> Iterator[Issue]:
    if stage.corpus not in CORPORA:
        message = f"no corpus is called {stage.corpus!r}; there are {', '.join(CORPORA)}"
        yield Issue("corpus", message + did_you_mean(stage.corpus, CORPORA))
    shape = stage.transformer
    if shape.hidden_size % shape.heads:
        text = f"hidden_size = {shape.hidden_size} does not divide into {shape.heads} heads"
        yield Issue("transformer.heads", text)
    elif (shape.hidden_size // shape.heads) % 2:
        text = f"hidden_size / heads = {shape.hidden_size // shape.heads} must be even for rotary positions"
        yield Issue("transformer.heads", text)
    if shape.heads % shape.kv_heads:
        text = f"heads = {shape.heads} does not divide into {shape.kv_heads} kv_heads"
        yield Issue("transformer.kv_heads", text)
    if stage.sequence_length > shape.max_positions:
        text = f"{stage.sequence_length} is more than transformer.max_positions = {shape.max_positions}"
        yield Issue("sequence_length", text)
    if stage.model.dtype != "float32":
        yield Issue("model.dtype", f"{stage.model.dtype}: a base is trained in float32")
    yield from _optimizer(stage.optimizer, stage.steps)


def _multiples(number: int, step: int) -> str:
    below = number // step * step
    return f"{below} or {below + step} would do" if below else f"{step} would do"
