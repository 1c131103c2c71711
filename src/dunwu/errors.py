"""The errors that a user meets, each with the exit code that the command line gives it.

Everything else that escapes is a fault of ours (exit code 1). With them stand helpers for the lines that users read.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

INTERRUPTED = 3
"""The exit code of ``Interrupted``."""
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def _line(text: str) -> str:
    """Make one line of a text, whatever its characters, that a terminal shows and does not obey."""
    return CONTROL.sub("", " ".join(text.split()))


class UserError(ValueError):
    """The user's input is wrong (exit code 2).

    Args:
        message: what is wrong and how to mend it, one line.
        file: the file in which it stands, where there is one.
        field: the field or line of that file, e.g. ``stages.zero.rollout.group_size``.
    """

    def __init__(self, message: str, *, file: Path | str | None = None, field: str | None = None) -> None:
        self.message = _line(message)
        self.file = None if file is None else str(file)
        self.field = None if field is None else _line(field)
        self.others: tuple[UserError, ...] = ()
        super().__init__(": ".join(part for part in (self.file, self.field, self.message) if part))

    @property
    def each(self) -> tuple[UserError, ...]:
        """What is wrong, one by one: the error itself, but for one that stands for others."""
        return self.others or (self,)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what it says: by default ``__init__`` would be called with that one line."""
        return _restore, (type(self), self.args), self.__dict__


def _restore(kind: type[UserError], said: tuple[str, ...]) -> UserError:
    return kind.__new__(kind, *said)


def refuse_stream(path: Path, field: str | None = None) -> None:
    """Raise UserError for a pipe or a device: what a run reads is read more than once, and has an end."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise UserError("is a pipe or a device: write it to a file first", file=path, field=field)


class NotInstalled(UserError):  # noqa: N818 -- what it says, it says by its name
    """A package of an extra is wanted and is not there."""

    def __init__(self, package: str, extra: str, *, file: Path | str | None = None, field: str | None = None) -> None:
        super().__init__(f"{package} is not installed: pip install 'dunwu[{extra}]'", file=file, field=field)


class Interrupted(BaseException):
    """The run was asked to stop and can be resumed; the message says what was saved (exit code 3).

    No Exception: a function of the user's that catches those must not keep the run from stopping.
    """


class Fault(RuntimeError):  # noqa: N818  -- the short name is what the exit code is called
    """The work cannot go on though the input was right: NaN in an update, a full disk (exit code 1, one line)."""

    def __init__(self, message: str) -> None:
        super().__init__(_line(message))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant; None where none is close."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1)), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean X?`` where one of the known words is close, else nothing."""
    close = nearest(word, known)
    return f"; did you mean {close}?" if close else ""


def counted(count: int, noun: str) -> str:
    """Write a number with what it counts: ``1 rollout``, ``1,200 rollouts``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
