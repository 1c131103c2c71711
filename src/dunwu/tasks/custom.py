"""Functions of the user's that make drafts, checked before anything is built on what they return."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dunwu.errors import Interrupted, UserError
from dunwu.registry import verifiers
from dunwu.tasks.datasets.code_tests import NotATestError, read_test
from dunwu.tasks.datasets.rows import MalformedError, MissingColumnError, Row
from dunwu.tasks.task import Draft, DraftFunction
from dunwu.user_code import describe_error, file_of

PROGRAMS = ("code", "gym")
"""Kinds of problems whose answers run in the sandbox."""


@dataclass(frozen=True, slots=True)
class CustomGenerator:
    """The draft function of a user's generator, whose faults are named as the recipe's.

    Args:
        function: (rng, level, language) -> Draft.
        reference: What the recipe calls it.
        kind: The verifier of drafts that name none.
    """

    function: DraftFunction
    reference: str
    kind: str

    def __call__(self, rng: random.Random, level: int, language: str) -> Draft:
        """Make a draft.

        Raises:
            UserError: The function fails, or returns what is no problem.
        """
        try:
            draft = self.function(rng, level, language)
        except (Interrupted, KeyboardInterrupt):
            raise
        except BaseException as error:  # whatever a user's function raises, sys.exit too
            raised = describe_error(error, file_of(self.reference))
            text = f"{self.reference}, called with (rng, {level}, {language!r}), raised {raised}"
            raise UserError(text, field="task") from error
        try:
            return check_draft(draft, self.kind)
        except MalformedError as error:
            raise UserError(f"what {self.reference} returns is no problem: {error}", field="task") from None

    def check_purity(self, level: int, language: str) -> None:
        """Draft the same problem twice: a run that is resumed makes its problems again.

        Raises:
            UserError: The two differ.
        """
        first, again = (self(random.Random("purity"), level, language) for _ in range(2))
        if first != again:
            text = f"{self.reference} makes another problem of the same rng: it may draw from nothing else"
            raise UserError(text, field="task")


@dataclass(frozen=True, slots=True)
class CustomReader:
    """A user's function that reads a row.

    Args:
        function: A row's values, by column -> Draft.
        kind: The verifier of drafts that name none.
    """

    function: Callable[[Mapping[str, Any]], Draft]
    kind: str

    def __call__(self, row: Row) -> Draft:
        """Read a row.

        Raises:
            MalformedError: The function fails, or returns what is no problem.
        """
        try:
            draft = self.function(row.values)
        except (Interrupted, KeyboardInterrupt):
            raise
        except BaseException as error:  # whatever a user's function raises, sys.exit too
            name = error.args[0] if isinstance(error, KeyError) and error.args else None
            if isinstance(name, str) and name not in row.values:
                raise MissingColumnError(name, row.values) from error
            raise MalformedError(f"raised {describe_error(error, None)}") from error
        return check_draft(draft, self.kind)


def check_draft(draft: object, kind: str) -> Draft:
    """Return a draft that a problem can be made of.

    Args:
        draft: What a user's function returned.
        kind: The recipe's.

    Raises:
        MalformedError: It is no draft, a text is missing or none, or its tests are none.
    """
    if not isinstance(draft, Draft):
        raise MalformedError(f"it is {type(draft).__name__}, not a dunwu.tasks.Draft")
    for name in ("question", "gold", "kind", "key", "subject"):
        if not isinstance(getattr(draft, name), str):
            raise MalformedError(f"its {name} is {type(getattr(draft, name)).__name__}, not text")
        if any("\ud800" <= character <= "\udfff" for character in getattr(draft, name)):
            raise MalformedError(f"its {name} is no valid Unicode: a lone surrogate")
    if not draft.question.strip():
        raise MalformedError("its question is empty")
    if not isinstance(draft.tests, tuple) or not all(isinstance(test, str) for test in draft.tests):
        raise MalformedError("its tests are no tuple of texts")
    if draft.kind and (problem := verifiers.problem_with(draft.kind)):
        raise MalformedError(f"its kind: {problem}")
    if draft.kind in PROGRAMS and kind != "code":
        raise MalformedError('programs answer it: say kind = "code" in the recipe, so that there is a sandbox')
    if (draft.kind or kind) == "code":
        try:
            for test in draft.tests:
                read_test(test)
        except NotATestError as error:
            raise MalformedError(f"a test is none: {error}") from None
    return draft
