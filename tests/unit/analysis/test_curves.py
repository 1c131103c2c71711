"""Numbers out of stored rollouts and evaluations."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tests.made_runs import PER_ROLLOUT, STAGE, begin, finished_run, train

from dunwu.analysis import curves
from dunwu.analysis.curves import Measure, Rollout, Subset
from dunwu.analysis.reasoning.facts import extract_facts
from dunwu.analysis.results import find_base_and_trained, group_outcomes, read_evaluations_by_set
from dunwu.runs import AnswerRow, Evaluation, RunReader

ALL = Subset()
ROW = AnswerRow(
    step=4,
    group=0,
    index=0,
    problem_id="p",
    task="t",
    level=1,
    language="en",
    prompt="?",
    completion="wait, wait",
    finish="stop",
    tokens=10,
    logprob=-1.0,
    policy_version=3,
    value=2.0,
    parts={"accuracy": 1.0, "format": 1.0},
    status="graded",
    extracted="1",
    gold="1",
    reason="",
)


def rollout(*rows: AnswerRow) -> Rollout:
    return Rollout(extract_facts(rows))


def value(found: Rollout, measure: Measure, piece: Subset = ALL) -> float:
    estimate = found.estimate(measure, piece)
    assert estimate is not None
    return estimate.value


def test_means_and_intervals_are_over_problems() -> None:
    found = rollout(
        ROW,
        dataclasses.replace(ROW, value=0.0, tokens=30, parts={"accuracy": 0.0}, completion="check", finish="length"),
        dataclasses.replace(ROW, group=1, value=2.0, tokens=14, completion="", level=2),
    )
    assert (found.updates, found.problems, found.completions, found.failed, found.levels) == (3, 2, 3, 0, [1, 2])
    reward = found.estimate(curves.REWARD)
    assert reward is not None
    assert reward.value == pytest.approx(1.5)  # problems 1.0 and 2.0
    assert reward.high - 1.5 == pytest.approx(12.7062 * 0.5, rel=1e-4)  # t(0.975, 1) x s / sqrt(2)
    assert reward.low == pytest.approx(1.5 - 12.7062 * 0.5, rel=1e-4)  # a reward may be negative
    assert value(found, curves.ACCURACY) == pytest.approx(0.75)
    assert value(found, curves.make_part_measure("format")) == pytest.approx(1.0)
    assert value(found, curves.LENGTH) == pytest.approx(17.0)  # problems 20 and 14
    assert value(found, curves.LENGTH, Subset("right")) == pytest.approx(12.0)  # 10 and 14
    assert value(found, curves.LENGTH, Subset(level=2)) == pytest.approx(14.0)
    assert value(found, curves.LENGTH, Subset("right", 1)) == pytest.approx(10.0)
    wrong = found.estimate(curves.LENGTH, Subset("wrong"))
    assert wrong is not None
    assert (wrong.value, wrong.low) == (30.0, 30.0)
    assert value(found, curves.TRUNCATED) == pytest.approx(0.25)
    words = found.estimate(curves.REFLECTIONS)
    assert words is not None
    assert words.value == pytest.approx(0.75)  # problems (2 + 1) / 2 and 0
    assert words.low == 0.0  # not 0.75 - 12.7 * 0.75
    assert value(found, curves.RATE) == pytest.approx((1000 * 3 / 40 + 0) / 2)
    assert value(found, curves.make_word_measure("wait")) == pytest.approx(0.5)
    assert curves.find_frequent_words([found], 3) == ["wait", "check"]
    assert value(found, curves.SPREAD) == pytest.approx(0.5)  # variances 1 and 0


def test_a_failed_verifier_gives_no_reward() -> None:
    failed = dataclasses.replace(ROW, value=0.0, parts={}, status="verifier_failed", tokens=20)
    found = rollout(ROW, failed)
    assert (found.failed, value(found, curves.REWARD), value(found, curves.LENGTH)) == (1, 2.0, 15.0)
    graded = rollout(ROW, dataclasses.replace(ROW, status="verifier_failed", tokens=20))
    assert value(graded, curves.LENGTH, Subset("right")) == 10.0, "what is not graded is neither right nor wrong"
    nothing = rollout(failed)
    for measure, piece in ((curves.REWARD, ALL), (curves.LENGTH, Subset("right")), (curves.LENGTH, Subset("wrong"))):
        assert nothing.estimate(measure, piece) is None
    assert nothing.parts == []


def test_curves_stand_at_the_policy_that_wrote_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with begin(tmp_path) as run:
        stage = run.stage(STAGE)
        assert curves.read_rollouts(stage) == ([], [])
        train(stage, rollouts=5, questions=2)
        assert [found.updates for found in curves.read_rollouts(stage)[0]] == [
            PER_ROLLOUT * number for number in range(5)
        ]
        monkeypatch.setattr(curves, "MAX_ROWS", 3 * 16)
        monkeypatch.setattr(curves, "FEWEST", 2)
        assert [found.updates for found in curves.read_rollouts(stage)[0]] == [0, 32, 64]


def row(problem: int, sample: int, correct: int, tokens: int) -> AnswerRow:
    return AnswerRow(
        problem_id=f"h{problem}",
        level=1,
        language="en",
        group=problem,
        index=sample,
        parts={"accuracy": float(correct)},
        tokens=tokens,
        reflections=0,
        prompt="",
        gold="",
        completion="",
        extracted=None,
    )


def test_outcomes_pair_the_same_sample_and_show_the_typical_one() -> None:
    base = [row(n, 0, 0, 10) for n in range(5)] + [row(9, 0, 1, 10), row(8, 0, 1, 7)]
    after = [row(n, 0, 1, tokens) for n, tokens in enumerate([90, 50, 48, 20, 300])] + [row(9, 0, 0, 5)]
    kinds = group_outcomes(
        Evaluation(checkpoint="base", set="s", results={}, rows=tuple(base)),
        Evaluation(checkpoint="trained", set="s", results={}, rows=tuple(after)),
    )
    assert [(kind.before_right, kind.after_right, kind.count) for kind in kinds] == [(False, True, 5), (True, False, 1)]
    assert [pair[1].tokens for pair in kinds[0].examples] == [50, 48]  # the median is 50


def test_evaluations_stand_in_the_recipes_order(tmp_path: Path) -> None:
    run = RunReader(finished_run(tmp_path, rollouts=1, problems=4, samples=1))
    by_set = read_evaluations_by_set(run, STAGE)
    assert list(by_set) == ["countdown", "harder"]
    assert [evaluation.checkpoint for evaluation in by_set["countdown"]] == ["base", "step-000080", "trained"]
    ends = find_base_and_trained(by_set["countdown"])
    assert ends is not None
    assert [end.checkpoint for end in ends] == ["base", "trained"]
    assert find_base_and_trained(by_set["countdown"][:2]) is None
    assert ends[0].results["pass@1"].value == np.mean([r.right for r in ends[0].rows])


def test_bands_of_a_rule_s_part_end_where_a_share_ends() -> None:
    parts = [{"accuracy": 1.0, "truncation": -1.0, "own": 1.0}, {"accuracy": 0.0, "truncation": 0.0, "own": 0.0}]
    found = rollout(*(dataclasses.replace(ROW, group=number, parts=row) for number, row in enumerate(parts)))
    ends = {name: found.estimate(curves.make_part_measure(name)) for name in parts[0]}
    assert all(ends.values())
    reach = {name: (end.low, end.high) for name, end in ends.items() if end}
    assert reach["accuracy"] == (0.0, 1.0)
    assert reach["truncation"][0] < -1.0, "a penalty is no share"
    assert reach["own"][1] > 1.0, "of a user's part nothing is known"
