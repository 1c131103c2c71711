"""The bases that ship: cards name bytes and recipes, and tokenizers are those that the code builds."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from dunwu.config.packaged import PACKAGED_MODELS, find_packaged
from dunwu.config.schema import PretrainStage
from dunwu.pretraining.corpora import CORPORA
from dunwu.pretraining.tokenizer import build_tokenizer

RECIPES = {"nano-base": "base.toml", "nano-world": "world.toml"}
bases = pytest.mark.parametrize("name", RECIPES)


def folder(name: str) -> Path:
    found = find_packaged(name)
    assert found is not None
    return found


def recipe(name: str) -> str:
    return (Path(__file__).parents[3] / "recipes" / "nano" / RECIPES[name]).read_text()


def test_every_base_is_looked_at() -> None:
    assert set(RECIPES) == set(PACKAGED_MODELS)


@bases
def test_the_card_names_the_bytes_and_the_folder_holds_the_recipe(name: str) -> None:
    digest = hashlib.sha256((folder(name) / "model.safetensors").read_bytes()).hexdigest()
    assert digest in (folder(name) / "CARD.md").read_text()
    assert (folder(name) / RECIPES[name]).read_text() == recipe(name)


@bases
def test_the_model_has_the_recipes_shape(name: str) -> None:
    stage = PretrainStage(**tomllib.loads(recipe(name))["stages"]["base"])
    config = AutoModelForCausalLM.from_pretrained(folder(name)).config
    assert stage.corpus == PACKAGED_MODELS[name]
    assert (config.hidden_size, config.num_hidden_layers) == (stage.transformer.hidden_size, stage.transformer.layers)
    assert (config.num_attention_heads, config.num_key_value_heads) == (
        stage.transformer.heads,
        stage.transformer.kv_heads,
    )
    assert config.tie_word_embeddings


@bases
def test_its_tokenizer_is_the_one_that_the_code_builds(name: str) -> None:
    shipped, built = AutoTokenizer.from_pretrained(folder(name)), build_tokenizer(CORPORA[PACKAGED_MODELS[name]].words)
    question = "User: 用3、5和7各一次，加减乘除，得到36。 Assistant:"
    text = question + " <think>7*5=35, too small. wait, </think> <answer>(7+5)*3</answer>"
    assert shipped(text).input_ids == built(text).input_ids
    assert shipped.decode(shipped(text).input_ids) == text
    assert (shipped.eos_token_id, shipped.pad_token_id) == (built.eos_token_id, built.pad_token_id)
    assert len(shipped) == len(built)
