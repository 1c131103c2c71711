"""The base that ships: its card names its bytes and its recipe, and its tokenizer is the one that the code builds."""

from __future__ import annotations

import hashlib
import tomllib
from importlib.resources import files
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer

from dunwu.config.packaged import NANO_BASE
from dunwu.config.schema import PretrainStage
from dunwu.pretraining.tokenizer import build_tokenizer

BASE = Path(str(files("dunwu").joinpath("assets", NANO_BASE)))
RECIPE = Path(__file__).parents[3] / "recipes" / "nano" / "base.toml"


def test_the_card_names_the_bytes_and_the_folder_holds_the_recipe() -> None:
    digest = hashlib.sha256((BASE / "model.safetensors").read_bytes()).hexdigest()
    assert digest in (BASE / "CARD.md").read_text()
    assert (BASE / "base.toml").read_text() == RECIPE.read_text()


def test_the_model_has_the_recipes_shape() -> None:
    shape = PretrainStage(**tomllib.loads(RECIPE.read_text())["stages"]["base"]).transformer
    config = AutoModelForCausalLM.from_pretrained(BASE).config
    assert (config.hidden_size, config.num_hidden_layers) == (shape.hidden_size, shape.layers)
    assert (config.num_attention_heads, config.num_key_value_heads) == (shape.heads, shape.kv_heads)
    assert config.tie_word_embeddings


def test_its_tokenizer_is_the_one_that_the_code_builds() -> None:
    shipped, built = AutoTokenizer.from_pretrained(BASE), build_tokenizer()
    question = "User: 用3、5和7各一次，加减乘除，得到36。 Assistant:"
    text = question + " <think>7*5=35, too small. wait, </think> <answer>(7+5)*3</answer>"
    assert shipped(text).input_ids == built(text).input_ids
    assert shipped.decode(shipped(text).input_ids) == text
    assert (shipped.eos_token_id, shipped.pad_token_id) == (built.eos_token_id, built.pad_token_id)
