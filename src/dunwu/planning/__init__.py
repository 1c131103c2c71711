"""What a recipe would do, from arithmetic alone: batches, memory, hours, dollars, and what stands in its way."""

from dunwu.planning.batches import Batches, ContextPhase, batches
from dunwu.planning.estimate import GIB, Memory
from dunwu.planning.plan import Plan, make_plan, nothing_planned
from dunwu.planning.stage_plan import PlanContext, StagePlan, plan_stage

__all__ = [
    "GIB",
    "Batches",
    "ContextPhase",
    "Memory",
    "Plan",
    "PlanContext",
    "StagePlan",
    "batches",
    "make_plan",
    "nothing_planned",
    "plan_stage",
]
