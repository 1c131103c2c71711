"""Runs code written by a model that is being paid to cheat. Standard library only."""

from dunwu.sandbox.client import Sandbox, Session, retry
from dunwu.sandbox.records import Limits, Outcome, Unavailable, join_limits
from dunwu.sandbox.tiers import Tier, choose

__all__ = ["Limits", "Outcome", "Sandbox", "Session", "Tier", "Unavailable", "choose", "join_limits", "retry"]
