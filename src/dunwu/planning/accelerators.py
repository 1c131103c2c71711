"""What makers say of their devices; all that the planner and the simulator know of hardware."""

from __future__ import annotations

from typing import Final, NamedTuple


class Accelerator(NamedTuple):
    """One device.

    Attributes:
        flops: Operations a second of dense products in bfloat16, at most.
        bandwidth: Bytes a second that its memory gives, at most.
        memory_gib: Of its memory.
    """

    flops: float
    bandwidth: float
    memory_gib: float


ACCELERATORS: Final = {
    "a100": Accelerator(312e12, 2.04e12, 80),
    "h100": Accelerator(989e12, 3.35e12, 80),
    "h800": Accelerator(989e12, 3.35e12, 80),
    "h200": Accelerator(989e12, 4.8e12, 141),
    "h20": Accelerator(148e12, 4.0e12, 96),
}
"""By name. No recipe names the H20: published steps that the simulator is checked against ran on it."""
