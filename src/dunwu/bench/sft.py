"""Supervised training beside TRL's SFTTrainer: same model, examples, batches, optimizer and threads.

``natural``  the nano base on what writers write about Countdown (24 to some 300 tokens), 128 examples an update

TRL trains in microbatches that suit the caches, on the same batches (``trl``), or with like lengths put together by its
own sampler (``trl-grouped``), and so on others. Tokens are counted without padding.
"""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch

from dunwu.bench.pair import alternate
from dunwu.config.packaged import NANO_BASE
from dunwu.config.schema import OptimizerSpec, PassSpec
from dunwu.errors import NotInstalled, UserError
from dunwu.models.load import load_policy, resolve
from dunwu.pretraining.batches import encode_documents
from dunwu.pretraining.countdown_corpus import CountdownSpec, generate_documents
from dunwu.training.steps import take_step
from dunwu.training.supervised import SupervisedTrainer
from dunwu.types import TokenizedExample

BATCH, UPDATES, ROUNDS, LEARNING_RATE = 128, 4, 3, 1e-4
EXAMPLES = BATCH * UPDATES * (1 + ROUNDS)
TRL_MICROBATCH = 32
PEERS = {"trl": "sequential", "trl-grouped": "group_by_length"}


def measure(against: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Measure tokens a second.

    Args:
        against: Some of ``PEERS``.

    Returns:
        Ours and the peers' rates, and the mean loss of the last ``UPDATES`` updates of each side.

    Raises:
        UserError: An unknown peer, or TRL is not installed.
    """
    for peer in against:
        if peer not in PEERS:
            raise UserError(f"no such peer: {peer}; supervised training is measured against trl, trl-grouped")
        if importlib.util.find_spec("trl") is None:
            raise NotInstalled("TRL", "bench", field="--against")
    names, threads = ("dunwu", *against), torch.get_num_threads()
    seconds = alternate({name: partial(_side, name, "seconds") for name in names}, ROUNDS, threads)
    losses = alternate({name: partial(_side, name, "loss") for name in names}, ROUNDS, threads)
    tokens = sum(len(example.token_ids) for example in make_examples()) / (1 + ROUNDS)
    rates = {name: tokens / statistics.median(taken) for name, taken in seconds.items()}
    rate = rates.pop("dunwu")
    return {
        "natural": {
            "ours": rate,
            "unit": "tokens/s",
            "peers": rates,
            "ratio": rate / max(rates.values()) if rates else None,
            "floor_share": None,
            "loss": {name: taken[-1] for name, taken in losses.items()},
        }
    }


def make_examples() -> list[TokenizedExample]:
    """Make the examples, the same for every side, in the order in which they are learnt."""
    tokenizer = load_policy(NANO_BASE, device="cpu").tokenizer
    answered = (document for document in generate_documents(CountdownSpec(drills=0.0), 0) if document.prompt)
    rows = encode_documents(list(islice(answered, EXAMPLES)), tokenizer)
    return [
        TokenizedExample(token_ids=np.array(ids, np.int32), loss_mask=np.arange(len(ids)) >= asked)
        for ids, asked in rows
    ]


def _side(name: str, what: str, connection: Connection) -> None:
    if name == "dunwu":
        _ours(what, connection)
    else:
        _trl(PEERS[name], what, connection)


def _ours(what: str, connection: Connection) -> None:
    policy = load_policy(NANO_BASE, device="cpu")
    trainer = SupervisedTrainer(policy, OptimizerSpec(lr=LEARNING_RATE), PassSpec(), total_steps=EXAMPLES // BATCH)
    rows = make_examples()
    batches = iter([rows[start : start + BATCH] for start in range(0, len(rows), BATCH)])
    while connection.recv():
        start = time.perf_counter()
        losses = [take_step(trainer, batch, at=trainer.version).metrics["loss"] for batch in islice(batches, UPDATES)]
        connection.send(time.perf_counter() - start if what == "seconds" else statistics.mean(losses))


def _trl(order: str, what: str, connection: Connection) -> None:
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    class Turns(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
        start = 0.0
        losses: list[float] = []  # noqa: RUF012  -- one trainer, one list

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % UPDATES == 0:
                control.should_training_stop = not connection.recv()
                self.start, self.losses = time.perf_counter(), []

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "loss" in logs:
                self.losses.append(logs["loss"])

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % UPDATES == 0 and what == "seconds":
                connection.send(time.perf_counter() - self.start)
            control.should_log = what == "loss"

    class Losses(TrainerCallback):  # type: ignore[misc]
        """Answers after the last loss of a turn is logged."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if what == "loss" and "loss" in logs and len(turns.losses) == UPDATES:
                connection.send(statistics.mean(turns.losses))

    turns = Turns()
    rows = [
        {"input_ids": example.token_ids.tolist(), "completion_mask": example.loss_mask.astype(int).tolist()}
        for example in make_examples()
    ]
    with tempfile.TemporaryDirectory(prefix="dunwu-bench-trl-") as folder:
        config = SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=TRL_MICROBATCH,
            gradient_accumulation_steps=BATCH // TRL_MICROBATCH,
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
            max_steps=EXAMPLES // BATCH + 1,  # it asks for one turn more, which ends it
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        SFTTrainer(
            model=resolve(NANO_BASE), args=config, train_dataset=Dataset.from_list(rows), callbacks=[turns, Losses()]
        ).train()
