"""What a recipe would do, from arithmetic alone: batches, memory, hours, dollars, and what stands in its way."""

from dunwu.planning.batches import Batches, ContextPhase, count_batches
from dunwu.planning.memory import GIB, Memory
from dunwu.planning.plan import Plan, make_plan, report_no_plan
from dunwu.planning.stage_plan import PlanContext, StagePlan, plan_stage

__all__ = [
    "GIB",
    "Batches",
    "ContextPhase",
    "Memory",
    "Plan",
    "PlanContext",
    "StagePlan",
    "count_batches",
    "make_plan",
    "plan_stage",
    "report_no_plan",
]
