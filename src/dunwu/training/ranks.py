"""A trainer over several workers, each of which holds a rank of it. Only records and numbers go to and fro."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32

from dunwu.algorithms.batching import TrainStep
from dunwu.algorithms.dealing import deal, distribute
from dunwu.errors import Fault
from dunwu.models.weights import WeightUpdate
from dunwu.training.learner import read_version
from dunwu.training.rank_host import BuildTrainer
from dunwu.types import GradedSample, SampleLogprobs, StepResult
from dunwu.workers.worker import CallFailed, Worker, WorkerLost


class _Ranks:
    """What trainers over ranks have in common: every call is made on all ranks, and is over when all have answered.

    Ranks wait for each other while they compute. So where a worker is lost the others are ended too, and the trainer
    with them: a run goes on from its newest checkpoint, over as many ranks as there are then.

    Args:
        workers: each holds a ``RankHost``; they may have been a trainer's before.
        build: builds the trainer of a rank there.
    """

    def __init__(self, workers: Sequence[Worker], build: BuildTrainer) -> None:
        self._workers, self._version = workers, 0
        count = len(workers)
        (address,) = _call([workers[0]], "offer_address", [()])
        _call(workers, "join", [(address, rank, count, build) for rank in range(count)])

    def forward_backward(self, part: int) -> None:
        """See ``steps.StepTrainer``. What is not finite is found in ``optim_step``, before the weights change."""
        self._ask_all("forward_backward", part)

    def optim_step(self, *, at: int) -> StepResult:
        """See ``steps.StepTrainer``.

        Raises:
            Fault: a loss or a gradient is not finite; the weights are untouched on all ranks.
        """
        result: StepResult = self._ask_all("optim_step", at=at)[0]
        self._version = result.policy_version
        return result

    def export_weights(self) -> WeightUpdate:
        """See ``trainer.Trainer``."""
        update: WeightUpdate = self._ask_all("export_weights")[0]
        return update

    def save(self, folder: Path) -> None:
        """See ``trainer.Trainer``. All ranks have written when it returns."""
        self._ask_all("save", folder.absolute())

    def save_model(self, folder: Path) -> None:
        """See ``trainer.Trainer``."""
        self._ask_all("save_model", folder.absolute())

    def load(self, folder: Path) -> None:
        """See ``trainer.Trainer``. Of one process or of any number of ranks; bit for bit, if of as many."""
        self._ask_all("load", folder.absolute())
        self._version = read_version(folder)

    def _share_out(self, method: str, items: Sequence[Any], lengths: Sequence[int]) -> list[Any]:
        """Give each rank some of the items, and return what it found in the order of the items."""
        hands = deal(lengths, len(self._workers))
        answers = self._ask_each(method, [[items[i] for i in hand] for hand in hands])
        found: dict[int, Any] = {}
        for hand, answer in zip(hands, answers, strict=True):
            found |= zip(hand, answer, strict=True)
        return [found[i] for i in range(len(items))]

    def _ask_each(self, method: str, shares: Sequence[Any]) -> list[Any]:
        """Call a method of all trainers, each with a share of its own."""
        return _call(self._workers, "ask", [(method, (share,)) for share in shares])

    def _ask_all(self, method: str, *arguments: Any, **named: Any) -> list[Any]:
        """Call a method of all trainers with the same arguments."""
        return _call(self._workers, "ask", [(method, arguments, named)] * len(self._workers))


class RankedTrainer(_Ranks):
    """See ``trainer.Trainer``: over workers, to which it deals out samples and microbatches.

    Args:
        workers: each holds a ``RankHost``; they may have been a trainer's before.
        build: builds the ``PolicyTrainer`` of a rank there.
        tokens_per_microbatch: rows x longest of a microbatch.
    """

    def __init__(self, workers: Sequence[Worker], build: BuildTrainer, *, tokens_per_microbatch: int) -> None:
        super().__init__(workers, build)
        self._tokens = tokens_per_microbatch

    @property
    def policy_version(self) -> int:
        """See ``Trainer``."""
        return self._version

    def begin_step(self, batch: TrainStep) -> int:
        """See ``steps.StepTrainer``. A part is a microbatch of each rank."""
        parts: int = self._ask_each("begin_step", distribute(batch, len(self._workers), self._tokens))[0]
        return parts

    def compute_logprobs(self, samples: Sequence[GradedSample]) -> list[SampleLogprobs]:
        """See ``Trainer``."""
        return self._share_out("compute_logprobs", samples, [len(sample.token_ids) for sample in samples])

    def compute_policy_logprobs(self, samples: Sequence[GradedSample]) -> list[Float32[np.ndarray, " L"]]:
        """See ``Trainer``."""
        return self._share_out("compute_policy_logprobs", samples, [len(sample.token_ids) for sample in samples])

    def compute_text_logprobs(self, texts: Sequence[Int32[np.ndarray, " L"]]) -> list[Float32[np.ndarray, " L"]]:
        """See ``Trainer``."""
        return self._share_out("compute_text_logprobs", texts, list(map(len, texts)))

    def compute_next_logprobs(self, texts: Sequence[Int32[np.ndarray, " L"]]) -> list[Float32[np.ndarray, " V"]]:
        """See ``Trainer``. All ranks compute all of the few texts."""
        found: list[Float32[np.ndarray, " V"]] = self._ask_all("compute_next_logprobs", texts)[0]
        return found

    def refresh_reference(self) -> None:
        """See ``Trainer``."""
        self._ask_all("refresh_reference")


class RankedBatchTrainer(_Ranks):
    """A ``SupervisedTrainer`` or a ``RewardTrainer`` over workers: each gets the whole batch, and takes its share."""

    @property
    def version(self) -> int:
        """Updates done."""
        return self._version

    def begin_step(self, batch: Any) -> int:
        """See ``steps.StepTrainer``. A part is a microbatch of each rank."""
        parts: int = self._ask_all("begin_step", batch)[0]
        return parts

    def score(self, texts: Sequence[Int32[np.ndarray, " L"]]) -> Float32[np.ndarray, " N"]:
        """See ``RewardTrainer``; a supervised one has no such method."""
        return np.array(self._share_out("score", texts, list(map(len, texts))), dtype=np.float32)


def _call(workers: Sequence[Worker], method: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Call a method on all workers with the arguments of each, and return their answers.

    Raises:
        Fault: a worker is there no more, and the others have been ended too; or a rank raised it.
        UserError: a rank raised it.
        CallFailed: anything else, of the first rank that it happened to.
    """
    futures = [worker.call(method, *own) for worker, own in zip(workers, arguments, strict=True)]
    errors: list[BaseException] = []
    open_calls = set(futures)
    while open_calls:
        done, open_calls = wait(open_calls, return_when=FIRST_EXCEPTION)
        errors += [error for future in futures if future in done and (error := future.exception())]
        if any(isinstance(error, WorkerLost) for error in errors):
            for worker in workers:  # the others would wait for it
                worker.kill()
    if errors:
        error = min(errors, key=_order)
        if isinstance(error, WorkerLost):
            raise Fault(f"{error}: the run can go on from its newest checkpoint") from error
        raise error
    return [future.result() for future in futures]


def _order(error: BaseException) -> int:
    """Order errors by what they explain: a rank that is lost takes the connections of the others with it."""
    return 0 if isinstance(error, WorkerLost) else 2 if isinstance(error, CallFailed) else 1
