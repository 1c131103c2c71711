"""An engine that does not run the weights that are trained is noticed at the next hand-over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float32
from tests.unit.pipeline.contexts import make_context, shown_text

from dunwu import algorithms
from dunwu.algorithms import Algorithm, algorithm
from dunwu.config.schema import AlgorithmSpec, RLStage
from dunwu.errors import Fault
from dunwu.models.weights import WeightUpdate
from dunwu.pipeline.interrupts import StopSignal
from dunwu.pipeline.stages.rl import train
from dunwu.pipeline.stages.rl_state import Cursor
from dunwu.pipeline.stages.rl_system import RLSystem, open_rl_system
from dunwu.pipeline.stages.weight_handover import check_handover, check_last_handover
from dunwu.rollout.engine import Engine, Sample
from dunwu.runs import StageWriter
from dunwu.types import Completion, GenerationRequest, GradedSample, SampleLogprobs, Sampling

from .conftest import Bench, RecordingTrainer

pytestmark = pytest.mark.usefixtures("one_thread")
STAGE: dict[str, Any] = {
    "kind": "rl",
    "from": "nano-base",
    "steps": 4,
    "reference_every": 0,
    "tasks": [{"task": "countdown", "levels": [3]}],
    "prompt": {"template": "nano", "max_tokens": 64},
    "rollout": {"questions": 4, "group_size": 4, "max_new_tokens": 48},
    "algorithm": {"kl_coefficient": 0.0, "logprob_difference_stop": 0.02},
    "optimizer": {"lr": 5e-3},
    "update": {"minibatches": 2},
}


@contextmanager
def opened(folder: Path, **changes: Any) -> Iterator[RLSystem]:
    """A stage on the shipped nano base: its real engine and its real trainer."""
    stage = RLStage.model_validate(STAGE | changes)
    store = StageWriter(folder, keep=1, on_finish=lambda: None)
    with StopSignal() as stop:
        context = make_context(store, stop)
        with open_rl_system(stage, context, "nano-base") as parts:
            yield parts


def output(parts: RLSystem) -> str:
    """What the terminal shows, as one line."""
    return " ".join(shown_text(parts.context).split())


class DeafEngine:
    """Reports every version, and keeps the weights that it had after ``hears`` updates of them."""

    def __init__(self, engine: Engine, hears: int) -> None:
        self._engine, self._hears = engine, hears
        self._kept: list[tuple[str, Any]] = []

    @property
    def policy_version(self) -> int:
        return self._engine.policy_version

    def generate(
        self, requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> Iterator[tuple[Sample, Completion]]:
        yield from self._engine.generate(requests, sampling)

    def update_weights(self, update: WeightUpdate) -> None:
        if self._hears >= 0:
            self._kept = [(name, weight.clone()) for name, weight in update.read()]
            self._hears -= 1
        self._engine.update_weights(WeightUpdate.in_memory(update.version, self._kept))

    def close(self) -> None:
        self._engine.close()


def deaf(parts: RLSystem, hears: int) -> RLSystem:
    engine = DeafEngine(parts.engine, hears)
    engine.update_weights(parts.trainer.export_weights())
    return replace(parts, engine=engine)


COLD = {"questions": 4, "group_size": 4, "max_new_tokens": 48, "temperature": 0.7, "top_p": 0.9}
SAMPLER = STAGE["algorithm"] | {"old_logprobs": "sampler"}


@pytest.mark.parametrize(
    "changes",
    [{}, {"update": {"minibatches": 1}, "steps": 2, "rollout": COLD}],
    ids=["several updates", "one update, cold and cut"],
)
def test_a_sound_engine_differs_by_rounding(tmp_path: Path, changes: dict[str, Any]) -> None:
    with opened(tmp_path, **changes) as parts:
        train(parts, Cursor())
    rows = parts.context.store.read_metrics()
    assert len(rows) == 2
    assert all(0 < row["logprob_difference_mean"] < 1e-5 for row in rows)
    assert all(row["logprob_difference_mean"] <= row["logprob_difference_max"] < 1e-3 for row in rows)


@pytest.mark.parametrize(
    "changes", [{"update": {"minibatches": 1}, "steps": 2}, {"algorithm": SAMPLER}], ids=["one update", "the sampler's"]
)
def test_an_engine_that_ignores_an_update_stops_the_run_before_it_learns(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    with opened(tmp_path, **changes) as parts:
        with pytest.raises(Fault, match=r"logprob_difference_stop is 0\.02: the engine missed an update"):
            train(deaf(parts, hears=0), Cursor())
        assert len(parts.context.store.read_metrics()) == 1
        assert parts.trainer.policy_version == parts.stage.updates_per_rollout


def test_an_engine_that_ignores_the_last_update_is_not_evaluated(tmp_path: Path) -> None:
    held = {"name": "held", "task": {"task": "countdown", "levels": [3]}, "problems": 4, "samples": 1}
    with opened(tmp_path, evaluation={"sets": [held]}) as parts:
        with pytest.raises(Fault, match="engine and trainer differ"):
            train(deaf(parts, hears=1), Cursor())
        assert len(parts.context.store.read_metrics()) == 2
        assert [found.checkpoint for found in parts.context.store.read_evaluations()] == ["base"]


def test_where_the_recipe_asks_for_no_stop_the_run_warns_at_once(tmp_path: Path) -> None:
    bound = {"kl_coefficient": 0.0, "logprob_difference_stop": 0}
    with opened(tmp_path, algorithm=bound) as parts:
        train(deaf(parts, hears=0), Cursor())
    first, second = parts.context.store.read_metrics()
    assert first["logprob_difference_mean"] < 1e-5 < 0.02 < second["logprob_difference_mean"]
    told = output(parts)
    assert told.count("red flag, engine against trainer: log-probabilities differ by up to") == 1
    assert "(step 4), at the first rollout by" in told
    assert "diagnosis: 1 of 1 flags red: engine against trainer" in told


def handover(parts: RLSystem, old: Sequence[Float32[np.ndarray, " L"] | None]) -> dict[str, float]:
    """Three tokens each, of which the last two carry loss; the engine gave them 0.5 nats less than nothing."""
    mask = np.array([False, True, True])
    sample = GradedSample(
        token_ids=np.zeros(3, dtype=np.int32),
        loss_mask=mask,
        sampler_logprobs=np.where(mask, -0.5, 9.0).astype(np.float32),
        group_id=0,
        member=0,
        reward=0.0,
        policy_version=0,
    )
    logprobs = [SampleLogprobs(old_logprobs=one, ref_logprobs=None) for one in old]
    return check_handover(parts, [sample] * len(old), logprobs)


def test_the_difference_by_hand(bench: Bench) -> None:
    bench.recipe["algorithm"] = {"logprob_difference_stop": 0.4}
    parts = bench.parts()
    old = [np.array(row, dtype=np.float32) for row in ([0.0, -0.75, -0.5], [0.0, -0.5, 0.5])]
    found = handover(parts, old)
    assert found == {"logprob_difference_mean": pytest.approx(1.25 / 4), "logprob_difference_max": pytest.approx(1.0)}
    assert handover(parts, []) == {}
    with pytest.raises(Fault, match=r"differ by 0\.625 nats a token \(largest 1\.25\)"):
        handover(parts, [old[1], old[1] + np.float32(0.25)])


def test_no_number_is_no_agreement(bench: Bench) -> None:
    parts = bench.parts()
    with pytest.raises(Fault, match="differ by nan nats a token"):
        handover(parts, [np.array([0.0, np.nan, -0.5], dtype=np.float32)])


class Counting(RecordingTrainer):
    """Writes down how many sequences it has read again."""

    def __init__(self) -> None:
        super().__init__()
        self.read = list[int]()

    def compute_policy_logprobs(self, samples: Sequence[GradedSample]) -> list[Float32[np.ndarray, " L"]]:
        self.read.append(len(samples))
        return super().compute_policy_logprobs(samples)


def test_the_trainer_reads_few_sequences_where_it_need_not_read_all(bench: Bench) -> None:
    trainer = Counting()
    parts = replace(bench.parts(), trainer=trainer)
    assert handover(parts, [None] * 9) == {"logprob_difference_mean": 0.0, "logprob_difference_max": 0.0}
    handover(parts, [None] * 3)
    check_last_handover(parts, rollout=4, position=8)
    assert trainer.read == [4, 3, 4]


def test_the_kl_term_of_the_stage_is_corrected_as_the_recipe_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = list[tuple[bool, bool]]()

    def build(
        spec: AlgorithmSpec, value: None, *, max_new_tokens: int, correct_kl: bool, foreign_samples: bool
    ) -> Algorithm:
        built.append((correct_kl, foreign_samples))
        return algorithms.build(spec, max_new_tokens=max_new_tokens, correct_kl=correct_kl)

    monkeypatch.setattr(algorithm, "build", build)
    for minibatches in (1, 2):
        with opened(tmp_path / str(minibatches), update={"minibatches": minibatches}):
            pass
    assert built == [(False, False), (True, False)]
