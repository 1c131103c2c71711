"""What R1 cost: H800 hours (R1, arXiv 2501.12948v2, table 7), at 2 dollars."""

from __future__ import annotations

HOURS = (("DeepSeek-R1-Zero", 101_000), ("SFT data creation", 5_000), ("DeepSeek-R1", 41_000))


def describe_paper_costs() -> str:
    """Say in a sentence what R1 cost, for a comparison with one's own costs."""
    stages = ", ".join(f"{name} {hours / 1000:,.0f}K" for name, hours in HOURS)
    hours = sum(hours for _, hours in HOURS)
    return f"Beside it, R1 in H800 hours: {stages}; {hours / 1000:,.0f}K in all, ${2 * hours / 1000:,.0f}K at $2."
