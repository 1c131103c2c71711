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
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from threading import Condition, Thread

import numpy as np
import torch
from jaxtyping import Int32

from dunwu.errors import Fault, UserError, counted
from dunwu.rollout.builtin.scheduler import SequenceState
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.fair_queue import FairQueue
from dunwu.serve.grammar import Grammar, Grammars
from dunwu.serve.records import Busy, ChatRequest, Format, Stopped
from dunwu.serve.reply import Reply
from dunwu.serve.tool_calls import CALL_TAGS, list_functions, name_field, write_form
from dunwu.serve.workers import DEFAULT_LIMITS, ServiceLimits, Worker, make_workers
from dunwu.serve.writer import Writer
from dunwu.types import Sampling


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
        limits: ServiceLimits = DEFAULT_LIMITS,
        on_news: Callable[[list[Reply]], None] | None = None,
    ) -> None:
        self.model, self.limits, self.counts = model, limits, Counts()
        self.on_news, self.started = on_news, int(time.time())
        self._grammars = Grammars(model.policy.tokenizer, model.policy.eos_ids, model.rows)
        self._queue = FairQueue(limits.queue)
        self._changed = Condition()
        self._stopping = self._over = False
        self.workers = make_workers(model, limits)
        self._threads = [Thread(target=self._work, args=(one,), name="generation", daemon=True) for one in self.workers]
        for thread in self._threads:
            thread.start()

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
        store = self.workers[0].batch.prefixes
        return store.reused if store is not None else 0

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

    def check_room(self, count: int, field: str) -> None:
        """Check that so many answers could ever wait together.

        Args:
            count: of answers.
            field: of the request, which asks for them.

        Raises:
            UserError: the queue is smaller.
        """
        if count > self.limits.queue:
            raise UserError(f"{count:,} answers are more than the {self.limits.queue:,} that may wait", field=field)

    def _plan(self, request: ChatRequest) -> tuple[Int32[np.ndarray, " P"], str, Sampling, Grammar | None]:
        """Return a request's prompt, what of it is the answer's, how tokens are drawn, and the grammar of answers."""
        self.check_room(len(request.seeds), "n")
        prompt, opening = self.model.encode(request.messages, request.tools)
        form = self._find_form(request)
        if request.begun:
            if form:
                raise UserError("an answer that was begun elsewhere takes no format", field=form.field)
            prompt = np.append(prompt, np.array(request.begun, dtype=np.int32))
        sampling = self.model.plan_sampling(request, len(prompt))
        grammar = self._grammars.compile(form) if form else None
        if grammar is not None and (grammar.shortest or 0) > sampling.max_new_tokens:
            text = f"no answer of {sampling.max_new_tokens} tokens has this form: it takes about {grammar.shortest}"
            raise UserError(text, field="max_completion_tokens")
        return prompt, opening, sampling, grammar

    def _find_form(self, request: ChatRequest) -> Format | None:
        """Return the form of a request's answers, after a look at the schemas of its functions."""
        for number, (name, schema) in enumerate(list_functions(request.tools).items()):
            lenient = name not in request.must_call and request.format is None
            self._grammars.check_schema(schema, name_field(number), lenient=lenient)
        if request.tools and request.format and not request.must_call:
            self._grammars.compile(request.format)  # what is wrong with it alone names its own field
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
            replies = [state.key[0] for state in self._queue.list()]
            for worker in self.workers:
                replies += [state.key[0] for state in worker.batch.states]
                self._let_go(worker.batch.states)
                worker.batch.clear()
            self._end(replies, Fault("the server has stopped"))
        self._tell(replies)

    def _work(self, worker: Worker) -> None:
        """Serve in one thread until the service is over; an error there ends the replies that the thread has."""
        torch.set_num_threads(worker.threads)
        goes_on = True
        while goes_on:
            try:
                goes_on = self._prepare(worker)
                if goes_on:
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
                reply, writer = written.state.key
                if writer.error is not None:
                    self._end([reply], writer.error)
                self.counts.finished += not reply.is_finished
                reply.count_down()
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
