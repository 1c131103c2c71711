"""Area ``template``: what is learnt under one (T1), and what is read under one that opens ``<think>`` (T2, T3)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from dunwu.config.schema import PromptSpec, RewardSpec
from dunwu.errors import UserError
from dunwu.models.templates import Template
from dunwu.rollout.collect import collect
from dunwu.rollout.engine import Sample
from dunwu.rollout.scripted import ScriptedEngine
from dunwu.types import Completion, Example, GenerationRequest, Message, Problem, Sampling, Score
from dunwu.verifiers import RewardGrader
from tests.cases.running import Case
from tests.chat_templates import FAMILIES, byte_tokenizer

QUESTION = (Message(role="user", content="2+2?"),)


def check(case: Case) -> bool | None:
    """Whether the product does what the case expects; None for a kind that nothing here decides."""
    decide = KINDS.get(case["kind"])
    return None if decide is None else decide(case)


def is_learnt(case: Case) -> bool | None:
    """Whether a family's lesson is its prompt, the answer from behind what the prompt opened, and its end of turn."""
    family = FAMILIES.get(case["input"]["family"].split(" ")[0])
    if family is None:
        return None
    answer, reader = str(case["input"]["answer"]), family.tokenizer()
    messages = (*QUESTION, Message(role="assistant", content=answer))
    template = Template(PromptSpec(template=case["input"]["template"]), reader)
    try:
        (lesson,) = template.tokenize_example(Example(id="case", category="", language="en", messages=messages))
    except UserError as error:
        return "case" in str(error)
    opened = family.prompt[family.prompt.rfind("<think>") :] if family.prompt.endswith("<think>\n") else ""
    wanted = family.lead + answer.removeprefix(opened).removeprefix(opened.rstrip()) + family.end
    learnt = reader.decode(lesson.token_ids[lesson.loss_mask])
    return bool(learnt == wanted and reader.decode(lesson.token_ids) == family.prompt + wanted)


def earns_its_format(case: Case) -> bool:
    """Whether the format part is the expected one."""
    score = _graded(case, RewardSpec(format_rule=case["input"]["format_rule"]), kind="math", gold="12")
    return score.parts["format"] == float(case["expected"])


def earns_its_accuracy(case: Case) -> bool:
    """Whether the accuracy is the expected one; the expectation says it in words."""
    given = case["input"]
    tests = (json.dumps(given["test"]),) if "test" in given else ()
    spec = RewardSpec(answer_in=given.get("answer_in", "answer-tag"))
    score = _graded(case, spec, kind=given["kind"], gold=given.get("gold", ""), tests=tests)
    expected = re.match(r"accuracy ([01])", str(case["expected"]))
    assert expected, case["expected"]
    return score.parts["accuracy"] == float(expected[1])


class _Said(ScriptedEngine):
    """Says one completion, and how it ended."""

    def __init__(self, case: Case) -> None:
        super().__init__(lambda problem, seed: "", byte_tokenizer(), eos_id=0)
        self._text, self._finish = case["input"]["completion"], case["input"].get("finish", "stop")

    def generate(
        self, requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> Iterator[tuple[Sample, Completion]]:
        nothing = np.zeros(0)
        yield (
            Sample(0, 0),
            Completion(
                token_ids=nothing.astype(np.int32),
                logprobs=nothing.astype(np.float32),
                text=self._text,
                finish=self._finish,
            ),
        )


def _graded(case: Case, reward: RewardSpec, *, kind: str, gold: str, tests: tuple[str, ...] = ()) -> Score:
    """Grade a completion of a prompt that ends as the case says, through everything between template and score."""
    reader = byte_tokenizer(eos_token="<|end|>")
    asking = json.dumps("<assistant>" + case["input"]["prompt ends in"].replace("\\n", "\n"))
    reader.chat_template = (
        "{% for m in messages %}{{ m.content + eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}{{ " + asking + " }}{% endif %}"
    )
    problem = Problem(
        id="case", task="case", kind=kind, level=0, language="en", messages=QUESTION, gold=gold, tests=tests
    )
    prompt = Template(PromptSpec(template="chat"), reader).encode(problem)
    with RewardGrader(reward) as grader:
        (group,) = collect(_Said(case), [GenerationRequest(prompt=prompt, seeds=(0,))], Sampling(), grader)
    return group.scores[0]


KINDS: Mapping[str, Callable[[Case], bool | None]] = {
    "T1": is_learnt,
    "T2": earns_its_format,
    "T3": earns_its_accuracy,
}
