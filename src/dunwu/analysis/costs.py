"""What each stage of a run cost, module by module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dunwu.analysis.stage_roles import learns_from_rewards
from dunwu.runs import Cost, RunReader

MODULES = ("rollout", "reward", "inference", "training", "evaluation")
SMALLEST = 0.001
"""Of hours, kWh and dollars, what is still written out."""
WATTS = {"cpu": 65.0, "a100": 400.0, "h100": 700.0, "h800": 700.0, "h200": 700.0}
"""Of one device at work: its maker's limit; a CPU's is ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostLine:
    """What a module of a stage cost.

    Attributes:
        stage: The stage.
        module: One of ``MODULES``; "" for all of them.
        cost: Seconds by the clock, tokens and FLOPs.
        device_hours: Hours on all devices of the recipe together.
        kilowatt_hours: Energy by the devices' power.
        dollars: At the recipe's price; None where it names none.
    """

    stage: str
    module: str
    cost: Cost
    device_hours: float
    kilowatt_hours: float
    dollars: float | None


def read_costs(run: RunReader) -> Iterator[CostLine]:
    """Read what every module that did anything cost.

    Args:
        run: The run.

    Yields:
        The modules, stage by stage, in the order in which the stages began.

    Raises:
        UserError: A ledger is damaged (named).
    """
    hardware: dict[str, Any] = run.recipe.get("hardware", {})
    count, price = hardware.get("count", 1), hardware.get("dollars_per_hour")
    watts = hardware.get("watts") or WATTS.get(hardware.get("device", "cpu"), WATTS["cpu"])
    for stage in run.stages:
        costs = run.stage(stage).read_costs()
        for module in MODULES:
            if module in costs:
                hours = costs[module].seconds * count / 3600
                yield CostLine(
                    stage=stage,
                    module=module,
                    cost=costs[module],
                    device_hours=hours,
                    kilowatt_hours=hours * watts / 1000,
                    dollars=None if price is None else hours * price,
                )


def is_comparable_to_paper(run: RunReader) -> bool:
    """Tell whether the costs can be compared with R1's: whether the run learns by reinforcement."""
    return any(map(learns_from_rewards, run.recipe["stages"].values()))


def format_costs(line: CostLine) -> tuple[str, ...]:
    """Write tokens, FLOPs, device hours, energy and dollars, in the order of ``COLUMNS``."""
    return (
        f"{line.cost.tokens:,.0f}",
        f"{line.cost.flops:.2g}",
        *(
            "–" if value is None else _format_rounded(value)
            for value in (line.device_hours, line.kilowatt_hours, line.dollars)
        ),
    )


def _format_rounded(value: float) -> str:
    if 0 < value < SMALLEST:
        return f"< {SMALLEST}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


COLUMNS = ("tokens", "FLOPs", "hours", "kWh", "dollars")


def sum_costs(found: list[CostLine]) -> CostLine:
    """Sum what all modules of all stages cost."""
    cost = Cost(0.0, 0, 0.0)
    for line in found:
        cost += line.cost
    return CostLine(
        stage="all",
        module="",
        cost=cost,
        device_hours=sum(line.device_hours for line in found),
        kilowatt_hours=sum(line.kilowatt_hours for line in found),
        dollars=None if any(line.dollars is None for line in found) else sum(line.dollars or 0.0 for line in found),
    )
