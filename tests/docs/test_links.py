"""Links and names of files in the pages lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs.hooks import command_reference, examples, notebooks, recipe_reference

from tests.docs.pages import PAGES, ROOT, name_of, prose_lines

GENERATED = {
    **recipe_reference.pages(),
    **notebooks.pages(),
    command_reference.PLACE: command_reference.page(),
    examples.PLACE: examples.page(),
}
LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)[^)]*\)")
SOURCE_FILE = re.compile(r"`((?:src/dunwu/|tests/|docs/|[a-z_]+/)(?:[\w.-]+/)*[\w-]+\.(?:py|toml|txt|md))`")
FOREIGN = {"lcb_runner/evaluation/testing_util.py", "tinker_cookbook/recipes/rl_loop.py"}
"""Files of other projects that the pages name."""


def slug(heading: str) -> str:
    """Return the anchor that the site gives to a heading."""
    plain = re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower()
    return re.sub(r"[-\s]+", "-", plain)


def anchors_of(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+?)(?: \{#([\w-]+)\})?$", text, re.MULTILINE)
    return {given or slug(heading) for heading, given in headings} | set(re.findall(r'<a id="([\w-]+)"', text))


def text_at(place: Path) -> str | None:
    """Return the text of a page, also of one that is made when the site is built."""
    inside = place.is_relative_to(ROOT / "docs")
    if inside and (generated := GENERATED.get(place.relative_to(ROOT / "docs").as_posix())):
        return generated
    return place.read_text(encoding="utf-8") if place.suffix == ".md" and place.is_file() else None


def broken_links(page: Path) -> Iterator[str]:
    for number, line in prose_lines(page):
        for target in LINK.findall(re.sub(r"(`+).+?\1", "", line)):
            if re.match(r"https?:|mailto:", target):
                continue
            path, _, anchor = target.partition("#")
            place = (page.parent / path).resolve() if path else page
            text = text_at(place)
            if text is None and not place.exists():
                yield f"{name_of(page)}:{number}: no such file: {target}"
            elif anchor and anchor not in anchors_of(text or ""):
                yield f"{name_of(page)}:{number}: no such heading: {target}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "log.md"], ids=name_of)  # the log is history
def test_files_of_the_project_that_a_page_names_are_there(page: Path) -> None:
    named = {name for _, line in prose_lines(page) for name in SOURCE_FILE.findall(line)} - FOREIGN
    roots = (ROOT, ROOT / "src" / "dunwu")
    assert [name for name in sorted(named) if not any((root / name).exists() for root in roots)] == []


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    page = ROOT / "docs" / "index.md"
    assert slug("`reward.custom`: a part") == "rewardcustom-a-part"
    assert anchors_of("# One two\n## `a.b` {#own}\n") == {"one-two", "own"}
    assert text_at(page.parent / "nowhere.md") is None
    assert "rollout" in anchors_of(text_at(page.parent / "reference" / "recipe" / "rl.md") or "")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_code_in_a_table_shows_no_backslash_before_a_bar(page: Path) -> None:
    rows = [(number, line) for number, line in prose_lines(page) if line.startswith("|")]
    assert [number for number, line in rows if re.search(r"`[^`|]*\\\|[^`]*`", line)] == []
