"""Exports beside what killed ones left, through links to nothing, and of weights that are no numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("gguf", reason="the extra gguf is not installed")

from tests.exported_models import make_folder

import dunwu
from dunwu.errors import UserError
from dunwu.exporting import check
from dunwu.exporting.check import ExportCheck
from dunwu.runs.atomic import remove_leftovers


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "model", "qwen2")


def change(folder: Path, value: float) -> str:
    """Give one number of the last matrix another value; returns the matrix's name."""
    weights = load_file(folder / "model.safetensors")
    name = max(name for name, weight in weights.items() if weight.ndim == 2)
    weights[name][1, 2] = value
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return name


def find_dead_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


@pytest.mark.parametrize("form", ["hf", "gguf", "ollama"])
def test_what_a_killed_export_left_goes_with_the_next(folder: Path, tmp_path: Path, form: Any) -> None:
    out, dead = tmp_path / "out[1]", find_dead_process()
    left = [tmp_path / f".out[1]{end}.tmp-{dead}" for end in ("", ".unchecked")]
    left[0].mkdir()
    (left[0] / "model.safetensors").write_bytes(b"half")
    left[1].write_bytes(b"half")
    others = [tmp_path / f".out[1].tmp-{os.getppid()}", tmp_path / f".out1.tmp-{dead}", tmp_path / ".out[1].tmp-mine"]
    for other in others:
        other.write_bytes(b"")
    dunwu.export(str(folder), form, out, log="quiet")
    assert out.exists()
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in others), "a living process's, another name's, and what no export wrote"
    assert len(list(tmp_path.iterdir())) == 2 + len(others)


def test_a_name_without_leftovers_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"whole")
    remove_leftovers(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("made", ["file", "folder", "link", "link to nothing"])
def test_nothing_that_is_there_is_replaced(folder: Path, tmp_path: Path, made: str) -> None:
    out = tmp_path / "out"
    if made == "file":
        out.write_bytes(b"theirs")
    elif made == "folder":
        out.mkdir()
    else:
        out.symlink_to(folder if made == "link" else tmp_path / "nothing")
    text = "is a symbolic link to nothing" if made == "link to nothing" else "is there already"
    with pytest.raises(UserError, match=f"{text}: remove it, or name another"):
        dunwu.export(str(folder), "hf", out, log="quiet")
    assert os.path.lexists(out)


@pytest.mark.parametrize("name", ["model.safetensors", "generation_config.json", "README.md"])
def test_a_link_to_nothing_in_the_model_is_named(folder: Path, tmp_path: Path, name: str) -> None:
    if name == "model.safetensors":
        (folder / name).rename(folder / "model-00001.safetensors")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to("gone")
    with pytest.raises(UserError, match=r"is a symbolic link to nothing|cannot be read: No such file") as error:
        dunwu.export(str(folder), "hf", tmp_path / "out", log="quiet")
    assert name in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("form", ["hf", "gguf", "ollama"])
def test_weights_that_are_not_finite_are_refused(folder: Path, tmp_path: Path, form: Any, value: float) -> None:
    name = change(folder, value)
    with pytest.raises(UserError, match=f"has {name} with numbers that are not finite"):
        dunwu.export(str(folder), form, tmp_path / "out", log="quiet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_weights_that_a_type_cannot_hold_are_refused(folder: Path, tmp_path: Path) -> None:
    name = change(folder, 1e5)
    with pytest.raises(UserError, match=f"{name} holds numbers that f16 cannot"):
        dunwu.export(str(folder), "hf", tmp_path / "out", encoding="f16", log="quiet")
    dunwu.export(str(folder), "hf", tmp_path / "out", encoding="bf16", log="quiet")
    assert load_file(tmp_path / "out" / "model.safetensors")[name][1, 2] == torch.tensor(1e5, dtype=torch.bfloat16)


def test_log_probabilities_that_are_no_numbers_are_a_problem() -> None:
    good = ExportCheck(
        runtime="",
        encoding="f32",
        questions=1,
        equal_answers=1,
        new_tokens=1,
        different=(),
        largest_difference=0.0,
        mean_difference=0.0,
        compared=1,
        texts=0,
        equal_asked=0,
        equal_bare=0,
        explained={},
        unexplained=(),
        problems=(),
    )
    assert list(check._find_problems(good)) == []
    for value in (float("nan"), float("inf")):
        bad = replace(good, largest_difference=value, mean_difference=value)
        assert next(check._find_problems(bad)).startswith("log-probabilities are not finite")
