"""What a finished model's folder carries beside its weights, so that other programs ask the model as it was trained.

A chat template renders the recipe's template, and generation_config.json says what ends an answer and how answers were
drawn. The chat template that the tokenizer came with stays beside it under the name ``original``: it is what
``template = "chat"`` means to a later stage.
"""

from __future__ import annotations

import json
import re
from itertools import takewhile
from pathlib import Path
from typing import Any

from dunwu.models.templates import CHAT_TEMPLATE, NAMED, ORIGINAL_TEMPLATE
from dunwu.types import Sampling

CARD = "README.md"
DOCUMENTS = frozenset({".md", ".toml"})
"""Suffixes of what a model's folder holds for people alone: no later stage depends on it."""
GENERATION_CONFIG = "generation_config.json"
_QUESTION = " ~ asked.text ~ "
_FRAME = (
    "{%- set asked = namespace(text='') -%}"
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}"
    "{{- <START> ~ <PROMPT> ~ message['content'] ~ <END> -}}"
    "{%- set asked.text = '' -%}"
    "{%- else -%}"
    "{%- set asked.text = (asked.text ~ '\\n' if asked.text else '') ~ message['content'] -%}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- <START> ~ <PROMPT> -}}{%- endif -%}\n"
)
"""Questions one a line, as ``templates.Template`` puts them into the recipe's text."""
_TEXT = r'"(?:[^"\\]|\\.)*"'
_WRITTEN = re.compile(
    re.escape(_FRAME).replace("<START>", _TEXT).replace("<END>", _TEXT).replace("<PROMPT>", "(.*?)"), re.DOTALL
)
_SAMPLING = ("do_sample", "temperature", "top_p", "top_k", "min_p", "typical_p", "repetition_penalty", "max_new_tokens")


def to_chat_template(text: str, *, start: str = "", end: str = "") -> str:
    """Write a template of the recipe as a chat template.

    Args:
        text: with the gap ``{prompt}``.
        start: special tokens before every prompt.
        end: the token that ends an answer.
    """
    values = {"START": _quote(start), "PROMPT": _QUESTION.join(map(_quote, text.split("{prompt}"))), "END": _quote(end)}
    return re.sub("<([A-Z]+)>", lambda match: values[match[1]], _FRAME)


def find_trained_template(folder: Path) -> str | None:
    """Find the template that a model was trained with, as a recipe says it; None where its folder is silent."""
    file = folder / CHAT_TEMPLATE
    found = _WRITTEN.fullmatch(file.read_text(encoding="utf-8")) if file.is_file() else None
    if found is None:
        return None
    text = "{prompt}".join(map(json.loads, re.findall(_TEXT, found[1])))
    return next((name for name, named in NAMED.items() if named == text), text)


def write_chat_template(folder: Path, template: str) -> None:
    """Give a saved model the chat template that renders what it was trained with.

    Args:
        folder: of transformers, just written.
        template: ``prompt.template`` of the recipe; ``chat`` leaves the tokenizer's own.
    """
    from dunwu.models.load import load_tokenizer  # transformers takes long to import, and who only looks needs none

    if template == "chat":
        return
    file = folder / CHAT_TEMPLATE
    if file.is_file() and find_trained_template(folder) is None:
        kept = folder / "additional_chat_templates" / f"{ORIGINAL_TEMPLATE}.jinja"
        kept.parent.mkdir(exist_ok=True)
        file.rename(kept)
    file.write_text(make_chat_template(load_tokenizer(str(folder)), template), encoding="utf-8")


def make_chat_template(tokenizer: Any, template: str) -> str:
    """Make the chat template that renders what a model was trained with.

    Args:
        tokenizer: of transformers.
        template: ``prompt.template`` of the recipe, not ``chat``.
    """
    (first, *_) = tokenizer.encode("a", add_special_tokens=False)
    start = tokenizer.decode(list(takewhile(lambda token: token != first, tokenizer.encode("a"))))
    return to_chat_template(NAMED.get(template, template), start=start, end=tokenizer.eos_token)


def write_generation_config(folder: Path, sampling: Sampling | None) -> None:
    """Say in a saved model's folder what ends an answer and how answers were drawn.

    Args:
        folder: of transformers, just written.
        sampling: None leaves it as the folder says.
    """
    from dunwu.models.load import load_tokenizer

    file = folder / GENERATION_CONFIG
    config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if sampling:
        config = {name: value for name, value in config.items() if name not in _SAMPLING} | _sampling_fields(sampling)
    tokenizer, ends = load_tokenizer(str(folder)), config.get("eos_token_id")
    more = [ends] if isinstance(ends, int) else list(ends or ())
    ids = list(dict.fromkeys([int(tokenizer.eos_token_id), *more]))
    config["eos_token_id"] = ids[0] if len(ids) == 1 else ids
    if tokenizer.pad_token_id is not None:
        config["pad_token_id"] = int(tokenizer.pad_token_id)
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _sampling_fields(sampling: Sampling) -> dict[str, Any]:
    """Say all of it: transformers would take the 50 likeliest tokens, and servers what the base was asked with."""
    if sampling.temperature == 0:
        return {"do_sample": False, "max_new_tokens": sampling.max_new_tokens}
    neutral = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
    asked = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p}
    return {**asked, **neutral, "max_new_tokens": sampling.max_new_tokens}


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
