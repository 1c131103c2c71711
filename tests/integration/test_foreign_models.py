"""Folders that transformers saved, and GSM8K as it lies: the run, the resume and the report of `dunwu run`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from typer.testing import CliRunner

from dunwu.cli import main
from dunwu.runs import RunReader

ROOT = Path(__file__).parents[2]
GSM8K = ROOT.parent / "shared" / "data"
SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 1024,
}


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE trained on a little of the data."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|end|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    with (GSM8K / "gsm8k_test.jsonl").open(encoding="utf-8") as file:
        core.train_from_iterator(
            [json.loads(line)["question"] for line, _ in zip(file, range(100), strict=False)], trainer
        )
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>")


def make_model(family: str) -> Any:
    """Random weights, fixed by a seed."""
    torch.manual_seed(0)
    ends = {"vocab_size": 400, "eos_token_id": 0, "bos_token_id": None, "pad_token_id": 0}
    if family == "llama":
        return LlamaForCausalLM(LlamaConfig(**SHAPE, **ends))
    return Qwen3ForCausalLM(Qwen3Config(**SHAPE, **ends))


@pytest.mark.skipif(not GSM8K.exists(), reason="the GSM8K files are not in ../shared/data")
@pytest.mark.parametrize("family", ["qwen3", "llama"])
def test_gsm8k_on_a_model_that_transformers_saved(tmp_path: Path, family: str) -> None:
    folder, out = tmp_path / "model", tmp_path / "run"
    make_model(family).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    settings = {
        "stages.zero.from": folder,
        "stages.zero.tasks.0.path": GSM8K / "gsm8k_train.jsonl",
        "stages.zero.evaluation.sets.0.task.path": GSM8K / "gsm8k_test.jsonl",
        "stages.zero.evaluation.sets.0.problems": 4,
        "stages.zero.evaluation.sets.0.samples": 2,
        "stages.zero.prompt.max_tokens": 700,
        "stages.zero.rollout.questions": 2,
        "stages.zero.rollout.group_size": 4,
        "stages.zero.rollout.max_new_tokens": 16,
    }
    arguments = ["run", str(ROOT / "recipes" / "nano" / "gsm8k.toml"), "--out", str(out)]
    arguments += [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    shell = CliRunner()

    first = shell.invoke(main, [*arguments, "--set", "stages.zero.steps=4"])
    assert first.exit_code == 0, first.output
    again = shell.invoke(main, [*arguments, "--set", "stages.zero.steps=6", "--resume"])
    assert again.exit_code == 0, again.output
    assert "resumed at step 4" in again.output

    run = RunReader(out)
    assert [row["step"] for row in run.stage("zero").read_metrics()] == [2, 4, 6]
    rows = run.stage("zero").read_rollouts()
    assert len(rows) == 3 * 2 * 4
    assert {row.task for row in rows} == {"gsm8k"}
    summary = json.loads((out / "summary.json").read_text())
    assert set(summary["results"]) == {"base", "trained"}
    assert "<html" in (out / "report.html").read_text()
