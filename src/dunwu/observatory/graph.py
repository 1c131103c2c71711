"""The stages of a run as a graph: what builds on what, how far each has come, what it has cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

from dunwu.analysis import costs
from dunwu.analysis.labels import format_duration
from dunwu.runs import RunReader

WIDTH, HEIGHT, ACROSS, DOWN = 168, 62, 48, 20
"""Of a stage's box, and between boxes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A stage. ``done`` of ``total`` steps, where its kind has such; ``depth``: the longest way from a beginning."""

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


def nodes(run: RunReader) -> list[Node]:
    """Every stage of the recipe in its order, begun or not."""
    spent = dict[str, float]()
    for line in costs.read_costs(run):
        spent[line.stage] = spent.get(line.stage, 0.0) + line.device_hours
    found = dict[str, Node]()
    state = run.state.kind
    for name, spec in run.recipe["stages"].items():
        sources = tuple(dict.fromkeys(source for source in _sources(spec) if source in found))
        begun = run.stages.get(name)
        rows = run.stage(name).read_metrics() if begun else []
        found[name] = Node(
            name=name,
            kind=str(spec.get("kind", "")),
            status="waiting" if begun is None else "done" if begun == "done" else state,
            done=int(rows[-1]["step"]) if rows else 0,
            total=run.steps(name),
            hours=spent.get(name, 0.0),
            sources=sources,
            depth=1 + max((found[source].depth for source in sources), default=-1),
        )
    return list(found.values())


def _sources(spec: Mapping[str, Any]) -> Iterator[str]:
    """The names that a stage builds on: models, conversations, reward models."""
    yield from filter(None, [spec.get("from")])
    for name in ("models", "data"):
        yield from spec.get(name) or ()
    judges = [*(spec.get("judges") or ()), *((spec.get("reward") or {}).get("models") or ())]
    yield from (judge.get("from", "") for judge in judges)


def drawing(stages: Sequence[Node], link: str = "") -> str:
    """The graph as SVG, from left to right; ``link``: what stands before a stage's name in its link, "" for none."""
    rows = dict[int, int]()
    places = dict[str, tuple[float, float]]()
    for node in stages:
        row = rows.get(node.depth, 0)
        rows[node.depth] = row + 1
        places[node.name] = (8 + node.depth * (WIDTH + ACROSS), 8 + row * (HEIGHT + DOWN))
    width = 16 + (max(rows, default=0) + 1) * (WIDTH + ACROSS) - ACROSS
    height = 16 + max(rows.values(), default=1) * (HEIGHT + DOWN) - DOWN
    edges = "".join(_edge(places[source], places[node.name]) for node in stages for source in node.sources)
    boxes = "".join(_box(node, places[node.name], link) for node in stages)
    role = "group" if link else "img"  # an image has no links
    return (
        f'<div class="scroll" tabindex="0"><svg class="graph" viewBox="0 0 {width} {height}" width="{width}" '
        f'role="{role}" aria-label="{escape(_told(stages), quote=True)}">{edges}{boxes}</svg></div>'
    )


def _told(stages: Sequence[Node]) -> str:
    return "Stages: " + "; ".join(
        f"{node.name} ({node.kind}, {node.status}" + (f", from {' and '.join(node.sources)})" if node.sources else ")")
        for node in stages
    )


def _edge(start: tuple[float, float], end: tuple[float, float]) -> str:
    x, y, to_x, to_y = start[0] + WIDTH, start[1] + HEIGHT / 2, end[0], end[1] + HEIGHT / 2
    bend = max(24.0, (to_x - x) / 2)
    return f'<path class="edge" d="M{x} {y} C{x + bend} {y} {to_x - bend} {to_y} {to_x} {to_y}"/>'


def _box(node: Node, place: tuple[float, float], link: str) -> str:
    x, y = place
    steps = f"{node.done:,} of {node.total:,} steps" if node.total else f"{node.done:,} steps" if node.done else ""
    ended = f" · {node.status}" if node.status in ("stopped", "failed") else ""
    told = " · ".join(filter(None, [steps, format_duration(3600 * node.hours) if node.hours else ""])) or node.status
    bar = f'<rect class="progress" x="{x}" y="{y + HEIGHT - 4}" width="{WIDTH * node.share:.0f}" height="4" rx="2"/>'
    box = (
        f'<g class="stage {node.status}"><title>{escape(node.name)}: {node.status}</title>'
        f'<rect class="box" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="8"/>{bar}'
        f'<text class="name" x="{x + 12}" y="{y + 22}">{escape(_short(node.name))}</text>'
        f'<text x="{x + 12}" y="{y + 38}">{escape(node.kind.replace("_", " ") + ended)}</text>'
        f'<text x="{x + 12}" y="{y + 53}">{escape(told)}</text></g>'
    )
    return f'<a href="{escape(link + node.name, quote=True)}">{box}</a>' if link and node.status != "waiting" else box


def _short(name: str) -> str:
    return name if len(name) <= 20 else f"{name[:19]}…"
