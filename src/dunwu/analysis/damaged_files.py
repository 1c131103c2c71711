"""Files of a run that a crash, a disk or an editor has damaged cost what they held, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from dunwu.errors import UserError

T = TypeVar("T")


def read_or_default(read: Callable[[], T], otherwise: T, lost: list[str]) -> T:
    """Read what may be damaged.

    Args:
        read: raises UserError where it is.
        otherwise: what is taken then.
        lost: gets the error's line then, once.

    Returns:
        What ``read`` returns, or ``otherwise``.
    """
    try:
        return read()
    except UserError as error:
        if str(error) not in lost:
            lost.append(str(error))
        return otherwise
