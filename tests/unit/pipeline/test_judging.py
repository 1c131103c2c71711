"""Judges: of pairs, in whose order nothing lies, asked once and remembered; and of answers against the known one."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dunwu.config.schema import EndpointSpec, PairJudgeSpec, RewardModelStage, TruthJudgeSpec
from dunwu.errors import Fault, Interrupted, UserError
from dunwu.pipeline.judges.answer_judges import PairJudge, TruthJudge
from dunwu.pipeline.judges.prompting import LONGEST_REPLY
from dunwu.pipeline.stages.reward_cases import decide_pairs
from dunwu.rollout.remote import Endpoint
from dunwu.runs.jsonl import read_numbers
from dunwu.types import Completion, Message, Preference, Problem, Prompt, RolloutGroup, Score, ScoredGroup

ASKED = (Message(role="user", content="Why {first}?"),)
LENGTHS = "def judge(question, first, second):\n    return len(first), len(second)\n"
FIRST = "def judge(question, first, second):\n    return 3, 0\n"


def pair(name: str, chosen: str, rejected: str) -> Preference:
    return Preference(
        id=name, category="c", language="en", messages=ASKED, question=name, chosen=chosen, rejected=rejected
    )


def own(folder: Path, source: str, judgements: int = 4) -> PairJudge:
    (folder / "judge.py").write_text(source)
    spec = PairJudgeSpec(by="custom", file=folder / "judge.py", judgements=judgements)
    return PairJudge(spec, 7, folder / "judgements.jsonl", lambda told: None)


def ahead(judge: PairJudge, place: int, asked: Preference, read: Callable[[str], str] = str) -> float:
    return judge.compare({place: asked}, read)[place]


def test_an_answer_is_as_far_ahead_whichever_is_shown_first(tmp_path: Path) -> None:
    judge = own(tmp_path, LENGTHS)
    assert ahead(judge, 0, pair("a", "xxxxx", "xx")) == 3.0
    assert ahead(judge, 1, pair("b", "x", "xxx")) == -2.0
    assert ahead(judge, 2, pair("c", "<think>xxxxxxx</think>x", "xxx"), lambda text: text[-1:]) == 0.0


def test_who_likes_the_first_answer_best_says_nothing_on_average(tmp_path: Path) -> None:
    judge = own(tmp_path, FIRST)
    said = [ahead(judge, place, pair(str(place), "x", "y")) for place in range(200)]
    assert abs(sum(said) / len(said)) < 0.5
    assert set(said) == {3.0, 1.5, 0.0, -1.5, -3.0}


def test_what_was_said_is_remembered_also_after_a_torn_line(tmp_path: Path) -> None:
    first = ahead(own(tmp_path, FIRST), 3, pair("a", "x", "y"))
    with (tmp_path / "judgements.jsonl").open("a") as file:
        file.write('{"step": 4, "judgem')
    again = own(tmp_path, "def judge(*_):\n    raise AssertionError\n")
    assert ahead(again, 3, pair("a", "x", "y")) == first
    with pytest.raises(UserError, match=r"judge raises AssertionError"):
        ahead(again, 4, pair("b", "x", "y"))


@pytest.mark.parametrize(
    "returned",
    [
        "None",
        "3",
        "(1, 2, 3)",
        "('a', 'b')",
        "(float('nan'), 1)",
        "(1, float('inf'))",
        "'91'",
        "{9, 1}",
        "('9', '1')",
        "(10**400, 1)",
        "(True, 1)",
    ],
)
def test_what_is_not_two_numbers_is_told(tmp_path: Path, returned: str) -> None:
    judge = own(tmp_path, f"def judge(*_):\n    return {returned}\n")
    with pytest.raises(UserError, match="not two numbers"):
        ahead(judge, 0, pair("a", "x", "y"))


def test_an_endpoint_s_scores_are_read_and_nothing_is_filled_into_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def ask(_: Endpoint, text: str) -> str:
        asked.append(text)
        return "A: 8, B: 5.5" if "Answer A: {second}" in text else "**A**: 5.5\n**B**: 8"

    monkeypatch.setattr(Endpoint, "ask", ask)
    spec = PairJudgeSpec(by="endpoint", endpoint=EndpointSpec(url="http://127.0.0.1:1/v1", model="m"))
    judge = PairJudge(spec, 0, tmp_path / "judgements.jsonl", lambda told: None)
    assert ahead(judge, 0, pair("a", "{second}", "plain")) == 2.5
    assert len(asked) == 4
    assert all("Question: Why {first}?" in text for text in asked)
    assert len(set(asked)) == 2, "both orders were asked"
    monkeypatch.setattr(Endpoint, "ask", lambda *_: "both are fine")
    with pytest.raises(Fault, match="gives no scores for A and B in 3 tries"):
        ahead(judge, 1, pair("b", "x", "y"))


def test_pairs_that_are_near_are_left_out_and_judged_ones_not_asked_about(tmp_path: Path) -> None:
    stage = RewardModelStage.model_validate(
        {
            "kind": "reward_model",
            "from": "nano-base",
            "data": ["d"],
            "learn_from": "pairs",
            "input": "all",
            "margin": 1.0,
        }
    )
    read = [
        (pair("far", "xxxxx", "x"), None),
        (pair("near", "xx", "x"), None),
        (pair("turned", "x", "xxxxx"), None),
        (pair("told", "x", "xxxxx"), 2.0),
    ]
    kept = decide_pairs(stage, read, own(tmp_path, LENGTHS))
    assert [(one.id, one.chosen) for one in kept] == [("far", "xxxxx"), ("turned", "xxxxx"), ("told", "x")]
    assert [one.id for one in decide_pairs(stage, read, None)] == ["far", "near", "turned", "told"]


def group(task: str, *texts: str) -> ScoredGroup:
    problem = Problem(id="p", task=task, kind="math", level=0, language="en", messages=ASKED, gold="forty two")
    ids = np.zeros(1, np.int32)
    completions = tuple(
        Completion(token_ids=ids, logprobs=ids.astype(np.float32), text=text, finish="stop") for text in texts
    )
    wrong = Score(value=0.0, parts={"accuracy": 0.0, "format": 1.0}, status="graded", extracted=None, reason="")
    made = RolloutGroup(prompt=Prompt(problem=problem, token_ids=ids), completions=completions)
    return ScoredGroup(group=made, scores=(wrong,) * len(texts))


def accuracies(scored: ScoredGroup) -> list[float]:
    return [score.parts["accuracy"] for score in scored.scores]


def test_a_judge_decides_in_the_place_of_rules_for_its_tasks_alone(tmp_path: Path) -> None:
    source = "def judge(question, gold, answer):\n    return gold == 'forty two' and '42' in answer\n"
    (tmp_path / "judge.py").write_text(source)
    judge = TruthJudge(TruthJudgeSpec(by="custom", file=tmp_path / "judge.py", tasks=("words",)))
    texts = ("<think>42</think> 42", "<think>42</think> 41", "<think>42</think>")
    assert accuracies(judge.judge(group("words", *texts))) == [1.0, 0.0, 0.0]
    assert accuracies(judge.judge(group("sums", *texts))) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "returned", ["'no'", "0.01", "None", "1", "[True]", "type('T', (), {'__bool__': lambda s: 1/0})()"]
)
def test_a_verdict_is_true_or_false(tmp_path: Path, returned: str) -> None:
    (tmp_path / "judge.py").write_text(f"def judge(*_):\n    return {returned}\n")
    judge = TruthJudge(TruthJudgeSpec(by="custom", file=tmp_path / "judge.py"))
    with pytest.raises(UserError, match="neither True nor False") as caught:
        judge.judge(group("t", "42"))
    assert caught.value.field == "judge.function"


def test_scores_are_the_last_that_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "<think>A: 9? B: 1?</think> First A: 1, on a second look A: 2 B: 8"
    monkeypatch.setattr(Endpoint, "ask", lambda *_: said)
    spec = PairJudgeSpec(by="endpoint", endpoint=EndpointSpec(url="http://127.0.0.1:1/v1", model="m"), judgements=1)
    judge = PairJudge(spec, 0, tmp_path / "judgements.jsonl", lambda told: None)
    assert abs(ahead(judge, 0, pair("a", "x", "y"))) == 6.0


def test_an_endpoint_s_verdict_is_its_first_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Endpoint, "ask", lambda _, text: "**Yes**, it does" if "Answer: 42" in text else "No.")
    spec = TruthJudgeSpec(by="endpoint", endpoint=EndpointSpec(url="http://127.0.0.1:1/v1", model="m"))
    assert accuracies(TruthJudge(spec).judge(group("t", "42", "41"))) == [1.0, 0.0]
    monkeypatch.setattr(Endpoint, "ask", lambda *_: "Hard to say: yes and no")
    with pytest.raises(Fault, match="neither yes nor no in 3 tries"):
        TruthJudge(spec).judge(group("t", "42"))


@pytest.mark.parametrize("opening", ["", "<think>"])
def test_a_verdict_comes_after_the_reasoning_however_long_that_is(
    monkeypatch: pytest.MonkeyPatch, opening: str
) -> None:
    spec = TruthJudgeSpec(by="endpoint", endpoint=EndpointSpec(url="http://127.0.0.1:1/v1", model="m"))
    monkeypatch.setattr(Endpoint, "ask", lambda *_: f"{opening}No. {'Hm. ' * LONGEST_REPLY}</think>\n\nYes.")
    assert accuracies(TruthJudge(spec).judge(group("t", "42"))) == [1.0]
    monkeypatch.setattr(Endpoint, "ask", lambda *_: "<think>Yes, or")
    with pytest.raises(Fault, match="neither yes nor no in 3 tries"):
        TruthJudge(spec).judge(group("t", "42"))


def test_scores_out_of_range_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replies = iter(["A: 99, B: 5", "A: -3, B: 4", "A 1 " * 4000, "A: 10, B: 0.5"])
    monkeypatch.setattr(Endpoint, "ask", lambda *_: next(replies, "A: 10, B: 0.5"))
    spec = PairJudgeSpec(by="endpoint", endpoint=EndpointSpec(url="http://127.0.0.1:1/v1", model="m"), judgements=1)
    with pytest.raises(Fault, match="gives no scores"):
        ahead(PairJudge(spec, 0, tmp_path / "judgements.jsonl", lambda told: None), 0, pair("a", "x", "y"))
    assert (
        abs(ahead(PairJudge(spec, 0, tmp_path / "judgements.jsonl", lambda told: None), 0, pair("a", "x", "y"))) == 9.5
    )


def test_a_stop_and_a_dataclass_pass_through_a_user_s_file(tmp_path: Path) -> None:
    source = """
from __future__ import annotations
from dataclasses import dataclass
from dunwu.errors import Interrupted

@dataclass
class Seen:
    count: int = 0

def judge(*_):
    raise Interrupted("asked to stop")
"""
    with pytest.raises(Interrupted, match="asked to stop"):
        ahead(own(tmp_path, source), 0, pair("a", "x", "y"))


def test_an_endpoint_is_asked_about_many_pairs_at_once_and_no_two_answers_are_swapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is answered before three are waiting: one at a time would wait for ever."""
    waiting = threading.Barrier(3, timeout=60)

    def ask(_: Endpoint, text: str) -> str:
        waiting.wait()
        long, short = (re.search(f"Answer {name}: (x*)", text) for name in "AB")
        assert long is not None
        assert short is not None
        return f"A: {len(long[1])} B: {len(short[1])}"

    monkeypatch.setattr(Endpoint, "ask", ask)
    endpoint = EndpointSpec(url="http://127.0.0.1:1/v1", model="m", concurrency=3)
    spec = PairJudgeSpec(by="endpoint", endpoint=endpoint, judgements=1)
    told: list[str] = []
    judge = PairJudge(spec, 0, tmp_path / "judgements.jsonl", told.append)
    pairs = {place: pair(str(place), "x" * (place % 9 + 1), "x") for place in range(102)}
    assert judge.compare(pairs, str) == {place: place % 9 for place in range(102)}
    assert [row["step"] for row in read_numbers(tmp_path / "judgements.jsonl")] == list(range(102))
    assert told == ["100/102 pairs judged"]
