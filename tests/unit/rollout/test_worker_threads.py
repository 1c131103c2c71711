"""Worker threads: samples as of one engine; an error or an end in any is everyone's; threads are given back."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from dunwu.errors import Interrupted
from dunwu.models import flops
from dunwu.models.weights import WeightUpdate
from dunwu.rollout.builtin.engine import TorchEngine
from dunwu.rollout.builtin.worker_threads import ThreadedEngine, build_builtin_engine
from dunwu.rollout.engine import Sample
from dunwu.types import Sampling

from .conftest import MakePolicy, assert_same, by_seed, requests_of

LENGTHS = (5, 17, 1, 9, 30)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Three threads before and after, and no worker that lives on."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)
    assert not [thread for thread in threading.enumerate() if thread.name == "engine"]


def test_threads_draw_what_one_engine_draws(make_policy: MakePolicy) -> None:
    requests, sampling = requests_of(LENGTHS, 4), Sampling(max_new_tokens=20)
    engine = ThreadedEngine(make_policy("qwen3"), max_sequences=8, threads=3)
    expected = by_seed(TorchEngine(make_policy("qwen3"), max_sequences=8), requests, sampling)
    assert_same(expected, by_seed(engine, requests, sampling))
    weights = {name: tensor * 1.01 for name, tensor in make_policy("qwen3").model.named_parameters()}
    engine.update_weights(WeightUpdate.in_memory(7, weights.items()))
    after = by_seed(engine, requests, sampling)
    assert {completion.policy_version for completion in after.values()} == {7}
    one = TorchEngine(make_policy("qwen3"), max_sequences=8)
    one.update_weights(WeightUpdate.in_memory(7, weights.items()))
    assert_same(by_seed(one, requests, sampling), after)


def test_fewer_requests_than_threads(make_policy: MakePolicy) -> None:
    engine = ThreadedEngine(make_policy("llama"), max_sequences=6, threads=3)
    finished = dict(engine.generate(requests_of((4,), 2), Sampling(max_new_tokens=5)))
    assert finished.keys() == {Sample(0, 0), Sample(0, 1)}
    assert list(engine.generate([], Sampling(max_new_tokens=5))) == []


def test_an_error_in_a_thread_ends_all_and_is_raised(make_policy: MakePolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ThreadedEngine(make_policy("llama"), max_sequences=6, threads=3)

    def broken(*_: object) -> None:
        raise ZeroDivisionError("in the second thread")

    monkeypatch.setattr(engine._engines[1]._batch, "step", broken)
    with pytest.raises(ZeroDivisionError, match="second thread"):
        list(engine.generate(requests_of(LENGTHS, 2), Sampling(max_new_tokens=400)))


def test_closing_early_ends_the_threads(make_policy: MakePolicy) -> None:
    engine = ThreadedEngine(make_policy("llama"), max_sequences=2, threads=2)
    finished = engine.generate(requests_of(LENGTHS, 1), Sampling(max_new_tokens=8))
    next(finished)
    finished.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name == "engine"]
    assert len(list(engine.generate(requests_of(LENGTHS, 1), Sampling(max_new_tokens=8)))) == 5


def test_a_stop_between_two_starts_is_what_is_raised(make_policy: MakePolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ThreadedEngine(make_policy("llama"), max_sequences=6, threads=3)
    start, started = threading.Thread.start, iter([True, False])

    def interrupted(thread: threading.Thread) -> None:
        if thread.name == "engine" and not next(started):
            raise Interrupted("asked to stop")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(Interrupted):
        list(engine.generate(requests_of(LENGTHS, 2), Sampling(max_new_tokens=400)))


def test_worker_threads_are_for_small_models_and_several_threads(
    make_policy: MakePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(build_builtin_engine(make_policy("llama"), max_sequences=4), ThreadedEngine)
    monkeypatch.setattr(flops, "PARALLEL_UP_TO", 1000)
    assert isinstance(build_builtin_engine(make_policy("llama"), max_sequences=4), TorchEngine)
    monkeypatch.undo()
    torch.set_num_threads(1)
    assert isinstance(build_builtin_engine(make_policy("llama"), max_sequences=4), TorchEngine)
    torch.set_num_threads(3)
