"""The graph of a run's stages as boxes and arrows, from left to right (``templates/stage_graph.html``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from dunwu.analysis.labels import format_duration
from dunwu.analysis.stage_graph import StageNode

WIDTH, HEIGHT, ACROSS, DOWN = 168, 62, 48, 20
"""Of a stage's box, and between boxes, in pixels."""
MARGIN = 8
LONGEST_NAME = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class StageBox:
    """A stage where it is drawn.

    Attributes:
        node: The stage.
        x: Its left edge.
        y: Its upper edge.
        name: Its name, cut to what has room.
        kind: Its kind, and how it ended where it did not end well.
        progress: Its steps and hours, or how it stands.
        bar: The length of its progress bar.
        href: Where it leads; "" for nowhere.
    """

    node: StageNode
    x: int
    y: int
    name: str
    kind: str
    progress: str
    bar: str
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageGraph:
    """The whole drawing: its size, what it shows in a sentence, its boxes, and its arrows as the data of SVG paths."""

    width: int
    height: int
    description: str
    boxes: Sequence[StageBox]
    arrows: Sequence[str]
    box_width: int = WIDTH
    box_height: int = HEIGHT

    @property
    def has_links(self) -> bool:
        """Whether a box leads anywhere."""
        return any(box.href for box in self.boxes)


def lay_out_stages(nodes: Sequence[StageNode], address: str = "") -> StageGraph:
    """Place the stages of a run.

    Args:
        nodes: The stages, in the recipe's order.
        address: What stands before a stage's name in its link; "" for no links.

    Returns:
        The drawing.
    """
    rows = dict[int, int]()
    places = dict[str, tuple[int, int]]()
    for node in nodes:
        row = rows.get(node.depth, 0)
        rows[node.depth] = row + 1
        places[node.name] = (MARGIN + node.depth * (WIDTH + ACROSS), MARGIN + row * (HEIGHT + DOWN))
    return StageGraph(
        width=2 * MARGIN + (max(rows, default=0) + 1) * (WIDTH + ACROSS) - ACROSS,
        height=2 * MARGIN + max(rows.values(), default=1) * (HEIGHT + DOWN) - DOWN,
        description="Stages: " + "; ".join(map(_describe, nodes)),
        boxes=[_make_box(node, places[node.name], address) for node in nodes],
        arrows=[_make_arrow(places[source], places[node.name]) for node in nodes for source in node.sources],
    )


def _describe(node: StageNode) -> str:
    sources = f", from {' and '.join(node.sources)}" if node.sources else ""
    return f"{node.name} ({node.kind}, {node.status}{sources})"


def _make_arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    """Draw a curve from the right edge of a box to the left edge of another."""
    x, y, to_x, to_y = start[0] + WIDTH, start[1] + HEIGHT / 2, end[0], end[1] + HEIGHT / 2
    bend = max(24.0, (to_x - x) / 2)
    return f"M{x} {y} C{x + bend} {y} {to_x - bend} {to_y} {to_x} {to_y}"


def _make_box(node: StageNode, place: tuple[int, int], address: str) -> StageBox:
    steps = f"{node.done:,} of {node.total:,} steps" if node.total else f"{node.done:,} steps" if node.done else ""
    hours = format_duration(3600 * node.hours) if node.hours else ""
    return StageBox(
        node=node,
        x=place[0],
        y=place[1],
        name=node.name if len(node.name) <= LONGEST_NAME else f"{node.name[: LONGEST_NAME - 1]}…",
        kind=node.kind.replace("_", " ") + (f" · {node.status}" if node.status in ("stopped", "failed") else ""),
        progress=" · ".join(filter(None, [steps, hours])) or node.status,
        bar=f"{WIDTH * node.share:.0f}",
        href=address + quote(node.name) if address and node.status != "waiting" else "",
    )
