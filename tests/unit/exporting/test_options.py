"""What an export cannot be asked for is said before torch is loaded, and before a model opens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dunwu.errors import NotInstalled, UserError
from dunwu.exporting import options
from dunwu.exporting.options import check_options

WRONG = {
    "--to hf --check": "--check: llama.cpp reads no folder: check a gguf or an ollama export",
    "--to hf --type q8_0": "--type: q8_0 is no type of a folder; f32, f16, bf16 are",
    "--type q8_1": "--type: no type 'q8_1'; there are f32,",
    "--to hf --out there": "there: --out: is there already: remove it, or name another",
}
WITHOUT_TORCH = """
import json, sys
sys.modules["torch"] = None
from typer.testing import CliRunner
from dunwu.cli import main
said = {}
for options in json.loads(sys.argv[1]):
    done = CliRunner().invoke(main, ["export", "no/such/model", *options.split()])
    said[options] = done.output.removeprefix("error: ")
print(json.dumps(said))
"""


def test_what_does_not_go_together_is_said_without_torch(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    command = [sys.executable, "-c", WITHOUT_TORCH, json.dumps(list(WRONG))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert {options: text[: len(WRONG[options])] for options, text in said.items()} == WRONG


@pytest.mark.parametrize(("out", "why"), [("x" * 300, "file name too long"), ("file/x", "not a directory")])
def test_a_place_that_cannot_be_is_wrong_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=f"{out}: --out: {why}"):
        check_options("nano-base", "hf", out, None, check=False)


def test_a_missing_package_is_named_before_the_model_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "RUNTIME", "no-such-runtime")
    with pytest.raises(NotInstalled, match="--check"):
        check_options("m", "gguf", tmp_path / "m.gguf", None, check=True)
    monkeypatch.setattr(options, "find_spec", lambda _: None)
    with pytest.raises(NotInstalled, match="gguf"):
        check_options("m", "ollama", tmp_path / "m", None, check=False)
    assert check_options("m", "hf", tmp_path / "m", None, check=False) == (tmp_path / "m", None)


@pytest.mark.parametrize(
    ("form", "encoding", "path", "chosen"),
    [
        ("gguf", None, "exports/demo-f32.gguf", "f32"),
        ("gguf", "q8_0", "exports/demo-q8_0.gguf", "q8_0"),
        ("ollama", None, "exports/demo-ollama", "f32"),
        ("hf", None, "exports/demo-hf", None),
    ],
)
def test_an_export_has_a_name_of_the_models_own(form: str, encoding: str | None, path: str, chosen: str | None) -> None:
    assert check_options("runs/demo/", form, None, encoding, check=False) == (Path(path), chosen)
