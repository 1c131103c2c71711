"""Supervised training beside TRL's SFTTrainer: same model, examples, batches, optimizer and threads.

``natural``  the nano base on what writers write about Countdown (24 to some 300 tokens), 128 examples an update

With a size it is a model of that size, on random letters, whose lengths have a long tail (see ``sizes``). TRL trains in
microbatches that suit the caches, on the same batches (``trl``), or with like lengths put together by its own sampler
(``trl-grouped``), and so on others. Tokens are counted without padding.
"""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dunwu.bench.pair import alternate, report_memory
from dunwu.bench.random_model import make_random_model
from dunwu.bench.sizes import END, PROMPT_TOKENS, SupervisedWork, find_size
from dunwu.config.packaged import NANO_BASE
from dunwu.config.schema import OptimizerSpec, PassSpec
from dunwu.errors import NotInstalled, UserError
from dunwu.machine import keep_freed_memory
from dunwu.models.load import load_policy
from dunwu.models.places import resolve
from dunwu.pretraining.batches import encode_documents
from dunwu.pretraining.countdown_corpus import CountdownSpec, generate_documents
from dunwu.training.steps import take_step
from dunwu.training.supervised import SupervisedTrainer
from dunwu.types import TokenizedExample

BATCH, UPDATES, ROUNDS, LEARNING_RATE = 128, 4, 3, 1e-4
TRL_MICROBATCH = 32
PEERS = {"trl": "sequential", "trl-grouped": "group_by_length"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A workload, the same for all sides.

    Attributes:
        model: A transformers folder.
        size: A key of ``sizes.SIZES``; None: the nano base on Countdown.
        batch: Examples of an update.
        updates: Updates of a turn.
        microbatch: Examples that TRL trains on at once.
    """

    model: str
    size: str | None
    batch: int
    updates: int
    microbatch: int

    @property
    def all_updates(self) -> int:
        """Updates of all turns, with the one that is thrown away."""
        return self.updates * (1 + ROUNDS)


def measure(against: Sequence[str], *, size: str | None = None) -> dict[str, dict[str, Any]]:
    """Measure tokens a second.

    Args:
        against: Some of ``PEERS``.
        size: A key of ``sizes.SIZES``; None: the nano base.

    Returns:
        Ours and the peers' rates, the mean loss of the last updates, and the peak memory, of each side.

    Raises:
        UserError: An unknown peer, TRL is not installed, or the size is unknown or too large.
    """
    for peer in against:
        if peer not in PEERS:
            raise UserError(f"no such peer: {peer}; supervised training is measured against trl, trl-grouped")
        if importlib.util.find_spec("trl") is None:
            raise NotInstalled("TRL", "bench", field="--against")
    if size:
        find_size(size).check_memory("sft", 1 + len(against))
    names, threads = ("dunwu", *against), torch.get_num_threads()
    with tempfile.TemporaryDirectory(prefix="dunwu-bench-") as folder:
        job = make_job(Path(folder), size)
        seconds = alternate({name: partial(_side, name, "seconds", job) for name in names}, ROUNDS, threads)
        losses = alternate({name: partial(_side, name, "loss", job) for name in names}, ROUNDS, threads)
        tokens = sum(len(example.token_ids) for example in make_examples(job)) / (1 + ROUNDS)
    rates = {name: tokens / taken.median for name, taken in seconds.items()}
    rate = rates.pop("dunwu")
    return {
        "natural": {
            "ours": rate,
            "unit": "tokens/s",
            "peers": rates,
            "ratio": rate / max(rates.values()) if rates else None,
            "floor_share": None,
            "loss": {name: taken.numbers[-1] for name, taken in losses.items()},
            "peak_memory_mib": report_memory(seconds),
        }
    }


def make_job(folder: Path, name: str | None) -> Job:
    """Make the workload, and in a folder the model of its size."""
    if name is None:
        return Job(model=resolve(NANO_BASE), size=None, batch=BATCH, updates=UPDATES, microbatch=TRL_MICROBATCH)
    size = find_size(name)
    make_random_model(folder, size.config)
    microbatch = min(size.microbatch, size.sft.batch)
    return Job(model=str(folder), size=size.name, batch=size.sft.batch, updates=size.sft.updates, microbatch=microbatch)


def make_examples(job: Job) -> list[TokenizedExample]:
    """Make the examples, the same for every side, in the order in which they are learnt."""
    count = job.batch * job.all_updates
    rows = _draw_letters(find_size(job.size).sft, count) if job.size else _write_countdown(job.model, count)
    return [
        TokenizedExample(token_ids=np.array(ids, np.int32), loss_mask=np.arange(len(ids)) >= asked)
        for ids, asked in rows
    ]


def _write_countdown(model: str, count: int) -> list[tuple[list[int], int]]:
    tokenizer = load_policy(model, device="cpu").tokenizer
    answered = (document for document in generate_documents(CountdownSpec(drills=0.0), 0) if document.prompt)
    return [(list(ids), asked) for ids, asked in encode_documents(list(islice(answered, count)), tokenizer)]


def _draw_letters(work: SupervisedWork, count: int) -> list[tuple[list[int], int]]:
    """Draw prompts and answers; an answer's length has a geometric distribution, cut at the longest."""
    rng = np.random.default_rng(0)
    lengths = PROMPT_TOKENS + rng.geometric(1 / work.mean_answer_tokens, count)
    return [(rng.integers(END, size=size).tolist(), PROMPT_TOKENS) for size in lengths.clip(max=work.most_tokens)]


def _side(name: str, what: str, job: Job, connection: Connection) -> None:
    if name == "dunwu":
        _ours(job, what, connection)
    else:
        _trl(job, PEERS[name], what, connection)


def _ours(job: Job, what: str, connection: Connection) -> None:
    keep_freed_memory()  # as every run of ours does
    policy = load_policy(job.model, device="cpu")
    trainer = SupervisedTrainer(policy, OptimizerSpec(lr=LEARNING_RATE), PassSpec(), total_steps=job.all_updates)
    rows = make_examples(job)
    batches = iter([rows[start : start + job.batch] for start in range(0, len(rows), job.batch)])
    while connection.recv():
        start = time.perf_counter()
        losses = [
            take_step(trainer, batch, at=trainer.version).metrics["loss"] for batch in islice(batches, job.updates)
        ]
        connection.send(time.perf_counter() - start if what == "seconds" else statistics.mean(losses))


def _trl(job: Job, order: str, what: str, connection: Connection) -> None:
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    class Turns(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
        start = 0.0
        losses: list[float] = []  # noqa: RUF012  -- one trainer, one list

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % job.updates == 0:
                control.should_training_stop = not connection.recv()
                self.start, self.losses = time.perf_counter(), []

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "loss" in logs:
                self.losses.append(logs["loss"])

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % job.updates == 0 and what == "seconds":
                connection.send(time.perf_counter() - self.start)
            control.should_log = what == "loss"

    class Losses(TrainerCallback):  # type: ignore[misc]
        """Answers after the last loss of a turn is logged."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if what == "loss" and "loss" in logs and len(turns.losses) == job.updates:
                connection.send(statistics.mean(turns.losses))

    turns = Turns()
    rows = [
        {"input_ids": example.token_ids.tolist(), "completion_mask": example.loss_mask.astype(int).tolist()}
        for example in make_examples(job)
    ]
    with tempfile.TemporaryDirectory(prefix="dunwu-bench-trl-") as folder:
        config = SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=job.microbatch,
            gradient_accumulation_steps=job.batch // job.microbatch,
            train_sampling_strategy=order,
            completion_only_loss=True,
            max_length=None,
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="constant",
            weight_decay=0.0,
            adam_beta2=0.95,
            bf16=False,
            use_cpu=True,
            gradient_checkpointing=False,
            max_steps=job.all_updates + 1,  # it asks for one turn more, which ends it
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        SFTTrainer(
            model=job.model, args=config, train_dataset=Dataset.from_list(rows), callbacks=[turns, Losses()]
        ).train()
