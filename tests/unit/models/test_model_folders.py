"""Model folders that nobody should trust: one line each, nothing of theirs is run, and nothing grows without bound."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.unit.models.test_load import complaint, write

from dunwu.config.model_folder import read_config
from dunwu.errors import UserError
from dunwu.models.load import _explain, load_policy, load_scorer, save_policy
from dunwu.models.shape import find_shape

ADVICE = ("trust_remote_code", "weights_only", "pickle", "install", "upgrade")


def edit(folder: Path, file: str = "config.json", **fields: Any) -> None:
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.fixture(autouse=True)
def nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers asks at the terminal whether it may run a folder's code, and takes y for an answer."""
    monkeypatch.setattr(builtins, "input", lambda prompt="": "y")


OWN_CODE = "from pathlib import Path\n\nPath(__file__).with_name('it-ran').touch()\n"
AUTO_MAP = dict.fromkeys(("AutoConfig", "AutoModelForCausalLM", "AutoTokenizer"), "own.Own")


def test_code_beside_a_known_type_is_told_and_not_run(tmp_path: Path) -> None:
    folder = write(tmp_path / "a")
    edit(folder, auto_map=AUTO_MAP)
    edit(folder, "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.Own", None]})
    (folder / "own.py").write_text(OWN_CODE)
    policy = load_policy(str(folder), device="cpu")
    assert policy.notes == ("the model brings code of its own (auto_map), which is not run: transformers' qwen3 is",)
    assert not list(tmp_path.rglob("it-ran"))
    save_policy(policy, tmp_path / "b")
    assert (
        "auto_map" not in (tmp_path / "b/config.json").read_text() + (tmp_path / "b/tokenizer_config.json").read_text()
    )


def test_an_unknown_type_with_code_of_its_own(tmp_path: Path) -> None:
    folder = write(tmp_path)
    edit(folder, model_type="mine", auto_map=AUTO_MAP)
    (folder / "own.py").write_text(OWN_CODE)
    said = complaint(folder)
    assert said.endswith("it needs code of its own (auto_map), and no code beside a model is run here")
    assert not any(word in said for word in ADVICE)
    assert not list(tmp_path.rglob("it-ran"))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth"])
def test_pickled_weights(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path)
    (folder / "model.safetensors").rename(folder / name)
    said = complaint(folder)
    assert said.startswith(f"{folder}: the weights in this folder are a pickle ({name}), which can run code")
    with pytest.raises(UserError, match="are a pickle"):
        load_scorer(str(folder), device="cpu")


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (nested(200), "config.json: is nested deeper than 64 levels"),
        (nested(200_000), "config.json: is nested deeper than 64 levels"),
        ("[1, 2]", "config.json: is no JSON object"),
        ("", "config.json: is no JSON"),
        ("\xff", "config.json: is no JSON"),
        (
            '{"model_type": "qwen3", "num_hidden_layers": 1000000000000}',
            "num_hidden_layers: more than 1,048,576 are more than any",
        ),
        ('{"model_type": "bert-of-mine"}', "cannot load a causal language model"),
        ('{"model_type": ["qwen3"]}', "cannot load a causal language model"),
        ("{}", "cannot load a causal language model"),
    ],
)
def test_a_config_that_is_none(tmp_path: Path, content: str, says: str) -> None:
    folder = write(tmp_path)
    (folder / "config.json").write_bytes(content.encode("latin-1"))
    assert says in complaint(folder)


@pytest.mark.parametrize(
    "fields",
    [
        {"hidden_size": 4096},
        {"vocab_size": 5_000_000},
        {"num_hidden_layers": 2_000, "layer_types": None},
        {"hidden_size": "many"},
        {"num_attention_heads": 0},
        {"num_hidden_layers": -3},
        {"rope_parameters": "none"},
        {"hidden_act": "no such function"},
        {"head_dim": 2.5},
    ],
)
def test_sizes_that_the_weights_do_not_have(tmp_path: Path, fields: dict[str, Any]) -> None:
    folder = write(tmp_path)
    edit(folder, **fields)
    said = complaint(folder)
    assert said.startswith(str(folder))
    assert len(said) < 400


def test_a_large_config_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    with path.open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(UserError, match="has 64 MiB, more than the 64 MiB that are read"):
        read_config(path)


@pytest.mark.parametrize("value", ["many", [1], -1e400, None])
def test_plan_reads_the_same_files(tmp_path: Path, value: Any) -> None:
    folder = write(tmp_path)
    edit(folder, hidden_size=value)
    with pytest.raises(UserError, match=r"config\.json"):
        find_shape(str(folder))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_weights_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    folder = write(tmp_path)
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.0.mlp.up_proj.weight"][3, 2] = value
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert complaint(folder) == f"{folder}: model.layers.0.mlp.up_proj.weight holds NaN or infinite weights"


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b"\x00\x01\x02", b'{"version": "1.0", "model": {}}'])
def test_a_tokenizer_that_is_none(tmp_path: Path, content: bytes) -> None:
    folder = write(tmp_path)
    (folder / "tokenizer.json").write_bytes(content)
    said = complaint(folder)
    assert said.startswith(f"{folder}: cannot load the tokenizer")
    assert not any(word in said for word in ADVICE)


def test_a_deep_tokenizer_config(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "tokenizer_config.json").write_text(nested(5000))
    assert complaint(folder).startswith(f"{folder / 'tokenizer_config.json'}: is nested deeper")


def test_another_models_tokenizer(tmp_path: Path) -> None:
    """Its tokens have no rows; a padding token without one is common and does no harm."""
    folder = write(tmp_path)
    tokens = json.loads((folder / "tokenizer.json").read_text())
    tokens["model"]["vocab"] |= {f"{letter}{letter}": 40 + i for i, letter in enumerate("abc")}
    (folder / "tokenizer.json").write_text(json.dumps(tokens))
    assert complaint(folder).endswith("has tokens up to 42, and the model knows 32: it is another model's")

    folder = write(tmp_path / "b")
    tokenizer = load_policy(str(folder), device="cpu").tokenizer
    tokenizer.add_special_tokens({"pad_token": "<more>"})
    tokenizer.save_pretrained(folder)
    policy = load_policy(str(folder), device="cpu")
    assert (policy.tokenizer.pad_token_id, policy.pad_id) == (32, 30)


@pytest.mark.parametrize(
    "name",
    [
        *("config.json", "generation_config.json", "special_tokens_map.json", "added_tokens.json", "of_my_own.json"),
        *("model.safetensors", "of_my_own.safetensors", "chat_template.jinja", "additional_chat_templates/a.jinja"),
        *("tokenizer.json", "vocab.json", "tokenizer.model", "merges.txt"),
    ],
)
def test_what_is_no_file_is_not_read(tmp_path: Path, name: str) -> None:
    """A pipe would be waited for; what stands in its place here gives an end of file, and is no file either."""
    folder = write(tmp_path)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to("/dev/null")
    assert complaint(folder) == f"{folder / name}: is no file"
    (folder / name).unlink()
    (folder / name).mkdir()
    assert complaint(folder) == f"{folder / name}: is no file"


@pytest.mark.parametrize("ends", [[[1]], "x", -1, 32, [0, 32], [True], 1.0, {"a": 1}])
def test_ends_that_are_no_tokens(tmp_path: Path, ends: Any) -> None:
    folder = write(tmp_path)
    edit(folder, "generation_config.json", eos_token_id=ends)
    token = ends[-1] if isinstance(ends, list) else ends
    assert complaint(folder) == (
        f"{folder}: eos_token_id: the generation config names {token!r}, no token of the 32 that the model knows"
    )


def test_the_first_weight_of_another_shape_is_named_with_both(tmp_path: Path) -> None:
    folder = write(tmp_path)
    weights = load_file(folder / "model.safetensors")
    names = sorted(name for name in weights if "proj" in name)
    shapes = {name: list(weights[name].shape) for name in names}
    changed = {name: torch.zeros(2, 3) for name in names[:2]}
    save_file(weights | changed, folder / "model.safetensors", metadata={"format": "pt"})
    assert complaint(folder) == (
        f"{folder}: cannot load a causal language model: {names[0]} has the shape [2, 3] in the weights and "
        f"{shapes[names[0]]} by config.json"
    )
    with pytest.raises(UserError, match=r"cannot load a sequence classifier: .* has the shape \[2, 3\] in the weights"):
        load_scorer(str(folder), device="cpu", new_head=True)


@pytest.mark.parametrize("fields", [{"num_attention_heads": 7}, {"intermediate_size": 3}, {"head_dim": 6}])
def test_a_config_of_other_sizes_names_a_weight(tmp_path: Path, fields: dict[str, Any]) -> None:
    folder = write(tmp_path)
    edit(folder, **fields)
    assert " in the weights and [" in complaint(folder)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ImportError("Loading it requires a (`pip install a`)"), "ImportError: Loading it requires a"),
        (ImportError("Using `b` requires b: `pip install -U b`"), "ImportError: Using `b` requires b"),
        (ImportError("It needs c. Please install it."), "ImportError: It needs c."),
        (ImportError("c doesn't seem to be installed."), "ImportError: c doesn't seem to be installed."),
        (RuntimeError("Sizes differ. Set `ignore_it` to go on."), "Sizes differ."),
        (KeyError("x"), "KeyError: 'x'"),
        (RuntimeError(), "RuntimeError"),
        (ImportError("install it"), "ImportError"),
    ],
)
def test_of_a_library_s_words_something_is_always_left(error: Exception, said: str) -> None:
    assert _explain(error) == said
