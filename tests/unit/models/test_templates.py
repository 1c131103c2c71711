"""Templates: the paper's wording to the letter, the nano corpus's line, chat, texts of one's own."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from tests.chat_templates import FAMILIES, byte_tokenizer, spaced_tokenizer

from dunwu.config.schema import PromptSpec
from dunwu.errors import UserError
from dunwu.models.templates import PromptTooLong, Template, find_end_of_turn
from dunwu.types import Example, Message, Problem

CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}<assistant>"


def tokenizer(chat_template: str | None = None) -> Any:
    """One token a byte."""
    made = byte_tokenizer(eos_token="<|end|>")
    made.chat_template = chat_template
    return made


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


@pytest.mark.parametrize(
    "chat", ["{{ raise_exception('System role not supported') }}", "{% for %}", "{{ 1 + 'a' }}", "{{ none.strip() }}"]
)
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


def lessons(template: str, chosen: Example, reader: Any) -> list[tuple[str, list[str]]]:
    """Of each lesson the whole text, and the runs of it that carry loss."""
    found = []
    for lesson in Template(PromptSpec(template=template), reader).tokenize_example(chosen):
        runs: list[list[int]] = []
        for place, (token_id, written) in enumerate(zip(lesson.token_ids.tolist(), lesson.loss_mask, strict=True)):
            if written:
                runs += [] if place and lesson.loss_mask[place - 1] else [[]]
                runs[-1].append(token_id)
        found.append((reader.decode(lesson.token_ids), [reader.decode(run) for run in runs]))
    return found


def learnt(template: str, chosen: Example, chat_template: str | None = None) -> tuple[str, list[str]]:
    """The same of the only lesson."""
    (found,) = lessons(template, chosen, tokenizer(chat_template))
    return found


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
        (
            "chat",
            example("a?", "b"),
            "<s>",
            "prompt.template: the tokenizer's chat template leaves out what the assist",
        ),
    ],
)
def test_conversations_that_cannot_be_learnt(template: str, chosen: Example, chat: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        learnt(template, chosen, chat)


def test_a_template_that_drops_reasoning_learns_the_answer_as_it_stands() -> None:
    whole, runs = learnt("chat", example("a?", "<think>b</think>c"), DROPPING)
    assert whole == "<user>a?<|end|>\n<assistant><think>b</think>c<|end|>"
    assert runs == ["<think>b</think>c<|end|>"]


def test_where_a_template_rewrites_earlier_turns_each_answer_is_a_lesson_of_its_own() -> None:
    assert lessons("chat", example("a?", "bb", "c?", "d"), tokenizer(FORGETFUL)) == [
        ("<user>a?<|end|>\n<assistant>bb<|end|>", ["bb<|end|>"]),
        ("<user>a<|end|>\n<assistant>b<|end|>\n<user>c?<|end|>\n<assistant>d<|end|>", ["d<|end|>"]),
    ]


def test_a_template_without_an_end_of_turn_ends_with_the_end_of_sequence() -> None:
    tagged = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}"
    reader = tokenizer(tagged + "{% if add_generation_prompt %}<assistant>{% endif %}")
    assert lessons("chat", example("a?", "b", "c?", "d"), reader) == [
        ("<user>a?</user><assistant>b</assistant><|end|>", ["b</assistant><|end|>"]),
        (
            "<user>a?</user><assistant>b</assistant><user>c?</user><assistant>d</assistant><|end|>",
            ["d</assistant><|end|>"],
        ),
    ]


def test_an_answer_gets_no_space_that_a_tokenizer_puts_before_a_text() -> None:
    reader = spaced_tokenizer(eos_token="</s>")
    reader.chat_template = FAMILIES["mistral"].template.strip().replace('" " + m.content', "m.content")
    (lesson,) = Template(PromptSpec(template="chat"), reader).tokenize_example(example("2", "4"))
    assert reader.convert_ids_to_tokens(reader.encode("4", add_special_tokens=False)) == ["▁", "4"]
    assert reader.convert_ids_to_tokens(lesson.token_ids[lesson.loss_mask]) == ["4", "</s>"]
    reader.chat_template = FAMILIES["mistral"].template.strip()
    (lesson,) = Template(PromptSpec(template="chat"), reader).tokenize_example(example("2", "4"))
    assert reader.convert_ids_to_tokens(lesson.token_ids[lesson.loss_mask]) == ["▁", "4", "</s>"]


REASONED = "<think>\n2 and 2 is 4\n</think>\n\nIt is 4."


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_learns_the_answer_behind_the_prompt_and_its_own_end(name: str) -> None:
    family = FAMILIES[name]
    reader = family.tokenizer()
    prompt = Template(PromptSpec(template="chat"), reader).encode(problem(Message(role="user", content="2+2?")))
    assert reader.decode(prompt.token_ids) == family.prompt
    assert prompt.opening == ("<think>\n" if name == "r1-distill" else "")
    ((whole, (run,)),) = lessons("chat", example("2+2?", REASONED), reader)
    assert prompt.opening + run == family.lead + REASONED + family.end
    assert whole == family.prompt + run
    assert reader.decode([find_end_of_turn(reader)]) == family.end
    (lesson,) = Template(PromptSpec(template="chat"), reader).tokenize_example(example("2+2?", REASONED))
    assert lesson.loss_mask.tolist() == [False] * len(prompt.token_ids) + [True] * (
        len(lesson.token_ids) - len(prompt.token_ids)
    )
    assert lesson.token_ids[-1] == find_end_of_turn(reader)


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_learns_every_answer_of_a_conversation_once_after_its_own_prompt(name: str) -> None:
    reader, chosen = FAMILIES[name].tokenizer(), example("2+2?", REASONED, "and 3?", "<think>\n4+3\n</think>\n\n7")
    template = Template(PromptSpec(template="chat"), reader)
    found = lessons("chat", chosen, reader)
    assert len(found) == (2 if name in ("qwen3", "r1-distill") else 1)
    assert len([run for _, runs in found for run in runs]) == 2
    last = template.encode(problem(*chosen.messages[:-1]))
    assert found[-1][0].startswith(reader.decode(last.token_ids))
    assert found[-1][1][-1] == f"{FAMILIES[name].lead}{chosen.messages[-1].content}{FAMILIES[name].end}".removeprefix(
        last.opening
    )


@pytest.mark.parametrize(
    ("answer", "run"),
    [
        ("<think>\nb\n</think>\n\nc", "b\n</think>\n\nc"),
        ("<think>b</think>c", "b</think>c"),
        (" <think> b</think>c", " b</think>c"),
        ("b\n</think>\n\nc", "b\n</think>\n\nc"),
        ("c", "\n</think>\n\nc"),
    ],
)
def test_behind_an_opened_tag_an_answer_goes_on(answer: str, run: str) -> None:
    reader = FAMILIES["r1-distill"].tokenizer()
    assert lessons("chat", example("a?", answer), reader)[0][1] == [run + "<|end|>"]
    assert lessons("Q: {prompt} A: <think>\n", example("a?", answer), reader)[0][1] == [run + "<|end|>"]
    read = Template(PromptSpec(template="chat"), reader).encode_answer("e", example("a?", "").messages[:1], answer)
    assert reader.decode(read) == "<|begin|><|User|>a?<|Assistant|><think>\n" + run + "<|end|>"


def test_a_question_that_ends_in_the_tag_opens_nothing() -> None:
    asked = problem(Message(role="user", content="What does R1 write first? <think>"))
    for template, name in (("chat", "qwen3"), ("nano", "qwen3"), ("{prompt}", "mistral"), ("chat", "mistral")):
        assert Template(PromptSpec(template=template), FAMILIES[name].tokenizer()).encode(asked).opening == ""


def test_reasoning_in_the_content_is_learnt_as_a_template_writes_reasoning_that_stands_apart() -> None:
    reader = FAMILIES["qwen3"].tokenizer()
    apart = {"role": "assistant", "reasoning_content": "2 and 2 is 4", "content": "It is 4."}
    own = reader.apply_chat_template([{"role": "user", "content": "2+2?"}, apart], tokenize=False)
    ((whole, _),) = lessons("chat", example("2+2?", REASONED), reader)
    assert whole + "\n" == own


CHANNELS = (
    "{% for m in messages %}<|start|>{{ m.role }}{% if m.role == 'assistant' %}<|channel|>final{% endif %}"
    "<|message|>{{ m.content }}{% if m.role == 'assistant' and loop.last %}<|end|>{% else %}<|turn|>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
"""As gpt-oss writes: the answer names its channel, which no prompt has written."""


@pytest.mark.parametrize("answer", ["4", " 4", "<think>2+2</think>4", "<|channel|>final<|message|>4"])
def test_what_a_template_writes_before_an_answer_is_learnt_with_it(answer: str) -> None:
    run = "<|channel|>final<|message|>" + answer.removeprefix("<|channel|>final<|message|>") + "<|end|>"
    assert learnt("chat", example("2+2?", answer), CHANNELS) == (
        f"<|start|>user<|message|>2+2?<|turn|><|start|>assistant{run}",
        [run],
    )
    template = Template(PromptSpec(template="chat"), tokenizer(CHANNELS))
    assert template.lead == "<|channel|>final<|message|>"
    read = template.encode_answer("e", example("2+2?", "").messages[:1], answer)
    assert tokenizer().decode(read).endswith(run)


def closing(tags: str) -> str:
    """A template whose prompt leaves reasoning out."""
    return CHATML.replace("<assistant>{% endif %}", "<assistant>" + tags + "{% endif %}")


CLOSED = ("<think>\n\n</think>\n\n", "<think></think>", "</think>", "<think> </think>\n")
"""As Qwen3 and DeepSeek-V3.1 write where they are told not to think."""


@pytest.mark.parametrize("tags", CLOSED)
@pytest.mark.parametrize("brought", ["", "<think>\n\n</think>\n\n", "</think>", " <think></think> "])
def test_behind_a_closed_tag_the_answer_alone_is_learnt(tags: str, brought: str) -> None:
    whole, runs = learnt("chat", example("2+2?", f"{brought}4"), closing(tags))
    assert (whole, runs) == (f"<user>2+2?<|end|>\n<assistant>{tags}4<|end|>", ["4<|end|>"])
    template = Template(PromptSpec(template="chat"), tokenizer(closing(tags)))
    assert template.opening == tags
    assert template.lead == ""


@pytest.mark.parametrize("tags", CLOSED)
@pytest.mark.parametrize("answer", ["<think>2+2</think>4", "2+2</think>4", "4 <think>so</think>"])
def test_reasoning_behind_a_closed_tag_is_refused(tags: str, answer: str) -> None:
    said = "data: e has reasoning in its answer, and the template's prompt leaves reasoning out"
    with pytest.raises(UserError, match=said):
        learnt("chat", example("2+2?", answer), closing(tags))
    with pytest.raises(UserError, match=said):
        learnt("chat", example("2+2?", answer, "3?", "3"), closing(tags))
    graded = Template(PromptSpec(template="chat"), tokenizer(closing(tags)))
    assert len(graded.encode_answer("e", example("2+2?", "").messages[:1], tags + answer)) > len(answer)


@pytest.mark.parametrize("tags", CLOSED)
def test_an_empty_thought_before_answers_of_the_past_is_no_lead(tags: str) -> None:
    chat = CHATML.replace(
        ">{{ m.content }}", f">{{% if m.role == 'assistant' %}}{tags}{{% endif %}}{{{{ m.content }}}}"
    )
    assert learnt("chat", example("2+2?", "4"), chat)[1] == ["4<|end|>"]
    assert learnt("chat", example("2+2?", "<think>x</think>4"), chat)[1] == ["<think>x</think>4<|end|>"]
