"""What every engine keeps, in this process, in threads and in workers; and what a lost worker costs: nothing."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.changed_weights import change_weights
from torch.nn.utils.rnn import pad_sequence

from dunwu.errors import Fault, UserError
from dunwu.execution.distributed import ClusterPublisher
from dunwu.models.load import load_policy, save_policy
from dunwu.models.policy import Policy
from dunwu.models.weights import WeightUpdate
from dunwu.rollout.builtin.engine import TorchEngine
from dunwu.rollout.builtin.worker_threads import ThreadedEngine
from dunwu.rollout.engine import Engine, Sample
from dunwu.rollout.weight_folder import WeightFolder
from dunwu.rollout.workers.engine import LOSSES, WorkerEngine
from dunwu.types import Completion, GenerationRequest, Sampling, VersionSpan
from dunwu.workers.inline import InlineLauncher
from dunwu.workers.process import ProcessLauncher, ProcessWorker
from dunwu.workers.ray_actors import RayLauncher

from .conftest import MakePolicy, assert_same, by_seed, requests_of
from .hosts import make_host

FAMILIES = {"tied": "qwen2", "untied": "llama"}
REQUESTS = requests_of((5, 17, 1, 9, 140), 3)
SAMPLING = Sampling(max_new_tokens=24, temperature=0.8)
Seeded = dict[tuple[str, int], Completion]
Build = Callable[[Path], Engine]


def build_torch(folder: Path) -> Engine:
    return TorchEngine(load_policy(str(folder)), max_sequences=4)


def build_threads(folder: Path) -> Engine:
    return ThreadedEngine(load_policy(str(folder)), max_sequences=4, threads=2)


def build_inline(folder: Path) -> Engine:
    return WorkerEngine(InlineLauncher(), partial(make_host, folder), workers=2)


def build_processes(folder: Path) -> Engine:
    return WorkerEngine(ProcessLauncher(), partial(make_host, folder), workers=2)


def build_ray(folder: Path) -> Engine:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'dunwu[ray]'")
    launcher = RayLauncher("local")
    publisher = ClusterPublisher(launcher.put)
    return WorkerEngine(launcher, partial(make_host, folder), workers=2, publisher=publisher)


BUILDERS: dict[str, Build] = {
    "torch": build_torch,
    "threads": build_threads,
    "inline workers": build_inline,
    "processes": build_processes,
    "ray": build_ray,
}


@pytest.fixture(scope="module")
def folders(make_policy: MakePolicy, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for name, family in FAMILIES.items():
        made[name] = tmp_path_factory.mktemp("models") / name
        save_policy(make_policy(family), made[name])
    return made


@pytest.fixture(scope="module", params=[(head, kind) for kind in BUILDERS for head in FAMILIES], ids=" ".join)
def opened(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Iterator[tuple[Engine, Policy]]:
    """An engine, and the policy with which it began."""
    head, kind = request.param
    with closing(BUILDERS[kind](folders[head])) as engine:
        yield engine, load_policy(str(folders[head]))


def largest_difference(policy: Policy, requests: list[GenerationRequest], written: Seeded, temperature: float) -> float:
    """The largest difference to the log-probabilities of the model's own forward."""
    prompts = {request.prompt.problem.id: request.prompt.token_ids for request in requests}
    rows = [(prompts[key[0]], completion) for key, completion in written.items()]
    whole = [torch.from_numpy(np.append(prompt, own.token_ids)).long() for prompt, own in rows]
    tokens = pad_sequence(whole, batch_first=True)
    with torch.no_grad():
        logprobs = (policy.model(tokens).logits.double() / temperature).log_softmax(-1)
    picked = logprobs[:, :-1].gather(2, tokens[:, 1:, None]).squeeze(2).numpy()
    return max(
        float(np.abs(own.logprobs - line[len(prompt) - 1 : len(prompt) - 1 + len(own.token_ids)]).max())
        for (prompt, own), line in zip(rows, picked, strict=True)
    )


def test_a_completion_is_the_same_alone_shuffled_and_split(opened: tuple[Engine, Policy]) -> None:
    engine, policy = opened
    alone = by_seed(TorchEngine(policy, max_sequences=1), REQUESTS, SAMPLING)
    assert len(alone) == 15
    assert_same(by_seed(engine, REQUESTS, SAMPLING), alone)
    assert_same(by_seed(engine, REQUESTS[::-1], SAMPLING), alone)
    halves = [replace(request, seeds=request.seeds[part]) for request in REQUESTS for part in (slice(2), slice(2, 3))]
    assert_same(by_seed(engine, halves, SAMPLING), alone)


def test_who_leaves_early_disturbs_nobody(opened: tuple[Engine, Policy]) -> None:
    engine, policy = opened
    expected = by_seed(TorchEngine(policy, max_sequences=4), REQUESTS, SAMPLING)
    for _ in range(3):
        some: Any = engine.generate(REQUESTS, SAMPLING)
        next(some)
        some.close()
    assert_same(by_seed(engine, REQUESTS, SAMPLING), expected)


def test_what_does_not_fit_is_refused_by_its_field(opened: tuple[Engine, Policy]) -> None:
    engine, _ = opened
    with pytest.raises(UserError) as refused:
        list(engine.generate(requests_of((500,), 1), SAMPLING))
    assert refused.value.field == "rollout.max_new_tokens"
    assert len(by_seed(engine, REQUESTS[:1], SAMPLING)) == 3


def test_nothing_wanted_is_nothing_written(opened: tuple[Engine, Policy]) -> None:
    assert list(opened[0].generate([], SAMPLING)) == []


def test_stop_strings_lengths_and_greedy_are_the_same_everywhere(opened: tuple[Engine, Policy]) -> None:
    engine, policy = opened
    for sampling in (
        replace(SAMPLING, stop=("a", "e", "=")),
        replace(SAMPLING, max_new_tokens=1),
        replace(SAMPLING, temperature=0.0),
        replace(SAMPLING, top_p=0.5, banned=(65, 66)),
    ):
        expected = by_seed(TorchEngine(policy, max_sequences=8), REQUESTS, sampling)
        assert_same(by_seed(engine, REQUESTS, sampling), expected)


def test_weights_that_are_not_the_models_are_refused_and_the_old_ones_stay(opened: tuple[Engine, Policy]) -> None:
    engine, policy = opened
    before, version = by_seed(engine, REQUESTS, SAMPLING), engine.policy_version
    named = dict(policy.model.named_parameters())
    first = next(iter(named))
    renamed = {("model.other" if name == first else name): tensor for name, tensor in named.items()}
    missing = {name: tensor for name, tensor in named.items() if not name.endswith("norm.weight")}
    shapes = {name: tensor.new_zeros(3, 5) if name == first else tensor for name, tensor in named.items()}
    for wrong, text in ((renamed, "model.other"), (missing, "lack"), (shapes, r"\[3, 5\]")):
        zeros = ((name, torch.zeros_like(tensor)) for name, tensor in wrong.items())
        with pytest.raises(ValueError, match=text):
            engine.update_weights(WeightUpdate.in_memory(99, zeros))
        assert engine.policy_version == version
        assert_same(by_seed(engine, REQUESTS, SAMPLING), before)


def test_log_probabilities_are_the_models_before_and_after_updates(opened: tuple[Engine, Policy]) -> None:
    engine, policy = opened
    texts = []
    for version in (engine.policy_version, 11, 12):
        if version > 10:
            engine.update_weights(change_weights(policy, version))
        written = by_seed(engine, REQUESTS, SAMPLING)
        texts.append({key: completion.token_ids.tolist() for key, completion in written.items()})
        assert largest_difference(policy, REQUESTS, written, SAMPLING.temperature) < 1e-4
        for completion in written.values():
            span = VersionSpan(version=version, start=0, end=len(completion.token_ids))
            assert completion.version_spans == (span,)
    assert texts[0] != texts[1] != texts[2]


@pytest.fixture
def workers(folders: dict[str, Path]) -> Iterator[tuple[WorkerEngine, list[str]]]:
    """An engine over two processes, and what it said."""
    said: list[str] = []
    engine = WorkerEngine(ProcessLauncher(), partial(make_host, folders["tied"]), workers=2, message=said.append)
    with closing(engine):
        yield engine, said


def process_of(engine: WorkerEngine, number: int) -> ProcessWorker:
    worker = engine._places[number].worker
    assert isinstance(worker, ProcessWorker)
    return worker


def generate_disturbed(
    engine: WorkerEngine, after: dict[int, tuple[int, signal.Signals]]
) -> list[tuple[Sample, Completion]]:
    """Generate; after so many completions, a worker gets a signal."""
    got = []
    for sample, completion in engine.generate(REQUESTS, SAMPLING):
        got.append((sample, completion))
        if len(got) in after:
            number, what = after[len(got)]
            os.kill(process_of(engine, number).pid, what)
    return got


def test_killed_and_stopped_workers_change_no_sample(
    workers: tuple[WorkerEngine, list[str]], folders: dict[str, Path]
) -> None:
    engine, said = workers
    policy = load_policy(str(folders["tied"]))
    engine.update_weights(change_weights(policy, 5))
    expected = by_seed(TorchEngine(policy, max_sequences=4, version=5), REQUESTS, SAMPLING)
    got = generate_disturbed(engine, {2: (0, signal.SIGKILL), 4: (1, signal.SIGSTOP), 7: (0, signal.SIGKILL)})
    assert len({sample for sample, _ in got}) == len(got) == 15
    assert_same(
        {(REQUESTS[s.request].prompt.problem.id, REQUESTS[s.request].seeds[s.index]): own for s, own in got}, expected
    )
    assert all(completion.policy_version == 5 for _, completion in got)
    assert len(said) == 3
    assert said[0].startswith("rollout worker 1 was killed by SIGKILL; another takes its place, and ")
    assert sum("said nothing more" in line for line in said) == 1


def test_a_worker_killed_before_an_update_gets_it_too(
    workers: tuple[WorkerEngine, list[str]], folders: dict[str, Path]
) -> None:
    engine, _ = workers
    policy = load_policy(str(folders["tied"]))
    assert len(by_seed(engine, REQUESTS, SAMPLING)) == 15
    os.kill(process_of(engine, 0).pid, signal.SIGKILL)
    engine.update_weights(change_weights(policy, 3))
    expected = by_seed(TorchEngine(policy, max_sequences=4, version=3), REQUESTS, SAMPLING)
    assert_same(by_seed(engine, REQUESTS, SAMPLING), expected)


def test_workers_that_die_one_after_another_end_the_run(workers: tuple[WorkerEngine, list[str]]) -> None:
    engine, said = workers
    launch = engine._launch

    def launch_doomed(name: str) -> Any:
        worker = launch(name)
        os.kill(worker.pid, signal.SIGKILL)  # type: ignore[attr-defined]
        return worker

    engine._launch = launch_doomed  # type: ignore[method-assign]
    os.kill(process_of(engine, 0).pid, signal.SIGKILL)
    os.kill(process_of(engine, 1).pid, signal.SIGKILL)
    with pytest.raises(Fault, match="killed by SIGKILL; 3 workers in a row"):
        list(engine.generate(REQUESTS, SAMPLING))
    assert LOSSES - 1 <= len(said) <= 2 * (LOSSES - 1)


def test_a_worker_that_missed_an_update_is_found(
    workers: tuple[WorkerEngine, list[str]], folders: dict[str, Path]
) -> None:
    engine, _ = workers
    engine.policy_version = 1  # as if it had been sent
    with pytest.raises(Fault, match="wrote with version 0 of the weights, and was given version 1"):
        list(engine.generate(REQUESTS, SAMPLING))


def test_a_host_in_this_process_ends_its_thread(folders: dict[str, Path]) -> None:
    before = set(threading.enumerate())
    with closing(build_inline(folders["tied"])) as engine:
        assert len(by_seed(engine, REQUESTS[:1], SAMPLING)) == 3
        hosts = set(threading.enumerate()) - before
    assert hosts
    for thread in hosts:
        thread.join(60)
        assert not thread.is_alive()


def test_nothing_is_left_behind(folders: dict[str, Path]) -> None:
    engine = build_processes(folders["tied"])
    assert isinstance(engine, WorkerEngine)
    engine.update_weights(change_weights(load_policy(str(folders["tied"])), 1))
    publisher = engine._publisher
    assert isinstance(publisher, WeightFolder)
    folder = publisher._folder
    assert folder is not None
    engine.update_weights(change_weights(load_policy(str(folders["tied"])), 2))
    assert sorted(path.name for path in folder.iterdir()) == ["000002.safetensors", "in-use"]
    engine.close()
    assert not folder.exists()
