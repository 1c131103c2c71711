"""``dunwu export`` from its arguments to its verdict, with llama.cpp itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("gguf", reason="the extra gguf is not installed")
pytest.importorskip("xllamacpp", reason="the extra llamacpp is not installed")

import dunwu
from dunwu.cli import main
from dunwu.exporting import check, gguf_file
from dunwu.exporting.check_texts import list_questions, list_texts
from tests.exported_models import make_folder

FEW_QUESTIONS, FEW_TEXTS = 12, 120


@pytest.fixture(autouse=True)
def _few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(check, "list_questions", lambda *, nano: list_questions(nano=nano)[::9][:FEW_QUESTIONS])
    monkeypatch.setattr(check, "list_texts", lambda: list_texts()[:FEW_TEXTS])
    monkeypatch.setattr(check, "WHOLE_ANSWER", 64)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["export", *arguments])


def test_a_nano_model_answers_in_llama_cpp_as_here(tmp_path: Path) -> None:
    done = run("nano-base", "--check", "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert (tmp_path / found["path"]).is_file()
    assert found["path"] == "exports/nano-base-f32.gguf"
    checked = found["check"]
    assert checked["equal_answers"] == checked["questions"] == FEW_QUESTIONS
    assert checked["equal_asked"] == checked["texts"] == FEW_TEXTS
    assert checked["largest_difference"] < 1e-3
    assert checked["compared"] == FEW_QUESTIONS * check.LIKELIEST
    beyond = checked["explained"][check.BEYOND_VOCABULARY]
    assert beyond == FEW_TEXTS - checked["equal_bare"] > 10
    assert (checked["unexplained"], checked["problems"]) == ([], [])
    assert [path.name for path in (tmp_path / "exports").iterdir()] == ["nano-base-f32.gguf"]
    again = run("nano-base")
    assert again.exit_code == 2
    assert again.stderr.endswith("is there already: remove it, or name another\n")


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_models_that_dunwu_did_not_make_answer_alike(family: str, tmp_path: Path) -> None:
    make_folder(tmp_path / family, family)
    exported = dunwu.export(family, "ollama", "out", check=True, log="quiet")
    assert exported.path == Path("out")
    assert sorted(path.name for path in exported.path.iterdir()) == ["Modelfile", "model.gguf"]
    assert exported.check is not None
    assert (exported.check.equal_answers, exported.check.problems) == (FEW_QUESTIONS, ())
    assert exported.check.largest_difference < 1e-3
    assert exported.check.equal_bare == FEW_TEXTS


def test_a_file_that_differs_is_not_called_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = gguf_file._Weights.read

    def damage(self: Any, name: str) -> np.ndarray[Any, Any]:
        rows: np.ndarray[Any, Any] = read(self, name)
        return np.ascontiguousarray(rows[::-1]) if name == "model.layers.2.self_attn.q_proj.weight" else rows

    monkeypatch.setattr(gguf_file._Weights, "read", damage)
    done = run("nano-base", "--out", "nano.gguf", "--check")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith("fault: nano.gguf.unchecked: ")
    assert "greedy answers are equal, below 99%" in done.stderr
    assert "verdict: differs: " in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["nano.gguf.unchecked"]


def test_a_file_that_llama_cpp_does_not_load_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_file, "make_gguf_template", lambda *_: "{% for x in %}")
    done = run("nano-base", "--out", "nano.gguf", "--check")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("fault: llama.cpp does not answer with ")
    assert [path.name for path in tmp_path.iterdir()] == ["nano.gguf.unchecked"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nano-base", "--type", "q4_k_m"), "rows of token_embd.weight have 128 numbers"),
        (("nano-base", "--type", "f61"), "--type: no type 'f61'; there are f32, f16,"),
        (("nano-base", "--to", "hf", "--type", "q8_0"), "--type: q8_0 is no type of a folder"),
        (("nano-base", "--to", "hf", "--check"), "--check: llama.cpp reads no folder"),
        (("http://127.0.0.1:1/v1#x",), "a model behind a server cannot be exported"),
        (("nowhere",), "no model: neither nano-base"),
    ],
)
def test_wrong_input_is_one_line(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
