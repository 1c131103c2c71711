"""The generation service: requests come and go while others decode, all in the batches of a few threads.

    submit        prompt, seeds, grammar -> one writer for each answer; all wait in one fair queue
    worker        takes from the queue what its batch has rows for, steps, and tells what has gained
    Reply         what the caller holds: pieces as they come, whole answers at the end, or its cancelling

A small model has a worker for each core, a larger one a single worker whose products use all cores. A reply depends on
its request alone: workers, neighbours and prompts that were read before change no bit of it (on a CPU with kernels).
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass
from threading import Condition, Event, Thread
from typing import Final

import numpy as np
import torch
from jaxtyping import Int32

from dunwu.errors import Fault, UserError, counted
from dunwu.models.flops import count_worker_threads
from dunwu.models.shape import find_shape
from dunwu.rollout.builtin.batch import Batch
from dunwu.rollout.builtin.decoder import make_decoder
from dunwu.rollout.builtin.kernel_decoder import KernelDecoder
from dunwu.rollout.builtin.prefix_store import PrefixStore
from dunwu.rollout.builtin.scheduler import SequenceState
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.fair_queue import FairQueue
from dunwu.serve.grammar import Grammar, Grammars
from dunwu.serve.records import Busy, ChatRequest, Choice, Format, Piece, Stopped
from dunwu.serve.tool_calls import CALL_TAGS, list_functions, write_form
from dunwu.serve.writer import Writer
from dunwu.types import Sampling

PREFILL_TOKENS: Final = 512
"""Of prompts that are read at once: what others may have to wait for between two of their tokens."""
PREFIX_SHARE: Final = 0.25
"""Of the key-value cache's memory that prompts read before may take beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLimits:
    """What bounds the service.

    Attributes:
        max_sequences: answers that are written at once.
        queue: answers that may wait.
        memory: bytes of keys and values.
    """

    max_sequences: int = 64
    queue: int = 256
    memory: int = 4 << 30


@dataclass(slots=True, kw_only=True)
class Counts:
    """What the service has done since it began.

    A sample is finished, given up, decoding or waiting; a request may have several. What requests come to is counted
    where they come from (``http/request_counts.py``).

    Attributes:
        samples: taken.
        finished: of these, written to their end.
        given_up: of these, no longer wanted, or ended by a fault.
        prompt_tokens: of samples that began, each with its whole prompt.
        completion_tokens: written, those of samples that were given up among them.
    """

    samples: int = 0
    finished: int = 0
    given_up: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Reply:
    """The answers to one request, while they are written.

    Attributes:
        prompt_tokens: how many tokens the model was asked with.
        streams: whoever asked wants pieces as they come, and not the whole alone.
        error: what went wrong on the way.
        is_cancelled: nobody wants it any more; there is nothing to collect.
        rows: the sequences that a batch has; a cancelled reply loses them before the next step.
    """

    def __init__(
        self, service: GenerationService, writers: Sequence[Writer], prompt_tokens: int, streams: bool
    ) -> None:
        self.prompt_tokens, self.streams = prompt_tokens, streams
        self.error: Fault | None = None
        self._service = service
        self.writers = tuple(writers)
        self.states: set[SequenceState] = set()
        self.rows: set[SequenceState] = set()
        self.unfinished = len(self.writers)
        self.is_cancelled = False

    def count_down(self) -> None:
        """Count an answer that has ended; a reply that was given up meanwhile has none to count."""
        self.unfinished = max(0, self.unfinished - 1)

    @property
    def is_finished(self) -> bool:
        """Whether all answers have ended, or the reply was cancelled."""
        return self.unfinished == 0

    def take(self) -> list[Piece]:
        """Return what the answers have gained since the last call.

        Raises:
            Fault: the service failed on the way.
        """
        if self.error is not None:
            raise self.error
        return [piece for writer in self.writers if (piece := writer.take())]

    def wait(self) -> Generator[Piece]:
        """Yield pieces as they come, until all answers have ended. Who stops listening cancels the rest."""
        try:
            while True:
                finished = self.is_finished
                yield from self.take()
                if finished:
                    return
                self._service.wait_until(lambda: self.is_finished or any(one.has_news for one in self.writers))
        finally:
            self.cancel()

    def join(self, left: Event | None = None) -> None:
        """Wait until all answers have ended.

        Args:
            left: set when nobody waits any more: the reply is cancelled.

        Raises:
            Fault: whoever waited has left.
        """
        try:
            self._service.wait_until(lambda: self.is_finished or (left is not None and left.is_set()))
            if not self.is_finished:
                raise Fault("whoever asked has left")
        finally:
            self.cancel()

    def settle(self) -> None:
        """Cancel, and wait until no batch writes for it: what was written is then all that will be."""
        self.cancel()
        self._service.wait_until(lambda: not self.rows)

    def count_tokens(self) -> tuple[int, int]:
        """Count the tokens that have been written so far, and those of them that are reasoning."""
        return sum(writer.tokens for writer in self.writers), sum(writer.thinking_tokens for writer in self.writers)

    def collect(self) -> list[Choice]:
        """Return the finished answers.

        Raises:
            Fault: the service failed on the way.
        """
        if self.error is not None:
            raise self.error
        return [writer.collect() for writer in self.writers]

    def cancel(self) -> None:
        """Give up what is unfinished; its rows are free with the next step."""
        if not self.is_finished:
            self._service.cancel(self)


class GenerationService:
    """See the module.

    Args:
        model: what generates.
        limits: of rows, queue and memory.
        on_news: called in a worker's thread, after each step, with the replies that may have gained something.
    """

    def __init__(
        self,
        model: ChatModel,
        limits: ServiceLimits = ServiceLimits(),
        on_news: Callable[[list[Reply]], None] | None = None,
    ) -> None:
        self.model, self.limits, self.counts = model, limits, Counts()
        self.on_news, self.started = on_news, int(time.time())
        self._grammars = Grammars(model.policy.tokenizer, model.policy.eos_ids, model.rows)
        self._queue = FairQueue(limits.queue)
        self._changed = Condition()
        self._stopping = self._over = False
        self._prefixes: PrefixStore | None = None
        self.workers = self._make_workers()
        self._threads = [Thread(target=self._work, args=(one,), name="generation", daemon=True) for one in self.workers]
        for thread in self._threads:
            thread.start()

    def _make_workers(self) -> list[Worker]:
        policy, limits = self.model.policy, self.limits
        decoder, device = make_decoder(policy.model), policy.model.device
        parameters = sum(parameter.numel() for parameter in policy.model.parameters())
        threads = torch.get_num_threads()
        count = count_worker_threads(parameters, threads, limits.max_sequences) if device.type == "cpu" else 1
        shape = find_shape(self.model.source)
        room = limits.memory // count // (4 * shape.kv_values) if shape else None
        if room is not None:
            self.model.positions = min(self.model.positions, room)
        if isinstance(decoder, KernelDecoder):
            self._prefixes = PrefixStore(int(PREFIX_SHARE * limits.memory))
        return [
            Worker(
                Batch(
                    decoder,
                    policy,
                    max_sequences=-(-limits.max_sequences // count),
                    room=room,
                    prefill_tokens=PREFILL_TOKENS,
                    prefixes=self._prefixes,
                ),
                threads // count,
            )
            for _ in range(count)
        ]

    @property
    def decoding(self) -> int:
        """Answers that are written now."""
        return sum(worker.batch.unfinished for worker in self.workers)

    @property
    def waiting(self) -> int:
        """Answers that wait."""
        return len(self._queue)

    @property
    def reused_tokens(self) -> int:
        """Tokens of prompts that were known from earlier ones."""
        return self._prefixes.reused if self._prefixes is not None else 0

    def submit(self, request: ChatRequest, *, streams: bool = True) -> Reply:
        """Queue a request.

        Args:
            request: what is asked.
            streams: pieces are wanted as they come.

        Raises:
            Busy: the queue is full.
            Stopped: the service is about to stop.
            UserError: the request cannot be answered by this model; the message says why.
        """
        prompt, opening, sampling, grammar = self._plan(request)
        writers = [
            Writer(index, self.model, request, sampling, opening, grammar.copy() if grammar else None, streams)
            for index in range(len(request.seeds))
        ]
        reply = Reply(self, writers, len(prompt), streams)
        states = [
            SequenceState(key=(reply, writer), prompt=prompt, seed=seed, sampling=sampling, steering=writer)
            for seed, writer in zip(request.seeds, writers, strict=True)
        ]
        reply.states.update(states)
        with self._changed:
            if self._stopping:
                raise Stopped("the server is about to stop")
            if not self._queue.put(request.client, states, request.user):
                waiting = counted(len(self._queue), "answer")
                raise Busy(f"{waiting} wait already, and {self._queue.size:,} may: ask again later")
            self.counts.samples += len(states)
            self._changed.notify_all()
        return reply

    def check(self, request: ChatRequest) -> None:
        """Raise UserError where ``submit`` would, but for the queue: before an answer is promised that comes later."""
        self._plan(request)

    def _plan(self, request: ChatRequest) -> tuple[Int32[np.ndarray, " P"], str, Sampling, Grammar | None]:
        """Return a request's prompt, what of it is the answer's, how tokens are drawn, and the grammar of answers."""
        if len(request.seeds) > self.limits.queue:
            text = f"{len(request.seeds):,} answers are more than the {self.limits.queue:,} that may wait"
            raise UserError(text, field="n")
        prompt, opening = self.model.encode(request.messages, request.tools)
        form = self._find_form(request)
        if request.begun:
            if form:
                raise UserError("an answer that was begun elsewhere takes no format", field="response_format")
            prompt = np.append(prompt, np.array(request.begun, dtype=np.int32))
        sampling = self.model.plan_sampling(request, len(prompt))
        grammar = self._grammars.compile(form) if form else None
        if grammar is not None and grammar.shortest > sampling.max_new_tokens:
            text = f"no answer of {sampling.max_new_tokens} tokens has this form: it takes about {grammar.shortest}"
            raise UserError(text, field="max_completion_tokens")
        return prompt, opening, sampling, grammar

    def _find_form(self, request: ChatRequest) -> Format | None:
        """Return the form of a request's answers, after a look at the schemas of its functions."""
        for number, (name, schema) in enumerate(list_functions(request.tools).items()):
            lenient = name not in request.must_call and request.format is None
            self._grammars.check_schema(schema, f"tools.{number}.function.parameters", lenient=lenient)
        return write_form(request, self._grammars.find_special(CALL_TAGS) if request.tools else ())

    def cancel(self, reply: Reply) -> None:
        """See ``Reply.cancel``."""
        with self._changed:
            if reply.is_finished:
                return
            self.counts.given_up += reply.unfinished
            reply.unfinished, reply.is_cancelled = 0, True
            self._queue.drop(reply.states)
            for worker in self.workers:
                worker.gone |= reply.states
            self._changed.notify_all()

    def wait_until(self, is_met: Callable[[], bool]) -> None:
        """Wait in the caller's thread; the condition is asked after each step, and when ``wake`` is called."""
        with self._changed:
            self._changed.wait_for(is_met)

    def wake(self) -> None:
        """Have all who wait look again."""
        with self._changed:
            self._changed.notify_all()

    def stop(self, patience: float) -> None:
        """Refuse new requests, finish those that are there, and end the threads.

        Args:
            patience: seconds, after which what is unfinished is given up.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._queue and not self.decoding, timeout=patience)
            self._over = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        with self._changed:
            left = [*self._queue.list(), *(state for worker in self.workers for state in worker.batch.states)]
            for state in left:
                state.key[0].rows.clear()
            self._end([state.key[0] for state in left], Fault("the server has stopped"))
            self._changed.notify_all()

    def _work(self, worker: Worker) -> None:
        """Serve in one thread until the service is over; an error there ends the replies that the thread has."""
        torch.set_num_threads(worker.threads)
        while self._prepare(worker):
            try:
                self._take_step(worker)
            except Exception as error:
                traceback.print_exc()
                self._fail(worker, Fault(f"the engine failed: {type(error).__name__}: {error}"))

    def _prepare(self, worker: Worker) -> bool:
        """Drop who has left, and take who waits; wait where there is nobody. False: the service is over."""
        batch = worker.batch
        with self._changed:
            while not self._over:
                before = batch.unfinished, len(self._queue)
                self._let_go(worker.gone.intersection(batch.states))
                batch.drop(worker.gone)
                worker.gone = set()
                share = -(-(self.decoding + len(self._queue)) // len(self.workers))
                while self._queue and batch.unfinished < min(share, batch.max_sequences):
                    state = self._queue.take()
                    state.key[0].rows.add(state)
                    self.counts.prompt_tokens += len(state.prompt)
                    batch.add([state])
                if before != (batch.unfinished, len(self._queue)):  # else two idle workers would wake each other
                    self._changed.notify_all()
                if batch.unfinished:
                    return True
                self._changed.wait()
        return False

    def _take_step(self, worker: Worker) -> None:
        worker.stepped = states = worker.batch.states
        ended = worker.batch.step()
        for written in ended:
            written.state.key[1].finish(written)
        with self._changed:
            self._let_go([written.state for written in ended])
            for written in ended:
                self.counts.finished += not written.state.key[0].is_finished
                written.state.key[0].count_down()
        self._tell([state.key[0] for state in states if state.key[0].streams or state.key[0].is_finished])

    def _let_go(self, states: Collection[SequenceState]) -> None:
        """Count what was written of sequences that a batch no longer has."""
        for state in states:
            reply, writer = state.key
            if state in reply.rows:
                reply.rows.remove(state)
                self.counts.completion_tokens += writer.written

    def _fail(self, worker: Worker, fault: Fault) -> None:
        """End what this worker has with an error; the others, and who comes later, go on."""
        replies = [state.key[0] for state in worker.stepped]
        with self._changed:
            self._let_go(worker.stepped)
            worker.batch.clear()
            self._end(replies, fault)
        self._tell(replies)

    def _end(self, replies: Sequence[Reply], fault: Fault) -> None:
        """End replies with an error, and give up what other workers have of them."""
        for reply in replies:
            if not reply.is_finished:
                self.counts.given_up += reply.unfinished
                reply.error, reply.unfinished = fault, 0
                self._queue.drop(reply.states)
                for worker in self.workers:
                    worker.gone |= reply.states

    def _tell(self, replies: list[Reply]) -> None:
        self.wake()
        if self.on_news is not None and replies:
            self.on_news(list(dict.fromkeys(replies)))


class Worker:
    """A batch and the thread that steps it.

    Attributes:
        batch: the sequences.
        threads: CPU threads of its products.
        gone: sequences that nobody wants any more.
        stepped: sequences that it had before the last step, those that ended in it among them.
    """

    def __init__(self, batch: Batch, threads: int) -> None:
        self.batch, self.threads = batch, threads
        self.gone: set[SequenceState] = set()
        self.stepped: list[SequenceState] = []
