"""A loop of one's own: three calls that do what a stage does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dunwu
from dunwu.monitoring.progress import Silent

SMALL: dict[str, Any] = {
    "rollout": {"group_size": 4, "max_new_tokens": 24},
    "optimizer": {"lr": 1e-3},
    "model": {"threads": 1},
}
COUNTDOWN = {"task": "countdown"}


def count_digits(problem: dunwu.Problem, text: str) -> float:
    """Reward digits: something that the base can learn in a few steps."""
    return sum(character.isdigit() for character in text) / 10


def test_a_loop_learns_what_its_reward_pays_for(tmp_path: Path) -> None:
    rewards = []
    with dunwu.open_loop("nano-base", reward=count_digits, tasks=[COUNTDOWN], **SMALL) as loop:
        for _ in range(6):
            batch = loop.advantages(loop.rollout(questions=8))
            rewards.append(loop.update(batch)["reward"])
        assert loop.version == 6
        folder = loop.save(tmp_path / "model")
    assert np.mean(rewards[-2:]) > np.mean(rewards[:2])
    trained = dunwu.load(folder, threads=1)
    assert trained.template == "nano"
    question = "Using the numbers 3, 5, 7, make 15."
    before = dunwu.load("nano-base", threads=1).generate(question, n=4, max_new_tokens=24)
    assert [one.text for one in trained.generate(question, n=4, max_new_tokens=24)[0]] != [
        one.text for one in before[0]
    ]


def test_rules_grade_where_no_reward_is_given() -> None:
    with dunwu.open_loop("nano-base", tasks=["countdown"], **SMALL) as loop:
        (group,) = loop.rollout(questions=1)
        assert {"accuracy", "format"} <= group.scores[0].parts.keys()
        batch = loop.advantages([group])
        assert all(np.all(one.advantages[~one.sample.loss_mask] == 0.0) for one in batch)


def test_the_same_seed_gives_the_same_rollout() -> None:
    texts = []
    for _ in range(2):
        with dunwu.open_loop("nano-base", tasks=["countdown"], seed=3, **SMALL) as loop:
            groups = loop.rollout(questions=2)
            texts.append([one.text for group in groups for one in group.group.completions])
    assert texts[0] == texts[1]


def test_an_engine_of_another_type_rounds_otherwise() -> None:
    """What it drew is known by its own log-probabilities, which the trainer's differ from by rounding."""
    differences = {}
    for dtype in (None, "bfloat16"):
        changes = {"algorithm": {"importance_cap": 2.0}, "update": {"minibatches": 2}}
        settings = SMALL | changes | {"rollout": SMALL["rollout"] | {"dtype": dtype}}
        with dunwu.open_loop("nano-base", reward=count_digits, tasks=[COUNTDOWN], **settings) as loop:
            batch = loop.advantages(loop.rollout(questions=4))
        apart = [(one.logprobs.old_logprobs - one.sample.sampler_logprobs)[one.sample.loss_mask] for one in batch]
        differences[dtype] = np.abs(np.concatenate(apart)).mean()
    assert differences[None] < 1e-5
    assert 1e-4 < differences["bfloat16"] < 0.02


class Recorder(Silent):
    """Keeps how far each call came."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int | None]] = []

    def count_completions(self, done: int, total: int) -> None:
        self.seen.append(("completions", done, total))

    def show_activity(self, what: str, done: int = 0, total: int | None = None) -> None:
        self.seen.append((what, done, total))

    def close(self) -> None:
        self.seen.append(("closed", 0, None))


def test_a_call_shows_how_far_it_is_and_leaves_the_screen_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setattr("dunwu.api.loop.open_monitor", {"quiet": recorder}.__getitem__)
    settings = SMALL | {"update": {"minibatches": 2, "epochs": 2}}
    with dunwu.open_loop("nano-base", reward=count_digits, log="quiet", **settings) as loop:
        groups = loop.rollout(["What is 2 + 3?"])
        assert recorder.seen == [*(("completions", done, 4) for done in (1, 2, 3, 4)), ("closed", 0, None)]
        recorder.seen.clear()
        loop.update(loop.advantages(groups))
        assert recorder.seen == [*(("learning", done, 4) for done in range(4)), ("closed", 0, None)]


def test_bad_settings_are_told_by_their_field() -> None:
    with pytest.raises(dunwu.UserError, match="group_sise"), dunwu.open_loop("nano-base", rollout={"group_sise": 8}):
        pass
    with (
        dunwu.open_loop("nano-base", reward=lambda problem, text: float("nan"), **SMALL) as loop,
        pytest.raises(dunwu.UserError, match="gave nan, not a finite number"),
    ):
        loop.rollout(["What is 2 + 3?"])
    with (
        dunwu.open_loop("nano-base", reward=count_digits, **SMALL) as loop,
        pytest.raises(dunwu.UserError, match="give rollout"),
    ):
        loop.rollout()


def test_a_setting_that_is_no_table_is_refused() -> None:
    with (
        pytest.raises(dunwu.UserError, match=r"^update: must be a table, not 3"),
        dunwu.open_loop("nano-base", update=3),
    ):
        pass


def test_a_reward_may_be_a_number_of_numpy() -> None:
    def half(problem: dunwu.Problem, text: str) -> Any:
        return np.float32(0.5)

    with dunwu.open_loop("nano-base", reward=half, **SMALL) as loop:
        (group,) = loop.rollout(["What is 2 + 3?"])
    assert {score.value for score in group.scores} == {0.5}


def test_a_table_given_in_part_keeps_its_other_fields() -> None:
    settings = SMALL | {"prompt": {"max_tokens": 64}, "update": {"epochs": 2}}
    with dunwu.open_loop("nano-base", tasks=["countdown"], **settings) as loop:
        assert (loop.stage.prompt.template, loop.stage.prompt.max_tokens) == ("nano", 64)
        assert (loop.stage.update.minibatches, loop.stage.update.epochs) == (1, 2)
    with dunwu.open_loop("nano-base", tasks=["countdown"]) as loop:
        assert loop.stage.prompt.max_tokens + loop.stage.rollout.max_new_tokens == 1024
        assert (loop.stage.rollout.questions, loop.stage.rollout.group_size) == (16, 8)


def test_a_loop_is_closed_with_its_block() -> None:
    with dunwu.open_loop("nano-base", tasks=["countdown"], **SMALL) as loop:
        pass
    for call in (lambda: loop.rollout(questions=1), lambda: loop.update([])):
        with pytest.raises(dunwu.UserError, match="the loop is closed: its block has ended"):
            call()


def test_what_a_loop_cannot_do_is_refused() -> None:
    settings = SMALL | {"algorithm": {"advantage": "gae", "kl_coefficient": 0.0}, "value": {}}
    with pytest.raises(dunwu.UserError, match="value: is no part of a loop"), dunwu.open_loop("nano-base", **settings):
        pass
