"""The prose of the pages is short: 25 words a sentence, 100 characters a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import pages, prose


def problems_of(page: Path) -> list[str]:
    return [*prose.long_lines(page), *prose.long_sentences(page)]


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name_of)
def test_a_page_has_short_sentences_and_lines(page: Path) -> None:
    assert problems_of(page) == []


@pytest.mark.parametrize("page", [page for page in pages.PAGES if page.name != "log.md"], ids=pages.name_of)
def test_a_page_is_finished_in_five_minutes(page: Path) -> None:
    words = sum(len(prose.WORD.findall(prose.TARGET.sub("]", line))) for _, line in pages.prose_lines(page))
    assert words <= 1250, "split the page, or say it in a figure or in example output"


def page_with(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    (tmp_path / "page.md").write_text(text, encoding="utf-8")
    return tmp_path / "page.md"


def test_a_message_names_file_line_and_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    page = page_with("# A heading\n\nShort.\nThis" + 24 * " one" + "\nis long.\n", monkeypatch, tmp_path)
    assert list(prose.long_sentences(page)) == [f"page.md:4: 27 words, at most 25: This{24 * ' one'} is long."]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (" ".join(["word"] * 25) + ".", 0),
        (" ".join(["word"] * 26) + ".", 26),
        (" ".join(["word"] * 20) + ". " + " ".join(["word"] * 20), 0),
        (" ".join(["word"] * 20) + "\n" + " ".join(["word"] * 20), 40),
        (" ".join(["word"] * 20) + "\n\n" + " ".join(["word"] * 20), 0),
        ("- " + " ".join(["word"] * 20) + "\n- " + " ".join(["word"] * 20), 0),
        (" ".join(["word"] * 20) + ", e.g. " + " ".join(["word"] * 20), 41),
        (" ".join(["word"] * 20) + " 5 %. " + " ".join(["word"] * 20), 0),
        (" ".join(["word"] * 20) + ": " + " ".join(["word"] * 20), 40),
        ("`" + " ".join(["code"] * 30) + "` is one word.", 0),
        ("[a link](" + "x" * 200 + ") is short.", 0),
        ("| " + " ".join(["cell"] * 30) + " |", 0),
        ("```text\n" + " ".join(["code"] * 30) + "\n```", 0),
    ],
)
def test_sentences_are_counted(text: str, words: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = list(prose.long_sentences(page_with(text, monkeypatch, tmp_path)))
    assert [int(message.split()[1]) for message in found] == ([words] if words else [])


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("x" * 100, 0),
        ("x" * 101, 101),
        ("x" * 60 + "[a](" + "y" * 60 + ")", 0),
        ("| " + "x" * 120, 0),
        ("# " + "x" * 120, 0),
        ("```\n" + "x" * 120 + "\n```", 0),
    ],
)
def test_characters_are_counted(text: str, length: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = list(prose.long_lines(page_with(text, monkeypatch, tmp_path)))
    assert [int(message.split()[1]) for message in found] == ([length] if length else [])
