"""A model in a GGUF file, wherever a model is named: plans, runs, evaluations, Python; and the one that has a name."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("gguf", reason="the extra gguf is not installed")

import dunwu
from dunwu.config.loader import validate_recipe
from dunwu.config.packaged import PACKAGED_FILES
from dunwu.config.schema import RLStage
from dunwu.errors import UserError
from dunwu.models import packing
from dunwu.models.gguf.cache import hash_gguf
from dunwu.models.gguf.source import find_gguf
from dunwu.models.load import load_policy
from dunwu.models.shape import find_shape
from dunwu.planning import make_plan
from tests.gguf_files import make_model, write_gguf

SMALL = "smollm2-135m-instruct"
PARAGRAPH = (
    "The sun rose slowly over the hills, and the village began to wake. People opened their shutters, greeted their "
    "neighbours, and walked to the market where farmers sold bread, cheese and apples. Children ran along the narrow "
    "streets on their way to school, while an old man sat on a bench and read the newspaper. In the afternoon it "
    "rained for an hour, and then the sky was clear again."
)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the current directory, and a cache that is empty."""
    monkeypatch.setenv("DUNWU_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return write_gguf(tmp_path / "model.gguf", make_model("qwen3", max_position_embeddings=1024), "Q8_0")


def recipe(source: str, template: str = "r1-zero") -> dict[str, Any]:
    stage = {
        "kind": "rl",
        "from": source,
        "tasks": [{"task": "countdown"}],
        "steps": 16,
        "prompt": {"template": template, "max_tokens": 500},
        "rollout": {"max_new_tokens": 500},
    }
    return {"name": "small", "stages": {"zero": stage, "table": {"kind": "eval", "models": [source, "zero"]}}}


def test_paths_in_a_recipe_are_those_of_the_current_directory(path: Path) -> None:
    tree = recipe("model.gguf")
    tree["stages"]["table"]["sets"] = [{"name": "two", "task": {"task": "countdown"}, "problems": 2}]
    found = validate_recipe(tree)
    assert isinstance(found.stages["zero"], RLStage)
    assert found.stages["zero"].from_ == str(path)
    assert found.stages["table"].inputs.models[0].source == str(path)


def test_a_file_may_have_any_name_and_none_hides_another_model(path: Path) -> None:
    shipped = find_shape("nano-base")
    for name in ("model", "nano-base", "zero"):
        (path.parent / name).write_bytes(path.read_bytes())
    found = dunwu.load("model")
    assert (found.source, found.template) == (str(path.parent / "model"), "chat")
    assert (find_shape("nano-base"), dunwu.load("nano-base").template) == (shipped, "nano")
    assert find_gguf("zero") is None


def plan(source: str, template: str = "r1-zero", *overrides: str) -> dunwu.Plan:
    tree = recipe(source, template)
    del tree["stages"]["table"]
    return make_plan(validate_recipe(tree, overrides))


def test_a_plan_reads_the_header_alone(path: Path) -> None:
    planned = plan("model.gguf", "chat")
    assert planned.problems == ()
    assert planned.stages[0].parameters == sum(one.numel() for one in make_model("qwen3").parameters())
    assert not (path.parent / "cache").exists(), "nothing is dequantised"


def test_a_plan_says_what_stands_in_the_way(path: Path) -> None:
    (problem,) = plan("model.gguf", "r1-zero", "stages.zero.prompt.max_tokens=600").problems
    assert "= 1100 is more than the model's 1024 positions" in str(problem)
    (problem,) = plan("none.gguf").problems
    assert str(problem) == f"stages.zero.from: {path.parent / 'none.gguf'}: cannot be read: No such file or directory"
    write_gguf(path, make_model("qwen3", max_position_embeddings=1024), metadata={"tokenizer.chat_template": None})
    (problem,) = plan("model.gguf", "chat").problems
    assert str(problem) == f"stages.zero.prompt.template: chat, but {path} has no chat template"
    path.write_bytes(path.read_bytes()[:-1])
    (problem,) = plan("model.gguf").problems
    assert str(problem).startswith(f"stages.zero.from: {path}: is cut off: it has ")


def test_an_evaluation_notes_hash_and_origin_and_notices_another_file(path: Path) -> None:
    def evaluate(**options: Any) -> dunwu.Run:
        return dunwu.evaluate(
            "model.gguf", "countdown", problems=2, samples=1, max_new_tokens=4, out="out", log="quiet", **options
        )

    run = evaluate()
    manifest = json.loads((run.directory / "manifest.json").read_text())
    assert manifest["gguf"] == {
        str(path): {"file": "model.gguf", "package": None, "architecture": "qwen3", "tensors": {"Q8_0": 16, "F32": 9}}
    }
    (inputs,) = manifest["inputs"].values()
    assert inputs[str(path)] == f"{hash_gguf(path)}, converter 1"
    assert evaluate(resume=True).results() == run.results()
    write_gguf(path, make_model("qwen3", seed=1, max_position_embeddings=1024), "Q8_0")
    with pytest.raises(UserError, match=r"model\.gguf is not what stage 'answer-tag' began from"):
        evaluate(resume=True)


def test_a_policy_is_asked_as_its_file_says(path: Path) -> None:
    policy = dunwu.load("model.gguf")
    assert (policy.source, policy.template, policy.positions) == (str(path), "chat", 1024)
    first, again = (policy.generate("Why?", max_new_tokens=5, log="quiet") for _ in range(2))
    assert first[0][0].token_ids.tolist() == again[0][0].token_ids.tolist()
    write_gguf(path, make_model("qwen3", max_position_embeddings=1024), metadata={"tokenizer.chat_template": None})
    assert dunwu.load(path).template == "r1-zero"


def test_training_begins_from_a_file(path: Path) -> None:
    run = dunwu.train(
        path, [("2 + 3?", "5")], rollouts=1, rollout={"questions": 2, "max_new_tokens": 4}, out="out", log="quiet"
    )
    (config,) = run.directory.glob("stages/*/model/config.json")
    assert json.loads(config.read_text())["model_type"] == "qwen3"
    assert str(path.parent / "cache") not in config.read_text(), "where it was dequantised is nobody's business"


def has_small() -> bool:
    try:
        distribution(PACKAGED_FILES[SMALL].package)
    except PackageNotFoundError:
        return False
    return True


@pytest.mark.skipif(not has_small(), reason=f"{SMALL} is not installed: {PACKAGED_FILES[SMALL].command}")
def test_smollm2_reads_english_and_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUNWU_CACHE", str(tmp_path / "cache"))
    policy = load_policy(SMALL, device="cpu")
    tokens = torch.tensor([policy.tokenizer.encode(PARAGRAPH)])
    with torch.no_grad():
        loss = policy.model(tokens, labels=tokens).loss
    assert 15 < float(loss.exp()) < 20, "perplexity"
    asked = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = policy.tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    written = policy.model.generate(prompt, do_sample=False, max_new_tokens=12)[0, prompt.shape[1] :]
    assert policy.tokenizer.decode(written) == "The capital of France is Paris.<|im_end|>"
    assert (policy.eos_ids, policy.tokenizer.decode([policy.pad_id])) == ((2,), "<|im_end|>")
    digits = [policy.tokenizer.decode([token]) for token in policy.tokenizer.encode("12 + 345")]
    assert digits == ["1", "2", " +", " ", "3", "4", "5"]
    halved = load_policy(SMALL, device="cpu", dtype="bfloat16").model
    for model in (policy.model, halved):
        assert packing.enable(model), "its states are large: what rounding parts them by must not look like a fault"
