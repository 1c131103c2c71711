"""Rewards that are Python functions of this process."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence

from dunwu.errors import UserError
from dunwu.types import Completion, Problem, RolloutGroup, Score, Status

Reward = Callable[[Problem, str], float]
"""``reward(problem, text)``: what an answer is worth, as one finite number. It sees whatever the model writes."""


def check_reward(reward: Reward) -> None:
    """Make sure that a reward can be called with a problem and a text.

    Raises:
        UserError: It cannot.
    """
    if not callable(reward):
        raise UserError(f"is {type(reward).__name__}, not a function (problem, text) -> float", field="reward")
    try:
        inspect.signature(reward).bind(None, None)
    except TypeError as error:
        name = getattr(reward, "__name__", type(reward).__name__)
        raise UserError(
            f"{name} cannot be called with two arguments, problem and text: {error}", field="reward"
        ) from None
    except ValueError:  # some that are written in C say nothing of their arguments
        return


class CallableGrader:
    """Grades with one function; see ``rollout.collect.Grader``.

    Args:
        reward: Called in a thread of this process, one completion at a time.

    Raises:
        UserError: It cannot be called with a problem and a text.
    """

    workers = 1

    def __init__(self, reward: Reward) -> None:
        check_reward(reward)
        self._reward, self._name = reward, getattr(reward, "__name__", "reward")

    def score(self, problem: Problem, completion: Completion) -> Score:
        """Score one completion.

        Raises:
            UserError: The function gives something else than a finite number. What it raises itself comes through.
        """
        value = self._reward(problem, completion.text)
        if not hasattr(value, "__float__") or not math.isfinite(value):
            raise UserError(f"{self._name} gave {value!r:.60}, not a finite number", field="reward")
        status: Status = "truncated" if completion.finish == "length" else "graded"
        return Score(
            value=float(value), parts={self._name: float(value)}, status=status, extracted=None, reason=self._name
        )

    def score_group(self, group: RolloutGroup, scores: Sequence[Score], update: int) -> tuple[Score, ...]:
        """Return the scores as they are."""
        return tuple(scores)
