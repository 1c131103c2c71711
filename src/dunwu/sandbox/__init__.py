"""Runs code written by a model that is being paid to cheat. Standard library only."""

from dunwu.sandbox.client import Sandbox, Session, retried
from dunwu.sandbox.records import Limits, Outcome, Unavailable, widest
from dunwu.sandbox.tiers import Tier, choose

__all__ = ["Limits", "Outcome", "Sandbox", "Session", "Tier", "Unavailable", "choose", "retried", "widest"]
