"""The tables of a stage of kind ``rl`` out of a policy and what a Python user sets; the rest fits the policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dunwu.api.policy import Policy
from dunwu.errors import UserError

NEW_TOKENS, PROMPT_TOKENS = 1024, 1024
"""Tokens of an answer and of a prompt at most, where the settings say nothing and the model has room."""
QUESTIONS, GROUP = 16, 8
"""Problems of a rollout and answers to each, where the settings say nothing: a rollout takes seconds on a laptop, where
R1-Zero's own (512 and 16) takes minutes."""


def make_rl_tables(
    policy: Policy, tasks: Sequence[Mapping[str, Any]], settings: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Make the tables, all but ``steps``.

    Args:
        policy: What learns: its template, and lengths that it has positions for.
        tasks: Where problems come from.
        settings: Tables of the user's; each field of them wins, and the other fields of its table stay.

    Raises:
        UserError: One that is completed here is no table.
    """
    for name in ("rollout", "prompt", "update"):
        if not isinstance(settings.get(name, {}), Mapping):
            raise UserError(f"must be a table, not {settings[name]!r:.60}", field=name)
    room = policy.positions or NEW_TOKENS + PROMPT_TOKENS
    lengths = {"max_new_tokens": min(NEW_TOKENS, room // 2)}
    rollout = {"questions": QUESTIONS, "group_size": GROUP, **lengths, **settings.get("rollout", {})}
    prompt_tokens = max(1, min(PROMPT_TOKENS, room - rollout["max_new_tokens"]))
    return {
        "kind": "rl",
        "from": policy.source,
        "tasks": list(tasks),
        "reference_every": 0,
        **settings,
        "rollout": rollout,
        "prompt": {"template": policy.template, "max_tokens": prompt_tokens, **settings.get("prompt", {})},
        "update": {"minibatches": 1, **settings.get("update", {})},
    }
