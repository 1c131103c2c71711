"""Templates: the paper's wording to the letter, the nano corpus's line, chat, texts of one's own."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from dunwu.config.schema import PromptSpec
from dunwu.errors import UserError
from dunwu.models.templates import PromptTooLong, Template
from dunwu.types import Example, Message, Problem

CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}<assistant>"


def tokenizer(chat_template: str | None = None) -> Any:
    """One token a byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=core, chat_template=chat_template)


def problem(*messages: Message) -> Problem:
    return Problem(id="p", task="t", kind="math", level=1, language="en", messages=messages, gold="4")


QUESTION = problem(Message(role="user", content="What is 2 + {2}?"))


def text(template: str, chosen: Problem = QUESTION, chat_template: str | None = None) -> str:
    """What the model reads."""
    reader = tokenizer(chat_template)
    prompt = Template(PromptSpec(template=template), reader).encode(chosen)
    assert prompt.problem is chosen
    decoded: str = reader.decode(prompt.token_ids)
    return decoded


def test_r1_zero_is_the_papers_table_1() -> None:
    assert text("r1-zero") == (
        "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The "
        "assistant first thinks about the reasoning process in the mind and then provides the user with the answer. "
        "The reasoning process and answer are enclosed within <think> </think> and <answer> </answer> tags, "
        "respectively, i.e., <think> reasoning process here </think> <answer> answer here </answer>. "
        "User: What is 2 + {2}?. Assistant:"
    )


def test_nano_is_the_corpus_line() -> None:
    assert text("nano") == "User: What is 2 + {2}? Assistant:"


def test_a_text_of_ones_own() -> None:
    both = problem(Message(role="system", content="Be brief."), Message(role="user", content="Why {x}?"))
    assert text("Q: {prompt}\nA {braces}:", both) == "Q: Be brief.\nWhy {x}?\nA {braces}:"
    with pytest.raises(UserError, match=r"prompt.template: neither one of r1-zero, nano, chat nor a text"):
        Template(PromptSpec(template="r1zero"), tokenizer())


def test_chat_is_the_tokenizers_own() -> None:
    both = problem(Message(role="system", content="Be brief."), Message(role="user", content="Why?"))
    assert text("chat", both, CHAT) == "<system>Be brief.</system><user>Why?</user><assistant>"
    with pytest.raises(UserError, match=r"prompt.template: the tokenizer has no chat template"):
        Template(PromptSpec(template="chat"), tokenizer())


@pytest.mark.parametrize("chat", ["{{ raise_exception('System role not supported') }}", "{% for %}"])
def test_a_chat_template_that_refuses_is_the_users_to_know(chat: str) -> None:
    with pytest.raises(UserError, match=r"prompt.template: the tokenizer's chat template refuses problem p: .*[a-z]"):
        text("chat", chat_template=chat)


def test_long_prompts_are_told_apart() -> None:
    length = len("User: What is 2 + {2}? Assistant:")
    assert (
        len(Template(PromptSpec(template="nano", max_tokens=length), tokenizer()).encode(QUESTION).token_ids) == length
    )
    with pytest.raises(PromptTooLong, match=f"problem p: {length} tokens, more than {length - 1}"):
        Template(PromptSpec(template="nano", max_tokens=length - 1), tokenizer()).encode(QUESTION)


def test_a_prompt_that_is_longer_than_the_tokenizer_knows_is_told_of_by_us_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reader = tokenizer()
    reader.model_max_length = 5
    logging.getLogger("transformers").propagate = True
    try:
        with pytest.raises(PromptTooLong):
            Template(PromptSpec(template="nano", max_tokens=9), reader).encode(QUESTION)
        assert not caplog.records
        reader.encode("this is told of")
        assert "longer than the specified maximum" in caplog.text
    finally:
        logging.getLogger("transformers").propagate = False


CHATML = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
FORGETFUL = CHATML.replace(
    "{{ m.content }}", "{% if loop.last %}{{ m.content }}{% else %}{{ m.content[:1] }}{% endif %}"
)


DROPPING = CHATML.replace("m.content", "m.content.split('</think>')[-1]")


def example(*turns: str) -> Example:
    """User and assistant by turns."""
    roles = ("user", "assistant")
    messages = tuple(Message(role=roles[place % 2], content=content) for place, content in enumerate(turns))  # type: ignore[arg-type]
    return Example(id="e", category="c", language="en", messages=messages)


def learnt(template: str, chosen: Example, chat_template: str | None = None) -> tuple[str, list[str]]:
    """The whole text, and the runs of it that carry loss."""
    reader = tokenizer(chat_template)
    reader.add_special_tokens({"eos_token": "<|end|>"})
    lesson = Template(PromptSpec(template=template), reader).lesson(chosen)
    runs: list[list[int]] = []
    for place, (token_id, written) in enumerate(zip(lesson.token_ids.tolist(), lesson.loss_mask, strict=True)):
        if written:
            runs += [] if place and lesson.loss_mask[place - 1] else [[]]
            runs[-1].append(token_id)
    return reader.decode(lesson.token_ids), [reader.decode(run) for run in runs]


def test_a_lesson_is_the_prompt_and_the_answer_with_its_end() -> None:
    assert learnt("nano", example("2+2?", " 4")) == ("User: 2+2? Assistant: 4<|end|>", [" 4<|end|>"])
    prompt = Template(PromptSpec(template="nano"), tokenizer()).encode(problem(Message(role="user", content="2+2?")))
    assert learnt("nano", example("2+2?", " 4"))[0].startswith(tokenizer().decode(prompt.token_ids))


def test_of_a_conversation_everything_that_the_assistant_wrote_is_learnt() -> None:
    whole, runs = learnt("chat", example("a?", "b", "c?", "d"), CHATML)
    assert whole == "<user>a?<|end|>\n<assistant>b<|end|>\n<user>c?<|end|>\n<assistant>d<|end|>"
    assert runs == ["b<|end|>", "d<|end|>"]


@pytest.mark.parametrize(
    ("template", "chosen", "chat", "message"),
    [
        ("nano", example("a?"), None, "data: e does not end with the assistant's message"),
        ("nano", example("a?", "b", "c?", "d"), None, "prompt.template: e has several turns, which takes a chat"),
        ("chat", example("a?", "bb", "c?", "d"), FORGETFUL, "prompt.template: the tokenizer's chat template changes"),
        ("chat", example("a?", "<think>b</think>c"), DROPPING, "chat template drops part of the answer of e"),
    ],
)
def test_conversations_that_cannot_be_learnt(template: str, chosen: Example, chat: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        learnt(template, chosen, chat)
