"""Line charts as SVG, in a page or as a file: no scripts, no fonts, no network; colours come from one style sheet."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from html import escape
from importlib import resources
from typing import Literal, NamedTuple

from markupsafe import Markup

from dunwu.analysis.labels import sanitize
from dunwu.types import Estimate

WIDTH, HEIGHT = 480, 280
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 12, 44
HALF_CHARACTER = 4
"""Half the width of a character: the last label of an axis stays inside the picture."""
HEAD, LINE = 42, 16
"""Of a drawing that stands alone: where its legend begins, and how high a line of that is."""
MOST_DOTS = 120
"""Points of a line beyond which they are not marked one by one."""
PLAIN_COLOURS = 8
"""Colours without a meaning of their own, ``c0`` to ``c7``: they tell the curves of one figure apart."""
HELD_OUT = ("heldout", "heldout2", "heldout3")
"""Colours of the first, second and third set of held-out problems."""
MEANINGS = ("training", *HELD_OUT, "base", "right", "wrong")
"""Colours that mean the same in every figure; names of the style sheet."""


@dataclass(frozen=True, slots=True)
class Point:
    """A measured value at ``x``; an interval of no width (low = high = value) is not drawn."""

    x: float
    estimate: Estimate

    @classmethod
    def exact(cls, x: float, value: float) -> Point:
        """Make a point without an interval."""
        return cls(x, Estimate(value=value, low=value, high=value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A curve.

    Attributes:
        label: Its name in the legend.
        points: Its points, by ascending x.
        kind: ``line``: joined, intervals as a band; ``dots``: dots with error bars, joined thinly; ``rings``: the same,
            hollow; ``level``: a dashed line over the whole width at its one value.
        colour: One of ``MEANINGS``, or a plain colour by name; "" for the next plain one.
        companion_of: The label of the curve whose colour it shares; it has no entry of its own in the legend.
    """

    label: str
    points: Sequence[Point]
    kind: Literal["line", "dots", "rings", "level"] = "line"
    colour: str = ""
    companion_of: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of updates that is pointed out, behind the curves."""

    start: float
    end: float
    label: str


class LegendEntry(NamedTuple):
    """A line of a legend: the name, and the classes that the style sheet colours it by."""

    label: str
    style: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A figure: title, legend, axes, curves.

    Attributes:
        title: What it shows.
        series: Its curves; those without points are left out.
        y_label: What is on the vertical axis, with the unit.
        x_label: What is on the horizontal axis.
        share: Whether the values lie in [0, 1] and are written in per cent.
        spans: Stretches that are pointed out.
        log_x: Whether the horizontal axis is logarithmic; its values are above 0 then.
    """

    title: str
    series: Sequence[Series]
    y_label: str
    x_label: str = "updates"
    share: bool = False
    spans: Sequence[Span] = ()
    log_x: bool = False

    @property
    def visible_series(self) -> list[Series]:
        """The series that have points."""
        return [one for one in self.series if one.points]

    @property
    def legend(self) -> list[LegendEntry]:
        """The curves that have an entry of their own, then what the stretches behind them are."""
        dashed = {"level": " dashed"}
        curves = [LegendEntry(one.label, self._colour(one) + dashed.get(one.kind, "")) for one in self._named_series]
        return [*curves, *(LegendEntry(label, "spanned") for label in self._span_labels)]

    @property
    def description(self) -> str:
        """The figure in a sentence, for whoever cannot see it."""
        text = partial(_format_value, share=self.share)
        ends = (
            (one.label, *(text(one.points[place].estimate.value) for place in (0, -1))) for one in self.visible_series
        )
        return f"{self.title}: " + "; ".join(f"{label} from {first} to {last}" for label, first, last in ends)

    def draw(self) -> Markup:
        """Draw curves and axes for a page, whose style sheet colours them.

        Returns:
            SVG, in which labels are escaped.
        """
        opening = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{_escape(self.description)}">'
        return Markup(f"{opening}{self._draw_body()}</svg>")

    def to_svg(self) -> str:
        """Draw the figure with title and legend as a file of its own, in the colours of the page's light set.

        Returns:
            The SVG; "" where no series has points.
        """
        return draw_panels([self])

    def draw_panel(self) -> tuple[str, int]:
        """Draw the figure with title and legend, for a file that holds the styles.

        Returns:
            SVG elements, and their height.
        """
        lines = _place_legend([*(one.label for one in self._named_series), *self._span_labels])
        head = HEAD + LINE * (1 + max(line for line, _ in lines))
        legend = "".join(
            f'<g class="key" transform="translate({x} {HEAD + LINE * line})">'
            f'<line class="{"level" if one.kind == "level" else "line"} {self._colour(one)}" x1="0" x2="14" y1="-4" '
            'y2="-4"/>'
            f'<text x="20" y="0">{_escape(one.label)}</text></g>'
            for one, (line, x) in zip(self._named_series, lines, strict=False)
        )
        legend += "".join(
            f'<g class="key" transform="translate({x} {HEAD + LINE * line})">'
            f'<rect class="span" x="0" y="-9" width="14" height="10"/><text x="20" y="0">{_escape(label)}</text></g>'
            for label, (line, x) in zip(self._span_labels, lines[len(self._named_series) :], strict=True)
        )
        panel = (
            f'<text class="title" x="{LEFT - 48}" y="20">{_escape(self.title)}</text>{legend}'
            f'<g transform="translate(0 {head})">{self._draw_body()}</g>'
        )
        return panel, HEIGHT + head

    @property
    def _named_series(self) -> list[Series]:
        """Those of the legend, in the order of their colours."""
        return [one for one in self.visible_series if not one.companion_of]

    @property
    def _span_labels(self) -> list[str]:
        return list(dict.fromkeys(span.label for span in self.spans))

    def _colour(self, series: Series) -> str:
        """Choose the name of its colour in the style sheet."""
        label = series.companion_of or series.label
        plain = list[str]()
        for one in self._named_series:
            if one.label == label and one.colour:
                return one.colour
            plain += [] if one.colour else [one.label]
        place = plain.index(label) if label in plain else len(plain)
        return series.colour or f"c{place % PLAIN_COLOURS}"

    def _draw_body(self) -> str:
        frame = _Frame.around(self.visible_series, self.share, self.log_x)
        spans = "".join(frame.draw_span(span) for span in self.spans)
        curves = "".join(_draw_curve(frame, self._colour(one), one) for one in self.visible_series)
        return spans + frame.draw_axes(self.x_label, self.y_label) + curves


def draw_panels(charts: Sequence[Chart]) -> str:
    """Draw figures side by side as one file, in the colours of the page's light set.

    Args:
        charts: The figures, from the left.

    Returns:
        The SVG; "" where no series has points.
    """
    panels = [chart.draw_panel() for chart in charts if chart.visible_series]
    if not panels:
        return ""
    width, height = WIDTH * len(panels), max(high for _, high in panels)
    first, *others = (panel for panel, _ in panels)
    placed = "".join(f'<g transform="translate({WIDTH * n} 0)">{panel}</g>' for n, panel in enumerate(others, start=1))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{2 * width}" '
        f'height="{2 * height}"><style>{_make_style()}</style>'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{first}{placed}</svg>\n'
    )


def _place_legend(labels: Sequence[str]) -> list[tuple[int, float]]:
    """Where each label stands: its line and its x, as many on a line as have room."""
    places, line, x = list[tuple[int, float]](), 0, float(LEFT - 48)
    for label in labels:
        width = 34 + 6.6 * len(label)
        if x + width > WIDTH and x > LEFT - 48:
            line, x = line + 1, float(LEFT - 48)
        places.append((line, x))
        x += width
    return places


def _escape(text: str) -> str:
    """Make a label harmless; it stands within SVG, which templates leave as it is."""
    return escape(sanitize(text))


@cache
def _make_style() -> str:
    """Make the rules of a drawing that stands alone; its colours are those of the page's style sheet."""
    sheet = (resources.files("dunwu") / "assets" / "report.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--(\w+): light-dark\((#[0-9a-f]{6})", sheet))
    curves = "".join(
        f"line.{name},polyline.{name},circle.{name}{{stroke:{colours[name]}}}"
        f"circle.{name},polygon.{name}{{fill:{colours[name]}}}"
        for name in (*MEANINGS, *(f"c{number}" for number in range(PLAIN_COLOURS)))
    )
    return (
        f"text{{font:12px sans-serif;fill:{colours['soft']}}}.title{{font:600 15px sans-serif;fill:{colours['ink']}}}"
        f".rule{{stroke:{colours['rule']}}}polyline{{fill:none;stroke-width:2}}.line{{stroke-width:2}}"
        "polyline.dots,polyline.rings{stroke-width:1;stroke-dasharray:2 3}.band{opacity:.16}.bar{stroke-width:2}"
        "circle{stroke-width:0}circle.hollow{fill:#ffffff;stroke-width:2}"
        f".level{{stroke-width:1.5;stroke-dasharray:6 4}}.span{{fill:{colours['mark']};opacity:.35}}{curves}"
    )


@dataclass(frozen=True, slots=True)
class _Frame:
    """The data's range, and where it lies on the drawing."""

    x_range: tuple[float, float]
    x_ticks: Sequence[float]
    y_ticks: Sequence[float]
    share: bool
    log_x: bool

    @classmethod
    def around(cls, series: Sequence[Series], share: bool, log_x: bool) -> _Frame:
        xs = [point.x for one in series if one.kind != "level" for point in one.points] or [0.0, 1.0]
        lows = [point.estimate.low for one in series for point in one.points]
        highs = [point.estimate.high for one in series for point in one.points]
        low, high = min(lows), max(highs)
        if share:
            low, high = 0.0, 1.0 if high > 0.4 else max(high, 0.01)
        elif low > 0 and low < high * 0.7:
            low = 0.0  # a curve that grows by half is seen against zero, one that hovers against itself
        left, right = min(xs), max(max(xs), min(xs) + 1)
        if log_x:
            return cls((left, right), _choose_log_ticks(left, right), choose_ticks(low, high), share, log_x)
        whole = all(float(x).is_integer() for x in xs)  # there is no update 1.2
        inside = [tick for tick in choose_ticks(left, right, smallest=1.0 if whole else 0.0) if left <= tick <= right]
        return cls((left, right), inside, choose_ticks(low, high), share, log_x)

    def x(self, value: float) -> float:
        low, high = self.x_range
        if self.log_x:
            value, low, high = math.log(value), math.log(low), math.log(high)
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high = self.y_ticks[0], self.y_ticks[-1]
        inside = min(max(value, low), high)  # an interval of a share may reach below 0 or above 1
        return HEIGHT - BOTTOM - (inside - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def text(self, value: float) -> str:
        return _format_value(value, share=self.share)

    def draw_span(self, span: Span) -> str:
        left, right = (min(max(self.x(x), LEFT), WIDTH - RIGHT) for x in (span.start, span.end))
        height = HEIGHT - TOP - BOTTOM
        return (
            f'<rect class="span" x="{left:.1f}" width="{max(right - left, 2):.1f}" y="{TOP}" height="{height}">'
            f"<title>{_escape(span.label)}</title></rect>"
        )

    def draw_axes(self, x_label: str, y_label: str) -> str:
        parts = []
        for tick in self.y_ticks:
            y = self.y(tick)
            parts.append(f'<line class="rule" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{self.text(tick)}</text>')
        below = HEIGHT - BOTTOM + 17
        for tick in self.x_ticks:
            text = f"{tick:,.5g}"
            x = min(self.x(tick), WIDTH - HALF_CHARACTER * len(text))
            parts.append(f'<text x="{x:.1f}" y="{below}" text-anchor="middle">{text}</text>')
        middle = (TOP + HEIGHT - BOTTOM) / 2
        parts.append(
            f'<text class="label" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">'
            f"{_escape(x_label)}</text>"
            f'<text class="label" transform="translate(11 {middle}) rotate(-90)" text-anchor="middle">'
            f"{_escape(y_label)}</text>"
        )
        return "".join(parts)


def _format_value(value: float, *, share: bool) -> str:
    return f"{100 * value:.4g} %" if share else f"{value:,.5g}"


def choose_ticks(low: float, high: float, wanted: int = 6, smallest: float = 0.0) -> list[float]:
    """Choose round numbers (1, 2, 5 times a power of ten) for an axis.

    Args:
        low: The smallest value that is drawn.
        high: The largest.
        wanted: About how many numbers.
        smallest: The smallest distance between two of them.

    Returns:
        The numbers, from at most ``low`` to at least ``high``.
    """
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        margin = abs(low) / 2
        low, high = (low - margin, high + margin) if margin else (0.0, 1.0)
    rough = max((high - low) / (wanted - 1), smallest)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _choose_log_ticks(low: float, high: float) -> list[float]:
    """Choose 1, 2 and 5 times powers of ten, from ``low`` to ``high``."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [tick for power in powers for m in (1, 2, 5) if low <= (tick := m * 10.0**power) <= high]


def _draw_curve(frame: _Frame, colour: str, series: Series) -> str:
    if series.kind == "level":
        value = series.points[0].estimate.value
        y, label = frame.y(value), _escape(f"{series.label}: {frame.text(value)}")
        line = f'<line class="level {colour}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}">'
        return f"{line}<title>{label}</title></line>"
    places = [(frame.x(point.x), point.estimate) for point in series.points]
    path = " ".join(f"{x:.1f},{frame.y(estimate.value):.1f}" for x, estimate in places)
    parts = [f'<polyline class="{series.kind} {colour}" points="{path}"/>']
    wide = any(estimate.high > estimate.low for _, estimate in places)
    if series.kind == "line" and wide and len(places) > 1:
        upper = [f"{x:.1f},{frame.y(estimate.high):.1f}" for x, estimate in places]
        lower = [f"{x:.1f},{frame.y(estimate.low):.1f}" for x, estimate in reversed(places)]
        parts.insert(0, f'<polygon class="band {colour}" points="{" ".join(upper + lower)}"/>')
    for (x, estimate), point in zip(places, series.points, strict=True):
        y = frame.y(estimate.value)
        if series.kind in ("dots", "rings") and wide:
            low, high = frame.y(estimate.low), frame.y(estimate.high)
            parts.append(f'<line class="bar {colour}" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>')
        label = f"{series.label}, {point.x:,.6g}: {frame.text(estimate.value)}"
        if estimate.high > estimate.low:
            label += f" ({frame.text(estimate.low)} to {frame.text(estimate.high)})"
        if series.kind == "line" and len(places) > MOST_DOTS:
            continue
        radius = 2 if series.kind == "line" else 4
        kind = f"{colour} hollow" if series.kind == "rings" else colour
        place = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius}"'
        parts.append(f'<circle class="{kind}" {place}><title>{_escape(label)}</title></circle>')
    return "".join(parts)
