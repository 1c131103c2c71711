"""A model that was opened once is opened without transformers: the same tokens, and never another model's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from safetensors.torch import load_file, save_file
from tests.gguf_files import make_model
from tests.unit.rollout.conftest import assert_same, by_seed, requests_of

from dunwu.api.policy import as_problem
from dunwu.config.schema import ModelSpec, PromptSpec
from dunwu.execution import local
from dunwu.execution.local import LocalExecutor
from dunwu.kernels.library import load_kernels
from dunwu.models import snapshots
from dunwu.models.llama_parts import LightModel
from dunwu.models.load import load_policy, save_policy
from dunwu.models.policy import Policy
from dunwu.models.saved_tokenizer import PROBES, SavedTokenizer
from dunwu.models.templates import Template
from dunwu.types import Sampling

pytestmark = pytest.mark.skipif(load_kernels() is None, reason="no kernels are built here")

YARN: Final = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 128}
FAMILY: Final[dict[str, dict[str, Any]]] = {
    "llama, biases": {"attention_bias": True, "mlp_bias": True},
    "qwen2, tied": {"tie_word_embeddings": True},
    "qwen3, yarn": {"rope_parameters": YARN},
}


def save(family: str, tokenizer: Any, folder: Path) -> Path:
    wide = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32}  # half a head fills any vector
    changes = wide | {"max_position_embeddings": 512, "initializer_range": 0.3, "eos_token_id": None}
    model = make_model(family.partition(",")[0], **FAMILY[family] | changes)
    save_policy(Policy(model=model, tokenizer=tokenizer, eos_ids=(318,), pad_id=319), folder)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUNWU_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "snapshots"


@pytest.fixture
def folder(tmp_path: Path, tokenizer: Any) -> Path:
    return save("qwen2, tied", tokenizer, tmp_path / "model")


def open_reader(folder: Path, longest: int = 64, **spec: Any) -> Policy:
    return LocalExecutor(ModelSpec(device="cpu", **spec), print).open_reader(str(folder), longest=longest)


def generate(policy: Policy) -> Any:
    engine = LocalExecutor(ModelSpec(device="cpu"), print).build_engine(policy, max_sequences=8)
    return by_seed(engine, requests_of((3, 17, 40), 2), Sampling(max_new_tokens=20, stop=("42",)))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", FAMILY)
def test_the_same_tokens(family: str, dtype: Any, tmp_path: Path, tokenizer: Any) -> None:
    place = save(family, tokenizer, tmp_path / "model")
    first, again = (open_reader(place, dtype=dtype) for _ in range(2))
    assert not isinstance(first.model, LightModel)
    assert isinstance(again.model, LightModel)
    assert (again.eos_ids, again.pad_id, again.notes) == (first.eos_ids, first.pad_id, first.notes)
    assert again.model.dtype == first.model.dtype
    assert sum(p.numel() for p in again.model.parameters()) == sum(p.numel() for p in first.model.parameters())
    assert_same(generate(first), generate(again))


def rewrite_weights(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] += 1.0
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def rewrite_config(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.1}))


@pytest.mark.parametrize("change", [rewrite_weights, rewrite_config])
def test_another_model_in_the_same_folder(change: Callable[[Path], None], folder: Path) -> None:
    before = generate(open_reader(folder))
    assert isinstance(open_reader(folder).model, LightModel)
    change(folder)
    changed = open_reader(folder)
    assert not isinstance(changed.model, LightModel)
    after, again = generate(changed), generate(open_reader(folder))
    assert_same(after, again)
    assert any(before[place].token_ids.tolist() != after[place].token_ids.tolist() for place in before)


def test_a_chat_template_goes_through_a_snapshot_and_is_part_of_the_name(folder: Path) -> None:
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}<|spare-0|>{% endfor %}"
    kept = folder / "additional_chat_templates" / "original.jinja"
    kept.parent.mkdir()
    kept.write_text(template)
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    first, again = open_reader(folder), open_reader(folder)
    assert isinstance(again.model, LightModel)
    prompts = [
        Template(PromptSpec(template="chat", max_tokens=99), policy.tokenizer).encode(as_problem("1 + 2?", 0))
        for policy in (first, again)
    ]
    assert prompts[0].token_ids.tolist() == prompts[1].token_ids.tolist()
    assert len(first.eos_ids) == 2, "the end of a turn is one"
    kept.write_text(template.replace("spare-0", "spare-1"))
    assert not isinstance(open_reader(folder).model, LightModel)


@pytest.mark.parametrize("what", ["version", "find_build", "PACKAGE"])
def test_software_is_part_of_the_name(what: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshots.find_key(str(folder), "float32", 64)
    assert before == snapshots.find_key(str(folder), "float32", 64)
    other = {"version": lambda name: "0", "find_build": lambda name: folder / "config.json", "PACKAGE": tmp_path}
    (tmp_path / "changed.py").touch()
    monkeypatch.setattr(snapshots, what, other[what])
    assert snapshots.find_key(str(folder), "float32", 64) != before


def test_what_was_compared_is_part_of_the_name(folder: Path) -> None:
    open_reader(folder, longest=64)
    assert not isinstance(open_reader(folder, longest=65).model, LightModel)
    assert not isinstance(open_reader(folder, dtype="bfloat16").model, LightModel)
    assert isinstance(open_reader(folder, longest=64).model, LightModel)


@pytest.mark.parametrize("file", ["snapshot.json", "tokenizer.json"])
@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b"\xff\x00"])
def test_a_damaged_snapshot_is_made_again(content: bytes, file: str, folder: Path, cache: Path) -> None:
    open_reader(folder)
    (kept,) = cache.iterdir()
    (kept / file).write_bytes(content)
    assert not isinstance(open_reader(folder).model, LightModel)
    assert isinstance(open_reader(folder).model, LightModel)


def test_weights_that_transformers_changed_leave_no_snapshot(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = snapshots._read_weights

    def changed(*place: Any) -> Any:
        return ((name, weight + 1.0) for name, weight in right(*place))

    monkeypatch.setattr(snapshots, "_read_weights", changed)
    open_reader(folder)
    (kept,) = cache.iterdir()
    assert list(kept.iterdir()) == []


def test_weights_that_files_name_otherwise_leave_no_snapshot(folder: Path, cache: Path) -> None:
    """transformers reads them all the same, since it knows the prefix; whoever reads files alone would not."""
    weights = load_file(folder / "model.safetensors")
    renamed = {name.removeprefix("model."): weight for name, weight in weights.items()}
    save_file(renamed, folder / "model.safetensors", metadata={"format": "pt"})
    for _ in range(2):
        assert not isinstance(open_reader(folder).model, LightModel)
    (kept,) = cache.iterdir()
    assert list(kept.iterdir()) == []


def test_a_tokenizer_that_reads_otherwise_leaves_no_snapshot(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SavedTokenizer, "encode", lambda *_, **__: [0])
    for _ in range(2):
        assert not isinstance(open_reader(folder).model, LightModel)
    (kept,) = cache.iterdir()
    assert not (kept / "snapshot.json").exists()


@pytest.mark.parametrize("name", ["find_key", "load_snapshot", "save_snapshot"])
def test_whatever_a_snapshot_raises_stops_nobody(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(local, name, fail)
    assert not isinstance(open_reader(folder).model, LightModel)


def test_a_tokenizer_that_keeps_special_tokens_apart_leaves_no_snapshot(folder: Path) -> None:
    """A user's text must not become one; the package tokenizers does not know that setting of transformers."""
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"split_special_tokens": True}))
    for _ in range(2):
        assert not isinstance(open_reader(folder).model, LightModel)


def test_a_cache_that_cannot_be_written_is_done_without(folder: Path, cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("a file where the folder would be")
    for _ in range(2):
        assert not isinstance(open_reader(folder).model, LightModel)


def test_old_ones_are_forgotten(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MOST", 2)
    for longest in (64, 65, 66):
        open_reader(folder, longest=longest)
        for place, kept in enumerate(sorted(cache.iterdir(), key=lambda kept: kept.stat().st_mtime_ns)):
            os.utime(kept, (place, place))
    assert len(list(cache.iterdir())) == 2
    assert isinstance(open_reader(folder, longest=66).model, LightModel)
    assert not isinstance(open_reader(folder, longest=64).model, LightModel)


def test_no_kernels_no_snapshot(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "find_best_build", lambda: "")
    open_reader(folder)
    assert not cache.exists()


def test_the_tokenizer_is_the_same_one() -> None:
    policy = load_policy("nano-base", device="cpu")
    LocalExecutor(ModelSpec(device="cpu"), print).open_reader("nano-base", longest=64)
    saved = LocalExecutor(ModelSpec(device="cpu"), print).open_reader("nano-base", longest=64).tokenizer
    assert isinstance(saved, SavedTokenizer)
    for text in (*PROBES, "", " 12 + 3 = 15 </think>"):
        for special in (True, False):
            assert saved.encode(text, add_special_tokens=special) == policy.tokenizer.encode(
                text, add_special_tokens=special
            )
    assert len(saved) == len(policy.tokenizer)
    assert saved.decode([5, 6, 7]) == policy.tokenizer.decode([5, 6, 7], clean_up_tokenization_spaces=False)


ASK = """
import sys, dunwu
policy = dunwu.load(sys.argv[1])
print(repr(policy.generate("What is 1 + 2?", max_new_tokens=8, temperature=0, log="quiet")[0][0].text))
print("transformers" in sys.modules)
print(type(policy.model).__name__)
"""


def test_a_second_opening_imports_no_transformers() -> None:
    """The second process writes the same text; the model of transformers is there for who asks for it."""
    first, again = (
        subprocess.run(
            [sys.executable, "-c", ASK, "nano-base"], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        for _ in range(2)
    )
    assert (first[1], again[1]) == ("True", "False")
    assert again[0] == first[0]
    assert first[2] == again[2] == "Qwen3ForCausalLM"
