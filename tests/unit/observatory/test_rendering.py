"""One environment makes every page: it escapes, it says what is missing, and one file alone may mark SVG as safe."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

import dunwu.analysis
import dunwu.observatory
from dunwu.observatory.rendering import Verbatim, finalize, make_environment, render, split_intervals

OBSERVATORY = Path(dunwu.observatory.__file__).parent
ANALYSIS = Path(dunwu.analysis.__file__).parent
TEMPLATES = sorted((OBSERVATORY / "templates").rglob("*.html"))
SVG = ("charts.py", "figure_files.py")
"""The files that draw."""


def literals(file: Path) -> list[str]:
    """The texts in a file's code, its docstrings left out."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
    ]


@pytest.mark.parametrize("room", [ANALYSIS, OBSERVATORY], ids=["analysis", "observatory"])
def test_no_python_file_holds_markup_but_those_that_draw(room: Path) -> None:
    found = {
        file.name: text
        for file in sorted(room.rglob("*.py"))
        if file.name not in SVG
        for text in literals(file)
        if re.search(r"</?[a-z][a-z0-9]*[ />]|&[a-z]+;", text)
    }
    assert found == {}


def test_nothing_is_marked_as_safe_but_drawings() -> None:
    for template in TEMPLATES:
        source = template.read_text(encoding="utf-8")
        assert not re.search(r"\|\s*safe|autoescape|Markup|xmlattr|tojson", source), template
    users = [file.name for file in OBSERVATORY.rglob("*.py") if "Markup(" in file.read_text(encoding="utf-8")]
    assert users == ["charts.py"]
    assert make_environment().autoescape is True


def test_every_template_can_be_read() -> None:
    assert len(TEMPLATES) > 10
    for template in TEMPLATES:
        make_environment().get_template(template.relative_to(OBSERVATORY / "templates").as_posix())


def test_a_name_that_a_record_lacks_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="layout"):
        render("watch/run_list.html")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("86.7 % of 3", "86.7\N{NO-BREAK SPACE}% of 3"),
        (Verbatim("86.7 % of 3"), "86.7 % of 3"),
        ("a\x1b[2J\u202e", "a\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}"),
        (Verbatim("\x1b"), "\N{REPLACEMENT CHARACTER}"),
        (12, "12"),
        (Markup("<svg> %</svg>"), "<svg> %</svg>"),
    ],
)
def test_what_is_shown_is_harmless_and_numbers_keep_their_sign(value: object, shown: str) -> None:
    assert finalize(value) == shown


def test_none_is_never_shown() -> None:
    with pytest.raises(TypeError, match="shows None"):
        finalize(None)


def test_a_sentence_is_split_at_its_intervals() -> None:
    sentence = "From 8 % (0–25 %) to 17 % (8–33 %) on 3 problems (x)."
    parts = split_intervals(sentence)
    assert "".join(part for part, _ in parts) == sentence
    assert [part for part, is_interval in parts if is_interval] == ["(0–25 %)", "(8–33 %)"]
