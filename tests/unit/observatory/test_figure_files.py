"""Figures as files: whole, with their labels, and refused where there is nothing to write labels with."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from tests.made_runs import STAGE, finished_run

from dunwu.errors import Fault
from dunwu.observatory.charts import Chart, Point, Series, Span
from dunwu.observatory.report import figure_files
from dunwu.observatory.report.figure_files import write_figures

SVG = "{http://www.w3.org/2000/svg}"


def has_fonts() -> bool:
    try:
        figure_files.check_fonts()
    except Fault:
        return False
    return True


@pytest.mark.skipif(not has_fonts(), reason="no font is installed (Debian: apt-get install fonts-dejavu-core)")
def test_every_figure_of_the_report_is_written_twice(tmp_path: Path) -> None:
    written = write_figures(finished_run(tmp_path, rollouts=3, problems=4, samples=1))
    names = sorted(path.name for path in written)
    assert f"{STAGE}-right-answers.svg" in names
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == names
    assert len({path.stem for path in written}) * 2 == len(names)
    for path in written:
        content = path.read_bytes()
        if path.suffix == ".png":
            assert content.startswith(b"\x89PNG\r\n\x1a\n")
            width = int.from_bytes(content[16:20], "big")
            assert width == 960, "twice the size"
        else:
            assert ElementTree.fromstring(content).find(f"{SVG}text[@class='title']") is not None


@pytest.mark.skipif(not has_fonts(), reason="no font is installed (Debian: apt-get install fonts-dejavu-core)")
def test_a_picture_has_its_labels(tmp_path: Path) -> None:
    series = [Series(label="one", points=[Point.exact(0, 0.2), Point.exact(4, 0.8)])]
    with_words, without = (
        figure_files.write_chart(tmp_path, Chart(title=title, series=series, y_label=label))[1].read_bytes()
        for title, label in (("MMM", "WWW"), (" ", " "))
    )
    assert len(with_words) > len(without) + 200


def test_a_drawing_stands_alone_whatever_its_labels(tmp_path: Path) -> None:
    series = [Series(label="<b>&" + "x" * 60, points=[Point.exact(0, 0.2), Point.exact(4, 0.8)])] * 3
    chart = Chart(title="</svg><script>", series=series, y_label="&", share=True, spans=[Span(0, 2, "climb")])
    drawn = ElementTree.fromstring(chart.to_svg())
    assert not list(drawn.iter(f"{SVG}script"))
    style = drawn.findtext(f"{SVG}style") or ""
    assert "var(" not in style
    assert "#0b6bcb" in style, "the first colour of the light set"
    rows = {group.attrib["transform"].split()[1] for group in drawn.iter(f"{SVG}g") if group.get("class") == "key"}
    assert len(rows) == 4, "long labels get lines of their own, and so does what is behind the curves"
    assert "climb" in {text.text for text in drawn.iter(f"{SVG}text")}
    key, span = [rect for rect in drawn.iter(f"{SVG}rect") if rect.get("class") == "span"]
    assert key.attrib["width"] == "14"
    assert float(span.attrib["width"]) == pytest.approx((480 - 62 - 14) / 2, abs=0.1)
    assert Chart(title="t", series=[], y_label="y").to_svg() == ""


def test_without_a_font_there_is_a_clear_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figure_files, "_find_family", lambda: None)
    with pytest.raises(Fault, match="no font is installed"):
        write_figures(finished_run(tmp_path, rollouts=1, problems=1, samples=1))
    assert not (tmp_path / "figures").exists()
