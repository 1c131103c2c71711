"""What a recipe would do, from arithmetic alone: batches, memory, hours, dollars, and what stands in its way."""

from dunwu.config.plan.batches import Batches, ContextPhase, batches
from dunwu.config.plan.estimate import GIB, Memory
from dunwu.config.plan.plan import Plan, StagePlan, make_plan, nothing_planned

__all__ = ["GIB", "Batches", "ContextPhase", "Memory", "Plan", "StagePlan", "batches", "make_plan", "nothing_planned"]
