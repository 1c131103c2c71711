"""``dunwu serve`` and what it shares with ``dunwu chat``: a model opened to be talked to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dunwu.api.model_sources import source_of
from dunwu.commands.guide import open_guide
from dunwu.config.schema import ModelSpec, is_server
from dunwu.errors import UserError
from dunwu.loopback import listen
from dunwu.machine import AskedDtype
from dunwu.serve.answering import Answerer
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.path_cache.store import PathCache
from dunwu.serve.path_memory import PathMemory
from dunwu.serve.review.decision import Score
from dunwu.serve.review.held_queue import HeldQueue
from dunwu.serve.review.keys import check_reviewers, load_keys
from dunwu.serve.review.policy import Policy, read_policy
from dunwu.serve.reviewer import Reviewer
from dunwu.serve.safety_model import open_safety_model
from dunwu.serve.service import GenerationService
from dunwu.serve.workers import ServiceLimits


def open_chat_model(
    text: str,
    *,
    name: str = "",
    template: str | None = None,
    dtype: AskedDtype = "float32",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    threads: int = 0,
) -> ChatModel:
    """Open a model that people talk to.

    Args:
        text: A run or RUN:STAGE, a transformers folder, a GGUF file, a packaged name, or a hub id.
        name: What clients call it; else what the text ends with.
        template: How it is asked, where it is not as it was trained.
        dtype: Type of the weights in memory.
        device: ``auto`` takes CUDA where there is a device.
        threads: CPU threads; 0: every core that this process may use.

    Raises:
        UserError: The model cannot be used.
    """
    if is_server(text):
        raise UserError("is behind a server already: point the client at that", file=text)
    source = source_of(text)
    spec = ModelSpec.model_validate({"dtype": dtype, "device": device, "threads": threads})
    shown = name or Path(text).name or text
    return ChatModel(shown, source.source, template or str(source.template), source.stop, spec)


WITHOUT_MODEL = "policy {} asks a safety model, and --safety-model names none: what it would judge waits for a person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What stands around the model of a server.

    Attributes:
        cache: The file of the cache of reasoning paths; None: nothing is kept.
        cache_bytes: Its bound.
        hints: Questions with other numbers get the path of a solved one.
        policy: A policy file, or the name of one that comes with Dunwu; None: answers go out as they are.
        safety_model: The reward model that the policy's topics may ask; None: those hold what they would ask about.
        review: The folder in which held answers wait.
        keys: The keys file; None: anybody on this machine may ask, and nobody may review.
        guide: What may choose between answers, see ``open_guide``; None: nothing does.
    """

    cache: Path | None = None
    cache_bytes: int = 256 << 20
    hints: bool = False
    policy: str | None = None
    safety_model: str | None = None
    review: Path = Path("review")
    keys: Path | None = None
    guide: str | None = None


def serve(
    open_model: Callable[[], ChatModel],
    *,
    open_second: Callable[[str], ChatModel],
    port: int,
    announce: Callable[[str], None],
    message: Callable[[str], None],
    limits: ServiceLimits,
    surroundings: Surroundings,
    patience: int = 30,
) -> None:
    """Serve a model on this machine's loopback until the process is asked to stop.

    Args:
        open_model: Opens the model, after all else is known to be right; see ``open_chat_model``.
        open_second: Opens the model of the policy's second verification, by its name.
        port: Where; 0 for any port that is free.
        announce: Is called with the address once it answers there.
        message: Takes lines for the user where nothing is wrong.
        limits: Of rows, queue and memory.
        surroundings: Cache, policy, keys and guide.
        patience: Seconds that requests may still take when it is asked to stop.

    Raises:
        UserError: A file cannot be used, or the port is taken.
    """
    from dunwu.serve.http.server import serve as serve_http

    keys = load_keys(surroundings.keys) if surroundings.keys else None
    policy = read_policy(surroundings.policy) if surroundings.policy else None
    if policy is not None:
        check_reviewers(policy, keys)
        _check_vote(policy, limits, surroundings.policy)
        if policy.needs_model and surroundings.safety_model is None:
            message(WITHOUT_MODEL.format(policy.name))
    with ExitStack() as opened:
        listener = opened.enter_context(listen(port, "dunwu serve"))
        cache = queue = None
        if surroundings.cache:
            cache = opened.enter_context(PathCache(surroundings.cache, surroundings.cache_bytes, notify=message))
        if policy:
            queue = HeldQueue(surroundings.review, refusals=policy.refusals)
            opened.callback(queue.close)
        score = open_score(surroundings.safety_model, policy) if surroundings.safety_model else None
        guide = open_guide(surroundings.guide) if surroundings.guide is not None else None
        other = _open_other(policy, surroundings.policy, open_second) if policy else None
        model = open_model()
        service = GenerationService(model, limits)
        memory = PathMemory(cache, model, hints=surroundings.hints) if cache else None
        second = GenerationService(other, limits) if other else None
        reviewer = Reviewer(policy, queue, service, score, second) if policy and queue else None
        opened.pop_all()  # what is open is closed by whoever answers, from here on
    for line in model.notes:
        message(line)
    serve_http(Answerer(service, memory, reviewer, guide), listener, announce, keys=keys, patience=patience)


def _check_vote(policy: Policy, limits: ServiceLimits, source: str | None) -> None:
    """Refuse a vote that would never have room, and so would hold every answer.

    Raises:
        UserError: It asks for more samples than may wait.
    """
    vote = policy.verification.vote or 0
    if policy.verifies and vote > limits.queue:
        text = f"{vote} samples are more than the {limits.queue:,} that may wait: a larger --queue has room"
        raise UserError(text, file=source, field="verification.vote")


def _open_other(policy: Policy, source: str | None, open_second: Callable[[str], ChatModel]) -> ChatModel | None:
    """Open the model that verifies; None where the policy names none.

    Raises:
        UserError: It cannot be used; the line names the policy's field.
    """
    name = policy.verification.model
    if name is None:
        return None
    try:
        return open_second(name)
    except UserError as error:
        raise UserError(str(error), file=source, field="verification.model") from None


def open_score(text: str, policy: Policy | None) -> Score:
    """Open the safety model of a policy.

    Args:
        text: RUN:STAGE, or a run whose last reward model is meant, or a folder of transformers.
        policy: Who asks it.

    Raises:
        UserError: No topic asks it, or it cannot be used.
    """
    field = "--safety-model"
    if policy is None:
        raise UserError("is asked by the topics of a policy: give --policy, too", field=field)
    if not policy.needs_model:
        raise UserError(f"no topic of the policy {policy.name} asks a model: give one model.threshold", field=field)
    if is_server(text):
        raise UserError("must lie on this machine: a reward model answers in no words", field=field)
    found = source_of(text, scores=True)
    return open_safety_model(found.source, str(found.template), stage=found.stage)
