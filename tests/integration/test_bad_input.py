"""Ten kinds of bad input and of bad luck, as a user meets them: one line, the right exit code, nothing lost."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from transformers import GPTNeoConfig, GPTNeoForCausalLM
from typer.testing import CliRunner, Result

from dunwu.cli import main
from dunwu.models.load import load_tokenizer
from dunwu.models.places import resolve
from tests.integration.runs import SHORT_RECIPE, write_recipe

NANO_BASE = 'from = "nano-base"'


def run(recipe: Path, out: Path, *more: str) -> Result:
    """``dunwu run`` in this process."""
    return CliRunner().invoke(main, ["run", str(recipe), "--out", str(out), *more])


def edited(folder: Path, before: str, after: str) -> Path:
    """The short recipe with one place changed."""
    assert before in SHORT_RECIPE
    return write_recipe(folder, SHORT_RECIPE.replace(before, after, 1))


def one_line(result: Result, code: int, *says: str) -> None:
    """The exit code, and one line that says all of ``says``."""
    assert result.exit_code == code, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    for text in says:
        assert text in lines[0]


def test_missing_recipe(tmp_path: Path) -> None:
    one_line(run(tmp_path / "none.toml", tmp_path / "out"), 2, "none.toml", "no such file")


def test_broken_toml(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, SHORT_RECIPE + "\n[stages.zero.rollout\n")
    one_line(run(recipe, tmp_path / "out"), 2, "short.toml", "line")


def test_unknown_field(tmp_path: Path) -> None:
    recipe = edited(tmp_path, "group_size = 4", "group_sise = 4")
    one_line(run(recipe, tmp_path / "out"), 2, "stages.zero.rollout.group_sise", "group_size")


def test_batch_that_does_not_divide(tmp_path: Path) -> None:
    recipe = edited(tmp_path, "minibatches = 2", "minibatches = 3")
    one_line(run(recipe, tmp_path / "out"), 2, "stages.zero.update.minibatches", "16", "3")


def test_no_held_out_left(tmp_path: Path) -> None:
    recipe = edited(tmp_path, "problems = 6", "problems = 1000000")
    one_line(run(recipe, tmp_path / "out"), 2, "held")


def test_tokenizer_without_eos(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(resolve("nano-base"), folder)
    config = folder / "tokenizer_config.json"
    config.write_text(config.read_text().replace('"eos_token"', '"former_eos_token"'))
    recipe = edited(tmp_path, NANO_BASE, f'from = "{folder}"')
    one_line(run(recipe, tmp_path / "out"), 2, str(folder), "eos_token")
    assert not list((tmp_path / "out").glob("m*"))  # nothing was recorded: the mended recipe begins in the same folder
    config.write_text(config.read_text().replace('"former_eos_token"', '"eos_token"'))
    assert run(recipe, tmp_path / "out", "--set", "stages.zero.steps=2").exit_code == 0


def test_a_model_that_the_engine_would_read_otherwise(tmp_path: Path) -> None:
    """Local attention that counts from the end of the cache; nothing is recorded, and the way out is said."""
    folder = tmp_path / "model"
    tokenizer = load_tokenizer("nano-base")
    config = GPTNeoConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        window_size=24,
        attention_types=[[["global", "local"], 1]],
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.5,
    )
    torch.manual_seed(0)
    GPTNeoForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    recipe = edited(tmp_path, NANO_BASE, f'from = "{folder}"')
    says = "gpt_neo cannot be used past 24 tokens: log-probabilities of the engine differ", "within 24 tokens"
    one_line(run(recipe, tmp_path / "out"), 2, str(folder), *says)
    assert not list((tmp_path / "out").glob("m*"))


def test_a_chat_template_that_takes_too_long(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(resolve("nano-base"), folder)
    loop = "{% for i in range(20000) %}{% for j in range(20000) %}{% endfor %}{% endfor %}"  # some twenty seconds
    (folder / "chat_template.jinja").write_text(loop)
    recipe = edited(tmp_path, NANO_BASE, f'from = "{folder}"')
    result = run(recipe, tmp_path / "out", "--set", "stages.zero.prompt.template=chat")
    one_line(result, 2, "the tokenizer's chat template refuses", "2 s of processor time")


def test_prompts_that_are_too_long(tmp_path: Path) -> None:
    recipe = edited(tmp_path, "max_tokens = 64", "max_tokens = 8")
    one_line(
        run(recipe, tmp_path / "out"),
        2,
        f"{recipe}: stages.zero.prompt.max_tokens: ",
        "6 held-out prompts have more than 8",
    )


def test_empty_data_set(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    recipe = edited(
        tmp_path, 'task = "countdown"\nlevels = [3]\nlanguages = ["en", "zh"]', 'task = "gsm8k"\npath = "empty.jsonl"'
    )
    one_line(run(recipe, tmp_path / "out"), 2, "empty.jsonl")


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (None, ("custom.0.file", "no such file")),
        ("def score(problem, text) return 1", ("custom.0.file", "expected ':'")),
        ("def score(text): return 1", ("custom.0.function", "two arguments")),
    ],
)
def test_own_function_that_is_none(tmp_path: Path, source: str | None, says: tuple[str, ...]) -> None:
    if source is not None:
        (tmp_path / "mine.py").write_text(source)
    own = "[[stages.zero.reward.custom]]\nname = 'mine'\nfile = 'mine.py'\n"
    recipe = write_recipe(tmp_path, SHORT_RECIPE + own)
    one_line(run(recipe, tmp_path / "out"), 2, f"{recipe}: stages.zero.reward.", str(tmp_path / "mine.py"), *says)
    assert not (tmp_path / "out").exists()


def test_test_source_that_is_no_python(tmp_path: Path) -> None:
    test = '{"test": "def check(c) pass", "entry": "check", "candidate": "f"}'
    (tmp_path / "code.jsonl").write_text('{"q": "Write f.", "t": [' + test + "]}\n")
    tasks = 'task = "file"\nkind = "code"\npath = "code.jsonl"\nfields = { problem = "q", tests = "t" }'
    recipe = edited(tmp_path, 'task = "countdown"\nlevels = [3]\nlanguages = ["en", "zh"]', tasks)
    one_line(run(recipe, tmp_path / "out"), 2, "code.jsonl", "line 1: a test is none: its source is no Python")


def test_second_process(tmp_path: Path) -> None:
    from dunwu.runs.lock import DirectoryLock

    recipe, out = write_recipe(tmp_path), tmp_path / "out"
    assert run(recipe, out, "--set", "stages.zero.steps=4").exit_code == 0
    lock = DirectoryLock(out)
    try:
        one_line(run(recipe, out, "--set", "stages.zero.steps=4", "--resume"), 2, str(out), "is using")
    finally:
        lock.release()


def test_corrupt_checkpoints(tmp_path: Path) -> None:
    recipe, out = write_recipe(tmp_path), tmp_path / "out"
    assert run(recipe, out, "--set", "stages.zero.steps=4").exit_code == 0
    folder = out / "stages" / "zero" / "checkpoints"
    newest, older = sorted(folder.iterdir(), reverse=True)
    weights = newest / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00\x01")
    again = run(recipe, out, "--resume")
    assert again.exit_code == 0, again.output  # the older one is whole
    assert "resumed at step 2" in again.output
    for checkpoint in folder.iterdir():
        (checkpoint / "trainer.json").write_text("{}")
    one_line(run(recipe, out, "--set", "stages.zero.steps=12", "--resume"), 1, "no checkpoint is whole")
    assert older.name == "step-000002"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts a small file system; skipped where that is not allowed."""
    folder = tmp_path / "small"
    folder.mkdir()

    def mount(size: int) -> Path:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=False)
        if done.returncode:
            pytest.skip("mounting a small tmpfs needs root")
        return folder

    yield mount
    subprocess.run(["umount", str(folder)], check=False, stderr=subprocess.DEVNULL)


def test_full_disk(tmp_path: Path, small_disk: Callable[[int], Path]) -> None:
    recipe, disk = write_recipe(tmp_path), small_disk(24 << 20)
    out = disk / "out"
    full = run(recipe, out, "--set", "stages.zero.checkpoint.keep=100")
    one_line(full, 1, "cannot be written")
    subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
    again = run(recipe, out, "--set", "stages.zero.checkpoint.keep=100", "--resume")
    assert again.exit_code == 0, again.output
