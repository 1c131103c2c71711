"""The site builds without a warning, loads nothing from elsewhere, and has every page in its menu and in llms.txt."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from docs.hooks import command_reference, examples, notebooks, recipe_reference

from tests.docs.pages import PAGES, ROOT

pytest.importorskip("mkdocs", reason="pip install --editable '.[docs]'")
LOADED = re.compile(r"""<(?:script|img|link|iframe)\b[^>]*?\b(?:src|href)=["']?(?:https?:)?//[^"'\s>]*""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    assert not re.search("WARNING|ERROR", built.stderr), built.stderr
    return folder


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(PAGES)
    assert [
        f"{page.name}: {found}" for page in pages for found in LOADED.findall(page.read_text(encoding="utf-8"))
    ] == []
    assert [style.name for style in site.rglob("*.css") if re.search(r"url\(.?https?:", style.read_text())] == []


def test_every_page_is_in_llms_txt(site: Path) -> None:
    listed = set(re.findall(r"\]\(([^)]+\.md)\): \S", (site / "llms.txt").read_text(encoding="utf-8")))
    written = {page.relative_to(ROOT / "docs").as_posix() for page in PAGES if page.is_relative_to(ROOT / "docs")}
    made = {command_reference.PLACE, examples.PLACE, *recipe_reference.pages(), *notebooks.pages()}
    assert listed == written | made
    assert all((site / name).is_file() for name in listed)
    whole = (site / "llms-full.txt").read_text(encoding="utf-8")
    assert "| `group_size` |" in whole
    assert "Usage: dunwu run" in whole
