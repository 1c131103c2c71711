"""The ledger of a run: what each stage cost, module by module, beside what R1 cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dunwu.runs import RunReader, Spent

MODULES = ("rollout", "reward", "inference", "training", "evaluation")
SMALLEST = 0.001
"""Of hours, kWh and dollars, what is still written out."""
WATTS = {"cpu": 65.0, "a100": 400.0, "h100": 700.0, "h800": 700.0, "h200": 700.0}
"""Of one device at work: its maker's limit; a CPU's is ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLine:
    """A stage's module: seconds by the clock on all devices of the recipe together, energy, and dollars if priced."""

    stage: str
    module: str
    spent: Spent
    device_hours: float
    kilowatt_hours: float
    dollars: float | None


def read_costs(run: RunReader) -> Iterator[CostLine]:
    """Every module that did anything, stage by stage, in the order in which they began."""
    hardware: dict[str, Any] = run.recipe.get("hardware", {})
    count, price = hardware.get("count", 1), hardware.get("dollars_per_hour")
    watts = hardware.get("watts") or WATTS.get(hardware.get("device", "cpu"), WATTS["cpu"])
    for stage in run.stages:
        spent = run.stage(stage).read_ledger()
        for module in MODULES:
            if module in spent:
                hours = spent[module].seconds * count / 3600
                yield CostLine(
                    stage=stage,
                    module=module,
                    spent=spent[module],
                    device_hours=hours,
                    kilowatt_hours=hours * watts / 1000,
                    dollars=None if price is None else hours * price,
                )


def is_comparable_to_paper(run: RunReader) -> bool:
    """Whether it makes sense to hold the costs against R1's: there is reinforcement learning in it."""
    return any(stage.get("kind") == "rl" for stage in run.recipe["stages"].values())


def format_costs(line: CostLine) -> tuple[str, ...]:
    """Tokens, FLOPs, device hours, energy and dollars, as they are written."""
    spent = line.spent
    return (
        f"{spent.tokens:,.0f}",
        f"{spent.flops:.2g}",
        *(
            "–" if value is None else _rounded(value)
            for value in (line.device_hours, line.kilowatt_hours, line.dollars)
        ),
    )


def _rounded(value: float) -> str:
    if 0 < value < SMALLEST:
        return f"< {SMALLEST}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


COLUMNS = ("tokens", "FLOPs", "hours", "kWh", "dollars")


def sum_costs(found: list[CostLine]) -> CostLine:
    """Everything together."""
    spent = Spent(0.0, 0, 0.0)
    for line in found:
        spent += line.spent
    return CostLine(
        stage="all",
        module="",
        spent=spent,
        device_hours=sum(line.device_hours for line in found),
        kilowatt_hours=sum(line.kilowatt_hours for line in found),
        dollars=None if any(line.dollars is None for line in found) else sum(line.dollars or 0.0 for line in found),
    )
