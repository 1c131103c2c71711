"""What a running stage says of its health: each flag once, wherever it was resumed, and one line at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dunwu.config.schema import RLStage
from dunwu.pipeline.stages.alarms import Alarms
from dunwu.runs import BASE, TRAINED, StageWriter
from dunwu.types import Estimate

STAGE: dict[str, Any] = {
    "kind": "rl",
    "from": "nano-base",
    "steps": 64,
    "tasks": [{"task": "countdown", "levels": [3]}],
    "evaluation": {"sets": [{"name": "held", "task": {"task": "countdown", "levels": [3]}}]},
}
HEALTHY = {"reward": 1.0, "accuracy": 0.5, "length": 100.0, "entropy": 0.4, "truncated": 0.0, "uniform_groups": 0.2}


def opened(folder: Path) -> tuple[StageWriter, Alarms]:
    """A stage's folder, and its alarms as a new process has them."""
    store = StageWriter(folder, keep=1, on_finish=lambda: None)
    return store, Alarms(RLStage.model_validate(STAGE), store)


def rollouts(store: StageWriter, alarms: Alarms, first: int, last: int, **changes: float) -> list[str]:
    """Writes rollouts down and tells the alarms, as the loop does; all that they say."""
    said = []
    for step in range(first, last + 1):
        metrics = HEALTHY | changes
        store.append(step, metrics, {})
        said += alarms.check(step, metrics)
    return said


def evaluated(store: StageWriter, checkpoint: str, right: float) -> None:
    results = {"pass@1": Estimate(value=right, low=right - 0.02, high=right + 0.02)}
    store.write_evaluation(checkpoint, "held", [], results)


def test_a_flag_is_said_once_with_its_remedy(tmp_path: Path) -> None:
    store, alarms = opened(tmp_path)
    assert alarms.summarize() == ""
    assert rollouts(store, alarms, 1, 10) == []
    assert alarms.summarize() == "diagnosis: healthy (entropy, length, groups with a gradient, truncation)"
    (line,) = rollouts(store, alarms, 11, 20, truncated=0.5)
    assert line.startswith("red flag, truncation: 33.3 % of the responses cut off. Raise rollout.max_new_tokens")
    assert alarms.summarize() == ("diagnosis: 1 of 4 flags red: truncation; the report has figures and remedies")


def test_a_resumed_stage_remembers_how_it_went(tmp_path: Path) -> None:
    store, alarms = opened(tmp_path)
    rollouts(store, alarms, 1, 10)
    store, again = opened(tmp_path)
    (line,) = rollouts(store, again, 11, 14, entropy=0.01)
    assert line.startswith("red flag, entropy: 0.01 nats a token, 0.4 at the beginning")


def test_held_out_answers_are_read_as_they_come(tmp_path: Path) -> None:
    store, alarms = opened(tmp_path)
    evaluated(store, BASE, 0.4)
    rollouts(store, alarms, 1, 8, reward=0.5)
    evaluated(store, "step-000008", 0.6)
    assert rollouts(store, alarms, 9, 16, reward=0.9) == []
    evaluated(store, TRAINED, 0.5)
    assert alarms.summarize().startswith("diagnosis: 1 of 5 flags red: reward against held-out answers")
    (line,) = rollouts(store, alarms, 17, 17, reward=0.9)
    assert "held out 60 % right after 8 updates, 50 % now" in line


def test_few_rules_and_no_right_answer_are_not_called_healthy(tmp_path: Path) -> None:
    store, alarms = opened(tmp_path)
    rollouts(store, alarms, 1, 3, accuracy=0.0, reward=0.3)
    assert alarms.summarize() == (
        "diagnosis: too short to judge (1 of 8 rules had enough to go by); "
        "no answer was right: only the other parts of the reward teach"
    )
    rollouts(store, alarms, 4, 10)
    assert alarms.summarize().startswith("diagnosis: healthy (")
    assert "no answer" not in alarms.summarize()
