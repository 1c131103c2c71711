"""Folders for transformers with their cards, and Modelfiles for Ollama with templates in Go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

pytest.importorskip("gguf", reason="the extra gguf is not installed")

from tests.chat_templates import FAMILIES, save_model
from tests.exported_models import make_folder

from dunwu.errors import UserError
from dunwu.exporting.go_template import make_go_template, read_turns
from dunwu.exporting.huggingface import write_folder
from dunwu.exporting.ollama import write_ollama
from dunwu.exporting.sources import ExportedModel, open_model
from dunwu.models.templates import render
from dunwu.types import Message

TALK = [
    Message(role="system", content="Be brief."),
    Message(role="user", content="2+2?"),
    Message(role="assistant", content="4"),
    Message(role="user", content="Sure?"),
]


def with_template(folder: Path, family: str) -> ExportedModel:
    """A model with the chat template of a family."""
    return open_model(str(save_model(FAMILIES[family], folder)))


def test_a_packaged_model_becomes_a_folder_that_others_ask_as_it_was_trained(tmp_path: Path) -> None:
    write_folder(open_model("nano-base"), tmp_path / "hf", None)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "hf")
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "2?"}], add_generation_prompt=True, tokenize=False
    )
    assert text == "User: 2? Assistant:"
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "hf").dtype == torch.bfloat16
    card = (tmp_path / "hf" / "README.md").read_text(encoding="utf-8")
    assert card == (open_model("nano-base").folder / "CARD.md").read_text(encoding="utf-8")


def test_weights_take_another_type_and_the_config_says_so(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "qwen2", "qwen2")
    write_folder(open_model(str(folder)), tmp_path / "hf", "bf16")
    found, wanted = (load_file(place / "model.safetensors") for place in (tmp_path / "hf", folder))
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], weight.to(torch.bfloat16)) for name, weight in wanted.items())
    assert json.loads((tmp_path / "hf" / "config.json").read_text())["dtype"] == "bfloat16"


def test_the_card_of_another_s_model_says_what_is_known_and_theirs_stays(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "qwen2", "qwen2")
    write_folder(open_model(str(folder)), tmp_path / "hf", None)
    card = (tmp_path / "hf" / "README.md").read_text(encoding="utf-8")
    assert "no run of Dunwu made the model" in card
    assert "- architecture: qwen2" in card
    assert "- positions: 4,096; tokens: 640" in card
    assert "scores and limits: not known here" in card
    (folder / "README.md").write_text("Theirs.")
    write_folder(open_model(str(folder)), tmp_path / "again", None)
    assert (tmp_path / "again" / "README.md").read_text() == "Theirs."


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_turns_write_what_the_chat_template_writes(family: str, tmp_path: Path) -> None:
    model = open_model(str(make_folder(tmp_path / family, family)))
    turns, begin = read_turns(model), model.tokenizer.bos_token or ""
    for talk in (TALK, TALK[:2], TALK[1:2], TALK[1:]):
        assert begin + turns.render(talk) == render(model.tokenizer, talk, "it")


def test_the_template_of_a_thinking_model_holds_both_tags_around_what_was_thought(tmp_path: Path) -> None:
    model = open_model(str(make_folder(tmp_path / "qwen3", "qwen3")))
    template = make_go_template(model)
    assert template is not None
    assert "{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}" in template
    assert template.endswith(r'{{- end }}{{ "<|im_start|>assistant\n" }}')
    assert template.count("{{- if ") + template.count("{{ if ") + 1 == template.count("end }}")  # and one range


@pytest.mark.parametrize(
    ("family", "message"), [("gemma", "refuses a conversation"), ("mistral", "asks for an answer otherwise")]
)
def test_a_template_that_go_cannot_say_is_one_line(family: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        make_go_template(with_template(tmp_path / "model", family))


def test_a_modelfile_says_every_parameter(tmp_path: Path) -> None:
    write_ollama(open_model("nano-base"), tmp_path / "ollama", "f32")
    first, template, *parameters = (tmp_path / "ollama" / "Modelfile").read_text(encoding="utf-8").splitlines()
    assert first == "FROM ./model.gguf"
    assert (tmp_path / "ollama" / "model.gguf").is_file()
    assert template.startswith('TEMPLATE """{{- $open := false }}{{- range .Messages }}')
    assert '{{ else }}{{ "User: " }}{{ end }}{{ .Content }}' in template
    assert "<think>{{ .Thinking }}</think>" in template
    assert parameters == [
        *("PARAMETER temperature 1", "PARAMETER top_p 1", "PARAMETER top_k 0", "PARAMETER min_p 0"),
        *("PARAMETER repeat_penalty 1", 'PARAMETER stop "<|endoftext|>"', "PARAMETER num_ctx 1024"),
        "PARAMETER num_predict 320",
    ]


def test_an_ollama_export_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise UserError("no")

    monkeypatch.setattr("dunwu.exporting.ollama.write_gguf", fail)
    with pytest.raises(UserError, match="no"):
        write_ollama(open_model("nano-base"), tmp_path / "ollama", "f32")
    assert list(tmp_path.iterdir()) == []
