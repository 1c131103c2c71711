"""Answering as kinds of stages: rejection sampling, cold start, evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dunwu.config.check_amounts import check_completions
from dunwu.config.check_helpers import check_helper
from dunwu.config.check_models import check_judges
from dunwu.config.check_rl import RESULT_NAMES
from dunwu.config.check_tasks import check_sets, check_texts, check_unread
from dunwu.config.issues import Issue
from dunwu.config.schema import (
    AnsweringStage,
    ColdStartStage,
    EvalStage,
    RejectStage,
    SamplingStage,
    display_names,
    is_server,
)
from dunwu.config.schema.sources import RESERVED
from dunwu.config.stage_kind import StageKind, Upstream
from dunwu.errors import did_you_mean
from dunwu.planning.estimate import estimate_eval_hours, estimate_eval_judge_hours
from dunwu.planning.memory import estimate_eval_memory
from dunwu.planning.stage_plan import PlanContext, StagePlan, check_context, plan_stage

if TYPE_CHECKING:
    from dunwu.models.shape import ModelShape
    from dunwu.pipeline.context import StageContext


def check_sampling(stage: SamplingStage) -> Iterator[Issue]:
    """Check how many answers are drawn and kept."""
    if stage.temperature == 0 and stage.samples > 1:
        yield Issue("samples", f"{stage.samples} samples at temperature 0 are all equal")
    if stage.keep > stage.samples:
        yield Issue("keep", f"{stage.keep} are more than the {stage.samples} samples")
    yield from check_completions("chunk", min(stage.chunk, stage.questions), "samples", stage.samples)


def check_reject(stage: RejectStage, upstream: Upstream) -> Iterator[Issue]:
    """Check the samples, and the judge with its tasks."""
    yield from check_sampling(stage)
    if stage.judge is None:
        return
    yield from check_helper(stage.judge, "judge")
    names = [task.name for task in stage.tasks]
    for name in stage.judge.tasks:
        if name not in names:
            yield Issue("judge.tasks", f"no task of this stage is called {name!r}{did_you_mean(name, names)}")


def check_cold_start(stage: ColdStartStage, upstream: Upstream) -> Iterator[Issue]:
    """Check the samples, and who rewrites them."""
    yield from check_sampling(stage)
    yield from check_helper(stage.rewrite, "rewrite")


def check_eval(stage: EvalStage, upstream: Upstream) -> Iterator[Issue]:
    """Check names of models and results, sets, and judges."""
    names = display_names(stage.models)
    for index, model in enumerate(stage.models):
        yield from check_unread(stage.inputs.sets, model, upstream.corpora)
        if names[index] in names[:index]:
            yield Issue(f"models.{index}", f"{names[index]!r} is the name of an earlier model")
        if RESERVED.fullmatch(names[index]):
            text = "cannot name an evaluation, nor can base, trained and step-N: write more of the path"
            yield Issue(f"models.{index}", f"{names[index]!r} {text}")
    yield from check_sets(stage.inputs.sets, stage.temperature, upstream.trained)
    yield from check_texts(stage.inputs.texts, stage.inputs.sets)
    served = [source for source in stage.models if is_server(source)]
    if stage.texts and served:
        yield Issue("texts", f"{served[0]} is a server, which gives no log-probabilities of texts: no perplexity")
    known, custom = [judge.name for judge in stage.judges], [function.name for function in stage.custom]
    for field, listed, others in (("judges", known, []), ("custom", custom, known)):
        for index, name in enumerate(listed):
            if name in (*listed[:index], *others, *RESULT_NAMES):
                yield Issue(f"{field}.{index}.name", f"{name!r} is the name of another result")
    for place, chosen in stage.inputs.sets.items():
        for name in chosen.judges:
            if name not in known:
                text = f"no judge of this stage is called {name!r} (known here: {', '.join(known) or 'none'})"
                yield Issue(f"{place}.judges", text + did_you_mean(name, known))
    yield from check_judges(stage.judges, "judges", upstream)


def plan_sampling(stage: SamplingStage, context: PlanContext) -> StagePlan:
    """Estimate several answers to each question."""
    asked = f"{stage.questions:,} questions x {stage.samples}, {stage.keep} kept of each at most"
    return _plan_answers(stage, context, asked)


def plan_eval(stage: EvalStage, context: PlanContext) -> StagePlan:
    """Estimate the answers of every model, and what judges read."""
    asked = ", ".join(f"{chosen.name} {chosen.problems:,} x {chosen.samples}" for chosen in stage.sets)
    judges = context.find_judges(stage.judges)
    return _plan_answers(stage, context, asked, judges, estimate_eval_judge_hours(stage, judges, context.hardware))


def _plan_answers(
    stage: AnsweringStage,
    context: PlanContext,
    asked: str,
    judges: dict[str, ModelShape] | None = None,
    judge_hours: float = 0.0,
) -> StagePlan:
    """Put together the largest model's memory, and all models' hours."""
    shapes = [context.find_shape(model.source) for model in stage.inputs.models if model.role == "policy"]
    known = [shape for shape in shapes if shape is not None]
    largest = max(known, key=lambda shape: shape.parameters, default=None)
    memory, hours = None, None
    if largest is not None:
        engines = context.count_engines(stage, largest, stage.max_sequences)
        memory = estimate_eval_memory(stage, largest, context.hardware, engines=engines, judges=(judges or {}).values())
    if len(known) == len(shapes):
        hours = sum(estimate_eval_hours(stage, shape, context.hardware) for shape in known) + judge_hours
    return plan_stage(
        stage,
        context,
        shape=largest,
        memory=memory,
        hours=hours,
        details={
            "answers": f"{asked}; {stage.max_new_tokens:,} new tokens at most",
            "format": stage.grading.format_rule,
        },
        issues=check_context("max_new_tokens", stage.prompt.max_tokens, stage.max_new_tokens, shapes),
    )


def run_reject_stage(stage: RejectStage, context: StageContext) -> None:
    """Run the stage; see ``pipeline.stages.rejection_sampling``."""
    from dunwu.pipeline.stages.rejection_sampling import run_reject

    run_reject(stage, context, context.find_model(stage.from_))


def run_cold_start_stage(stage: ColdStartStage, context: StageContext) -> None:
    """Run the stage; see ``pipeline.stages.cold_start``."""
    from dunwu.pipeline.stages.cold_start import run_cold_start

    run_cold_start(stage, context, context.find_model(stage.from_))


def run_eval_stage(stage: EvalStage, context: StageContext) -> None:
    """Run the stage; see ``pipeline.stages.evaluation``."""
    from dunwu.pipeline.stages.evaluation import run_eval

    scorers = {judge.name: context.find_model(judge.from_) for judge in stage.judges}
    run_eval(stage, context, {name: context.find_model(source) for name, source in stage.named.items()}, scorers)


REJECT = StageKind(
    schema=RejectStage,
    summary="Rejection sampling: several answers to each question, of which right and readable ones are kept.",
    makes="data",
    check=check_reject,
    plan=plan_sampling,
    run=run_reject_stage,
)
COLD_START = StageKind(
    schema=ColdStartStage,
    summary="The first conversations to learn from: sampled, kept where right, rewritten into R1's format.",
    makes="data",
    check=check_cold_start,
    plan=plan_sampling,
    run=run_cold_start_stage,
)
EVAL = StageKind(
    schema=EvalStage,
    summary="Evaluation: models beside each other on the same held-out problems.",
    makes="results",
    check=check_eval,
    plan=plan_eval,
    run=run_eval_stage,
)
