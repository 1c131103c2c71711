"""What rejection sampling keeps, and what it says of the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dunwu.config.packaged import NANO_BASE
from dunwu.config.schema import PromptSpec, RejectStage, TaskSpec
from dunwu.errors import UserError
from dunwu.models.load import load_policy
from dunwu.models.templates import Template
from dunwu.pipeline.stages.answer_sampling import describe_counts, draw_distinct_prompts, filter_answers, keep_text
from dunwu.tasks import build_mixture
from dunwu.types import Completion, Message, Problem, Prompt, RolloutGroup, Score, ScoredGroup

STAGE: dict[str, Any] = {
    "kind": "reject",
    "from": "nowhere",
    "tasks": [{"task": "countdown"}],
    "questions": 1,
    "answer_filter": {"paragraph": 60},
}
GOOD = "<think>first two and three make five</think><answer>5</answer>"


def group(*texts: str, language: str = "en", wrong: int = 0, cut: int = 0) -> ScoredGroup:
    """The last ``wrong`` answers are wrong, the first ``cut`` were cut off."""
    asked = (Message(role="user", content="2+3?"),)
    problem = Problem(id="p", task="t", kind="math", level=0, language=language, messages=asked, gold="5")
    ids = np.zeros(7, np.int32)
    completions = tuple(
        Completion(
            token_ids=ids,
            logprobs=ids.astype(np.float32),
            text=text,
            finish="length" if place < cut else "stop",
        )
        for place, text in enumerate(texts)
    )
    rights = [float(place < len(texts) - wrong) for place in range(len(texts))]
    scores = tuple(
        Score(value=right, parts={"accuracy": right, "format": 1.0}, status="graded", extracted="5", reason="")
        for right in rights
    )
    return ScoredGroup(
        group=RolloutGroup(prompt=Prompt(problem=problem, token_ids=ids), completions=completions), scores=scores
    )


def kept(made: ScoredGroup, **fields: Any) -> tuple[list[str], dict[str, float]]:
    examples, counts = filter_answers(RejectStage.model_validate(STAGE | fields), made, keep_text)
    assert all(example.messages[0].content == "2+3?" for example in examples)
    return [example.messages[-1].content for example in examples], counts["t"]


@pytest.mark.parametrize(
    ("text", "language", "reason"),
    [
        (GOOD, "en", None),
        (GOOD.replace("</think>", ""), "en", "format"),
        (GOOD.replace("five", "```x = 5```"), "en", "code block"),
        (GOOD.replace("five", "five " * 20), "en", "long paragraph"),
        (GOOD.replace("five", "\n\nfive two three"), "en", None),
        (GOOD.replace("five", "\n\n".join(["one two three four five six"] * 40)), "en", "repetitive"),
        (GOOD, "zh", "mixed language"),
        ("<think>先算二加三</think><answer>5</answer>", "zh", None),
        ("<think>2+3=5</think><answer>5</answer>", "zh", None),
    ],
)
def test_what_is_readable(text: str, language: str, reason: str | None) -> None:
    texts, numbers = kept(group(text, language=language))
    assert texts == ([text] if reason is None else [])
    assert numbers.get(reason or "kept") == 1


def test_the_first_different_right_answers_are_kept() -> None:
    other = GOOD.replace("first", "then")
    third = GOOD.replace("first", "now")
    texts, numbers = kept(group(GOOD, GOOD, other, third, GOOD, wrong=1), keep=2)
    assert texts == [GOOD, other]
    assert numbers == {"questions": 1, "answers": 5, "kept": 2, "tokens": 14, "same": 1, "spare": 1, "wrong": 1}
    assert describe_counts(numbers) == "2 of 5 answers kept, 7.0 tokens on average; gone: 1 same, 1 spare, 1 wrong"


def test_the_first_reason_is_told_once() -> None:
    _, numbers = kept(group("no format at all", wrong=1, cut=1))
    assert numbers == {"questions": 1, "answers": 1, "wrong": 1}
    assert describe_counts(numbers) == "0 of 1 answers kept, 0.0 tokens on average; gone: 1 wrong"
    assert kept(group(GOOD, cut=1))[1]["cut off"] == 1


def test_no_question_is_asked_twice_and_too_few_are_told(tmp_path: Path) -> None:
    rows = [{"q": f"{n}+1?", "a": f"{n + 1}"} for n in range(5)]
    (tmp_path / "few.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    fields = {"problem": "q", "answer": "a"}
    spec = TaskSpec(task="file", path=tmp_path / "few.jsonl", fields=fields, held_out=0.0)
    template = Template(PromptSpec(template="nano"), load_policy(NANO_BASE, device="cpu").tokenizer)
    found = draw_distinct_prompts(build_mixture([spec], 1), template, 5)
    assert len({prompt.problem.id for prompt in found}) == 5
    with pytest.raises(UserError, match="questions: the tasks have 5 different ones: ask for so many or fewer"):
        draw_distinct_prompts(build_mixture([spec], 1), template, 6)
