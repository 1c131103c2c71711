"""What decides problems of one kind: a function, or a class that says more.

A verifier of one's own is a function of a problem and the answer that was found in a completion::

    import dunwu

    @dunwu.register.verifier("palindrome")
    def is_palindrome(problem, answer):
        return answer == answer[::-1]

From then on it decides problems whose ``kind`` is ``palindrome``. It returns a bool, or a number from 0 to 1: 1 is
right, and anything less counts as wrong and pays as much as it says. The answer is never blank. The function is called
by several threads, and must be pure: the same problem and answer, the same verdict.

A recipe may also name a file, ``kind = "palindrome.py:is_palindrome"``. Such a function runs in processes of its own,
which are ended where it takes too long (``reward.timeout_seconds``); see ``user.custom``.

A class, derived from ``Verifier``, says more: where in a completion the answer stands, and which answers vote together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from dunwu.config.schema import GradingSpec
from dunwu.errors import Interrupted, UserError
from dunwu.sandbox import Sandbox
from dunwu.types import Problem
from dunwu.verifiers.math.sympy_pool import WorkerPool
from dunwu.verifiers.texts import fold
from dunwu.verifiers.verdict import Verdict

Place = Literal["recipe", "program", "response"]
"""Where answers of a kind stand: where the recipe says (``answer_in``); the same, but a program is no line and no box;
all that follows the reasoning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What verifiers share. Whoever made it closes it.

    Attributes:
        spec: How answers are graded.
        pool: Processes that compare formulas.
        sandbox: Where programs run; None where no problem asks for one.
    """

    spec: GradingSpec
    pool: WorkerPool
    sandbox: Sandbox | None


class Verifier:
    """Decides problems of one kind. Threads share it.

    Args:
        resources: What it may use.
    """

    place: ClassVar[Place] = "recipe"
    """Where the answers stand."""
    decides: ClassVar[bool] = True
    """Whether an answer can be right; else scores have no component ``accuracy``."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """Say whether an answer is right.

        Args:
            problem: What was asked.
            answer: What stands in the completion as its answer; it shows something.

        Raises:
            WorkerLost: A process was lost, for no reason of its own: no verdict.
        """
        raise NotImplementedError

    @staticmethod
    def make_key(problem: Problem, answer: str) -> str:
        """Return the same text for answers that vote together (cons@k). It needs no resources."""
        return fold(answer)

    def close(self) -> None:
        """End what this verifier has started by itself."""


class FunctionVerifier(Verifier):
    """A function of the user's, called in this process.

    Args:
        function: ``(problem, answer) -> bool | float``.
        kind: What it was registered as, for errors.
        resources: What verifiers share.
    """

    def __init__(self, function: Callable[[Problem, str], Any], kind: str, resources: Resources) -> None:
        super().__init__(resources)
        self._function, self._kind = function, kind

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """See ``Verifier``.

        Raises:
            UserError: The function raises, or returns no number from 0 to 1.
        """
        try:
            value = self._function(problem, answer)
        except (Interrupted, KeyboardInterrupt):
            raise
        except BaseException as error:  # whatever a user's function raises
            text = f"the verifier {self._kind!r} raised {type(error).__name__}: {error} on problem {problem.id}"
            raise UserError(text) from error
        return make_verdict(value, self._kind, problem)


def make_verdict(value: Any, kind: str, problem: Problem) -> Verdict:
    """Read what a verifier of the user's returned.

    Args:
        value: A bool, or a number from 0 to 1.
        kind: What the verifier is called, for errors and as the reason.
        problem: What was asked, for errors.

    Raises:
        UserError: It is something else.
    """
    try:
        number = float(value) if hasattr(value, "__float__") else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number <= 1:
        text = f"the verifier {kind!r} returned {value!r:.40}, no number from 0 to 1, on problem {problem.id}"
        raise UserError(text)
    return Verdict(number, f"{kind} gives {number:g}")
