"""Filters and search over rollouts, against looking at every row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.made_runs import STAGE

from dunwu.analysis.reasoning.facts import extract_facts, hash_problem_id
from dunwu.observatory.web import rollout_filter
from dunwu.observatory.web.rollout_filter import RolloutFilter, find_page, select_rows
from dunwu.observatory.web.watched_runs import WatchedRuns
from dunwu.runs import AnswerRow, RunReader


def asked(**fields: str | list[str]) -> RolloutFilter:
    return RolloutFilter.parse({name: value if isinstance(value, list) else [value] for name, value in fields.items()})


def test_filters_agree_with_looking_at_every_row(directory: Path, watched: WatchedRuns) -> None:
    rows = RunReader(directory).stage(STAGE).read_rollouts()
    found = [one | {"row": row} for step in range(16, 97, 16) for one, row in _facts(directory, step)]
    index = watched[0].open_index(STAGE)
    columns = index.join_columns()
    assert len(columns["step"]) == len(rows) == len(found)
    cases: dict[RolloutFilter, Callable[[dict[str, Any]], bool]] = {
        asked(): lambda f: True,
        asked(verdict="right"): lambda f: f["verdict"] == 1 and f["graded"],
        asked(verdict="wrong", step_from="32", step_to="64"): lambda f: f["verdict"] == 0 and 32 <= f["step"] <= 64,
        asked(reward_from="2"): lambda f: f["value"] >= 2,
        asked(level="3", language="en", task="countdown"): lambda f: True,
        asked(language="zh"): lambda f: False,
        asked(shows=["verification", "backtracking"]): lambda f: f["verification"] and f["backtracking"],
        asked(cut="1"): lambda f: f["truncated"],
        asked(turn="mended"): lambda f: f["turn"] == 1,
        asked(problem=str(hash_problem_id("t3"))): lambda f: f["row"].problem_id == "t3",
        asked(reward_from="0", step_from="0", level="0"): lambda f: False,
    }
    for question, holds in cases.items():
        expected = [place for place, one in enumerate(found) if holds(one)]
        assert sorted(select_rows(index, columns, question)) == expected, question
        assert RolloutFilter.parse(_fields(question)) == question, "its address gives it again"
    assert 0 < sum(bool(cases[question](f)) for question in list(cases)[6:7] for f in found) < len(found)
    longest = select_rows(index, columns, asked(order="longest"))
    tokens = [int(columns["tokens"][row]) for row in longest]
    assert tokens == sorted(tokens, reverse=True)
    assert list(select_rows(index, columns, asked(order="oldest"))) == list(range(len(rows)))
    assert list(select_rows(index, columns, asked())) == list(range(len(rows)))[::-1]


def _facts(directory: Path, step: int) -> list[tuple[dict[str, Any], AnswerRow]]:
    rows = RunReader(directory).stage(STAGE).read_rollouts(step)
    return list(zip(extract_facts(rows).to_pylist(), rows, strict=True))


def _fields(question: RolloutFilter) -> dict[str, list[str]]:
    return parse_qs(question.to_query())


def test_a_search_finds_what_is_there_page_by_page_and_goes_on_when_time_is_up(
    directory: Path, watched: WatchedRuns
) -> None:
    stage = RunReader(directory).stage(STAGE)
    index = watched[0].open_index(STAGE)
    columns = index.join_columns()
    everything = select_rows(index, columns, asked(verdict="wrong"))
    rows = stage.read_rollouts()
    for text in ("12*4-9", "WAIT: CHECK", "make 76", "nowhere to be found"):
        expected = [
            int(place)
            for place in everything
            if text.lower() in rows[place].completion.lower() or text.lower() in rows[place].prompt.lower()
        ]
        for count, seconds in ((7, 60.0), (50, 0.0)):
            hits, start = list[int](), 0
            while True:
                found = find_page(stage, columns, everything, text, start=start, count=count, seconds=seconds)
                assert len(found.rows) <= count
                hits += [int(row) for row in found.rows]
                if found.go_on is None:
                    break
                assert found.go_on > start
                start = found.go_on
            assert hits == expected, (text, count)
    first = find_page(stage, columns, everything, "nowhere to be found", start=0, count=50, seconds=0.0)
    assert first.go_on is not None
    assert first.searched < len(everything), "time was up after one step"


def test_a_search_text_is_cut_at_its_length() -> None:
    assert len(asked(q="x" * 10_000).q) == rollout_filter.LONGEST_SEARCH
