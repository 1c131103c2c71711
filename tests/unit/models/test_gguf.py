"""Models in GGUF files: logits and tokens of the model that was put in, whatever its family, types and tokenizer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("gguf", reason="the extra gguf is not installed")

from gguf import GGMLQuantizationType, dequantize, quantize
from tests.gguf_files import CHAT, SPECIAL, make_model, make_vocabulary, write_gguf
from transformers import AutoModelForCausalLM, LlamaTokenizer, Qwen2Tokenizer
from transformers.integrations.gguf.dequant import dequantize as dequantize_by_torch

from dunwu.errors import UserError
from dunwu.models.gguf.header import read_header
from dunwu.models.load import load_policy, load_tokenizer
from dunwu.models.places import resolve
from dunwu.models.shape import find_shape

TOKENS = torch.tensor([[5, 90, 7, 200, 33, 61, 310, 2, 19, 150]])
TEXT = "the sum of 12 and 345: don't\n\n  think, 1234 + 4512 = 5746? \u00e9 \u65e5\u672c"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUNWU_CACHE", str(tmp_path / "cache"))


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(TOKENS).logits
    return found


def load(path: Path) -> Any:
    return load_policy(str(path), device="cpu").model


ROPES: dict[str, dict[str, Any]] = {
    "linear": {"rope_type": "linear", "factor": 4.0},
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32},
}
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("llama", {}),
    ("llama", {"tie_word_embeddings": True}),
    ("llama", {"attention_bias": True}),
    ("llama", {"num_key_value_heads": 4, "head_dim": 32, "max_position_embeddings": 64}),
    ("qwen2", {}),
    ("qwen2", {"tie_word_embeddings": True}),
    ("qwen3", {"head_dim": 32}),
    ("qwen3", {"tie_word_embeddings": True, "num_key_value_heads": 1}),
]


@pytest.mark.parametrize(("family", "changes"), VARIANTS)
def test_logits_are_those_of_the_model_that_was_written(tmp_path: Path, family: str, changes: dict[str, Any]) -> None:
    model = make_model(family, **changes)
    path = write_gguf(tmp_path / "model.gguf", model)
    found = load(path)
    assert torch.equal(logits(found), logits(model))
    assert type(found) is type(model)
    shape = find_shape(str(path))
    assert shape is not None
    assert shape.max_positions == model.config.max_position_embeddings
    if not changes.get("attention_bias"):
        assert shape.parameters == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("kind", ROPES)
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_longer_contexts_are_scaled_as_the_file_says(tmp_path: Path, family: str, kind: str) -> None:
    model = make_model(family, rope_parameters={"rope_theta": 5000.0, **ROPES[kind]})
    scaling = {"type": kind, "factor": 4.0, "original_context_length": 32 if kind == "yarn" else None}
    metadata = {f"{family}.rope.scaling.{key}": value for key, value in scaling.items()}
    found = load(write_gguf(tmp_path / "model.gguf", model, metadata=metadata))
    assert torch.equal(logits(found), logits(model))
    plain = load(write_gguf(tmp_path / "plain.gguf", model))
    assert not torch.equal(logits(plain), logits(model))


def test_the_frequencies_of_llama_3_are_found_again(tmp_path: Path) -> None:
    """The file has what each frequency is divided by; transformers wants what that was made of."""
    scaling = {
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    model = make_model("llama", rope_parameters={"rope_theta": 500_000.0, "rope_type": "llama3", **scaling})
    plain = 500_000.0 ** (-np.arange(0, 16, 2) / 16)
    factors = (plain / model.model.rotary_emb.inv_freq.numpy()).astype(np.float32)
    assert factors.min() == pytest.approx(1) and factors.max() == pytest.approx(32)  # noqa: PT018
    found = load(write_gguf(tmp_path / "model.gguf", model, tensors={"rope_freqs.weight": factors}))
    assert torch.equal(logits(found), logits(model))
    with pytest.raises(UserError, match=r"model2\.gguf: rope_freqs\.weight holds factors that are not those of Llama"):
        load(write_gguf(tmp_path / "model2.gguf", model, tensors={"rope_freqs.weight": factors + np.float32(0.1)}))


@pytest.mark.parametrize("encoding", ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"])
@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_quantised_weights_are_read_as_what_they_stand_for(tmp_path: Path, family: str, encoding: str) -> None:
    model = make_model(family)
    path = write_gguf(tmp_path / "model.gguf", model, encoding)
    kind = GGMLQuantizationType[encoding]
    with torch.no_grad():  # rows are quantised one by one, so their order changes nothing
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.copy_(torch.from_numpy(dequantize(quantize(parameter.numpy(), kind), kind)))
    assert torch.equal(logits(load(path)), logits(model))
    stored = AutoModelForCausalLM.from_pretrained(resolve(str(path)), dtype="auto").state_dict()
    size = (Path(resolve(str(path))) / "model.safetensors").stat().st_size
    numbers = sum(weight.numel() for weight in stored.values())
    assert (size < 2.5 * numbers) == (encoding in ("F16", "BF16")), "types that torch has stay as they are"


def random_blocks(encoding: str, rows: int, columns: int) -> np.ndarray[Any, Any]:
    """Blocks of a K-quant with random numbers and small scales, of 16 bits each."""
    size = {"Q2_K": 84, "Q3_K": 110, "Q4_K": 144, "Q5_K": 176, "Q6_K": 210}[encoding]
    scales = {"Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}[encoding]
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (rows, columns // 256, size), dtype=np.uint8)
    for place in scales:
        small = rng.uniform(1e-5, 1e-4, blocks.shape[:2]).astype(np.float16)
        blocks[..., place : place + 2] = small[..., None].view(np.uint8)
    return blocks.reshape(rows, -1)


@pytest.mark.parametrize("encoding", ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"])
def test_k_quants_are_read_as_transformers_reads_them(tmp_path: Path, encoding: str) -> None:
    model = make_model("qwen2", hidden_size=256, intermediate_size=256, head_dim=64, num_hidden_layers=1)
    kind, blocks = GGMLQuantizationType[encoding], random_blocks(encoding, 256, 256)
    matrices = {f"blk.0.ffn_{name}.weight": (encoding, blocks) for name in ("gate", "up", "down")}
    write_gguf(tmp_path / "model.gguf", model, blocks=matrices)
    found = load(tmp_path / "model.gguf").model.layers[0].mlp
    expected = dequantize_by_torch(torch.from_numpy(blocks).flatten(), int(kind)).reshape(256, 256)
    for matrix in (found.gate_proj, found.up_proj, found.down_proj):
        torch.testing.assert_close(matrix.weight, expected, rtol=1e-6, atol=1e-9)


def test_ids_and_template_come_along(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf", make_model(), metadata={"tokenizer.ggml.eot_token_id": 2})
    policy = load_policy(str(path), device="cpu")
    assert (policy.eos_ids, policy.pad_id) == ((0, 2), 0)
    assert (policy.tokenizer.eos_token, policy.tokenizer.bos_token) == (SPECIAL[0], SPECIAL[1])
    assert policy.tokenizer.chat_template == CHAT
    ids = policy.tokenizer.apply_chat_template([{"role": "user", "content": "the"}])["input_ids"]
    assert ids == [1, *policy.tokenizer.encode("the"), 2]
    assert policy.tokenizer.decode(ids, skip_special_tokens=True) == "the"


def test_the_tokenizer_of_a_file_is_that_of_its_folder(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf", make_model())
    of_file = load_tokenizer(str(path))
    assert not (tmp_path / "cache").exists(), "a tokenizer needs no weights"
    of_folder = load_tokenizer(resolve(str(path)))
    assert of_file.encode(TEXT) == of_folder.encode(TEXT)
    assert of_folder.decode(of_folder.encode(TEXT)) == TEXT


def cut(path: Path, text: str) -> list[str]:
    """The texts of the tokens."""
    tokenizer = load_tokenizer(str(path))
    return [tokenizer.decode([token]) for token in tokenizer.encode(text)]


def test_qwen2_s_tokens_are_those_of_transformers_class(tmp_path: Path) -> None:
    tokens, merges = make_vocabulary()
    vocabulary = {token: index for index, token in enumerate(tokens)}
    reference = Qwen2Tokenizer(vocab=vocabulary, merges=[tuple(merge.split(" ")) for merge in merges])
    path = write_gguf(tmp_path / "model.gguf", make_model("qwen2"))
    for text in (TEXT, "e\u0301t\u00e9 <b> 12\r\n34", "don't   stop\n\n\n 7"):
        assert load_tokenizer(str(path)).encode(text) == reference.encode(text)


@pytest.mark.parametrize(
    ("pre", "pieces"),
    [
        ("gpt-2", ["12", "34", "5", " +", " 12"]),
        ("smollm", ["1", "2", "3", "4", "5", " +", " ", "1", "2"]),
        ("qwen2", ["1", "2", "3", "4", "5", " +", " ", "1", "2"]),
        ("llama-bpe", ["12", "3", "45", " +", " ", "12"]),
    ],
)
def test_numbers_are_cut_as_the_model_learnt_them(tmp_path: Path, pre: str, pieces: list[str]) -> None:
    path = write_gguf(tmp_path / "model.gguf", make_model(), metadata={"tokenizer.ggml.pre": pre})
    assert cut(path, "12345 + 12") == pieces


SENTENCEPIECE: dict[str, Any] = {
    "model": "llama",
    "tokens": [
        *("<unk>", "<s>", "</s>"),
        *(f"<0x{byte:02X}>" for byte in range(256)),
        *"\u2581thesaum12,",
        *("\u2581t", "he", "\u2581the", "su", "um", "\u2581s", "\u2581sum", "12"),
    ],
    "scores": [0.0] * 259 + [-100.0] * 11 + [-1.0, -2.0, -3.0, -5.0, -4.0, -6.0, -7.0, -8.0],
    "token_type": [2, 3, 3] + [6] * 256 + [1] * 19,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "unknown_token_id": 0,
}


def test_sentencepiece_joins_the_best_piece_first(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf", make_model(), vocabulary=SENTENCEPIECE)
    tokenizer = load_tokenizer(str(path))
    pieces = tokenizer.convert_ids_to_tokens(tokenizer.encode("the sum asum, 12 \u00e9</s>"))
    joined = [
        "\u2581the",
        "\u2581sum",
        "\u2581",
        "a",
        "s",
        "um",
        ",",
        "\u2581",
        "12",
        "\u2581",
        "<0xC3>",
        "<0xA9>",
        "</s>",
    ]
    assert pieces == ["<s>", *joined]
    assert tokenizer.decode(tokenizer.encode("the sum, 12 \u00e9"), skip_special_tokens=True) == "the sum, 12 \u00e9"
    again = load_tokenizer(resolve(str(path)))
    assert again.encode("the sum 12") == tokenizer.encode("the sum 12")


def test_sentencepiece_s_tokens_are_those_of_transformers_class(tmp_path: Path) -> None:
    from dunwu.models.gguf.tokenizer import _derive_merges

    vocabulary = {token: index for index, token in enumerate(SENTENCEPIECE["tokens"])}
    pieces = {token: index for token, index in vocabulary.items() if index >= 259}
    reference = LlamaTokenizer(vocab=vocabulary, merges=_derive_merges(pieces, SENTENCEPIECE["scores"]), legacy=True)
    path = write_gguf(tmp_path / "model.gguf", make_model(), vocabulary=SENTENCEPIECE)
    ours = load_tokenizer(str(path))
    for text in ("the sum, the 12 sums", "thesum  12", "\u00e9 12"):
        assert ours.encode(text, add_special_tokens=False) == reference.encode(text, add_special_tokens=False)


def test_a_prefix_space_and_ends_are_as_the_file_says(tmp_path: Path) -> None:
    changed = {"add_space_prefix": False, "add_bos_token": False, "add_eos_token": True}
    path = write_gguf(tmp_path / "model.gguf", make_model(), vocabulary=SENTENCEPIECE | changed)
    tokenizer = load_tokenizer(str(path))
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode("the")) == ["t", "he", "</s>"]
    begun = write_gguf(tmp_path / "begun.gguf", make_model(), metadata={"tokenizer.ggml.add_bos_token": True})
    assert load_tokenizer(str(begun)).encode("the")[0] == 1


def test_transformers_reads_the_same_weights(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf", make_model(), "Q4_1", metadata={"llama.vocab_size": 320})
    peer = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf", dtype=torch.float32)
    torch.testing.assert_close(logits(load(path)), logits(peer), rtol=1e-6, atol=1e-6)


def test_the_header_says_what_is_in_the_file(tmp_path: Path) -> None:
    header = read_header(write_gguf(tmp_path / "model.gguf", make_model(), "Q8_0"))
    assert header.encodings == {"Q8_0": 16, "F32": 5}
    assert header.chat_template == CHAT
    assert header.tensors["blk.1.ffn_down.weight"].shape == (64, 96)
    assert math.isclose(header.number("llama.rope.freq_base"), 10_000.0)
