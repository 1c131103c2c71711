"""What a recipe would do, from arithmetic alone: batches, memory, hours, dollars, and what stands in its way."""

from dunwu.planning.batches import Batches, ContextPhase, batches
from dunwu.planning.estimate import GIB, Memory
from dunwu.planning.plan import Plan, StagePlan, make_plan, nothing_planned

__all__ = ["GIB", "Batches", "ContextPhase", "Memory", "Plan", "StagePlan", "batches", "make_plan", "nothing_planned"]
