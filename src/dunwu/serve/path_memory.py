"""The cache of reasoning paths before one model: what is looked up, and what is worth keeping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from dunwu.errors import UserError
from dunwu.models.places import resolve
from dunwu.serve.ballot import Vote, read_vote
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.path_cache.hints import write_hint
from dunwu.serve.path_cache.keys import hash_model, make_sampling_key
from dunwu.serve.path_cache.normalize import NormalizedQuestion, normalize_conversation
from dunwu.serve.path_cache.records import Entry, Hit, Provenance, ReasoningPath
from dunwu.serve.path_cache.store import PathCache
from dunwu.serve.records import ChatRequest, Choice
from dunwu.types import Message

BY: Final = "equivalent answers"
ANSWER_SHARE: Final = 0.5
"""Of the model's positions that a hint leaves to the answer."""


class PathMemory:
    """Finds and keeps chains for one model.

    Args:
        cache: the file.
        model: whose chains; others' are never found.
        hints: questions with other numbers get the path of a solved one in their prompt.
    """

    def __init__(self, cache: PathCache, model: ChatModel, *, hints: bool) -> None:
        self.cache, self._hints, self._model = cache, hints, model
        self._hash = hash_model(Path(resolve(model.source)), f"{model.template}\n{model.policy.model.dtype}")

    def find(self, request: ChatRequest) -> Hit | None:
        """Find what was answered to exactly this conversation under this sampling."""
        return self.cache.find(self._hash, _write_sampling(request), _normalize(request))

    def hint(self, request: ChatRequest) -> tuple[ChatRequest, ReasoningPath | None]:
        """Put the path of a question with other numbers behind this one, where there is one that leaves room."""
        question = _normalize(request)
        path = self.cache.find_path(self._hash, question) if self._hints else None
        *earlier, last = request.messages
        if path is None or last.role == "tool":
            return request, None
        hinted = Message(role=last.role, content=f"{last.content}\n\n{write_hint(path, question.numbers)}")
        longer = replace(request, messages=(*earlier, hinted))
        return (longer, path) if self._leaves_room(longer) else (request, None)

    def _leaves_room(self, request: ChatRequest) -> bool:
        """Whether a prompt with a hint leaves the answer the tokens asked for, and half of the model's positions."""
        try:
            prompt, _ = self._model.encode(request.messages, request.tools)
        except UserError:
            return False
        kept = max(request.max_tokens or 0, int(ANSWER_SHARE * self._model.positions))
        return len(prompt) + kept <= self._model.positions

    def keep(self, request: ChatRequest, choice: Choice, vote: Vote | None, derived_by: Sequence[str] = ()) -> bool:
        """Keep a chain that a majority of samples voted for, or whose answer others derived; tell whether it was.

        Args:
            request: what was asked.
            choice: the chain and its answer.
            vote: what samples came to, if there was a vote.
            derived_by: who came to the same answer independently.
        """
        final, question = read_vote(choice.content), _normalize(request)
        provenance = _find_provenance(vote, derived_by)
        if final is None or provenance is None or choice.finish == "length":
            return False
        entry = Entry(
            question=question.exact,
            reasoning=choice.reasoning,
            answer=choice.content,
            final_answer=final,
            provenance=provenance,
            tokens=choice.tokens,
        )
        return self.cache.put(self._hash, _write_sampling(request), question, entry)


def _find_provenance(vote: Vote | None, derived_by: Sequence[str]) -> Provenance | None:
    """Say why an answer is believed; None where there is no reason."""
    if derived_by:
        return Provenance(kind="verified", by=", ".join(derived_by))
    if vote is None or not vote.groups:
        return None
    return Provenance(kind="voted", by=BY, votes=vote.groups[0].votes, samples=vote.samples)


def describe_hit(hit: Hit | None, path: ReasoningPath | None) -> dict[str, Any]:
    """Return where a reply comes from, as JSON has it."""
    found = hit or path
    if found is None:
        return {"hit": "none"}
    provenance = hit.entry.provenance if hit else path.provenance if path else None
    assert provenance is not None
    return {
        "hit": "exact" if hit else "path",
        "age_seconds": round(found.age_s, 3),
        "provenance": asdict(provenance),
    }


def to_choice(hit: Hit) -> Choice:
    """Return a stored chain as a choice, which cost no tokens."""
    return Choice(reasoning=hit.entry.reasoning, content=hit.entry.answer, finish="stop", tokens=0, thinking_tokens=0)


def _normalize(request: ChatRequest) -> NormalizedQuestion:
    turns = [{"content": "", **{key: one for key, one in asdict(m).items() if one}} for m in request.messages]
    return normalize_conversation(turns)


def _write_sampling(request: ChatRequest) -> str:
    """Write what beside model and question decides an answer; seeds and the number of votes do not."""
    return make_sampling_key(
        {
            "temperature": request.temperature,
            "top_p": request.top_p,
            "max_tokens": request.max_tokens,
            "max_thinking_tokens": request.max_thinking_tokens,
            "stop": list(request.stop),
            "format": asdict(request.format) if request.format else None,
            "tools": [dict(tool) for tool in request.tools],
            **({"must_call": request.must_call} if request.must_call else {}),
            **({"one_call": True} if request.one_call else {}),
        }
    )
