"""Charts: round ticks, and every value where it belongs on the drawing."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from dunwu.observatory.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    MEANINGS,
    RIGHT,
    TOP,
    WIDTH,
    Chart,
    Point,
    Series,
    choose_ticks,
    draw_panels,
)
from dunwu.observatory.rendering import make_environment
from dunwu.types import Estimate


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 160, [0, 50, 100, 150, 200]),
        (-3, 4, [-4, -2, 0, 2, 4]),
        (7, 7, [2, 4, 6, 8, 10, 12]),
        (0, 0, [0, 0.2, 0.4, 0.6, 0.8, 1]),
    ],
)
def test_ticks_are_round_and_hold_the_data(low: float, high: float, expected: list[float]) -> None:
    assert choose_ticks(low, high) == pytest.approx(expected)


def drawing(chart: Chart) -> ElementTree.Element:
    """The figure of a page, parsed: it is well-formed whatever the labels were."""
    macros = make_environment().get_template("macros.html").module
    return ElementTree.fromstring(str(macros.figure(chart)))  # type: ignore[attr-defined]


def test_points_bands_and_bars_lie_at_their_values() -> None:
    line = Series(
        label="a",
        points=[Point.exact(0, 0.0), Point(10, Estimate(value=0.5, low=0.25, high=1.5)), Point.exact(20, 1.0)],
    )
    dots = Series(label="b", points=[Point(20, Estimate(value=0.5, low=0.0, high=1.0))], kind="dots")
    level = Series(label="c", points=[Point.exact(0, 0.5)], kind="level")
    figure = drawing(Chart(title="t", series=[line, dots, level], y_label="y", share=True))
    left, right, bottom, top = LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM, TOP
    middle_x, middle_y = (left + right) / 2, (bottom + top) / 2

    polyline = figure.find(".//polyline[@class='line c0']")
    assert polyline is not None
    assert polyline.attrib["points"] == f"{left:.1f},{bottom:.1f} {middle_x:.1f},{middle_y:.1f} {right:.1f},{top:.1f}"
    band = figure.find(".//polygon[@class='band c0']")
    assert band is not None
    upper = band.attrib["points"].split(" ")[1]
    assert upper == f"{middle_x:.1f},{top:.1f}", "an interval beyond 100 % ends at the frame"
    bar = figure.find(".//line[@class='bar c1']")
    assert bar is not None
    assert (bar.attrib["x1"], bar.attrib["y1"], bar.attrib["y2"]) == (f"{right:.1f}", f"{bottom:.1f}", f"{top:.1f}")
    dashed = figure.find(".//line[@class='level c2']")
    assert dashed is not None
    assert dashed.attrib["y1"] == f"{middle_y:.1f}"
    assert "a, 10: 50 % (25 % to 150 %)" in [title.text for title in figure.iter("title")]


def test_updates_are_whole_numbers_also_of_one_dot() -> None:
    def labels(*xs: float) -> list[str]:
        points = [Point(x, Estimate(value=x, low=x, high=x)) for x in xs]
        drawing = Chart(title="t", series=[Series(label="s", points=points)], y_label="y").draw()
        return re.findall(rf'y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">([^<]*)<', drawing)

    assert labels(1) == ["1", "2"]
    assert labels(1, 4) == ["1", "2", "3", "4"]
    assert labels(0.5, 1.5) == ["0.6", "0.8", "1", "1.2", "1.4"], "tokens in thousands, say"


def test_labels_are_escaped_and_empty_series_left_out() -> None:
    series = [Series(label="</svg><script>", points=[Point.exact(1, 2.0)]), Series(label="nothing", points=[])]
    figure = drawing(Chart(title='<b>"t"', series=series, y_label="<y>"))
    assert [item.text for item in figure.iter("li")] == ["</svg><script>"]
    assert figure.find("figcaption") is not None
    assert figure.findtext("figcaption") == '<b>"t"'
    assert Chart(title="t", series=series[1:], y_label="y").visible_series == []


def test_colours_with_a_meaning_are_those_of_their_series_and_others_come_in_turn() -> None:
    series = [
        Series(label="training", points=[Point.exact(0, 1.0), Point.exact(1, 2.0)], colour="training"),
        Series(label="first", points=[Point.exact(0, 1.0), Point.exact(1, 2.0)]),
        Series(label="held-out", points=[Point.exact(1, 2.0)], kind="rings", colour="heldout"),
        Series(label="second", points=[Point.exact(0, 1.0), Point.exact(1, 2.0)]),
        Series(label="base", points=[Point.exact(0, 1.0)], kind="level", companion_of="second"),
    ]
    chart = Chart(title="t", series=series, y_label="y")
    figure = drawing(chart)
    assert [line.attrib["class"] for line in figure.iter("polyline")] == [
        "line training",
        "line c0",
        "rings heldout",
        "line c1",
    ]
    assert [line.attrib["class"] for line in figure.iter("line")][-1] == "level c1"
    assert figure.find(".//circle[@class='heldout hollow']") is not None
    assert [item.attrib["class"] for item in figure.iter("li")] == ["training", "c0", "heldout", "c1"]
    for name in (*MEANINGS, "c0", "c7"):
        assert f"circle.{name}" in chart.to_svg(), "a file of its own has the same colours"


def test_on_a_logarithmic_axis_ratios_are_distances() -> None:
    line = Series(label="a", points=[Point.exact(20, 0.0), Point.exact(200, 0.5), Point.exact(2000, 1.0)])
    figure = drawing(Chart(title="t", series=[line], y_label="y", share=True, log_x=True))
    polyline = figure.find(".//polyline")
    assert polyline is not None
    xs = [float(place.split(",")[0]) for place in polyline.attrib["points"].split()]
    assert xs == pytest.approx([LEFT, (LEFT + WIDTH - RIGHT) / 2, WIDTH - RIGHT])
    ticks = [text.text for text in figure.iterfind(".//text[@text-anchor='middle']") if text.get("class") != "label"]
    assert ticks == ["20", "50", "100", "200", "500", "1,000", "2,000"]
    last = figure.findall(".//text[@text-anchor='middle']")[len(ticks) - 1]
    assert (last.text, float(last.attrib["x"])) == ("2,000", WIDTH - 20), "all of it is in the picture"


def test_panels_stand_side_by_side_in_one_file() -> None:
    line = Series(label="a", points=[Point.exact(0, 0.0), Point.exact(1, 1.0)])
    charts = [Chart(title=title, series=[line], y_label="y") for title in ("one", "two")]
    root = ElementTree.fromstring(draw_panels([*charts, Chart(title="empty", series=[], y_label="y")]))
    assert root.attrib["viewBox"].split()[:3] == ["0", "0", str(2 * WIDTH)]
    titles = [text.text for text in root.iter() if text.get("class") == "title"]
    assert titles == ["one", "two"]
    assert [group.get("transform") for group in root if group.tag.endswith("}g")][-1] == f"translate({WIDTH} 0)"
    assert draw_panels([]) == ""
