"""Several tasks as one endless stream in which every task keeps its share.

The order is even, not drawn by lot: after n positions every task has had its share of n, to within one problem for each
task listed before it and one of its own. How often a task was picked before a position is a rounded product, so the
problem at a position is known without walking there, and a position is the whole state of the sampler.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import floor

from dunwu.tasks.task import Task, hash_text
from dunwu.types import Problem


class Mixture:
    """A weighted interleaving of tasks; a finite task goes through its problems once an epoch.

    Of the positions that earlier tasks leave, a task whose share among itself and the later ones is s takes position n
    exactly where floor(n s + phase) grows at n; that floor is also the number of its earlier picks, and thus the index
    of its next problem. What it does not take is numbered anew for the task after it. Shares are exact rationals.

    Args:
        tasks: At least one.
        weights: One for each task, positive; 0.3 means three tenths, not the nearest binary fraction.
        seed: Gives the phases, and so which task comes first; problems depend on the tasks' own seeds.
    """

    def __init__(self, tasks: Sequence[Task], weights: Sequence[float], seed: int) -> None:
        exact = [Fraction(str(weight)) for weight in weights]
        if not exact or len(tasks) != len(exact) or min(exact) <= 0:
            raise ValueError(f"{len(tasks)} tasks need as many positive weights, and at least one: {list(weights)}")
        self._tasks = tuple(tasks)
        self._shares = tuple(weight / sum(exact[place:]) for place, weight in enumerate(exact))
        self._phases = tuple(Fraction(hash_text(f"mixture/{seed}/{place}"), 2**64) for place in range(len(exact)))

    def draw(self, start: int, count: int) -> tuple[Problem, ...]:
        """Draw the problems at positions ``start`` to ``start + count - 1``: a function of tasks, weights and seed.

        Args:
            start: Position of the first, from 0.
            count: How many.

        Returns:
            The problems, in order.

        Raises:
            UserError: A task has no training problem left.
        """
        return tuple(self._draw_at(position) for position in range(start, start + count))

    def _draw_at(self, position: int) -> Problem:
        for task, share, phase in zip(self._tasks, self._shares, self._phases, strict=True):
            earlier = floor(position * share + phase)
            if floor((position + 1) * share + phase) > earlier:
                return task.get_problem(earlier)
            position -= earlier
        raise AssertionError("the last task takes whatever is left: its share is 1")
