"""The stages of a run as a graph: what builds on what, how far each has come, what it has cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dunwu.analysis import costs
from dunwu.runs import RunReader


@dataclass(frozen=True, slots=True, kw_only=True)
class StageNode:
    """A stage.

    Attributes:
        name: Its name.
        kind: Its kind, as the recipe writes it.
        status: How it stands.
        done: Steps that are done.
        total: Steps in all; None where its kind has no such.
        hours: Device hours that it has cost.
        sources: The stages that it builds on.
        depth: The longest way from a stage that builds on none.
    """

    name: str
    kind: str
    status: Literal["waiting", "running", "stopped", "failed", "done"]
    done: int
    total: int | None
    hours: float
    sources: tuple[str, ...]
    depth: int

    @property
    def share(self) -> float:
        """How much of it is done, as far as its steps tell."""
        if self.status == "done":
            return 1.0
        return min(self.done / self.total, 1.0) if self.total else 0.0


def read_stage_nodes(run: RunReader) -> list[StageNode]:
    """Read every stage of the recipe in its order, begun or not.

    Args:
        run: The run, at any moment.

    Returns:
        The stages.

    Raises:
        UserError: A file of a stage is damaged (named).
    """
    hours = dict[str, float]()
    for line in costs.read_costs(run):
        hours[line.stage] = hours.get(line.stage, 0.0) + line.device_hours
    found = dict[str, StageNode]()
    state = run.state.kind
    for name, spec in run.recipe["stages"].items():
        sources = tuple(dict.fromkeys(source for source in _list_sources(spec) if source in found))
        begun = run.stages.get(name)
        rows = run.stage(name).read_metrics() if begun else []
        found[name] = StageNode(
            name=name,
            kind=str(spec.get("kind", "")),
            status="waiting" if begun is None else "done" if begun == "done" else state,
            done=int(rows[-1]["step"]) if rows else 0,
            total=run.count_steps(name),
            hours=hours.get(name, 0.0),
            sources=sources,
            depth=1 + max((found[source].depth for source in sources), default=-1),
        )
    return list(found.values())


def _list_sources(spec: Mapping[str, Any]) -> Iterator[str]:
    """List the names that a stage builds on: models, conversations, reward models."""
    yield from filter(None, [spec.get("from")])
    for name in ("models", "data"):
        yield from spec.get(name) or ()
    judges = [*(spec.get("judges") or ()), *((spec.get("reward") or {}).get("models") or ())]
    yield from (judge.get("from", "") for judge in judges)
