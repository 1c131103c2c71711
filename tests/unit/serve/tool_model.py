"""A model of random weights whose chat template knows tools, as Qwen3's does, and how to have it write a given text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import torch
from tests.chat_templates import byte_tokenizer
from tokenizers import AddedToken
from transformers import LlamaConfig, LlamaForCausalLM

from dunwu.config.schema import ModelSpec
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.writer import Writer

TEMPLATE = """
{%- if tools %}
{{- "<|im_start|>system\\n" }}{% for tool in tools %}{{ tool | tojson + "\\n" }}{% endfor %}{{ "<|im_end|>\\n" }}
{%- endif %}
{%- for m in messages %}
{%- if m.role == "tool" %}
{{- "<|im_start|>user\\n<tool_response>\\n" + m.content + "\\n</tool_response>" }}
{%- else %}
{{- "<|im_start|>" + m.role + "\\n" + m.content }}
{%- for call in m.tool_calls or [] %}
{{- '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
{{- call.function.arguments | tojson + "}\\n</tool_call>" }}
{%- endfor %}
{%- endif %}
{{- "<|im_end|>\\n" }}
{%- endfor %}
{%- if add_generation_prompt %}{{ "<|im_start|>assistant\\n<think>\\n" }}{% endif %}
"""
WEATHER = {
    "name": "find_weather",
    "description": "Finds the weather.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"enum": ["Bonn", "北京"]}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
        "required": ["city", "days"],
        "additionalProperties": False,
    },
}
CLOCK = {"name": "read_clock", "parameters": {"type": "object", "properties": {}, "additionalProperties": False}}


def open_tool_model(folder: Path) -> ChatModel:
    """Write the model into a folder, and open it."""
    tokenizer = byte_tokenizer(eos_token="<|im_end|>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    tokenizer.add_tokens([AddedToken(tag, special=False) for tag in ("<think>", "</think>", "<tool_call>")])
    tokenizer.chat_template = TEMPLATE.strip()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return ChatModel("tools", str(folder), "chat", (), ModelSpec())


@contextmanager
def scripted(text: str, seen: Callable[[Writer], None] = lambda _: None) -> Iterator[None]:
    """Have every answer be this text and the end, token by token."""
    begin = Writer._begin

    def begin_scripted(writer: Writer) -> None:
        begin(writer)
        core = writer._model.policy.tokenizer.backend_tokenizer
        writer._forced.extend([*core.encode(text, add_special_tokens=False).ids, *writer._model.policy.eos_ids])
        seen(writer)

    with mock.patch.object(Writer, "_begin", begin_scripted):
        yield
