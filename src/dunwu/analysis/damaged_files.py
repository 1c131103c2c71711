"""Files of a run that a crash, a disk or an editor has damaged cost what they held, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from dunwu.errors import UserError

T = TypeVar("T")
D = TypeVar("D")


def read_or_default(read: Callable[[], T], default: D, damage: list[str]) -> T | D:
    """Read what may be damaged.

    Args:
        read: Reads it; a UserError says that it is damaged.
        default: What is returned then.
        damage: Gets the error's line then, once.

    Returns:
        What ``read`` returns, or ``default``.
    """
    try:
        return read()
    except UserError as error:
        if str(error) not in damage:
            damage.append(str(error))
        return default
