"""What generated tasks are told under a chat template: whoever follows it earns the format and has an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.chat_templates import FAMILIES

from dunwu.config.schema import EvaluationSet, PromptSpec, RewardSpec, TaskSpec
from dunwu.models.templates import Template
from dunwu.pipeline.stages.prompts import (
    WHOLE_RESPONSES,
    InstructingEncoder,
    add_instruction,
    build_encoder,
    encode_held_out,
    write_instruction,
)
from dunwu.tasks import build_task
from dunwu.types import Completion, Message, Problem
from dunwu.verifiers import RewardGrader

CHAT = PromptSpec(template="chat")


def problem(task: str = "countdown", kind: str = "math") -> Problem:
    asked = Message(role="user", content="2+2?")
    return Problem(id="p", task=task, kind=kind, level=1, language="en", messages=(asked,), gold="4")


def written(text: str) -> Completion:
    nothing = np.zeros(0)
    return Completion(
        token_ids=nothing.astype(np.int32),
        logprobs=nothing.astype(np.float32),
        text=text,
        finish="stop",
    )


@pytest.mark.parametrize("rule", ["think-answer", "think-summary", "none"])
@pytest.mark.parametrize("where", ["answer-tag", "boxed", "last-line", "summary"])
@pytest.mark.parametrize("opening", ["<think>\n\n</think>\n\n", "</think>"])
def test_behind_a_closed_thought_no_reasoning_is_asked_and_the_answer_counts(
    where: str, rule: str, opening: str
) -> None:
    spec = RewardSpec.model_validate({"format_rule": rule, "answer_in": where})
    form = write_instruction(spec, opening)
    assert "think" not in form
    answer = form.removeprefix("Answer in this form: ").replace("answer here", "4")
    with RewardGrader(spec) as grader:
        score = grader.score(problem(), written(opening + answer))
    assert score.parts["accuracy"] == 1.0
    assert score.parts["format"] == float(rule == "none")


@pytest.mark.parametrize("opening", ["", "<think>\n"])
@pytest.mark.parametrize("rule", ["think-answer", "think-summary", "none"])
@pytest.mark.parametrize("where", ["answer-tag", "boxed", "last-line", "summary"])
def test_who_follows_the_instruction_earns_everything(where: str, rule: str, opening: str) -> None:
    spec = RewardSpec.model_validate({"format_rule": rule, "answer_in": where})
    form = write_instruction(spec, opening).partition(": ")[2]
    answer = form.replace("reasoning process here", "2 and 2 make 4.").replace("answer here", "4")
    with RewardGrader(spec) as grader:
        score = grader.score(problem(), written(opening + answer))
    assert score.parts["format"] == 1.0
    assert score.parts["accuracy"] == 1.0


@pytest.mark.parametrize("name", FAMILIES)
def test_generated_tasks_are_told_under_a_chat_template(name: str) -> None:
    reader, spec = FAMILIES[name].tokenizer(), RewardSpec()
    template = Template(CHAT, reader)
    asking = build_encoder(template, CHAT, spec, [TaskSpec(task="countdown")])
    plain = build_task(TaskSpec(task="countdown"), 0).get_problem(0)
    prompt = asking.encode(plain)
    assert prompt.problem is plain
    told = f"{plain.messages[0].content}\n\n{write_instruction(spec, template.opening)}"
    assert told in reader.decode(prompt.token_ids)
    assert "<answer> answer here </answer>" in told
    assert prompt.opening == template.opening == ("<think>\n" if name == "r1-distill" else "")


@pytest.mark.parametrize("template", ["nano", "r1-zero", "Q: {prompt}"])
def test_nobody_is_told_under_another_template(template: str) -> None:
    reader, spec = FAMILIES["qwen3"].tokenizer(), PromptSpec(template=template)
    plain = Template(spec, reader)
    asked = build_encoder(plain, spec, RewardSpec(), [TaskSpec(task="countdown")]).encode(problem())
    assert asked.token_ids.tolist() == plain.encode(problem()).token_ids.tolist()


def test_files_and_open_questions_say_themselves_how_to_answer() -> None:
    path = Path("questions.jsonl")
    specs = [
        *(TaskSpec(task="countdown"), TaskSpec(task="gym", set="chain_sum"), TaskSpec(task="mine.py:double")),
        *(TaskSpec(task="gsm8k", path=path), TaskSpec(task="mine.py:read", path=path), TaskSpec(task="talk")),
    ]
    asking = InstructingEncoder(Template(CHAT, FAMILIES["qwen3"].tokenizer()), "So.", specs)
    assert asking.instruct(problem()).messages[0].content == "2+2?\n\nSo."
    assert asking.instruct(problem("gym-chain_sum")).messages[0].content == "2+2?\n\nSo."
    assert asking.instruct(problem("double")).messages[0].content == "2+2?\n\nSo."
    assert asking.instruct(problem("gsm8k")) == problem("gsm8k")
    assert asking.instruct(problem("read")) == problem("read")
    for kind in WHOLE_RESPONSES:
        assert asking.instruct(problem("talk", kind)) == problem("talk", kind)
    assert asking.instruct(problem("gsm8k"), "Own.") == add_instruction(problem("gsm8k"), "Own.")


def test_a_set_s_own_instruction_takes_the_place_of_ours() -> None:
    reader: Any = FAMILIES["qwen3"].tokenizer()
    template = Template(CHAT, reader)
    sets = [
        EvaluationSet(name="own", task=TaskSpec(task="countdown"), problems=2, instruction="Own words."),
        EvaluationSet(name="ours", task=TaskSpec(task="countdown"), problems=2),
    ]
    asking = build_encoder(template, CHAT, RewardSpec(), [chosen.task for chosen in sets])
    prompts = encode_held_out(sets, 0, template, asking.instruct)
    texts = {name: [reader.decode(one.token_ids) for one in found] for name, found in prompts.items()}
    assert all("\n\nOwn words.<|im_end|>" in text and "in this form" not in text for text in texts["own"])
    assert all(write_instruction(RewardSpec()) + "<|im_end|>" in text for text in texts["ours"])
