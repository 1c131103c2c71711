"""Reinforcement learning as a kind of stage; ``pipeline.stages.rl`` is the algorithm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dunwu.config.check_rl import check_rl
from dunwu.config.schema import RLStage
from dunwu.config.stage_kind import StageKind
from dunwu.planning.adapter import check_rank, describe_adapter
from dunwu.planning.batches import count_batches
from dunwu.planning.estimate import estimate_judge_hours, estimate_rl_hours
from dunwu.planning.memory import estimate_rl_memory
from dunwu.planning.sharing import limit_prompt
from dunwu.planning.stage_plan import PlanContext, StagePlan, check_context, plan_stage

if TYPE_CHECKING:
    from dunwu.pipeline.context import StageContext


def plan_rl(stage: RLStage, context: PlanContext) -> StagePlan:
    """Count rollouts and updates, and estimate them."""
    counts, shape = count_batches(stage), context.find_shape(stage.from_)
    judges = context.find_judges(stage.reward.models)
    longest = max(phase.max_new_tokens for phase in counts.contexts)
    memory, hours = None, None
    details = describe_adapter(stage.adapter, stage.optimizer, shape)
    if shape is not None:
        engines = context.count_engines(stage, shape, stage.rollout.max_sequences)
        prompt = context.prompt or limit_prompt(stage)
        memory = estimate_rl_memory(
            stage, shape, prompt, longest, context.hardware, engines=engines, judges=judges.values()
        )
        hours = estimate_rl_hours(stage, shape, prompt, counts, context.hardware)
        hours += estimate_judge_hours(stage, judges, counts, context.hardware)
        if context.hardware.device != "cpu" and context.hardware.count > 1:
            from dunwu.planning.simulator.split import describe_split  # with numpy, which no other plan needs

            details = {**details, **describe_split(stage, shape, prompt.whole, counts, context.hardware)}
    return plan_stage(
        stage,
        context,
        shape=shape,
        memory=memory,
        hours=hours,
        steps=stage.steps,
        batches=counts,
        details=details,
        issues=[
            *check_context("rollout.max_new_tokens", stage.prompt.max_tokens, longest, [shape]),
            *check_rank(stage.adapter, shape),
        ],
    )


def run_rl_stage(stage: RLStage, context: StageContext) -> None:
    """Run the stage; see ``pipeline.stages.rl.run_rl``."""
    from dunwu.pipeline.stages.rl import run_rl
    from dunwu.pipeline.stages.rl_system import VALUE

    scorers = {part.name: context.find_model(part.from_) for part in stage.reward.models}
    if stage.value:
        scorers[VALUE] = context.find_model(stage.value.from_ or stage.from_)
    run_rl(stage, context, context.find_model(stage.from_), scorers)


RL = StageKind(
    schema=RLStage,
    summary="Reinforcement learning: sample groups of answers, grade them, raise what was better than its group.",
    makes="policy",
    result="{} after reinforcement learning from rewards",
    check=check_rl,
    plan=plan_rl,
    run=run_rl_stage,
)
