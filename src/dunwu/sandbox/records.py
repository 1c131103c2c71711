"""What goes into the sandbox and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

Status = Literal["ok", "error", "timeout", "memory", "output-limit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one program may use."""

    seconds: float = 4.0
    """Seconds of processor time; by the clock it may take ``PATIENCE`` times as long, and longer where the machine is
    busy (``SLOWDOWN``)."""
    memory_bytes: int = 512 << 20
    """Address space beyond what the interpreter has from the start."""
    output_bytes: int = 4 << 20
    """Bytes of stdout, stderr and values together."""
    file_bytes: int = 16 << 20
    """Bytes of everything in its temporary directory."""
    files: int = 256
    threads: int = 32


def join_limits(first: Limits, *others: Limits) -> Limits:
    """Return of every limit the largest."""
    every = (first, *others)
    return Limits(**{field.name: max(getattr(limits, field.name) for limits in every) for field in fields(Limits)})


PATIENCE = 3.0
"""Seconds by the clock for each second of processor time."""
SLOWDOWN = 20.0
"""More seconds by the clock for each second of processor time that a program has had: it may have had no more than a
twentieth of the processor. One that sleeps has had none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a program, or a call into it, ended.

    A program that fails, of whatever cause of its own, has a status; ``Unavailable`` is raised where the sandbox itself
    fails.

    Attributes:
        status: How it ended.
        value: What was returned, where it was a call.
        stdout: What it wrote there, bytes that are no UTF-8 replaced.
        stderr: The same.
        detail: What went wrong, in one line.
        seconds: Of processor time.
    """

    status: Status
    value: Any = None
    stdout: str = ""
    stderr: str = ""
    detail: str = ""
    seconds: float = 0.0


class Unavailable(Exception):  # noqa: N818  -- a finding about the machine, not about the program
    """The sandbox failed, not the program: it is no verdict."""
