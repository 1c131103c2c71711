"""The cache of reasoning paths before a run's model: what it saves, and what hints do.

``again``  held-out Countdown questions are voted on, and kept; then each comes again with other spaces
``hint``   other questions, each alone and with the path of a solved one of the same form behind it, greedily

Every answer is verified by the task's own rule.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from dunwu import tasks
from dunwu.bench.grammar import answer_all
from dunwu.commands.serve import open_chat_model
from dunwu.config.schema import TaskSpec
from dunwu.errors import UserError
from dunwu.evaluation.estimators import estimate_proportion
from dunwu.serve.ballot import read_vote
from dunwu.serve.path_cache.store import PathCache
from dunwu.serve.path_memory import PathMemory
from dunwu.serve.records import ChatRequest, derive_seeds
from dunwu.serve.service import GenerationService
from dunwu.serve.voting import Voted, vote
from dunwu.serve.workers import ServiceLimits
from dunwu.types import Message, Problem
from dunwu.verifiers import expression

QUESTIONS: Final = 200
"""That are kept, and as many others that are asked with hints."""
VOTES: Final = 8
CACHE_BYTES: Final = 64 << 20


def measure(against: Sequence[str] = (), data: Sequence[Path] = ()) -> dict[str, dict[str, Any]]:
    """Measure seconds, tokens and right answers with the cache and without.

    Args:
        against: nothing; it is measured beside itself without the cache.
        data: One run, such as the demo's.

    Returns:
        By workload.

    Raises:
        UserError: There is a peer, or not one run.
    """
    for peer in against:
        raise UserError(f"no such peer: {peer}; the cache is measured beside answers without it", field="--against")
    if len(data) != 1:
        raise UserError("bench cache takes one run, whose model answers", field="--data")
    model = open_chat_model(str(data[0]))
    task = tasks.build_task(TaskSpec(task="countdown", languages=("en", "zh")), 0)
    problems = task.get_held_out(2 * QUESTIONS)
    service = GenerationService(model, ServiceLimits(queue=2 * QUESTIONS))
    with (
        tempfile.TemporaryDirectory(prefix="dunwu-bench-") as folder,
        PathCache(Path(folder) / "c", CACHE_BYTES) as cache,
    ):
        memory = PathMemory(cache, model, hints=True)
        try:
            again = measure_again(service, memory, problems[:QUESTIONS])
            return {"again": again, "hint": measure_hints(service, memory, problems[QUESTIONS:])}
        finally:
            service.stop(0.0)


def measure_again(service: GenerationService, memory: PathMemory, problems: Sequence[Problem]) -> dict[str, Any]:
    """Vote on each question, keep what has a majority, and ask each again."""
    asking, finding = list[float](), list[float]()
    voted = list[Voted]()
    kept = list[int]()
    for number, problem in enumerate(problems):
        request = make_request(service, problem.messages[-1].content, derive_seeds(number, VOTES))
        began = time.perf_counter()
        voted.append(vote(service, request))
        asking.append(time.perf_counter() - began)
        if memory.keep(request, voted[-1].chosen, voted[-1].vote):
            kept.append(number)
    served = dict[int, str]()
    for number, problem in enumerate(problems):
        request = make_request(service, problem.messages[-1].content.replace(" ", "  "), (0,))
        began = time.perf_counter()
        hit = memory.find(request)
        finding.append(time.perf_counter() - began)
        if hit is not None:
            served[number] = hit.entry.answer
    return {
        "ours": median(finding),
        "unit": "s",
        "peers": {f"vote of {VOTES}": median(asking)},
        "ratio": median(asking) / median(finding),
        "floor_share": None,
        "tokens_saved_a_question": sum(voted[number].tokens for number in served) / max(1, len(served)),
        "kept": write_share([number in kept for number in range(len(problems))]),
        "found_again_of_kept": write_share([number in served for number in kept]),
        "right_of_voted": write_share(
            [is_right(problem, one.chosen.content) for problem, one in zip(problems, voted, strict=True)]
        ),
        "right_of_served": write_share([is_right(problems[number], answer) for number, answer in served.items()]),
        "served_for_another_question": sum(served[n] != voted[n].chosen.content for n in served),
    }


def measure_hints(service: GenerationService, memory: PathMemory, problems: Sequence[Problem]) -> dict[str, Any]:
    """Answer each question greedily alone, and with a hint."""
    plain = [make_request(service, problem.messages[-1].content, (0,), temperature=0.0) for problem in problems]
    pairs = [memory.hint(request) for request in plain]
    hinted = [request for request, path in pairs if path is not None]
    asked = [request for request, (_, path) in zip(plain, pairs, strict=True) if path is not None]
    of_them = [problem for problem, (_, path) in zip(problems, pairs, strict=True) if path is not None]
    found = {name: answer_all(service, requests) for name, requests in (("with", hinted), ("without", asked))}
    right = {
        name: [is_right(problem, one.content) for problem, one in zip(of_them, choices, strict=True)]
        for name, choices in found.items()
    }
    return {
        "ours": 100 * sum(right["with"]) / max(1, len(of_them)),
        "unit": f"% right of {len(of_them)} questions with a hint",
        "peers": {"without a hint": 100 * sum(right["without"]) / max(1, len(of_them))},
        "ratio": None,
        "floor_share": None,
        "hinted": write_share([path is not None for _, path in pairs]),
        "right": {name: write_share(values) for name, values in right.items()},
        "tokens_a_question": {
            name: sum(one.tokens for one in choices) / max(1, len(of_them)) for name, choices in found.items()
        },
    }


def make_request(
    service: GenerationService, question: str, seeds: tuple[int, ...], temperature: float | None = None
) -> ChatRequest:
    """Make a request as the model wants to be sampled."""
    usual, top_p = service.model.sampling
    return ChatRequest(
        messages=(Message(role="user", content=question),),
        seeds=seeds,
        temperature=usual if temperature is None else temperature,
        top_p=top_p,
    )


def is_right(problem: Problem, content: str) -> bool:
    """Tell whether an answer is right."""
    answer = read_vote(content)
    return answer is not None and expression.check(problem.tests, answer).value == 1


def write_share(values: Sequence[bool]) -> str:
    """Write a share with its Wilson interval."""
    if not values:
        return "of none"
    share = estimate_proportion(np.array(values, dtype=np.float64), 1)
    return f"{100 * share.value:.1f} % ({100 * share.low:.1f}-{100 * share.high:.1f})"
