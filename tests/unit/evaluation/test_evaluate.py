"""What an evaluation says and what it writes down, reckoned by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from dunwu.evaluation.evaluate import evaluate, summarize, to_rows
from dunwu.rollout.engine import Sample
from dunwu.types import (
    Completion,
    Finish,
    GenerationRequest,
    Message,
    Problem,
    Prompt,
    RolloutGroup,
    Sampling,
    Score,
    ScoredGroup,
)

Answer = tuple[str, float, float, int, Finish]
"""Text (the last word is the answer), accuracy, format, tokens, finish."""


def problem(name: str, gold: str) -> Problem:
    question = (Message(role="system", content="be brief"), Message(role="user", content=f"{name}?"))
    return Problem(id=name, task="t", kind="text", level=3, language="en", messages=question, gold=gold)


def completion(text: str, tokens: int = 1, finish: Finish = "stop") -> Completion:
    ids = np.zeros(tokens, np.int32)
    return Completion(token_ids=ids, logprobs=ids.astype(np.float32), text=text, finish=finish)


def group(name: str, gold: str, answers: Sequence[Answer]) -> ScoredGroup:
    completions = tuple(completion(text, tokens, finish) for text, _, _, tokens, finish in answers)
    scores = tuple(
        Score(
            value=right + form,
            parts={"accuracy": right, "format": form},
            status="truncated" if finish == "length" else "graded",
            extracted=text.split()[-1],
            reason="",
        )
        for text, right, form, _, finish in answers
    )
    prompt = Prompt(problem=problem(name, gold), token_ids=np.zeros(1, np.int32))
    return ScoredGroup(group=RolloutGroup(prompt=prompt, completions=completions), scores=scores)


GROUPS = [
    group("a", "cat", [("cat", 1, 1, 2, "stop"), ("wait wait cat", 1, 0, 6, "stop"), ("dog", 0, 1, 4, "length")]),
    group("b", "one", [("two", 0, 1, 1, "stop"), ("two", 0, 1, 1, "stop"), ("check one", 1, 1, 4, "stop")]),
]


def test_the_summary_is_the_mean_over_problems() -> None:
    results = summarize(GROUPS, 3)
    assert {name: estimate.value for name, estimate in results.items()} == pytest.approx(
        {
            "pass@1": (2 / 3 + 1 / 3) / 2,
            "pass@3": 1.0,
            "cons@3": 0.5,  # a is voted cat, b is voted two
            "format": (2 / 3 + 1) / 2,
            "truncated": (1 / 3 + 0) / 2,
            "length": (4 + 2) / 2,
            "reflections": (2 / 3 + 1 / 3) / 2,
            "reflection_rate": (1 / 3 + 1 / 3) / 2,
            "language": 1.0,
        }
    )
    for name, estimate in results.items():
        assert estimate.low <= estimate.value <= estimate.high, name


def test_what_a_user_s_function_gave_is_averaged_where_it_gave_something() -> None:
    given: list[list[float | None]] = [[0.5, 1.0, None], [0.25, 0.25, 0.25]]
    groups = [
        replace(
            group,
            scores=tuple(
                replace(score, parts={**score.parts, **({} if value is None else {"short": value})})
                for score, value in zip(group.scores, values, strict=True)
            ),
        )
        for group, values in zip(GROUPS, given, strict=True)
    ]
    results = summarize(groups, 3)
    assert results["short"].value == pytest.approx((0.75 + 0.25) / 2)
    assert {name: value for name, value in results.items() if name != "short"} == summarize(GROUPS, 3)
    nothing = replace(groups[0], scores=GROUPS[0].scores)
    assert summarize([nothing, groups[1]], 3)["short"].value == pytest.approx(0.25)


def test_intervals_are_drawn_from_the_problems() -> None:
    results = summarize(GROUPS, 3)
    spans = {name: (results[name].low, results[name].high) for name in ("pass@1", "cons@3", "pass@3")}
    assert spans["pass@1"] == pytest.approx((1 / 3, 2 / 3))  # both draws of the one problem, or of the other
    assert spans["cons@3"] == pytest.approx((0, 1))
    assert spans["pass@3"] == pytest.approx((2 / (2 + 1.959964**2), 1))  # Wilson's of 2 of 2, not certainty


def test_rows_say_who_answered_what() -> None:
    written = to_rows(GROUPS)
    assert [(row.problem_id, row.index, row.right, row.tokens, row.reflections) for row in written] == [
        *[("a", 0, 1, 2, 0), ("a", 1, 1, 6, 2), ("a", 2, 0, 4, 0)],
        *[("b", 0, 0, 1, 0), ("b", 1, 0, 1, 0), ("b", 2, 1, 4, 1)],
    ]
    last = written[-1]
    assert (last.prompt, last.gold, last.completion, last.extracted) == ("b?", "one", "check one", "one")
    assert (last.level, last.language) == (3, "en")


class Echo:
    """An engine and a grader: the answer is its own seed, and every answer is right."""

    policy_version = 0
    workers = 1

    def generate(
        self, requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> Iterator[tuple[Sample, Completion]]:
        for number, request in enumerate(requests):
            for index, seed in enumerate(request.seeds):
                yield Sample(number, index), completion(str(seed))

    def score_group(self, group: RolloutGroup, scores: Sequence[Score], update: int) -> tuple[Score, ...]:
        return tuple(scores)

    def score(self, problem: Problem, completion: Completion) -> Score:
        return Score(value=1, parts={"accuracy": 1, "format": 1}, status="graded", extracted=None, reason="")

    def update_weights(self, *_: object) -> None:
        raise AssertionError("an evaluation changes no weights")

    def close(self) -> None:
        raise AssertionError("the engine is the stage's")


def seeds(names: str, *, samples: int = 2, seed: int = 0, set_name: str = "s") -> dict[str, tuple[str, ...]]:
    """What each problem's completions were drawn with."""
    prompts = [Prompt(problem=problem(name, "x"), token_ids=np.zeros(1, np.int32)) for name in names]
    groups = evaluate(Echo(), prompts, Echo(), Sampling(), samples=samples, seed=seed, set_name=set_name)
    return {g.group.prompt.problem.id: tuple(c.text for c in g.group.completions) for g in groups}


def test_a_problem_s_seeds_depend_on_nothing_but_its_place() -> None:
    whole = seeds("abc")
    assert len({seed for drawn in whole.values() for seed in drawn}) == 6
    assert seeds("ca") == {name: whole[name] for name in "ca"}
    assert seeds("a", samples=5)["a"][:2] == whole["a"]
    for other in (seeds("a", seed=1), seeds("a", set_name="t")):
        assert not set(other["a"]) & set(whole["a"])
