"""Collecting: order, failures of the verifier, and the scripted engine underneath."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from dunwu.errors import Interrupted
from dunwu.models.weights import WeightUpdate
from dunwu.rollout.collect import collect
from dunwu.rollout.engine import Sample
from dunwu.rollout.scripted import ScriptedEngine
from dunwu.types import Completion, GenerationRequest, Problem, RolloutGroup, Sampling, Score, VersionSpan

from .conftest import requests_of


def script(problem: Problem, seed: int) -> str:
    """The problem's name and the sample's number in its group."""
    return f"{problem.id}:{seed % 100}"


class FailsOn:
    """Grades by the text's last digit; fails on the texts named."""

    workers = 1

    def __init__(self, *texts: str) -> None:
        self._texts = texts
        self.threads: set[int] = set()

    def score_group(self, group: RolloutGroup, scores: Sequence[Score], update: int) -> tuple[Score, ...]:
        return tuple(scores)

    def score(self, problem: Problem, completion: Completion) -> Score:
        assert completion.text.startswith(problem.id)
        self.threads.add(threading.get_ident())
        failed = completion.text in self._texts
        value = 0.0 if failed else float(completion.text[-1])
        status = "verifier_failed" if failed else "graded"
        return Score(value=value, parts={}, status=status, extracted=None, reason="")  # type: ignore[arg-type]


@pytest.fixture
def engine(tokenizer: Any) -> ScriptedEngine:
    return ScriptedEngine(script, tokenizer, eos_id=tokenizer.eos_token_id)


def test_groups_come_back_graded_and_in_order(engine: ScriptedEngine) -> None:
    requests = requests_of((3, 4, 5), 3)
    grader = FailsOn()
    groups = collect(engine, requests, Sampling(), grader)
    assert [g.group.prompt.problem.id for g in groups] == ["p0", "p1", "p2"]
    assert [[s.value for s in g.scores] for g in groups] == [[0.0, 1.0, 2.0]] * 3
    assert len(grader.threads) == 1
    assert threading.get_ident() not in grader.threads


def test_what_could_not_be_graded_stays_on_record(engine: ScriptedEngine) -> None:
    groups = collect(engine, requests_of((3, 4), 2), Sampling(), FailsOn("p0:1"))
    assert [[s.status for s in g.scores] for g in groups] == [["graded", "verifier_failed"], ["graded", "graded"]]
    assert [c.text for c in groups[0].group.completions] == ["p0:0", "p0:1"]


def test_progress_is_told_by_completions(engine: ScriptedEngine) -> None:
    told: list[tuple[int, int]] = []
    collect(engine, requests_of((3, 4, 5), 2), Sampling(), FailsOn(), lambda done, total: told.append((done, total)))
    assert told == [(done, 6) for done in range(1, 7)]


class Meeting(FailsOn):
    """Two completions must be under its eyes at once; it lets the later one go first."""

    workers = 2

    def __init__(self) -> None:
        super().__init__()
        self._meeting = threading.Barrier(2)
        self._later = threading.Event()

    def score(self, problem: Problem, completion: Completion) -> Score:
        self._meeting.wait(20)
        if problem.id == "p1":
            self._later.set()
        assert self._later.wait(20)
        return Score(value=float(problem.id[-1]), parts={}, status="graded", extracted=None, reason="")


def test_groups_are_graded_by_all_workers_and_keep_their_order(engine: ScriptedEngine) -> None:
    groups = collect(engine, requests_of((3, 4), 1), Sampling(), Meeting())
    assert [(g.group.prompt.problem.id, g.scores[0].value) for g in groups] == [("p0", 0.0), ("p1", 1.0)]


def test_an_interruption_waits_for_no_grade(engine: ScriptedEngine) -> None:
    begun, released = threading.Event(), threading.Event()
    graded: list[str] = []

    class Slow(FailsOn):
        def score(self, problem: Problem, completion: Completion) -> Score:
            begun.set()
            released.wait(5)
            graded.append(completion.text)
            return super().score(problem, completion)

    def stop(done: int, total: int) -> None:
        if done == total:
            assert begun.wait(20)
            raise Interrupted("stop")

    with pytest.raises(Interrupted):
        collect(engine, requests_of((3, 4, 5), 1), Sampling(), Slow(), stop)
    assert graded == []
    released.set()
    for thread in threading.enumerate():
        if thread.name.startswith("grader"):
            thread.join(20)
    assert len(graded) == 1, "what waited in the queue is never graded"


def test_an_error_of_the_grader_is_not_hidden(engine: ScriptedEngine) -> None:
    with pytest.raises(ValueError, match="could not convert"):
        collect(
            ScriptedEngine(lambda p, s: f"{p.id}?", engine._tokenizer, eos_id=0),
            requests_of((3,), 2),
            Sampling(),
            FailsOn(),
        )


def test_the_scripted_engine_wears_the_engines_face(engine: ScriptedEngine, tokenizer: Any) -> None:
    engine.update_weights(WeightUpdate.in_memory(4, [("a", torch.zeros(1))]))
    ((_, whole),) = engine.generate(requests_of((3,), 1), Sampling())
    ((_, cut),) = engine.generate(requests_of((3,), 1), Sampling(max_new_tokens=3))
    token_ids = tokenizer.encode("p0:0")
    assert whole.token_ids.tolist() == [*token_ids, tokenizer.eos_token_id]
    assert (whole.text, whole.finish) == ("p0:0", "stop")
    assert whole.version_spans == (VersionSpan(version=4, start=0, end=len(whole.token_ids)),)
    assert whole.policy_version == 4
    assert cut.token_ids.tolist() == token_ids[:3]
    assert (cut.text, cut.finish) == (tokenizer.decode(token_ids[:3]), "length")
    np.testing.assert_allclose(cut.logprobs, [-1.0, -1 / 2, -1 / 3], rtol=1e-6)


def test_a_completion_is_graded_while_its_group_still_decodes(engine: ScriptedEngine) -> None:
    graded = threading.Event()

    class Telling(FailsOn):
        def score(self, problem: Problem, completion: Completion) -> Score:
            score = super().score(problem, completion)
            graded.set()
            return score

    class OneByOne(ScriptedEngine):
        def generate(
            self, requests: Sequence[GenerationRequest], sampling: Sampling
        ) -> Iterator[tuple[Sample, Completion]]:
            first, *rest = super().generate(requests, sampling)
            yield first
            assert graded.wait(20), "the first completion waits for its group"
            yield from rest

    slow = OneByOne(script, engine._tokenizer, eos_id=engine._tokenizer.eos_token_id)
    (group,) = collect(slow, requests_of((3,), 3), Sampling(), Telling())
    assert [score.value for score in group.scores] == [0.0, 1.0, 2.0]


def test_waiting_begins_when_nothing_is_left_to_generate(engine: ScriptedEngine) -> None:
    log: list[str] = []

    @contextmanager
    def noted(name: str) -> Iterator[None]:
        log.append(f"{name} begins")
        yield
        log.append(f"{name} ends")

    class Weighing(FailsOn):
        def score_group(self, group: RolloutGroup, scores: Sequence[Score], update: int) -> tuple[Score, ...]:
            log.append(f"weighed at {update}")
            return tuple(scores)

    collect(
        engine,
        requests_of((3, 4), 1),
        Sampling(),
        Weighing(),
        update=7,
        generating=noted("generating"),
        waiting=noted("waiting"),
    )
    assert log == [
        *["generating begins", "generating ends", "waiting begins"],
        *["weighed at 7", "weighed at 7", "waiting ends"],
    ]


def test_an_answer_begins_with_the_tag_that_its_prompt_opened(tokenizer: Any) -> None:
    engine = ScriptedEngine(lambda problem, seed: "so</think>4", tokenizer, eos_id=tokenizer.eos_token_id)
    plain, opened = requests_of((3, 4), 2)
    opened = replace(opened, prompt=replace(opened.prompt, opening="<think>\n"))
    seen = list[str]()

    class Reads(FailsOn):
        def score(self, problem: Problem, completion: Completion) -> Score:
            seen.append(completion.text)
            return Score(value=0.0, parts={}, status="graded", extracted=None, reason="")

    groups = collect(engine, [plain, opened], Sampling(), Reads())
    texts = ["so</think>4"] * 2 + ["<think>\nso</think>4"] * 2
    assert [one.text for group in groups for one in group.group.completions] == texts
    assert sorted(seen) == sorted(texts)
    written = [one.token_ids.tolist() for group in groups for one in group.group.completions]
    assert written == [written[0]] * 4  # the tag is the prompt's: it is not learnt as if it had been written
