"""Run the notebooks; as a program, keep what they show: ``python -m tests.notebooks``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import nbformat
from nbclient import NotebookClient

FOLDER: Final = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS: Final = ("the-story-of-r1-zero", "what-happened-in-a-run")
"""In the order in which they are run: the second one opens the run of the first."""
PARAMETERS: Final = "parameters"
"""The tag of the cell that says how long a training is."""


def read_notebook(name: str) -> Any:
    """Return a notebook as it is kept."""
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def execute_notebook(notebook: Any, folder: Path) -> None:
    """Run every cell of a notebook in a kernel of its own, and put what it shows in the place of what it showed.

    Args:
        notebook: The notebook; it is changed.
        folder: Where its runs are made.
    """
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=1800, record_timing=False, resources=resources).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":  # a bar that is gone leaves an empty output
            cell.outputs = [out for out in cell.outputs if "data" not in out or any(out.data.values())]


def main() -> None:
    """Run all notebooks as they are, and keep them with what they show."""
    with tempfile.TemporaryDirectory() as folder:
        for name in NOTEBOOKS:
            print(name, file=sys.stderr)
            notebook = read_notebook(name)
            execute_notebook(notebook, Path(folder))
            notebook.metadata["language_info"] = {"name": "python"}  # not this machine's version
            nbformat.write(notebook, FOLDER / f"{name}.ipynb")


if __name__ == "__main__":
    main()
