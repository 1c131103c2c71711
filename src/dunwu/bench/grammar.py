"""Answers as JSON: how many satisfy their schema with a grammar and without, and what the grammar costs a token.

``valid``    200 questions x 20 schemas
``chains``   reasoning before the answer, with a grammar beside without: Countdown problems, the same seeds
``N rows``   microseconds a token, N answers at once; without the grammar each has the length that it has with it

The nano base has never read JSON, so the first shows what the grammar does alone. SmolLM2 is asked with the schema in
its system message. Both are measured where they are installed.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from datetime import time as clock
from typing import Any, Final, Literal, NamedTuple

from dunwu.bench.json_schemas import QUESTIONS, SCHEMAS, SYSTEM
from dunwu.bench.pair import order_sides
from dunwu.config.packaged import NANO_BASE
from dunwu.config.schema import ModelSpec
from dunwu.errors import UserError
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.records import ChatRequest, Choice, Format
from dunwu.serve.service import GenerationService
from dunwu.serve.workers import ServiceLimits
from dunwu.tasks.generators import countdown
from dunwu.types import Message

SMOLLM2: Final = "smollm2-135m-instruct"
ROUNDS: Final = 5
ROWS: Final = {1: 20, 16: 80, 64: 320}
"""Answers at once, and answers of which the time is measured."""
SLOW_SHARE: Final = 4
"""Part of these that a large model writes: one in so many."""
PLAIN_SHARE: Final = 10
"""Of the answers under a schema, one in so many is asked for without the grammar, too: it is as long as it may be."""
CHAINS: Final = 200
ALL_ROWS: Final = 64
CLOSING: Final = "</think>"


class Side(NamedTuple):
    """A model, its weights, and the tokens of an answer at most."""

    source: str
    template: str
    dtype: Literal["float32", "bfloat16"]
    max_tokens: int


SIDES: Final = {
    "nano base": Side(NANO_BASE, "nano", "float32", 256),
    "SmolLM2-135M": Side(SMOLLM2, "chat", "bfloat16", 160),
}


def measure(against: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Measure valid answers, chains and time a token.

    Args:
        against: nothing; every workload is measured without a grammar, too.

    Returns:
        By model and workload.

    Raises:
        UserError: There is a peer; jsonschema or the nano base is missing.
    """
    for peer in against:
        raise UserError(f"no such peer: {peer}; json is measured beside answers without a grammar", field="--against")
    results: dict[str, dict[str, Any]] = {}
    for name, side, model in open_sides(results, "answers"):
        results[f"{name}, valid"] = measure_valid(model, side)
        if model.thinks:
            results[f"{name}, chains"] = measure_chains(model)
        for rows, answers in ROWS.items():
            count = answers if model.thinks else max(4, answers // SLOW_SHARE)
            results[f"{name}, {rows} rows"] = measure_time(side, rows, count)
    return results


NO_RATIO: Final = {"ratio": None, "floor_share": None}


def open_sides(results: dict[str, dict[str, Any]], unit: str) -> Iterator[tuple[str, Side, ChatModel]]:
    """Open one model after the other; one that is not installed is an entry that says so, but for the nano base.

    Args:
        results: Gets that entry.
        unit: Of what would have been measured.

    Raises:
        UserError: The nano base is missing.
    """
    for name, side in SIDES.items():
        try:
            model = open_model(side)
        except UserError as error:
            if side.source == NANO_BASE:
                raise
            reason = {"not_measured": {name: error.message}}
            results[name] = {"ours": 0, "unit": unit, "peers": {}, **NO_RATIO, **reason}
        else:
            yield name, side, model


def open_model(side: Side, *, ends: bool = True) -> ChatModel:
    """Open a model; one without ``ends`` goes on until its tokens are used up."""
    model = ChatModel(side.source, side.source, side.template, (), ModelSpec(dtype=side.dtype))
    if not ends:
        model.policy = replace(model.policy, eos_ids=())
    return model


def measure_valid(model: ChatModel, side: Side) -> dict[str, Any]:
    """Measure the percentage of valid answers with a grammar and without."""
    # By schema, so that its system message is read once.
    asked = [(name, index) for name in sorted(SCHEMAS) for index in range(len(QUESTIONS))]
    service = GenerationService(model, ServiceLimits(max_sequences=ALL_ROWS, queue=2 * len(asked)))
    requests = [make_request(model, QUESTIONS[index], name, seed=index, most=side.max_tokens) for name, index in asked]
    choices = answer_all(service, requests)
    wrong = [find_error(SCHEMAS[name], choice.content) for (name, _), choice in zip(asked, choices, strict=True)]
    examples = [f"{name}: {error}" for (name, _), error in zip(asked, wrong, strict=True) if error is not None]
    plain = answer_all(service, [replace(one, format=None) for one in requests[::PLAIN_SHARE]])
    free = [
        find_error(SCHEMAS[name], choice.content) for (name, _), choice in zip(asked[::PLAIN_SHARE], plain, strict=True)
    ]
    service.stop(0.0)
    return {
        "ours": _count_valid(wrong),
        "unit": f"% valid of {len(asked):,} answers, {len(free):,} without",
        "peers": {"without": _count_valid(free)},
        **NO_RATIO,
        "cut_off": sum(choice.finish == "length" for choice in choices),
        "examples": examples[:20],
    }


def _count_valid(wrong: Sequence[str | None]) -> float:
    """Return the percentage of answers in which nothing is wrong."""
    return 100 * wrong.count(None) / len(wrong)


def measure_chains(model: ChatModel, questions: Sequence[str] = ()) -> dict[str, Any]:
    """Measure how many chains are the same, token for token, with a grammar and without."""
    questions = questions or [countdown.draft(random.Random(i), 3, ("en", "zh")[i % 2]).question for i in range(CHAINS)]
    service = GenerationService(model, ServiceLimits(max_sequences=ALL_ROWS, queue=2 * CHAINS))
    names = list(SCHEMAS)
    requests = [
        replace(
            make_request(model, question, names[index % len(names)], seed=index, most=900, thinks=None),
            temperature=1.0,
            top_logprobs=0,
        )
        for index, question in enumerate(questions)
    ]
    held = answer_all(service, requests)
    free = answer_all(service, [replace(request, format=None) for request in requests])
    service.stop(0.0)
    pairs = [(find_chain(one), find_chain(other)) for one, other in zip(held, free, strict=True)]
    closed = [(one, other) for one, other in pairs if other is not None]
    return {
        "ours": 100 * sum(one == other for one, other in closed) / len(closed),
        "unit": f"% of {len(closed)} chains that close without a grammar: the same",
        "peers": {},
        **NO_RATIO,
        "without_a_grammar_never_closed": len(pairs) - len(closed),
    }


def find_chain(choice: Choice) -> list[str] | None:
    """Find the tokens before the end of the reasoning; None where it has none."""
    tokens = [one.token for one in choice.logprobs]
    return tokens[: tokens.index(CLOSING)] if CLOSING in tokens else None


def measure_time(side: Side, rows: int, answers: int) -> dict[str, Any]:
    """Measure the microseconds of a token with a grammar and without, in one process by turns.

    The reasoning is closed at once, so that all but the tags is under the grammar.

    Args:
        side: The model.
        rows: Answers that are written at once.
        answers: How many are written.
    """
    models = {"with": open_model(side), "without": open_model(side, ends=False)}
    limits = ServiceLimits(max_sequences=rows, queue=answers)
    services = {kind: GenerationService(model, limits) for kind, model in models.items()}
    names = list(SCHEMAS)
    requests = [
        make_request(
            models["with"], QUESTIONS[index % 200], names[index % len(names)], seed=index, most=side.max_tokens
        )
        for index in range(answers)
    ]
    lengths = [choice.tokens for choice in answer_all(services["with"], requests)]
    plain = [replace(one, format=None, max_tokens=most) for one, most in zip(requests, lengths, strict=True)]
    asked = {"with": requests, "without": plain}
    answer_all(services["without"], plain)
    taken: dict[str, list[float]] = {kind: [] for kind in asked}
    worked: dict[str, list[float]] = {kind: [] for kind in asked}
    for number in range(ROUNDS):
        for kind in order_sides(tuple(asked), number):
            began, worked_before = time.perf_counter(), time.process_time()
            answer_all(services[kind], asked[kind])
            taken[kind].append(1e6 * (time.perf_counter() - began) / sum(lengths))
            worked[kind].append(time.process_time() - worked_before)
    for service in services.values():
        service.stop(0.0)
    ours, without = (statistics.median(taken[kind]) for kind in asked)
    ratio_of_work = statistics.median(worked["with"]) / statistics.median(worked["without"])
    result = {"ours": ours, "unit": "us a token", "peers": {"without": without}, "ratio": ours / without}
    return result | {"floor_share": None, "processor_time_ratio": ratio_of_work, "tokens": sum(lengths)}


def make_request(
    model: ChatModel, question: str, schema: str, *, seed: int, most: int, thinks: int | None = 0
) -> ChatRequest:
    """Make a request for JSON.

    Args:
        model: Who is asked; one that takes turns gets the schema.
        question: What is asked.
        schema: Its name.
        seed: Of the answer.
        most: Tokens of the answer.
        thinks: Tokens of reasoning at most.
    """
    system = (Message(role="system", content=SYSTEM + json.dumps(SCHEMAS[schema], ensure_ascii=False)),)
    return ChatRequest(
        messages=((*system, *_ask(question)) if model.takes_turns else _ask(question)),
        seeds=(seed,),
        temperature=0.7,
        max_tokens=most,
        max_thinking_tokens=thinks if model.thinks else None,
        format=Format(kind="json_schema", value=SCHEMAS[schema]),
    )


def _ask(question: str) -> tuple[Message, ...]:
    return (Message(role="user", content=question),)


def answer_all(service: GenerationService, requests: Sequence[ChatRequest]) -> list[Choice]:
    """Have all requests answered, and return an answer for each."""
    replies = [service.submit(request, streams=False) for request in requests]
    for reply in replies:
        reply.join()
    return [reply.collect()[0] for reply in replies]


def find_error(schema: dict[str, Any], text: str) -> str | None:
    """Say why a text is no JSON of a schema, its formats included; None where it is.

    Raises:
        UserError: jsonschema is not installed.
    """
    try:
        from jsonschema import Draft202012Validator
    except ImportError:
        raise UserError("bench grammar takes the package jsonschema: pip install jsonschema", field="NAME") from None
    checker = Draft202012Validator.FORMAT_CHECKER
    checker.checks("date", ValueError)(_is_date)
    checker.checks("time", ValueError)(_is_time)
    checker.checks("date-time", ValueError)(_is_date_time)
    try:
        value = json.loads(text)
    except ValueError as error:
        return f"{error}: {text:.80}"
    found = next(Draft202012Validator(schema, format_checker=checker).iter_errors(value), None)
    return f"{found.message:.120}" if found is not None else None


def _is_date(value: Any) -> bool:
    """Tell whether a text is a day of RFC 3339, which has a year 0 and lets it leap."""
    return not isinstance(value, str) or bool(date.fromisoformat(_without_year_0(value)))


def _is_time(value: Any) -> bool:
    """Tell whether a text is a time of RFC 3339; a leap second counts as the one before it."""
    return not isinstance(value, str) or bool(clock.fromisoformat(_without_leap(value.upper())))


def _is_date_time(value: Any) -> bool:
    return not isinstance(value, str) or bool(datetime.fromisoformat(_without_leap(_without_year_0(value.upper()))))


def _without_year_0(text: str) -> str:
    return f"0004{text[4:]}" if text.startswith("0000") else text


def _without_leap(text: str) -> str:
    head, colon, seconds = text.partition("Z")[0].rpartition(":60")
    return f"{head}:59{seconds}" if colon and "." in text[len(head) :] + "." else text
