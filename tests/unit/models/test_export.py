"""What a model's folder carries: the chat template that it was trained with, and how its answers were drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from dunwu.config.packaged import find_packaged
from dunwu.config.schema import PromptSpec
from dunwu.models.export import find_trained_template, to_chat_template, write_chat_template, write_generation_config
from dunwu.models.load import load_tokenizer
from dunwu.models.templates import NANO, R1_ZERO, Template
from dunwu.types import Example, Message, Problem, Sampling

ODD = 'Say "{{ x }}", {% no %} \\n or #}:\n{prompt}\n"again": {prompt} 顿悟 -> '


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tokenizer that puts a special token before every text, saved."""
    tokenizer = AutoTokenizer.from_pretrained(find_packaged("nano-base"))
    begin = tokenizer.pad_token
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{begin} $A", pair=f"{begin} $A $B", special_tokens=[(begin, tokenizer.pad_token_id)]
    )
    assert tokenizer.encode("1")[0] == tokenizer.pad_token_id
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").touch()
    return tmp_path


def problem(*messages: Message) -> Problem:
    return Problem(id="p", task="t", kind="math", level=1, language="en", messages=messages, gold="1")


MESSAGES = (Message(role="system", content="Be brief."), Message(role="user", content="What is 1 + 1?"))


@pytest.mark.parametrize("template", ["nano", "r1-zero", ODD])
def test_other_programs_render_the_prompt_that_was_trained_with(folder: Path, template: str) -> None:
    write_chat_template(folder, template)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    ours = Template(PromptSpec(template=template), tokenizer)
    turns = [{"role": message.role, "content": message.content} for message in MESSAGES]
    asked = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert asked == ours.encode(problem(*MESSAGES)).token_ids.tolist()
    answered = tokenizer.apply_chat_template([*turns, {"role": "assistant", "content": " 2"}], return_dict=False)
    (lesson,) = ours.tokenize_example(
        Example(id="e", category="", language="en", messages=(*MESSAGES, Message(role="assistant", content=" 2")))
    )
    assert tokenizer.decode(answered) == tokenizer.decode(lesson.token_ids)


@pytest.mark.parametrize(("template", "text"), [("nano", NANO), ("r1-zero", R1_ZERO), (ODD, ODD)])
def test_the_template_is_read_back_as_the_recipe_says_it(folder: Path, template: str, text: str) -> None:
    assert find_trained_template(folder) is None
    write_chat_template(folder, template)
    assert find_trained_template(folder) == template
    assert to_chat_template(text, start="<|pad|>", end="<|endoftext|>") == (folder / "chat_template.jinja").read_text()


def test_the_tokenizers_own_template_stays_what_chat_means(folder: Path) -> None:
    tokenizer: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "{{ messages[0]['content'] }}!"
    tokenizer.save_pretrained(folder)
    write_chat_template(folder, "chat")
    assert find_trained_template(folder) is None
    for _ in range(2):  # a later stage writes its own once more
        write_chat_template(folder, "r1-zero")
        assert find_trained_template(folder) == "r1-zero"
        assert load_tokenizer(str(folder)).chat_template == "{{ messages[0]['content'] }}!"
    assert AutoTokenizer.from_pretrained(folder).chat_template["default"].startswith("{%- set asked")


def test_the_generation_config_says_how_answers_were_drawn_and_what_ends_them(folder: Path) -> None:
    file, tokenizer = folder / "generation_config.json", load_tokenizer(str(folder))
    file.write_text(json.dumps({"eos_token_id": [7, tokenizer.eos_token_id], "top_k": 20, "repetition_penalty": 1.1}))
    write_generation_config(folder, Sampling(temperature=0.5, top_p=0.9, max_new_tokens=64))
    found = json.loads(file.read_text())
    assert found["eos_token_id"] == [tokenizer.eos_token_id, 7]
    assert found["pad_token_id"] == tokenizer.pad_token_id
    drawn = {name: found[name] for name in ("do_sample", "temperature", "top_p", "top_k", "repetition_penalty")}
    assert drawn == {"do_sample": True, "temperature": 0.5, "top_p": 0.9, "top_k": 0, "repetition_penalty": 1.0}
    before = file.read_bytes()
    write_generation_config(folder, None)
    assert file.read_bytes() == before
    write_generation_config(folder, Sampling(temperature=0.0, max_new_tokens=64))
    assert "temperature" not in json.loads(file.read_text())
