"""What a verifier says of an answer."""

from __future__ import annotations

from typing import NamedTuple


class Verdict(NamedTuple):
    """Whether an answer is right, and why.

    Attributes:
        value: 1 where it is right, 0 where it is wrong; between the two where a verifier of the user's pays in part;
            None where nothing could be found out, which is no verdict on the answer.
        reason: Why, in one line.
    """

    value: bool | float | None
    reason: str

    @property
    def is_right(self) -> bool:
        """Whether the answer is right: what is paid in part is wrong."""
        return self.value == 1


def judge_equality(gold: str, is_equal: bool) -> Verdict:
    """Say that an answer equals the gold one, or that it does not."""
    return Verdict(is_equal, f"equals {gold}" if is_equal else f"does not equal {gold}")
