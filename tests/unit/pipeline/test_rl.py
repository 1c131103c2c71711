"""The loop by its decisions: who is told what, in which order, and what a stop leaves behind."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from itertools import cycle
from typing import Any

import pytest
from tests.unit.pipeline.contexts import shown_text

from dunwu.config.check_rewards import METRICS
from dunwu.config.schema import REWARD_PARTS
from dunwu.errors import Fault, Interrupted
from dunwu.pipeline.stages.rl import train
from dunwu.pipeline.stages.rl_state import Cursor, open_curriculum
from dunwu.pipeline.stages.rl_system import RLSystem
from dunwu.pipeline.stages.rollout_queue import generate_rollout
from dunwu.tasks.curriculum import NUMBER
from dunwu.types import Problem

from .conftest import Bench, Engine, RecordingTrainer


def trainer(parts: RLSystem) -> RecordingTrainer:
    assert isinstance(parts.trainer, RecordingTrainer)
    return parts.trainer


def engine(parts: RLSystem) -> Engine:
    assert isinstance(parts.engine, Engine)
    return parts.engine


def evaluated(bench: Bench) -> list[str]:
    """The checkpoints that were evaluated, in their order."""
    return [evaluation.checkpoint for evaluation in bench.parts().context.store.read_evaluations()]


def resume(bench: Bench) -> RLSystem:
    """Goes on from the newest checkpoint to the end of the stage."""
    bench.stop.requested = False
    parts = bench.parts()
    checkpoint = parts.context.store.find_newest_checkpoint()
    assert checkpoint
    parts.trainer.load(checkpoint.path)
    parts.engine.update_weights(parts.trainer.export_weights())
    cursor = Cursor().load(checkpoint)
    parts.context.store.rewind(checkpoint.step, ended=cursor.rollout == parts.stage.rollouts)
    train(parts, cursor)
    return parts


def ask_to_stop(*_: object) -> None:
    signal.raise_signal(signal.SIGTERM)


def test_every_rollout_is_learned_from_and_the_next_comes_from_the_new_weights(bench: Bench) -> None:
    train(parts := bench.parts(), Cursor())
    assert trainer(parts).log[:3] == [("logprobs", 8), ("step", 0), ("step", 1)]
    # Two updates a rollout; the reference after updates 4 and 8, before the checkpoint that holds it.
    assert [entry for entry in trainer(parts).log if entry[0] != "logprobs"] == [
        *[("step", 0), ("step", 1), ("step", 2), ("step", 3), ("reference", 4), ("save", 4)],
        *[("step", 4), ("step", 5), ("step", 6), ("step", 7), ("reference", 8), ("save", 8)],
    ]
    # base on 2 problems, two rollouts, 1 problem on the way, two rollouts, 4 short completions that show whether the
    # engine has the last weights, trained on 2 problems
    assert [(count, version) for count, _, version in engine(parts).log] == [
        *[(2, 0), (2, 0), (2, 2), (1, 4), (2, 4), (2, 6), (4, 8), (2, 8)]
    ]
    assert evaluated(bench) == ["base", "step-000004", "trained"]
    rows = parts.context.store.read_rollouts()
    assert [row.policy_version for row in rows] == [0] * 8 + [2] * 8 + [4] * 8 + [6] * 8
    assert [row["step"] for row in parts.context.store.read_metrics()] == [2, 4, 6, 8]
    checkpoint = parts.context.store.find_newest_checkpoint()
    assert checkpoint
    assert checkpoint.state == {"rollout": 4, "position": 8}


def test_evaluations_measure_the_user_s_functions_that_the_recipe_names(bench: Bench) -> None:
    own = [{"name": name, "file": "own.py"} for name in ("short", "polite")]
    bench.recipe |= {"steps": 2, "reference_every": 0, "reward": {"custom": own}}
    bench.recipe["evaluation"]["measures"] = ["short", "accuracy"]
    train(parts := bench.parts(), Cursor())
    grader: Any = parts.grader
    assert grader.measured == ["short"]


def test_splits_break_groups_and_differ_from_rollout_to_rollout(bench: Bench) -> None:
    bench.recipe |= {"steps": 8, "evaluation": {}}
    bench.recipe["rollout"]["questions"] = 8
    train(parts := bench.parts(), Cursor())
    firsts = [sorted(sum(split, ())) for split in trainer(parts).splits[::2]]
    assert len(set(map(tuple, firsts))) == 4, "the same split every time"
    assert all(any(first.count(group) < 4 for group in first) for first in firsts), "whole groups"


def test_no_seed_is_used_twice_in_training(bench: Bench) -> None:
    bench.recipe["evaluation"] = {}
    train(parts := bench.parts(), Cursor())
    seeds = [seed for request in engine(parts).requests for seed in request.seeds]
    assert len(set(seeds)) == len(seeds) == 4 * 2 * 4
    problems = [request.prompt.problem.id for request in engine(parts).requests]
    assert len(set(problems)) == len(problems)


def test_the_context_grows_with_the_schedule(bench: Bench) -> None:
    bench.recipe["rollout"] |= {"length_schedule": {4: 30, 6: 40}}
    bench.recipe["evaluation"] = {}
    train(parts := bench.parts(), Cursor())
    assert [cap for _, cap, _ in engine(parts).log] == [20, 20, 30, 40]


def test_length_is_punished_by_the_limit_of_its_rollout(bench: Bench) -> None:
    """From update 4 on 40 tokens are allowed, and answers of 19 are far from the limit."""
    bench.recipe["rollout"] |= {"length_schedule": {4: 40}}
    bench.recipe["algorithm"] = {"overlong_buffer": 10, "advantage": "group-mean"}
    bench.recipe["evaluation"] = {}
    bench.text = lambda problem, seed: "wrong" * (1 + seed % 3) + "!!!"
    train(parts := bench.parts(), Cursor())
    taught = [any(batch.advantages.any() for batch in step.microbatches) for step in trainer(parts).batches]
    assert [any(taught[2 * rollout :][:2]) for rollout in range(4)] == [True, True, False, False]


def uniform_but(*informative: int) -> Callable[[Problem, int], str]:
    """All is right, but for the first completion of the ``informative``-th problems that are asked."""
    asked: list[str] = []

    def text(problem: Problem, seed: int) -> str:
        first = problem.id not in asked
        if first:
            asked.append(problem.id)
        return "wrong" if first and asked.index(problem.id) in informative else "right"

    return text


def test_refill_draws_what_is_missing_and_goes_on_where_it_ended(bench: Bench) -> None:
    bench.recipe["algorithm"] = {"drop_uniform_groups": True, "refill": 3}
    bench.text = uniform_but(1, 2)  # the engine yields the last request first; 2 is the first of the second round
    parts = bench.parts()
    groups, position, _, _ = generate_rollout(parts, Cursor(rollout=0, position=5))
    assert [count for count, _, _ in engine(parts).log] == [2, 1]
    assert (len(groups), position) == (3, 8)
    seeds = [seed for request in engine(parts).requests for seed in request.seeds]
    assert len(set(seeds)) == len(seeds) == 12


def test_the_age_of_the_weights_that_wrote_a_rollout_is_stored(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that never gets new weights lags by two updates more with each rollout; one that does writes no age."""
    train(parts := bench.parts(), Cursor())
    rows = parts.context.store.read_metrics()
    assert not any(name.startswith("staleness") for row in rows for name in row)
    shutil.rmtree(bench.folder)
    monkeypatch.setattr(Engine, "update_weights", lambda self, weights: None)
    train(parts := bench.parts(), Cursor())
    rows = parts.context.store.read_metrics()
    each = parts.stage.updates_per_rollout
    assert [row.get("staleness_max") for row in rows] == [None, *(each * k for k in range(1, len(rows)))]
    assert [row.get("staleness_mean") for row in rows] == [row.get("staleness_max") for row in rows]
    assert {name for row in rows for name in row} <= METRICS | set(REWARD_PARTS)


def test_refill_gives_up_after_its_rounds(bench: Bench) -> None:
    bench.recipe["algorithm"] = {"drop_uniform_groups": True, "refill": 2}
    bench.text = uniform_but()
    parts = bench.parts()
    groups, position, _, _ = generate_rollout(parts, Cursor())
    assert ([count for count, _, _ in engine(parts).log], len(groups), position) == ([2, 2, 2], 6, 6)


def asked(parts: RLSystem) -> list[list[str]]:
    """The questions of each rollout."""
    log, requests = engine(parts).log, iter(engine(parts).requests)
    rollouts = [[next(requests).prompt.problem.messages[-1].content for _ in range(count)] for count, _, _ in log]
    return [questions for questions in rollouts if len(questions) == 4]


def test_variations_of_what_was_half_solved_lead_the_next_rollout(bench: Bench) -> None:
    """Also after a resume; where nothing is half solved, the mixture alone is asked."""
    bench.recipe["rollout"] |= {"questions": 4, "curriculum": 0.5}
    bench.recipe["evaluation"] = {}
    answers = cycle(("right", "wrong"))
    bench.text = lambda problem, seed: next(answers) if len(problem.tests) == 4 else "wrong"
    bench.recipe["tasks"][0]["levels"] = [3, 4]
    cursor = Cursor(curriculum=open_curriculum(bench.parts().stage, 3))
    train(parts := bench.parts(), cursor)
    rollouts = asked(parts)
    plain = [problem.messages[-1].content for problem in parts.mixture.draw(0, 16)]
    assert rollouts[0] == plain[:4]
    first = rollouts[1]
    assert first[2:] == plain[4:6], "the mixture goes on where it ended"
    assert len(set(first[:2]) - set(plain)) == 2
    shown = {len(NUMBER.findall(question)) for question in first[:2]}
    assert shown == {4}, "of the level that is half solved"
    rows = parts.context.store.read_metrics()
    assert [(row["curriculum"], row["prompts_too_long"]) for row in rows[:2]] == [(0, 0), (2, 0)]
    assert {name for row in rows for name in row} <= METRICS | set(REWARD_PARTS)

    checkpoint = parts.context.store.find_newest_checkpoint()
    assert checkpoint
    shutil.rmtree(checkpoint.path)
    checkpoint = parts.context.store.find_newest_checkpoint()
    assert checkpoint
    assert checkpoint.step == 4
    parts = bench.parts()
    parts.trainer.load(checkpoint.path)
    parts.context.store.rewind(checkpoint.step)
    train(parts, cursor.load(checkpoint))
    assert asked(parts) == rollouts[2:]


def test_nothing_is_varied_where_nothing_is_half_solved(bench: Bench) -> None:
    bench.recipe["rollout"] |= {"curriculum": 0.5}
    bench.recipe["evaluation"] = {}
    bench.text = lambda problem, seed: "wrong"
    train(parts := bench.parts(), Cursor(curriculum=open_curriculum(bench.parts().stage, 3)))
    questions = [request.prompt.problem for request in engine(parts).requests]
    assert questions == list(parts.mixture.draw(0, 8))


def test_what_any_entry_of_a_task_holds_out_is_held_out_of_its_variations(bench: Bench) -> None:
    bench.recipe["tasks"] += [{"task": "countdown", "held_out": 0.4}, {"task": "knights"}]
    bench.recipe["rollout"] |= {"curriculum": 0.5}
    similar = open_curriculum(bench.parts().stage, 3)
    assert similar
    assert similar.held_out == {"countdown": 0.4, "knights": 0.1}


def test_a_rollout_that_teaches_nothing_makes_no_update_and_is_not_met_again(bench: Bench) -> None:
    bench.recipe["algorithm"] = {"drop_uniform_groups": True}
    bench.text = uniform_but()
    train(parts := bench.parts(), Cursor())
    assert trainer(parts).policy_version == 0
    metrics = parts.context.store.read_metrics()
    assert [(row["step"], row["updates"], row["uniform_groups"]) for row in metrics] == [
        (step, 0, 1) for step in (2, 4, 6, 8)
    ]
    checkpoint = parts.context.store.find_newest_checkpoint()
    assert checkpoint
    assert checkpoint.state == {"rollout": 4, "position": 8}


def test_the_schedule_goes_on_where_an_update_fell_out(bench: Bench) -> None:
    """Uniform rollouts make no update, but they take their place in the schedule of the learning rate."""
    bench.recipe["algorithm"] = {"drop_uniform_groups": True}
    bench.recipe["evaluation"] = {}
    bench.text = uniform_but(4, 5, 6, 7)
    train(parts := bench.parts(), Cursor())
    assert [entry[1] for entry in trainer(parts).log if entry[0] == "step"] == [4, 5, 6, 7]
    assert [row["updates"] for row in parts.context.store.read_metrics()] == [0, 0, 2, 2]


def test_that_there_is_nothing_to_learn_is_said_once_until_it_changes(bench: Bench) -> None:
    """Of four rollouts the first two and the last have no group of different rewards."""
    bench.recipe["evaluation"] = {}
    bench.text = uniform_but(4, 5)
    train(parts := bench.parts(), Cursor())
    assert shown_text(parts.context).count("in no group was one answer worth more than another") == 2


def test_a_group_that_nobody_could_grade_is_left_out(bench: Bench) -> None:
    bench.recipe["evaluation"] = {}
    first: list[str] = []

    def text(problem: Problem, seed: int) -> str:
        first.append(problem.id)
        return "fail" if problem.id == first[0] else ("right" if seed % 2 else "wrong")

    bench.text = text
    train(parts := bench.parts(), Cursor())
    assert trainer(parts).log[0] == ("logprobs", 4)
    metrics = parts.context.store.read_metrics()
    assert [(row["responses"], row["verifier_failed"]) for row in metrics] == [(4, 4), (8, 0), (8, 0), (8, 0)]
    assert "4 responses were not graded: it broke" in shown_text(parts.context)


def test_nothing_graded_at_all_is_a_fault(bench: Bench) -> None:
    bench.text = lambda problem, seed: "fail"
    with pytest.raises(Fault, match="every verifier failed on every answer: it broke"):
        train(bench.parts(), Cursor())
    bench.recipe["evaluation"] = {}
    with pytest.raises(Fault, match="every verifier failed on every response of a rollout: it broke"):
        train(bench.parts(), Cursor())


def test_prompts_that_are_too_long_are_counted(bench: Bench) -> None:
    bench.recipe["evaluation"] = {}
    parts = bench.parts()
    lengths = [len(parts.draw_prompts(position, 1)[0][0].token_ids) for position in range(40)]
    limit = sorted(lengths)[20]
    bench.recipe["prompt"] |= {"max_tokens": limit}
    train(parts := bench.parts(), Cursor())
    metrics = parts.context.store.read_metrics()
    checkpoint = parts.context.store.find_newest_checkpoint()
    assert checkpoint
    drawn = checkpoint.state["position"]
    assert sum(row["prompts_too_long"] for row in metrics) == sum(length > limit for length in lengths[:drawn]) > 0


def test_a_stop_while_generating_saves_the_place_before_the_rollout(bench: Bench) -> None:
    parts = bench.parts()
    engine(parts).on_generate = lambda: ask_to_stop() if trainer(parts).policy_version == 2 else None
    with pytest.raises(Interrupted, match="saved"):
        train(parts, Cursor())
    checkpoint = parts.context.store.find_newest_checkpoint()
    assert checkpoint
    assert (checkpoint.step, checkpoint.state) == (2, {"rollout": 1, "position": 2})
    after = resume(bench)
    assert trainer(after).policy_version == 8
    assert [row["step"] for row in after.context.store.read_metrics()] == [2, 4, 6, 8]


@pytest.mark.parametrize(("at", "saved"), [(4, True), (5, False)])
def test_a_stop_in_the_first_update_saves_and_later_the_newest_checkpoint_stands(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, at: int, saved: bool
) -> None:
    monkeypatch.setattr("dunwu.pipeline.interrupts.GRACE_SECONDS", -1.0)
    bench.recipe["checkpoint"]["every"] = 8
    parts = bench.parts()
    trainer(parts).on_step = lambda place: ask_to_stop() if place == at else None
    with pytest.raises(Interrupted, match="saved" if saved else "newest checkpoint"):
        train(parts, Cursor())
    found = parts.context.store.find_newest_checkpoint()
    assert (found.step if found else None) == (4 if saved else None)


def test_an_evaluation_that_a_stop_cut_is_made_up_for(bench: Bench) -> None:
    parts = bench.parts()
    engine(parts).on_generate = lambda: ask_to_stop() if trainer(parts).policy_version == 4 else None
    with pytest.raises(Interrupted, match="saved"):
        train(parts, Cursor())
    assert evaluated(bench) == ["base"]
    after = resume(bench)
    assert evaluated(bench) == ["base", "step-000004", "trained"]
    assert engine(after).log[0] == (1, 20, 4)


def test_what_was_measured_after_the_last_update_is_not_measured_again(bench: Bench) -> None:
    bench.recipe["steps"] = 4
    train(bench.parts(), Cursor())
    before = [path.stat().st_mtime_ns for path in sorted((bench.folder / "evaluations" / "trained").iterdir())]
    after = resume(bench)
    assert engine(after).log == []
    assert before == [path.stat().st_mtime_ns for path in sorted((bench.folder / "evaluations" / "trained").iterdir())]


def test_a_base_that_was_lost_is_not_made_up_from_what_was_trained(bench: Bench) -> None:
    bench.recipe["steps"] = 4
    train(bench.parts(), Cursor())
    shutil.rmtree(bench.folder / "evaluations" / "base")
    bench.recipe["steps"] = 8
    resume(bench)
    assert evaluated(bench) == ["step-000004", "trained"]


def test_a_stage_that_grows_measures_the_step_at_which_it_ended(bench: Bench) -> None:
    bench.recipe["steps"] = 4
    train(bench.parts(), Cursor())
    assert evaluated(bench) == ["base", "trained"]
    bench.recipe["steps"] = 8
    resume(bench)
    assert evaluated(bench) == ["base", "step-000004", "trained"]
