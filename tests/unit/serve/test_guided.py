"""Guided decoding: sure steps are the policy's own, else the guide chooses; what was dropped is counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dunwu.errors import Fault, UserError
from dunwu.models.templates import tokenize
from dunwu.pipeline.judges.reward_model import RewardModel
from dunwu.rollout.builtin.batch import Batch
from dunwu.serve.guided import SearchLimits, best_of, ends_step, search, to_draft
from dunwu.serve.guides import Draft, RewardModelGuide, RuleGuide, to_weight
from dunwu.serve.records import Busy, ChatRequest, Choice, Format, derive_seeds
from dunwu.serve.service import GenerationService
from dunwu.types import Message

QUESTION = "Use 3, 5 and 7 once each with + - * / to make 22."


class TextGuide:
    """Scores drafts by a function of their text, and keeps what it was shown."""

    def __init__(self, score: Callable[[str], float]) -> None:
        self.seen: list[list[Draft]] = []
        self._score = score

    def score(self, messages: Sequence[Message], drafts: Sequence[Draft]) -> list[float]:
        """See ``Guide``."""
        assert messages[-1].content == QUESTION
        self.seen.append(list(drafts))
        return [self._score(draft.text) for draft in drafts]


def ask(*seeds: int, **options: Any) -> ChatRequest:
    asked = (Message(role="user", content=QUESTION),)
    return ChatRequest(messages=asked, seeds=seeds or (0,), **{"max_tokens": 200, **options})


def collect(service: GenerationService, request: ChatRequest) -> list[Choice]:
    reply = service.submit(request, streams=False)
    reply.join()
    return reply.collect()


def test_a_reply_goes_on_where_it_was_left(service: GenerationService) -> None:
    (whole,) = collect(service, ask(temperature=0.0))
    assert whole.reasoning
    assert whole.content
    assert len(whole.token_ids) == len(whole.token_logprobs) == whole.tokens
    for cut in (1, 7, whole.thinking_tokens - 1, whole.thinking_tokens, whole.tokens - 2):
        begun = whole.token_ids[:cut]
        reply = service.submit(ask(temperature=0.0, begun=begun), streams=True)
        pieces = list(reply.wait())
        (rest,) = reply.collect()
        assert (*begun, *rest.token_ids) == whole.token_ids
        assert (rest.reasoning, rest.content, rest.finish) == (whole.reasoning, whole.content, "stop")
        assert (rest.tokens, rest.thinking_tokens) == (whole.tokens, whole.thinking_tokens)
        told = "".join(piece.reasoning + piece.content for piece in pieces)
        assert (whole.reasoning + whole.content).endswith(told)
        assert cut == 1 or len(told) < len(whole.reasoning + whole.content), "what was begun is no news"


def test_a_reply_is_cut_where_it_was_asked_to(service: GenerationService) -> None:
    (whole,) = collect(service, ask(temperature=0.0))
    (step,) = collect(service, ask(temperature=0.0, until=lambda text: "=" in text))
    assert whole.token_ids[: step.tokens] == step.token_ids
    assert (step.finish, step.reasoning.count("="), step.reasoning[-1]) == ("length", 1, "=")


def test_what_was_begun_elsewhere_takes_no_format(service: GenerationService) -> None:
    with pytest.raises(UserError, match="begun elsewhere takes no format"):
        service.submit(ask(begun=(5,), format=Format(kind="choice", value=["a"])))


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        ("7+5=12", False),
        ("so 3", False),
        ("3.", False),  # 3.5?
        ("3.5", False),
        ("1,000", False),
        ("3. ", True),
        ("12, ", True),
        ("12, so", True),
        ("done.", True),
        ("first\n", True),
        ("等于12，", True),
        ("对。", True),
        ("yes</think>", True),
        ("yes</thin", False),
    ],
)
def test_steps_end_outside_numbers(text: str, ended: bool) -> None:
    assert ends_step(text) == ended


def test_a_search_without_candidates_is_greedy(service: GenerationService) -> None:
    (greedy,) = collect(service, ask(temperature=0.0))
    found = search(service, ask(), TextGuide(len), SearchLimits(width=1))
    assert found.chosen.token_ids == greedy.token_ids
    assert (found.chosen.reasoning, found.chosen.content) == (greedy.reasoning, greedy.content)
    assert (found.tokens, found.guidance_share, found.choices) == (greedy.tokens, 0.0, 0)


def test_steps_that_are_sure_are_not_sampled(service: GenerationService) -> None:
    (greedy,) = collect(service, ask(temperature=0.0))
    guide = TextGuide(lambda text: -len(text))
    always_sure = search(service, ask(), guide, SearchLimits(width=8, sure=0.001))
    assert always_sure.chosen.token_ids == greedy.token_ids
    assert (always_sure.choices, always_sure.tokens) == (0, greedy.tokens)
    assert len(guide.seen) == 1, "the guide is asked for the score of the whole alone"

    sure, unsure = (
        search(service, ask(), TextGuide(lambda text: -len(text)), SearchLimits(width=8, sure=at)) for at in (0.5, 0.95)
    )
    assert 0 < sure.guidance_share < unsure.guidance_share
    assert sure.tokens < unsure.tokens


def test_the_guide_chooses_every_step_that_is_not_sure(service: GenerationService) -> None:
    guide = TextGuide(lambda text: text.count("*"))
    found = search(service, ask(), guide, SearchLimits(width=8))
    plain = search(service, ask(), TextGuide(lambda text: -text.count("*")), SearchLimits(width=8))
    (greedy,) = collect(service, ask(temperature=0.0))
    most, usual, fewest = ((one.reasoning + one.content).count("*") for one in (found.chosen, greedy, plain.chosen))
    assert most > usual > fewest
    assert (found.score, plain.score) == (most, -fewest)
    *rounds, last = guide.seen
    assert len(rounds) == found.choices > 2
    assert len(last) == 1
    whole = last[0].text
    for drafts in rounds:
        assert 1 < len(drafts) <= 8
        assert len({draft.text for draft in drafts}) == len(drafts), "the same step is one candidate"
        best = max(drafts, key=lambda draft: draft.text.count("*"))
        assert whole.startswith(best.text), "of equals the first is taken"
    assert any(draft.answer is None and draft.finish is None for draft in rounds[0])
    assert last[0].answer == found.chosen.content


def test_all_tokens_are_counted_and_those_dropped_are_guidance(service: GenerationService) -> None:
    before = service.counts.completion_tokens
    found = search(service, ask(), TextGuide(len), SearchLimits(width=4, beams=2))
    assert found.tokens == service.counts.completion_tokens - before
    assert found.guidance_share == 1 - len(found.chosen.token_ids) / found.tokens
    assert found.guidance_share > 0.5


def test_beams_end_before_the_limit_of_tokens(service: GenerationService) -> None:
    found = search(service, ask(max_tokens=21), TextGuide(len), SearchLimits(width=4, beams=3))
    assert (found.chosen.finish, len(found.chosen.token_ids)) == ("length", 21)
    short = search(service, ask(), TextGuide(len), SearchLimits(width=4, step_tokens=2))
    assert short.choices > 5, "a step of two tokens is a step"


def test_a_search_is_the_same_in_any_company(service: GenerationService) -> None:
    def run(seed: int) -> Any:
        return search(service, ask(seed), TextGuide(lambda text: text.count("5")), SearchLimits(width=4, beams=2))

    alone = [run(seed) for seed in (1, 2, 3)]
    with ThreadPoolExecutor(6) as pool:
        crowd = list(pool.map(run, [1, 2, 3, 1, 2, 3]))
    assert crowd == [*alone, *alone]
    assert len({one.chosen.token_ids for one in alone}) > 1, "another seed, another search"


def test_best_of_n_takes_the_best_and_of_equals_the_first(service: GenerationService) -> None:
    choices = collect(service, ask(*derive_seeds(3, 6)))
    lengths = [len(to_draft(service.model, "", one, one.finish).text) for one in choices]
    longest = best_of(service, ask(*derive_seeds(3, 6)), TextGuide(len))
    assert longest.chosen == choices[lengths.index(max(lengths))]
    assert longest.score == max(lengths)
    assert longest.tokens == sum(one.tokens for one in choices)
    assert longest.guidance_share == 1 - longest.chosen.tokens / longest.tokens
    assert best_of(service, ask(*derive_seeds(3, 6)), TextGuide(lambda _: 1.0)).chosen == choices[0]


def test_who_leaves_amid_a_search_frees_its_rows(service: GenerationService, monkeypatch: pytest.MonkeyPatch) -> None:
    left, running, step = Event(), Event(), Batch.step
    running.set()
    monkeypatch.setattr(Batch, "step", lambda batch: step(batch) if running.wait(60) else None)

    def leave(text: str) -> float:
        running.clear()  # so that no row of the next round ends by itself
        left.set()
        return len(text)

    guide = TextGuide(leave)
    with pytest.raises(Fault, match="whoever asked has left"):
        search(service, ask(temperature=2.0), guide, SearchLimits(width=8, beams=4, sure=1.0), left)
    running.set()
    assert len(guide.seen) == 1
    assert service.counts.given_up == service.counts.samples - 8 > 1, "all but the first round"
    service.wait_until(lambda: service.decoding == 0 and service.waiting == 0)


def test_an_interrupt_frees_rows_too(service: GenerationService, monkeypatch: pytest.MonkeyPatch) -> None:
    wait = GenerationService.wait_until

    def interrupt(*_: Any) -> None:
        monkeypatch.setattr(GenerationService, "wait_until", wait)
        raise KeyboardInterrupt

    monkeypatch.setattr(GenerationService, "wait_until", interrupt)
    with pytest.raises(KeyboardInterrupt):
        best_of(service, ask(*range(8), temperature=2.0), TextGuide(len))
    assert service.counts.given_up == 8


def test_a_search_that_has_begun_waits_for_room(service: GenerationService, monkeypatch: pytest.MonkeyPatch) -> None:
    limits, submit = SearchLimits(width=4, sure=1.0), GenerationService.submit
    undisturbed, asked = search(service, ask(), TextGuide(len), limits), list[ChatRequest]()

    def refuse(service: GenerationService, request: ChatRequest, **options: Any) -> Any:
        asked.append(request)
        if len(asked) in (4, 5, 7):
            raise Busy("the queue is full")
        return submit(service, request, **options)

    monkeypatch.setattr(GenerationService, "submit", refuse)
    assert search(service, ask(), TextGuide(len), limits) == undisturbed
    assert asked[3] == asked[4] == asked[5]
    asked[:] = [ask()] * 3
    with pytest.raises(Busy):  # nothing is written yet
        search(service, ask(), TextGuide(len), limits)


@pytest.mark.parametrize("step_tokens", [1, 2, 32])
def test_a_budget_closes_the_chain_of_a_search(
    service: GenerationService, monkeypatch: pytest.MonkeyPatch, step_tokens: int
) -> None:
    closing = tuple(tokenize(service.model.policy.tokenizer, ", done.</think>"))
    assert len(closing) > 3, "a step may end amid these"
    monkeypatch.setitem(service.model.__dict__, "closing", closing)
    (whole,) = collect(service, ask(temperature=0.0, max_thinking_tokens=12))
    assert whole.closed
    found = search(service, ask(max_thinking_tokens=12), TextGuide(len), SearchLimits(width=1, step_tokens=step_tokens))
    assert found.chosen.token_ids == whole.token_ids
    assert (found.chosen.closed, found.chosen.finish) == (True, "stop")
    assert found.chosen.reasoning.count("done") == 1


def test_scores_that_are_no_numbers_choose_nothing() -> None:
    scores, lengths = [0.5, math.nan], [1024, 5]
    scorer = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=1024))
    cost = SimpleNamespace(lengths=lengths)
    model = SimpleNamespace(model=scorer, score=lambda *_: scores, take_cost=lambda: cost)
    guide = RewardModelGuide(cast("RewardModel", model), counts=True)
    drafts = [make_draft("a"), make_draft("b")]
    with pytest.raises(Fault, match="a score that is no number"):
        guide.score((), drafts)
    scores[1] = 0.25
    assert guide.score((), drafts) == [0.5, 0.25]
    assert guide.take_lengths() == lengths * 2
    assert guide.take_lengths() == []
    lengths[0] = 1025
    with pytest.raises(UserError, match="its answer has 1,025 tokens, and the guide has 1,024 positions"):
        guide.score((), drafts)
    assert [to_weight(score) for score in (0.25, 2.0, 0.0, -3.0, math.nan)] == [0.25, 2.0, 0.0, 0.0, 0.0]


def make_draft(text: str, finish: Any = "stop") -> Draft:
    return Draft(text=text, reasoning="", answer=None, finish=finish)


def test_rules_guide_without_the_right_answer() -> None:
    asked = (Message(role="user", content=QUESTION),)
    logic = RuleGuide({"logic": 1.0})
    right, wrong = "<think>7+5=12, 12+3=15", "<think>7+5=12, 12+3=16"
    assert logic.score(asked, [make_draft(right, None), make_draft(wrong, None)]) == [1.0, 0.5]

    both = RuleGuide({"format": 2.0, "logic": 1.0, "truncation": 1.0})
    whole = f"{right}</think> <answer>1</answer>"
    drafts = [make_draft(whole), make_draft(right, None), make_draft(right), make_draft(right, "length")]
    assert both.score(asked, drafts) == [3.0, 3.0, 1.0, 0.0], "what goes on may still keep to the format"


@pytest.mark.parametrize("name", ["accuracy", "lgic"])
def test_a_guide_is_no_oracle(name: str) -> None:
    with pytest.raises(UserError, match=rf"'{name}' is no part of the reward that needs no right answer"):
        RuleGuide({name: 1.0})
