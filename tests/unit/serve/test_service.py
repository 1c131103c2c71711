"""The service: a reply is the same in any company, leaves at once, keeps to budgets and queues, and survives faults."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dunwu.errors import Fault, UserError
from dunwu.models.templates import Template
from dunwu.rollout.builtin.batch import Batch
from dunwu.rollout.builtin.scheduler import SequenceState
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.fair_queue import FairQueue
from dunwu.serve.records import Busy, ChatRequest, Choice, Piece, Stopped
from dunwu.serve.reply import Reply
from dunwu.serve.service import GenerationService
from dunwu.serve.voting import vote
from dunwu.serve.workers import ServiceLimits
from dunwu.serve.writer import Writer
from dunwu.types import Message, Sampling


def ask(question: str, *seeds: int, **options: Any) -> ChatRequest:
    return ChatRequest(messages=(Message(role="user", content=question),), seeds=seeds or (0,), **options)


def question_of(number: int) -> str:
    return f"Use {3 + number % 9}, 5, 7 once each with + - * / to make {20 + number % 13}."


def collect(service: GenerationService, request: ChatRequest) -> list[Choice]:
    reply = service.submit(request, streams=False)
    reply.join()
    return reply.collect()


def test_a_reply_is_the_same_in_any_company(model: ChatModel) -> None:
    alone = GenerationService(model, ServiceLimits(max_sequences=1))
    crowd = GenerationService(model, ServiceLimits(max_sequences=24, queue=512))
    requests = [
        ask(question_of(number), number, 1000 + number, temperature=(1.0, 0.0, 0.7)[number % 3], max_tokens=60, **more)
        for number in range(40)
        for more in ({}, {"top_logprobs": 2, "top_p": 0.9}, {"max_thinking_tokens": 12})
    ]
    try:
        replies = [crowd.submit(request) for request in requests]
        for reply in replies:
            reply.join()
        assert len(replies) == 120
        for reply, request in list(zip(replies, requests, strict=True))[::6]:
            assert reply.collect() == collect(alone, request)
        assert crowd.reused_tokens > 0, "questions that begin alike, or come again"
    finally:
        alone.stop(0.0)
        crowd.stop(0.0)


def test_what_one_thread_has_read_is_known_to_all(model: ChatModel) -> None:
    service = GenerationService(model, ServiceLimits(max_sequences=8))
    try:
        first = service.submit(ask(question_of(0), 1, max_tokens=200))
        pieces = first.wait()
        next(pieces)
        second = service.submit(ask(question_of(0), 2, max_tokens=2))  # goes to whoever has fewer rows
        second.join()
        assert service.reused_tokens == second.prompt_tokens - 1
        pieces.close()
    finally:
        service.stop(0.0)


def join(pieces: Sequence[Piece]) -> tuple[str, str]:
    return "".join(piece.reasoning for piece in pieces), "".join(piece.content for piece in pieces)


def test_pieces_are_the_whole_answer(service: GenerationService) -> None:
    reply = service.submit(ask(question_of(1), 5, 6, top_logprobs=1))
    pieces = list(reply.wait())
    for index, choice in enumerate(reply.collect()):
        own = [piece for piece in pieces if piece.index == index]
        assert join(own) == (choice.reasoning, choice.content)
        assert [piece.finish for piece in own if piece.finish] == [choice.finish]
        logprobs = [found for piece in own for found in piece.logprobs]
        assert tuple(logprobs) == choice.logprobs
        assert len(logprobs) == choice.tokens
        assert all(found.top[0][1] >= found.logprob for found in logprobs)
        assert choice.thinking_tokens < choice.tokens
    assert any(choice.reasoning and choice.content for choice in reply.collect())


@pytest.mark.parametrize("budget", [0, 1, 7, 40])
def test_a_budget_closes_the_chain_and_the_answer_still_comes(service: GenerationService, budget: int) -> None:
    choices = collect(service, ask(question_of(2), *range(8), max_thinking_tokens=budget))
    for choice in choices:
        # Both tags count: the one that begins the chain, and the one that the budget wrote.
        assert choice.thinking_tokens <= max(budget, 1) + 1
        assert choice.finish == "stop"
        assert choice.content or not choice.closed
        assert "<" not in choice.content + choice.reasoning
        assert choice.closed or choice.thinking_tokens <= budget
    assert budget > 7 or sum(choice.closed for choice in choices) > 4, "this model thinks"


def test_a_chain_that_never_closes_is_no_answer(service: GenerationService) -> None:
    (choice,) = collect(service, ask(question_of(3), 3, max_tokens=9))
    assert (choice.content, choice.finish, choice.tokens) == ("", "length", 9)
    assert choice.reasoning


def test_a_stop_text_frees_the_row(service: GenerationService) -> None:
    (whole,) = collect(service, ask(question_of(4), 4))
    assert len(whole.content) > 5
    (stopped,) = collect(service, ask(question_of(4), 4, stop=(whole.content[2:5],)))
    assert stopped.content == whole.content[:2]
    assert stopped.finish == "stop"
    assert stopped.tokens < whole.tokens


class Gate:
    """Lets a batch take one step at a time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._steps, self._step = threading.Semaphore(0), Batch.step
        monkeypatch.setattr(Batch, "step", lambda batch: self._wait(batch))

    def _wait(self, batch: Batch) -> Any:
        assert self._steps.acquire(timeout=60)
        return self._step(batch)

    def open(self, steps: int) -> None:
        """Allow so many more steps."""
        self._steps.release(steps)


def test_who_leaves_frees_rows_with_the_next_step(service: GenerationService, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    reply = service.submit(ask(question_of(5), *range(8)))
    gate.open(4)
    iterator = reply.wait()
    next(iterator)
    iterator.close()
    assert reply.is_finished
    gate.open(10_000)
    other = service.submit(ask(question_of(6), 1))
    other.join()
    service.wait_until(lambda: service.decoding == 0)
    counts = service.counts
    assert (counts.samples, counts.finished, counts.given_up) == (9, 1, 8)
    assert counts.completion_tokens == sum(reply.count_tokens()[0] for reply in (reply, other))
    assert reply.count_tokens()[0] > 0
    began = counts.prompt_tokens // reply.prompt_tokens
    assert counts.prompt_tokens == began * reply.prompt_tokens, "both prompts have as many tokens"
    assert 2 <= began <= 9, "some may have left before they began"
    assert service.reused_tokens < counts.prompt_tokens


def test_beyond_the_queue_nobody_is_taken(model: ChatModel, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    service = GenerationService(model, ServiceLimits(max_sequences=2, queue=3))
    try:
        first = service.submit(ask(question_of(0), 1, 2))
        service.wait_until(lambda: service.waiting == 0)
        second = service.submit(ask(question_of(0), 3, 4, 5))
        with pytest.raises(Busy, match=r"3 answers wait already, and 3 may"):
            service.submit(ask(question_of(0), 6))
        assert service.counts.samples == 5
        gate.open(10_000)
        first.join()
        second.join()
        assert len(second.collect()) == 3
    finally:
        gate.open(10_000)
        service.stop(0.0)


def wait_as(name: str) -> SequenceState:
    return SequenceState(key=name, prompt=np.zeros(1, np.int32), seed=0, sampling=Sampling())


def test_clients_take_turns() -> None:
    queue, second = FairQueue(6), wait_as("a2")
    assert queue.put("greedy", [wait_as("a1"), second, wait_as("a3")])
    assert queue.put("modest", [wait_as("b1")])
    assert not queue.put("third", [wait_as("c1"), wait_as("c2"), wait_as("c3")])
    assert queue.put("third", [wait_as("c1"), wait_as("c2")])
    assert [queue.take().key for _ in range(3)] == ["a1", "b1", "c1"]
    queue.drop([second])
    assert [queue.take().key for _ in range(2)] == ["a3", "c2"]
    assert len(queue) == 0


def test_users_take_turns_within_those_of_their_client() -> None:
    queue = FairQueue(9)
    for number in range(3):
        assert queue.put("greedy", [wait_as(f"g{number}a"), wait_as(f"g{number}b")], user=f"user {number}")
    assert queue.put("modest", [wait_as("m1"), wait_as("m2")])
    assert [queue.take().key for _ in range(8)] == ["g0a", "m1", "g1a", "m2", "g2a", "g0b", "g1b", "g2b"]
    gone = [wait_as("x"), wait_as("y")]
    assert queue.put("greedy", [*gone, wait_as("z")], user="u")
    queue.drop(gone)
    assert (len(queue), [state.key for state in queue.list()], queue.take().key) == (1, ["z"], "z")


def test_stopping_finishes_what_is_there_and_takes_no_more(model: ChatModel) -> None:
    service = GenerationService(model, ServiceLimits(max_sequences=4))
    reply = service.submit(ask(question_of(7), *range(6), max_tokens=40))
    service.stop(60.0)
    assert len(reply.collect()) == 6
    with pytest.raises(Stopped):
        service.submit(ask(question_of(7)))


def test_a_fault_ends_the_replies_there_and_nobody_elses(
    service: GenerationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Batch.step

    def broken(batch: Batch) -> Any:
        raise ZeroDivisionError("in a kernel")

    monkeypatch.setattr(Batch, "step", broken)
    reply = service.submit(ask(question_of(8)))
    with pytest.raises(Fault, match="the engine failed: ZeroDivisionError: in a kernel"):
        list(reply.wait())
    monkeypatch.setattr(Batch, "step", step)
    (choice,) = collect(service, ask(question_of(8)))
    assert choice.content


def test_a_fault_at_the_end_of_an_answer_ends_its_reply(
    service: GenerationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no end")

    with monkeypatch.context() as broken:
        broken.setattr(Writer, "finish", fail)
        reply = service.submit(ask(question_of(8), 1, 2))
        reply.join()
        with pytest.raises(Fault, match="the engine failed: RuntimeError: no end"):
            reply.collect()
        reply.settle()
    counts = service.counts
    assert (counts.samples, counts.finished, counts.given_up) == (2, 0, 2)
    assert collect(service, ask(question_of(8), 1)), "the next one is answered"
    assert counts.samples == counts.finished + counts.given_up == 3


def test_what_cannot_be_asked_is_refused(service: GenerationService) -> None:
    with pytest.raises(UserError, match=r"messages: the conversation has 1,\d\d\d tokens, and the model has 1,024"):
        service.submit(ask("1 " * 800))
    turns = (
        Message(role="user", content="a"),
        Message(role="assistant", content="b"),
        Message(role="user", content="c"),
    )
    with pytest.raises(UserError, match="messages: the conversation has several turns, which takes a chat template"):
        service.submit(replace(ask("a"), messages=turns))
    with pytest.raises(UserError, match="tools: the model's template knows no tools"):
        service.submit(ask("a", tools=({"type": "function"},)))


def test_memory_bounds_the_positions(model: ChatModel) -> None:
    positions = model.positions
    service = GenerationService(model, ServiceLimits(max_sequences=8, memory=1 << 20))
    try:
        # Two workers share a mebibyte; a position of the nano base has 512 numbers of four bytes.
        assert model.positions == (1 << 20) // len(service.workers) // 2048
        replies = [service.submit(ask(question_of(number), number, max_tokens=100)) for number in range(16)]
        for reply in replies:
            reply.join()
            assert len(reply.collect()) == 1
    finally:
        service.stop(0.0)
        model.positions = positions


def test_idle_workers_sleep(service: GenerationService, monkeypatch: pytest.MonkeyPatch) -> None:
    collect(service, ask(question_of(9), 1, 2))
    woken, drop = threading.Semaphore(0), Batch.drop

    def count(batch: Batch, states: Any) -> None:
        woken.release()
        drop(batch, states)

    monkeypatch.setattr(Batch, "drop", count)
    while woken.acquire(timeout=0.3):  # the last step may not be over yet
        pass
    service.wake()
    for _ in service.workers:
        assert woken.acquire(timeout=30)
    assert not woken.acquire(timeout=0.3), "one look each, and no more"


def test_who_waits_when_the_service_stops_is_freed(model: ChatModel, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    service = GenerationService(model, ServiceLimits(max_sequences=2))
    reply = service.submit(ask(question_of(0), *range(8)))
    gate.open(4)
    stopping = threading.Thread(target=service.stop, args=(0.0,))
    stopping.start()
    gate.open(1000)
    reply.join()
    stopping.join()
    assert reply.is_finished
    with pytest.raises(Fault, match="the server has stopped"):
        reply.collect()


@pytest.mark.parametrize("seed", range(6))
def test_a_stop_under_load_leaves_the_counts_balanced(model: ChatModel, seed: int) -> None:
    service = GenerationService(model, ServiceLimits(max_sequences=8, queue=512))
    choose, replies = random.Random(seed), list[Reply]()
    for number in range(60):
        seeds = [choose.randrange(1000) for _ in range(choose.randint(1, 4))]
        replies.append(service.submit(ask(question_of(number), *seeds, client=f"client {number % 7}")))
    service.wait_until(lambda: service.counts.finished > 2 * seed)
    for reply in choose.sample(replies, 20):
        reply.cancel()
    service.stop(0.0)
    counts = service.counts
    assert counts.samples == counts.finished + counts.given_up + service.decoding + service.waiting
    assert (service.decoding, service.waiting) == (0, 0)
    assert counts.completion_tokens == sum(reply.count_tokens()[0] for reply in replies)
    assert all(reply.is_finished and not reply.rows for reply in replies)


def test_an_answer_that_ends_while_it_is_cancelled_is_counted_once(
    service: GenerationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = service.submit(ask(question_of(1), 1))
    step = Batch.step

    def cancel_at_the_end(batch: Batch) -> Any:
        ended = step(batch)
        if ended:
            reply.cancel()
        return ended

    monkeypatch.setattr(Batch, "step", cancel_at_the_end)
    reply.join()
    service.wait_until(lambda: service.counts.completion_tokens > 0)
    assert (service.counts.finished, service.counts.given_up) == (0, 1)
    assert (reply.unfinished, reply.is_finished, reply.is_cancelled) == (0, True, True)


def test_more_answers_than_may_wait_are_no_matter_of_patience(model: ChatModel) -> None:
    service = GenerationService(model, ServiceLimits(queue=4))
    with pytest.raises(UserError, match="n: 5 answers are more than the 4 that may wait"):
        service.submit(ask("1", *range(5)))
    service.stop(0.0)


def test_a_vote_makes_do_with_the_room_that_there_is(model: ChatModel) -> None:
    service = GenerationService(model, ServiceLimits(max_sequences=2, queue=1))
    voted = vote(service, ask(question_of(2), *range(6), max_tokens=40))
    assert 4 <= voted.vote.samples <= 6
    service.stop(0.0)


def test_a_text_that_cannot_but_be_too_long_is_not_tokenized(
    service: GenerationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Template, "encode_conversation", lambda *_: pytest.fail("it was tokenized"))
    with pytest.raises(UserError, match=r"messages: the conversation has 557,000 bytes, and the model has 1,024"):
        service.submit(ask("x" * 557_000))


def test_the_coldest_temperatures_are_greedy(service: GenerationService) -> None:
    assert collect(service, ask(question_of(3), 1, temperature=1e-20)) == collect(
        service, ask(question_of(3), 2, temperature=0.0)
    )
