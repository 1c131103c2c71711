"""Functions of the user's that grade: in a file, run in processes of their own, or registered in this process.

    def score(problem: dunwu.types.Problem, text: str) -> float

As a component of the reward a function gets the whole completion, as a verifier (``verifiers.verifier``) the answer in
it. It must be pure: what it returns may depend on nothing but its arguments, because it is called several times at
once, in any order, and again after a process was lost. What it prints stands on stderr. Its time is that of
``own_time``: of the processor, and asleep, but not waiting for a processor.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dunwu import registry
from dunwu.config.schema import CustomFunction
from dunwu.errors import Interrupted, UserError
from dunwu.types import Completion, Problem
from dunwu.verifiers.process import STARTUP_SECONDS, LineProcess, ProcessPool

LARGEST_REWARD = 1e6
"""The largest size of a component; its square still is a number in single precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFunction:
    """A function of a file of the user's.

    Attributes:
        file: Where it stands.
        function: Its name there.
        timeout_seconds: What one call may take.
        fields: Which fields of the recipe say file and function, for errors; None: a problem names it.
    """

    file: Path
    function: str
    timeout_seconds: float
    fields: tuple[str | None, str | None] = (None, None)


class FileFunctions:
    """Functions of the user's files in processes of their own, each of which has loaded every file.

    Args:
        functions: Which; a call says the place of one.
        workers: Processes at most.

    Raises:
        UserError: A file cannot be loaded, or has no such function.
    """

    def __init__(self, functions: Sequence[FileFunction], workers: int) -> None:
        self._functions = functions
        self._pool: ProcessPool[_NumberedProcess] = ProcessPool(self._start, workers)
        if functions:
            # What is wrong with a file shows before anything is graded.
            self._pool.use(lambda process: None, "the process of custom functions was killed twice as it started")

    def call(self, place: int, problem: Problem, text: str) -> float:
        """Return what a function returns, as a number: it may be none that is finite.

        Args:
            place: Which function.
            problem: What was asked.
            text: What it is to grade.

        Raises:
            UserError: It raises, or returns no number.
            WorkerLost: Its process died or took longer than its time, twice.
        """
        which = self._functions[place]
        seconds = which.timeout_seconds
        request = {"function": place, "problem": asdict(problem), "text": text, "budget": seconds}
        reply = self._pool.use(
            lambda process: process.ask(request, seconds),
            f"{which.function} of {which.file} died or took longer than {seconds} s, twice",
        )
        if "error" in reply:
            raise self.make_error(place, reply["error"], problem)
        return float(reply["value"])

    def make_error(self, place: int, what: str, problem: Problem) -> UserError:
        """Make the error that says what a function did on a problem.

        Args:
            place: Which function.
            what: What it did.
            problem: What was asked.
        """
        which = self._functions[place]
        return UserError(f"{which.file}: {which.function} {what} on problem {problem.id}", field=which.fields[1])

    def close(self) -> None:
        """End every process."""
        self._pool.close()

    def _start(self) -> _NumberedProcess:
        process = _NumberedProcess([sys.executable, "-P", "-m", "dunwu.verifiers.user.custom_worker"], quiet=False)
        try:
            errors = process.ask([[str(one.file), one.function] for one in self._functions], STARTUP_SECONDS)
        except EOFError:
            killed = process.process.poll() == -signal.SIGKILL  # from outside: worth another try
            process.kill()
            if killed:
                raise
            first = self._functions[0]
            text = f"{first.file}: its process does not start, or ends while it loads"
            raise UserError(text, field=first.fields[0]) from None
        for which, error in zip(self._functions, errors, strict=True):
            if error:
                process.kill()
                raise UserError(f"{which.file}: {error}", field=which.fields[0])
        return process


class CustomRewards:
    """The components of a reward that functions of the user's give.

    Args:
        specs: Those of the recipe.
        workers: Processes at most.

    Raises:
        UserError: A file cannot be loaded or has no such function, or no reward has such a name.
    """

    def __init__(self, specs: Sequence[CustomFunction], workers: int) -> None:
        files: list[FileFunction] = []
        self._calls: dict[str, Callable[[Problem, str], float]] = {}
        for index, spec in enumerate(specs):
            field = f"reward.custom.{index}"
            if spec.file is None:
                self._calls[spec.name] = _load_registered(spec.function, f"{field}.function")
                continue
            self._calls[spec.name] = self._make_call(len(files))
            fields = f"{field}.file", f"{field}.function"
            files.append(
                FileFunction(
                    file=spec.file, function=spec.function, timeout_seconds=spec.timeout_seconds, fields=fields
                )
            )
        self._files = FileFunctions(files, workers)

    def score(self, name: str, problem: Problem, completion: Completion) -> float:
        """Return what a component is worth.

        Args:
            name: The component.
            problem: What was asked.
            completion: What was answered.

        Raises:
            UserError: Its function raises, or returns no number that can be a reward.
            WorkerLost: Its process died or took longer than its time, twice.
        """
        return self._calls[name](problem, completion.text)

    def close(self) -> None:
        """End every process."""
        self._files.close()

    def _make_call(self, place: int) -> Callable[[Problem, str], float]:
        def call(problem: Problem, text: str) -> float:
            value = self._files.call(place, problem, text)
            if not abs(value) <= LARGEST_REWARD:
                raise self._files.make_error(place, describe_no_reward(value), problem)
            return value

        return call


def _load_registered(name: str, field: str) -> Callable[[Problem, str], float]:
    """Load a registered function, and return it as one whose errors name it."""
    function = registry.rewards.load_function(name, field)

    def call(problem: Problem, text: str) -> float:
        try:
            value: Any = function(problem, text)
            number = float(value) if hasattr(value, "__float__") else None
        except (Interrupted, KeyboardInterrupt):
            raise
        except BaseException as error:  # whatever a user's function raises
            what = f"the reward {name!r} raised {type(error).__name__}: {error} on problem {problem.id}"
            raise UserError(what, field=field) from error
        if number is None or not abs(number) <= LARGEST_REWARD:
            raise UserError(f"the reward {name!r} {describe_no_reward(value)} on problem {problem.id}", field=field)
        return number

    return call


def describe_no_reward(value: object) -> str:
    """Say of a value why it can be no component of a reward."""
    return f"returned {value!r:.40}, no number from -{LARGEST_REWARD:g} to {LARGEST_REWARD:g}"


class _NumberedProcess(LineProcess):
    """A process whose replies bear their requests' numbers.

    What a user's function writes, or a fork of it, is no reply.
    """

    _asked = 0

    def ask(self, request: object, seconds: float) -> Any:
        """See ``LineProcess``; EOFError also for a reply to something else."""
        self._asked += 1
        reply = super().ask([self._asked, request], seconds)
        if not isinstance(reply, list) or len(reply) != 2 or reply[0] != self._asked:
            raise EOFError
        return reply[1]
