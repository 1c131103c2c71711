"""A notebook's kernel and threads: a run stops at Ctrl-C and goes on later, and signals are nobody else's business."""

from __future__ import annotations

import threading
from pathlib import Path

import nbformat
from nbclient import NotebookClient

import dunwu
from tests.integration.test_train import PROBLEMS, SMALL, count_digits

INTERRUPTED_TRAINING = """
import os, signal
import dunwu

problems = [(f"Using the numbers {a}, 8, 3, make {a + 5}.", str(a + 5)) for a in range(3, 9)]
calls = []

def reward(problem, text):
    calls.append(text)
    if len(calls) == 20:  # in the second rollout
        os.kill(os.getpid(), signal.SIGINT)
    return float(len(text) % 3)

settings = {"rollout": {"questions": 4, "group_size": 4, "max_new_tokens": 16}}
def train(resume):
    return dunwu.train(
        "nano-base", problems, reward=reward, rollouts=3, out="run", log="quiet", resume=resume, **settings
    )
"""


def run_cells(folder: Path, *cells: str) -> list[str]:
    """Run cells in a kernel of their own, and return what each prints."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return ["".join(output.get("text", "") for output in cell.outputs) for cell in notebook.cells]


def test_ctrl_c_in_a_cell_stops_the_run_and_leaves_the_kernel(tmp_path: Path) -> None:
    stop = """
try:
    train(resume=False)
except dunwu.Interrupted as error:
    print(error)
"""
    handlers = "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    printed = run_cells(tmp_path, INTERRUPTED_TRAINING, stop, handlers, "print(train(resume=True).stages)")
    said = "asked to stop; saved, but the rollout under way will be made again; resume=True goes on"
    assert printed[1].strip() == said
    assert printed[2].strip() == "True"
    assert printed[3].splitlines()[-1] == "{'train': 'done'}"
    assert (tmp_path / "run" / "report.html").is_file()
    assert dunwu.Run(tmp_path / "run").metrics()["step"].to_pylist() == [1, 2, 3]


def test_a_training_in_a_thread_is_the_one_of_the_main_thread(tmp_path: Path) -> None:
    def train(name: str) -> None:
        dunwu.train("nano-base", PROBLEMS, reward=count_digits, rollouts=1, out=tmp_path / name, log="quiet", **SMALL)

    thread = threading.Thread(target=train, args=("thread",))
    thread.start()
    thread.join()
    train("main")
    rows = [dunwu.Run(tmp_path / name).answers()["completion"].to_pylist() for name in ("thread", "main")]
    assert rows[0] == rows[1]
