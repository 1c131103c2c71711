"""A trainer over ranks learns what one process learns, survives a change of their number, and never waits for ever."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from dunwu.algorithms.batching import TrainStep, make_train_step
from dunwu.errors import Fault
from dunwu.models.fused_layers import can_fuse
from dunwu.models.load import load_scorer, save_policy
from dunwu.runs import checkpoints
from dunwu.training.ranks import RankedBatchTrainer, RankedTrainer
from dunwu.training.reward import PairBatch, VerdictBatch
from dunwu.training.steps import take_step
from dunwu.training.trainer import Trainer
from dunwu.types import GradedSample, TokenizedExample, TrainSample
from dunwu.workers import process
from dunwu.workers.process import ProcessLauncher
from dunwu.workers.worker import CallFailed, WorkerDied, WorkerSilent

from .conftest import MakePolicy
from .rank_hosts import TOKENS, Build, ProbingHost, build_reward, build_supervised, read_gradients


class Pool:
    """Processes that all tests share: groups of ranks form in them anew, and those that were lost are replaced."""

    def __init__(self) -> None:
        self.launcher = ProcessLauncher()
        self.workers: list[Any] = []
        self.started = 0

    def open(self, ranks: int, build: Build) -> RankedTrainer:
        """A trainer over some of them."""
        return RankedTrainer(self.take(ranks), build, tokens_per_microbatch=TOKENS)

    def take(self, ranks: int) -> list[Any]:
        """Some of them, all alive."""
        self.workers = [worker for worker in self.workers if worker.is_alive]
        while len(self.workers) < (ranks if self.workers else 4):
            self.started += 1
            self.workers.append(self.launcher.launch(f"rank process {self.started}", ProbingHost))
        return self.workers[:ranks]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    made = Pool()
    yield made
    made.launcher.close()


def make_samples(count: int = 33, longest: int = 60, vocabulary: int = 560) -> list[GradedSample]:
    """Samples of unlike lengths, four to a group and with its prompt."""
    rng = np.random.default_rng(count)
    prompts = [rng.integers(0, vocabulary, rng.integers(3, 9)) for _ in range(count // 4 + 1)]
    samples = []
    for index in range(count):
        prompt, completion = prompts[index // 4], rng.integers(0, vocabulary, rng.integers(1, longest))
        tokens = np.concatenate([prompt, completion]).astype(np.int32)
        mask = np.arange(len(tokens)) >= len(prompt)
        samples.append(
            GradedSample(
                token_ids=tokens,
                loss_mask=mask,
                sampler_logprobs=np.where(mask, rng.normal(-7, 0.3, len(mask)), 0).astype(np.float32),
                group_id=index // 4,
                member=index % 4,
                reward=float(rng.normal()),
                policy_version=0,
            )
        )
    return samples


def make_step(trainer: Trainer, samples: Sequence[GradedSample]) -> TrainStep:
    """A step of all samples; the advantage of each is its reward, what is expected of it half of that."""
    batch = []
    for sample, logprobs in zip(samples, trainer.compute_logprobs(samples), strict=True):
        advantages = np.where(sample.loss_mask, sample.reward, 0).astype(np.float32)
        returns = None if logprobs.old_values is None else advantages / 2
        batch.append(
            TrainSample(
                sample=sample, logprobs=logprobs, advantages=advantages, returns=returns, kept_advantages=advantages
            )
        )
    return make_train_step(batch, TOKENS)


def weights_of(trainer: Any) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in trainer.export_weights().read()}


def largest_gap(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The largest difference of any two entries, as a part of the largest entry."""
    assert found.keys() == expected.keys()
    found, expected = ({name: each.detach() for name, each in tensors.items()} for tensors in (found, expected))
    largest = max(float(tensor.abs().max()) for tensor in expected.values())
    return max(float((found[name] - tensor).abs().max()) for name, tensor in expected.items()) / largest


def count_unlike(found: dict[str, Tensor], expected: dict[str, Tensor]) -> int:
    """How many weights are not the same number."""
    return sum(int((found[name] != weight).sum()) for name, weight in expected.items())


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def accumulate(trainer: Trainer, step: TrainStep) -> None:
    for part in range(trainer.begin_step(step)):
        trainer.forward_backward(part)


@pytest.mark.parametrize(
    ("ranks", "build"),
    [
        (2, Build()),
        (4, Build()),
        (2, Build(optimizer="muon")),
        (4, Build(optimizer="muon")),
        (2, Build(checkpointing=True)),
    ],
    ids=["2-adamw", "4-adamw", "2-muon", "4-muon", "2-checkpointing"],
)
def test_gradient_and_metrics_are_those_of_one_process(pool: Pool, ranks: int, build: Build) -> None:
    one, many, samples = build(), pool.open(ranks, build), make_samples()
    steps = [make_step(trainer, samples) for trainer in (one, many)]
    for mine, theirs in zip(steps[0].microbatches, steps[1].microbatches, strict=True):
        assert mine.ref_logprobs is not None
        assert theirs.ref_logprobs is not None
        torch.testing.assert_close(theirs.ref_logprobs, mine.ref_logprobs, rtol=0, atol=1e-5)
    accumulate(one, steps[0])
    accumulate(many, steps[1])
    gradients = [worker.call("read_gradients") for worker in pool.workers[:ranks]]
    assert largest_gap(gradients[0].result(), read_gradients(one)) < 1e-6

    for at in range(2):
        if at:
            accumulate(one, steps[0])
            accumulate(many, steps[1])
        alone, together = one.optim_step(at=at), many.optim_step(at=at)
        assert together.policy_version == alone.policy_version == many.policy_version
        assert together.metrics == pytest.approx(alone.metrics, rel=1e-4 if at else 1e-5, abs=1e-6)
    assert largest_gap(weights_of(many), weights_of(one)) < 1e-5


@pytest.mark.parametrize("checkpointing", [False, True])
def test_layers_of_transformers_own_are_gathered_too(
    pool: Pool, make_policy: MakePolicy, tmp_path: Path, checkpointing: bool
) -> None:
    """The heads of this model are too small for the kernels: its modules are called, as on a GPU."""
    save_policy(make_policy(vocab_size=258, tie_word_embeddings=False), tmp_path)
    build = Build(source=str(tmp_path), checkpointing=checkpointing)
    one, many, samples = build(), pool.open(2, build), make_samples(vocabulary=256)
    assert not can_fuse(one._learner.model)
    steps = [make_step(trainer, samples) for trainer in (one, many)]
    accumulate(one, steps[0])
    accumulate(many, steps[1])
    gradients = [worker.call("read_gradients") for worker in pool.workers[:2]]
    assert largest_gap(gradients[0].result(), read_gradients(one)) < 1e-6
    assert many.optim_step(at=0).metrics == pytest.approx(one.optim_step(at=0).metrics, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("build", [Build(adapter=True), Build(critic=True)], ids=["adapter", "value network"])
def test_an_adapter_and_a_value_network_learn_over_ranks(pool: Pool, build: Build, tmp_path: Path) -> None:
    one, many, samples = build(), pool.open(2, build), make_samples(9)
    steps = [make_step(trainer, samples) for trainer in (one, many)]
    for at in range(2):
        mine, theirs = take_step(one, steps[0], at=at), take_step(many, steps[1], at=at)
        assert theirs.metrics == pytest.approx(mine.metrics, rel=1e-4, abs=1e-6)
    assert largest_gap(weights_of(many), weights_of(one)) < 1e-5
    many.save(tmp_path)
    again = build()
    again.load(tmp_path)
    assert largest_gap(weights_of(again), weights_of(many)) == 0.0
    mine, theirs = take_step(again, steps[1], at=2), take_step(many, steps[1], at=2)
    assert theirs.metrics == pytest.approx(mine.metrics, rel=1e-4, abs=1e-6)


def test_weights_of_16_bits_have_masters_in_the_shards(pool: Pool, tmp_path: Path) -> None:
    """One process and two ranks round alike: after an update most weights are the same number."""
    build = Build(dtype="bfloat16", lr=1e-3)
    one, many, samples = build(), pool.open(2, build), make_samples(9)
    steps = [make_step(trainer, samples) for trainer in (one, many)]
    before = weights_of(one)
    mine, theirs = take_step(one, steps[0], at=0), take_step(many, steps[1], at=0)
    assert theirs.metrics["policy_loss"] == pytest.approx(mine.metrics["policy_loss"], abs=1e-4)
    assert theirs.metrics["grad_norm"] == pytest.approx(mine.metrics["grad_norm"], rel=0.01)
    ours, other = weights_of(many), weights_of(one)
    assert {weight.dtype for weight in ours.values()} == {torch.bfloat16}
    moved = count_unlike(before, other)
    assert moved > 100_000
    assert count_unlike(ours, other) < moved / 10
    many.save(tmp_path / "ranks")
    again = build()
    again.load(tmp_path / "ranks")
    assert largest_gap(weights_of(again), ours) == 0.0
    mine, theirs = take_step(again, steps[1], at=1), take_step(many, steps[1], at=1)
    assert theirs.metrics["grad_norm"] == pytest.approx(mine.metrics["grad_norm"], rel=0.01)
    assert count_unlike(weights_of(again), weights_of(many)) < moved / 10


def test_each_rank_holds_its_part_alone(pool: Pool, tmp_path: Path) -> None:
    whole = sum(weight.numel() for weight in weights_of(pool.open(4, Build())).values())
    for rank, worker in enumerate(pool.workers):
        worker.call("write_memory", tmp_path / str(rank)).result()
    parts = [int((tmp_path / str(rank)).read_text()) for rank in range(4)]
    assert sum(parts) == whole
    assert max(parts) < 0.3 * whole


def test_logprobs_come_in_the_order_asked(pool: Pool) -> None:
    """Fewer samples than ranks too, and texts that one rank reads in more pieces than another."""
    one, many = Build()(), pool.open(4, Build())
    for samples in (make_samples(), make_samples(2), []):
        for mine, theirs in zip(
            one.compute_policy_logprobs(samples), many.compute_policy_logprobs(samples), strict=True
        ):
            np.testing.assert_allclose(theirs, mine, rtol=0, atol=1e-5)
    rng = np.random.default_rng(0)
    texts = [rng.integers(0, 560, length).astype(np.int32) for length in (1500, 3, 40, 40, 7)]
    for mine, theirs in zip(one.compute_text_logprobs(texts), many.compute_text_logprobs(texts), strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=0, atol=1e-4)


def test_old_logprobs_are_computed_by_all_ranks_or_by_none(pool: Pool) -> None:
    many, samples = pool.open(2, Build()), make_samples(4)
    assert all(own.old_logprobs is None for own in many.compute_logprobs(samples))
    samples[0] = replace(samples[0], policy_version=7)
    assert all(own.old_logprobs is not None for own in many.compute_logprobs(samples))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_saved_on_two_ranks_and_resumed_on_any_number(
    pool: Pool, tmp_path: Path, optimizer: Literal["adamw", "muon"]
) -> None:
    build, samples = Build(optimizer=optimizer), make_samples()
    straight = pool.open(2, build)
    step = make_step(straight, samples)
    take_step(straight, step, at=0)
    straight.refresh_reference()
    straight.save(tmp_path / "saved")
    after = take_step(straight, make_step(straight, samples), at=1)
    straight.save(tmp_path / "straight")
    expected = weights_of(straight)

    for ranks in (2, 1, 4, 0):
        resumed = pool.open(ranks, build) if ranks else build()
        resumed.load(tmp_path / "saved")
        assert resumed.policy_version == 1
        result = take_step(resumed, make_step(resumed, samples), at=1)
        assert result.metrics == pytest.approx(after.metrics, rel=1e-5, abs=1e-6)
        assert largest_gap(weights_of(resumed), expected) < 1e-5
        if ranks == 2:  # bit for bit, so the bytes are the same too
            assert result == after
            resumed.save(tmp_path / "resumed")
            assert hashes(tmp_path / "resumed") == hashes(tmp_path / "straight") != hashes(tmp_path / "saved")


def test_ranks_go_on_where_one_process_was_and_back(pool: Pool, tmp_path: Path) -> None:
    """Three ranks: a matrix of 128 rows lies in parts of 43, 43 and 42."""
    build, samples = Build(), make_samples(9)
    one = build()
    step = make_step(one, samples)
    take_step(one, step, at=0)
    one.save(tmp_path / "one")
    many = pool.open(3, build)
    many.load(tmp_path / "one")
    assert largest_gap(weights_of(many), weights_of(one)) == 0.0
    mine, theirs = take_step(one, step, at=1), take_step(many, step, at=1)
    assert theirs.metrics == pytest.approx(mine.metrics, rel=1e-5, abs=1e-6)
    many.save(tmp_path / "three")
    one.load(tmp_path / "three")
    assert largest_gap(weights_of(one), weights_of(many)) == 0.0
    mine, theirs = take_step(one, step, at=2), take_step(many, step, at=2)
    assert theirs.metrics == pytest.approx(mine.metrics, rel=1e-5, abs=1e-6)
    assert largest_gap(weights_of(one), weights_of(many)) < 1e-5


def test_a_supervised_trainer_learns_over_ranks(pool: Pool, tmp_path: Path) -> None:
    """Of a batch that one microbatch would hold, each rank has a part; of a single example one rank has none."""
    one, many = build_supervised(), RankedBatchTrainer(pool.take(2), build_supervised)
    examples = [TokenizedExample(token_ids=sample.token_ids, loss_mask=sample.loss_mask) for sample in make_samples(21)]
    for at, batch in enumerate((examples[:20], examples[:4], examples[20:])):
        mine, theirs = take_step(one, batch, at=at), take_step(many, batch, at=at)
        assert theirs.metrics == pytest.approx(mine.metrics, rel=1e-4, abs=1e-6)
    assert many.version == one.version == 3
    assert largest_gap(weights_of(many), weights_of(one)) < 1e-5
    many.save(tmp_path)
    one.load(tmp_path)
    assert largest_gap(weights_of(many), weights_of(one)) == 0.0


@pytest.mark.parametrize("kind", ["pairs", "verdicts"])
def test_a_reward_trainer_learns_over_ranks(pool: Pool, tmp_path: Path, kind: str) -> None:
    one, many = build_reward(), RankedBatchTrainer(pool.take(2), build_reward)
    texts = [sample.token_ids for sample in make_samples(18)]

    def make_batch(count: int) -> PairBatch | VerdictBatch:
        if kind == "pairs":
            return PairBatch(chosen=texts[:count], rejected=texts[-count:])
        return VerdictBatch(each=texts[:count], good=[index % 3 == 0 for index in range(count)])

    for at, count in enumerate((9, 4, 1)):
        mine, theirs = take_step(one, make_batch(count), at=at), take_step(many, make_batch(count), at=at)
        assert theirs.metrics == pytest.approx(mine.metrics, rel=1e-4, abs=1e-6)
    np.testing.assert_allclose(many.score(texts), one.score(texts), rtol=0, atol=1e-4)
    many.save_model(tmp_path)
    saved = load_scorer(str(tmp_path)).model.state_dict()
    assert largest_gap(saved, weights_of(many)) == 0.0


def test_an_export_is_an_ordinary_folder(pool: Pool, tmp_path: Path) -> None:
    many = pool.open(2, Build())
    many.save_model(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert largest_gap(dict(model.named_parameters()), weights_of(many)) == 0.0
    one = Build()()
    one.save_model(tmp_path / "one")
    for file in (tmp_path / "one").iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes(), file.name


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_what_is_not_finite_on_one_rank_stops_all(pool: Pool, where: str) -> None:
    many = pool.open(2, Build())
    step = make_step(many, make_samples())
    before = weights_of(many)
    pool.workers[1].call("poison", 1, float("nan"), where == "gradient").result()
    place = r"rank 1, microbatch 2 of \d, groups \d"
    with pytest.raises(Fault, match=rf"the {where} is nan in update 1, .*{place}.*; the weights are as they were"):
        take_step(many, step, at=0)
    assert many.policy_version == 0
    assert largest_gap(weights_of(many), before) == 0.0
    assert np.isfinite(take_step(many, step, at=0).metrics["grad_norm"])  # nothing of the bad gradient is left


def test_a_step_that_is_given_up_leaves_nothing(pool: Pool) -> None:
    one, many, samples = Build()(), pool.open(2, Build()), make_samples(9)
    step = make_step(many, samples)
    many.begin_step(step)
    many.forward_backward(0)
    mine, theirs = take_step(one, step, at=0), take_step(many, step, at=0)
    assert theirs.metrics == pytest.approx(mine.metrics, rel=1e-5, abs=1e-6)


def test_what_goes_wrong_on_one_rank_is_raised_as_it_is(pool: Pool) -> None:
    many = pool.open(2, Build())
    with pytest.raises(CallFailed, match="no step has begun"):
        many.forward_backward(0)


def test_a_rank_waits_for_another_no_longer_than_it_may(pool: Pool) -> None:
    """Where a rank goes on and another does not, nobody is lost: the one that waits gives up."""
    pool.open(2, Build())
    pair = pool.workers[:2]
    for worker in pair:
        worker.call("wait_at_most", 2.0)
    many = pool.open(2, Build())
    many.begin_step(make_step(many, make_samples(9)))
    with pytest.raises(CallFailed, match=rf"{pair[0].name}: .*[Tt]imed out"):
        pair[0].call("ask", "forward_backward", (0,)).result()
    for worker in pair:
        worker.call("wait_at_most", 60.0)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
def test_a_rank_that_is_lost_ends_the_call_of_all(
    pool: Pool, end: signal.Signals, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And the checkpoint that was there before stands."""
    monkeypatch.setattr(process, "SILENT_SECONDS", 3.0)
    many = pool.open(2, Build())
    step = make_step(many, make_samples(9))
    checkpoints.save(tmp_path, 1, many.save, {})
    pair = pool.workers[:2]
    os.kill(pair[1].pid, end)
    with pytest.raises(Fault, match=f"^{pair[1].name} .*: the run can go on") as raised:
        take_step(many, step, at=0)
    assert isinstance(raised.value.__cause__, WorkerDied if end == signal.SIGKILL else WorkerSilent)
    assert not any(worker.is_alive for worker in pair)
    with pytest.raises(Fault, match=pair[0].name):  # and so does whatever is asked of it afterwards
        checkpoints.save(tmp_path, 2, many.save, {})
    newest = checkpoints.find_newest(tmp_path)
    assert newest is not None
    assert newest.step == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]
