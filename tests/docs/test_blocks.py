"""Every block of code in the pages is one that works.

A page is a folder: a block with ``title="FILE"`` is that file in it. Its commands are checked in order, and those that
take no time are run there; a block of text after such commands shows what they print, with ``...`` for the rest.
Recipes are planned; parts of recipes are put into one first. Python is run.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from dunwu.cli import main
from dunwu.config.fields import find_fields
from dunwu.registry import REGISTRIES
from tests.docs.pages import PAGES, ROOT, Block, blocks_of, name_of

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
LANGUAGES = {"", "bash", "text", "toml", "python", "json", "jsonl", "html"}
QUICK = ("--version", "recipes", "schema", "init", "plan")
"""Commands that are run as they stand."""
EXAMPLES = Path(__file__).parent / "files"
"""Files that commands of the pages name as a user's own."""
TOP = {name.path.split(".")[0] for name in find_fields("")}
"""The tables at the top of a recipe; any other is one of a stage."""


@contextmanager
def registered_for_a_while() -> Iterator[None]:
    """Forget what is registered inside: a page's names are not the next one's."""
    with pytest.MonkeyPatch.context() as patch:
        for registry in REGISTRIES:
            patch.setattr(registry, "_entries", dict(registry._entries))
        yield


@pytest.fixture(autouse=True)
def _names_of_one_page() -> Iterator[None]:
    with registered_for_a_while():
        yield


def commands_in(block: Block) -> Iterator[list[str]]:
    """Yield the words of each command of ours in a block of a shell's lines, comments and continuations taken away."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        end = next((place for place, word in enumerate(words) if word in (">", "|", "&&")), len(words))
        if words and words[0] in ("dunwu", "make", "python"):
            yield words[:end]


def is_shell(block: Block) -> bool:
    return block.language in ("", "bash")


def with_files_of(page: Path, folder: Path) -> None:
    """Lay the files that a page shows, and a user's own, into a folder, and run the programs that make more."""
    if EXAMPLES.exists():  # git keeps no empty folder
        shutil.copytree(EXAMPLES, folder, dirs_exist_ok=True)
    for block in blocks_of(page):
        if block.title:
            (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.title).write_text(block.text, encoding="utf-8")
    for block in filter(is_shell, blocks_of(page)):
        for program, *words in commands_in(block):
            if program == "python":
                subprocess.run([sys.executable, *words], cwd=folder, check=True)


def test_blocks_name_their_language() -> None:
    assert [str(block) for block in BLOCKS if block.language not in LANGUAGES] == []


@pytest.mark.parametrize("block", [block for block in BLOCKS if is_shell(block)], ids=str)
def test_commands_are_ones_that_dunwu_takes(block: Block) -> None:
    targets = (ROOT / "Makefile").read_text(encoding="utf-8")
    root: Any = typer.main.get_command(main)
    for program, *words in commands_in(block):
        if program == "make":
            assert all(f"\n{target}:" in targets for target in words if "=" not in target), words
        elif program == "dunwu" and words[0] not in ("--version", "--help"):
            command, rest = root.commands.get(words[0]), words[1:]
            assert command, f"no such command: {words}"
            if hasattr(command, "commands"):
                command, rest = command.commands[rest[0]], rest[1:]
            command.make_context(words[0], list(rest))


@pytest.mark.parametrize("page", [page for page in PAGES if any(map(is_shell, blocks_of(page)))], ids=name_of)
def test_quick_commands_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_files_of(page, tmp_path)
    monkeypatch.chdir(tmp_path)
    for block, after in pairwise([*blocks_of(page), None]):
        if block is None or not is_shell(block):
            continue
        output, all_run = "", True
        for program, *words in commands_in(block):
            if program == "dunwu" and words[0] in QUICK:
                result = CliRunner().invoke(main, words)
                assert result.exit_code == 0, f"{block}: {shlex.join(words)}: {result.output}"
                output += " ".join(result.output.split()) + " "
            elif program != "python":
                all_run = False
        shows = after is not None and after.language == "text" and not after.text.startswith("error:")
        if after is not None and shows and output and all_run:
            shown = [" ".join(line.split()) for line in after.text.splitlines()]
            assert [line for line in shown if line != "..." and line not in output] == [], f"{after}: {output}"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "toml"], ids=str)
def test_recipes_and_their_parts_fit_the_schema(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_files_of(block.page, tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.json").write_text(json.dumps(as_a_recipe(tomllib.loads(block.text))), encoding="utf-8")
    result = CliRunner().invoke(main, ["plan", "recipe.json"])
    if "is not installed: pip install 'dunwu[" in result.output:
        pytest.skip(result.output.strip())
    assert result.exit_code == 0, f"{block}: {result.output}"


def as_a_recipe(part: Mapping[str, Any]) -> dict[str, Any]:
    """Put a part of a recipe, or the tables of a stage, into the recipe of the demo; a whole recipe stays as it is."""
    if "name" in part and "stages" in part:
        return dict(part)
    demo = tomllib.loads((ROOT / "recipes" / "nano" / "r1-zero.toml").read_text(encoding="utf-8"))
    return merged(demo, part if part.keys() <= TOP else {"stages": {"zero": part}})


def merged(tree: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tree with what another says in the place of its own; tables are joined, all else is replaced."""
    joined = {
        name: merged(tree[name], value) if isinstance(value, dict) and isinstance(tree.get(name), dict) else value
        for name, value in part.items()
    }
    return {**tree, **joined}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(block.language == "python" for block in blocks_of(page))], ids=name_of
)
def test_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_files_of(page, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks_of(page):
        if block.language == "python" and block.title:
            with registered_for_a_while():
                exec(compile(block.text, str(block), "exec"), {"__name__": block.title})
        elif block.language == "python":
            exec(compile(block.text, str(block), "exec"), names)
