"""The notebooks run from the first cell to the last, and are kept with what they show, small and without a machine."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from docs.hooks import notebooks as pages

import dunwu
from tests.notebooks import FOLDER, NOTEBOOKS, PARAMETERS, execute_notebook, read_notebook

MOST_BYTES = 100_000
SMALL = "ROLLOUTS, QUESTIONS, GROUP_SIZE = 2, 2, 4"


def test_the_notebooks_run_one_after_the_other(tmp_path: Path) -> None:
    for name in NOTEBOOKS:
        notebook = read_notebook(name)
        for cell in notebook.cells:
            if PARAMETERS in cell.metadata.get("tags", ()):
                assert cell.source.partition(" = ")[0] == SMALL.partition(" = ")[0]
                cell.source = SMALL
        execute_notebook(notebook, tmp_path)
    run = dunwu.Run(tmp_path / "runs" / "story")
    assert run.stages == {"zero": "done"}
    assert (run.metrics().num_rows, run.answers().num_rows) == (2, 2 * 2 * 4)
    assert "".join(notebook.cells[-1].outputs[0].data["text/plain"]) == "PosixPath('runs/story/report.html')"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_kept_with_what_it_shows(name: str) -> None:
    assert (FOLDER / f"{name}.ipynb").stat().st_size < MOST_BYTES
    notebook = read_notebook(name)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "run in order, from the beginning"
    outputs = [output for cell in code for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert [output.name for output in outputs if output.output_type == "stream" and output.name != "stdout"] == []
    assert not re.search(r"/(?:home|root|tmp|work|usr)/", (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))


def test_every_notebook_is_run_and_has_a_page_with_its_figures() -> None:
    assert {file.stem for file in FOLDER.glob("*.ipynb")} == set(NOTEBOOKS)
    story = pages.pages()["notebooks/the-story-of-r1-zero.md"]
    shown = re.findall(r"^!\[[^\]]+\]\(([^)]+)\)$", story, re.MULTILINE)
    assert [f"notebooks/{name}" for name in shown] == list(pages.images())
    assert len(shown) == 4
    assert all(image.startswith(b"<svg") for image in pages.images().values())
    assert "base64" not in story
