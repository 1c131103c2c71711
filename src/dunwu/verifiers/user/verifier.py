"""A verifier that a function of a user's file is: ``kind = "palindrome.py:is_palindrome"``."""

from __future__ import annotations

from pathlib import Path

from dunwu.types import Problem
from dunwu.user_code import split_reference
from dunwu.verifiers.user.custom import FileFunction, FileFunctions
from dunwu.verifiers.verdict import Verdict
from dunwu.verifiers.verifier import Resources, Verifier, make_verdict


class FileVerifier(Verifier):
    """A function ``(problem, answer) -> bool | float`` of a file, called in processes of its own.

    Args:
        reference: ``file.py:function``; problems whose kind it is are decided by it.
        resources: What verifiers share; each of its ``workers`` threads may have a process.

    Raises:
        UserError: The file cannot be loaded, or has no such function.
    """

    def __init__(self, reference: str, resources: Resources) -> None:
        super().__init__(resources)
        self._reference = reference
        file, function = split_reference(reference)
        seconds = resources.spec.timeout_seconds
        which = FileFunction(file=Path(file), function=function, timeout_seconds=seconds)
        self._functions = FileFunctions([which], resources.spec.workers)

    def verify(self, problem: Problem, answer: str) -> Verdict:
        """See ``Verifier``.

        Raises:
            UserError: The function raises, or returns no number from 0 to 1.
            WorkerLost: Its process died or took longer than its time, twice.
        """
        return make_verdict(self._functions.call(0, problem, answer), self._reference, problem)

    def close(self) -> None:
        """End its processes."""
        self._functions.close()
