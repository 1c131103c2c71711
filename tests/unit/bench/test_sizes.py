"""The sizes: shapes by hand, work of seconds, models whose completions end by chance, lines for wrong input."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from typer.testing import CliRunner

from dunwu.bench import eval as eval_bench
from dunwu.bench import rollout, sft, sizes, step
from dunwu.bench.random_model import make_lengths_geometric, make_random_model
from dunwu.bench.sizes import END, PROMPT_TOKENS, SIZES, Size, SupervisedWork, Work
from dunwu.cli import main
from dunwu.machine import Dtype
from dunwu.models.load import load_policy

TINY = Size(
    name="1M",
    config={**SIZES["10M"].config, "hidden_size": 16, "num_hidden_layers": 1, "vocab_size": 600},
    step=Work(prompts=2, group_size=4, new_tokens=4),
    rollout=Work(prompts=2, group_size=4, new_tokens=4),
    eval=Work(prompts=3, group_size=2, new_tokens=4),
    sft=SupervisedWork(batch=2, updates=1, most_tokens=40),
    microbatch=4,
)


class InProcess:
    """The connection of a side that takes two turns in this process."""

    def __init__(self) -> None:
        self.numbers: list[float] = []

    def recv(self) -> bool:
        return len(self.numbers) < 2

    def send(self, number: float) -> None:
        self.numbers.append(number)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Size:
    monkeypatch.setitem(sizes.SIZES, "1M", TINY)
    for module in (step, rollout, sft):
        monkeypatch.setattr(module, "ROUNDS", 1)
    return TINY


@pytest.mark.parametrize(("name", "parameters"), [
    ("1M", 1_050_752), ("10M", 9_971_968), ("50M", 50_606_592), ("135M", 134_515_008), ("600M", 596_049_920),
])  # fmt: skip
def test_models_are_as_large_as_their_names(name: str, parameters: int) -> None:
    size = SIZES[name]
    assert size.shape.parameters == parameters
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**size.config))
    assert sum(weight.numel() for weight in model.parameters()) == parameters
    assert size.step.completions % min(size.microbatch, size.step.completions) == 0


@pytest.mark.parametrize("name", SIZES)
def test_a_turn_of_a_step_has_about_as_many_operations_at_every_size(name: str) -> None:
    size = SIZES[name]
    tokens = size.step.completions * size.step.new_tokens
    assert 0.25e12 < 10 * size.shape.parameters * tokens < 3.5e12


@pytest.mark.parametrize("model_type", ["qwen2", "llama", "qwen3"])
@pytest.mark.parametrize("tied", [True, False])
def test_completions_end_with_the_same_probability_after_every_token(model_type: str, tied: bool) -> None:
    torch.manual_seed(1)
    shape = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = AutoConfig.for_model(model_type, vocab_size=600, intermediate_size=96, tie_word_embeddings=tied, **shape)
    model: Any = AutoModelForCausalLM.from_config(config).eval()
    make_lengths_geometric(model, 10.0, temperature=0.5)
    with torch.no_grad():
        logits = model(torch.randint(600, (64, 20))).logits
    ends = (logits / 0.5).softmax(-1)[..., END]
    assert ends.mean().item() == pytest.approx(0.1, rel=0.15)
    assert ends.min().item() > 0.04
    assert ends.max().item() < 0.25


def test_a_model_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one", "other"):
        make_random_model(tmp_path / name, TINY.config, 4.0)
    one, other = (load_policy(str(tmp_path / name), device="cpu") for name in ("one", "other"))
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True))
    assert one.eos_ids == (END,)
    assert one.tokenizer.encode("abc") == other.tokenizer.encode("abc")
    assert len(one.tokenizer.encode("abc")) == 3


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_step_of_a_size(tiny: Size, dtype: Dtype) -> None:
    found = step.measure((), size="1m", dtype=dtype)
    assert list(found) == ["fixed", "natural"]
    for result in found.values():
        assert result["ours"] > 0
        assert result["floor_share"] > 0
        assert list(result["peak_memory_mib"]) == ["dunwu"]


def test_the_workloads_of_a_size(tiny: Size, tmp_path: Path) -> None:
    fixed, natural = step.make_sized_workloads(tmp_path, tiny).values()
    assert (fixed.completions, fixed.max_new_tokens, fixed.exactly) == (8, 4, True)
    assert (natural.completions, natural.max_new_tokens, natural.exactly) == (8, 8, False)
    ours = step.OurStep(natural, step.FreeGrader())
    lengths = [len(c.token_ids) for scored in ours.rollout() for c in scored.group.completions]
    assert len(lengths) == 8
    assert len(set(lengths)) > 1
    assert max(lengths) <= 8


def test_a_rollout_of_a_size_takes_the_fastest_number_of_rows(tiny: Size) -> None:
    found = rollout.measure(("hf", "vllm"), size="1M", rounds=1)
    for result in found.values():
        assert result["ratio"] == result["ours"] / result["peers"]["hf"]
        assert result["not_measured"] == {"vllm": "DUNWU_VLLM_PYTHON names no interpreter"}
        assert set(result["peak_memory_mib"]) == {"ours", "hf"}
        assert all(peak > 50 for peak in result["peak_memory_mib"].values())


@pytest.mark.parametrize(("peer", "dtype"), [
    ("ours", torch.bfloat16), ("hf", torch.float32), ("hf-static-bf16", torch.bfloat16),
])  # fmt: skip
def test_a_side_has_the_type_that_its_name_says(
    tiny: Size, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peer: str, dtype: torch.dtype
) -> None:
    job = replace(rollout.make_jobs(tmp_path, "1M")["fixed"], dtype="bfloat16")
    loaded: list[torch.dtype] = []
    load = PreTrainedModel.from_pretrained.__func__

    def recording(cls: Any, *args: Any, **options: Any) -> Any:
        loaded.append(options["dtype"])
        return load(cls, *args, **options)

    monkeypatch.setattr(PreTrainedModel, "from_pretrained", classmethod(recording))
    turns = InProcess()
    rollout._make_sides(job, () if peer == "ours" else (peer,), {})[peer](turns)  # type: ignore[arg-type]
    assert loaded == [dtype]
    assert all(number > 0 for number in turns.numbers)


def test_supervised_examples_of_a_size_have_a_long_tail(tiny: Size, tmp_path: Path) -> None:
    job = sft.make_job(tmp_path, "1M")
    assert (job.batch, job.updates, job.microbatch) == (2, 1, 2)
    examples = sft.make_examples(replace(job, batch=100))
    lengths = [len(example.token_ids) for example in examples]
    assert min(lengths) > PROMPT_TOKENS
    assert max(lengths) == 40
    assert sum(lengths) / len(lengths) == pytest.approx(PROMPT_TOKENS + 8, abs=1.5)
    assert all(int(example.loss_mask.sum()) == len(example.token_ids) - PROMPT_TOKENS for example in examples)
    turns = InProcess()
    sft._side("dunwu", "loss", job, turns)  # type: ignore[arg-type]
    assert turns.numbers == pytest.approx([math.log(600)] * 2, rel=0.05)


def test_an_evaluation_of_a_size(tiny: Size, tmp_path: Path) -> None:
    job = eval_bench.make_job(tmp_path / "model", "1M")
    assert (job.problems, job.samples, job.max_new_tokens) == (3, 2, 8)
    turns = InProcess()
    eval_bench.serve_ours(job, str(tmp_path), turns)  # type: ignore[arg-type]
    assert len(turns.numbers) == 2
    assert json.loads((tmp_path / "ours.json").read_text()) == 0.0


@pytest.mark.parametrize(("arguments", "line"), [
    (["step", "--size", "3M"], "--size: no size 3M; there are 1M, 10M, 50M, 135M, 600M"),
    (["verify", "--size", "1M"], "--size: bench verify takes no size; rollout, step, sft, eval do"),
    (["step", "--size", "1M", "--against", "vllm"], "no such peer: vllm; the step is measured against trl, trl-bf16"),
    (["sft", "--dtype", "bfloat16"], "--dtype: bench sft takes no type; rollout and step do"),
    (["rollout", "--size", "1M", "--against", "trl"], "no peer trl; there are hf, hf-static, hf-bf16, "),
])  # fmt: skip
def test_wrong_input_is_one_line(arguments: list[str], line: str) -> None:
    done = CliRunner().invoke(main, ["bench", *arguments])
    assert done.exit_code == 2
    assert line in " ".join(done.stderr.split())


def test_a_size_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "read_free_memory_gib", lambda: 20.0)
    done = CliRunner().invoke(main, ["bench", "step", "--size", "600M", "--against", "trl"])
    assert done.exit_code == 2
    assert "--size: 600M takes 26.6 GiB for 2 sides of step, of which 20.0 GiB are free" in done.stderr
    SIZES["600M"].check_memory("step", 1)
    monkeypatch.setattr(sizes, "read_free_memory_gib", lambda: None)
    SIZES["600M"].check_memory("step", 2)


def test_memory_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    result = {"ours": 2.0, "unit": "samples/s", "peers": {"trl": 1.0}, "ratio": 2.0, "floor_share": 0.5}
    peaks = {"dunwu": 1234.5, "trl": None}
    monkeypatch.setattr(step, "measure", lambda against: {"fixed": {**result, "peak_memory_mib": peaks}})
    runner = CliRunner()
    assert json.loads(runner.invoke(main, ["bench", "step", "--json"]).stdout)["fixed"]["peak_memory_mib"] == peaks
    text = " ".join(runner.invoke(main, ["bench", "step"]).stdout.split())
    assert "peak memory, dunwu: 1,234 MiB" in text
    assert "peak memory, trl: not known" in text
