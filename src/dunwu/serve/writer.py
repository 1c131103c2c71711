"""One answer while it is written: it parts reasoning from content, keeps to a budget and a grammar, and knows the end.

It is what steers a row of the batch (``rollout.builtin.scheduler.Steering``), so all of it runs in the engine's thread;
what it has written is taken from another.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Sequence
from typing import Final

from jaxtyping import Float
from tokenizers.decoders import DecodeStream
from torch import Tensor

from dunwu.errors import Fault
from dunwu.rollout.builtin.batch import Written
from dunwu.rollout.builtin.scheduler import Allowed
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.grammar import MARGIN, Grammar
from dunwu.serve.records import ChatRequest, Choice, Finish, Piece, TokenLogprob
from dunwu.serve.reply_text import Gain, ReplyText
from dunwu.serve.token_masks import is_marked
from dunwu.serve.tool_calls import list_functions
from dunwu.types import Sampling, ToolCall

ANSWER_SHARE: Final = 0.5
"""Of its tokens that an answer under a grammar keeps from the reasoning, at most."""
ROOM: Final = 64
"""Tokens beside those of the shortest answer that it keeps."""


class Writer:
    """See the module.

    Args:
        index: of the choice.
        model: whose answer it is.
        request: what was asked.
        sampling: how its tokens are drawn.
        opening: what the prompt has written of it.
        grammar: of the answer; its own copy.
        streams: pieces are wanted as they come.

    Attributes:
        index: of the choice.
        tokens: written so far.
        thinking_tokens: of these, the reasoning's.
        error: why there is no whole answer though it has ended: its grammar failed.
    """

    def __init__(
        self,
        index: int,
        model: ChatModel,
        request: ChatRequest,
        sampling: Sampling,
        opening: str,
        grammar: Grammar | None,
        streams: bool,
    ) -> None:
        self.index, self._streams = index, streams
        self.reads_logits = request.top_logprobs is not None
        self._model, self._request, self._most = model, request, sampling.max_new_tokens
        functions, stop = list_functions(request.tools), request.stop if grammar else (*model.stop, *request.stop)
        self._reply = ReplyText(opening, stop, functions, one_call=request.one_call)
        self._stream = DecodeStream(skip_special_tokens=False)
        self._core = model.policy.tokenizer.backend_tokenizer
        self._eos_ids = frozenset(model.policy.eos_ids)
        self._grammar = grammar
        self._budget = self._plan_budget()
        self._forced: deque[int] = deque()
        self._pieces: deque[Piece] = deque()
        self._reasoning, self._content, self._calls = list[str](), list[str](), list[ToolCall]()
        self._logprobs: list[TokenLogprob] = []
        self.tokens = self.thinking_tokens = 0
        self._closed = False
        self._finish: Finish | None = None
        self.error: Fault | None = None
        self._fresh, self._cut = "", False
        self._token_ids: tuple[int, ...] = ()
        self._token_logprobs: tuple[float, ...] = ()
        self._begin()
        if grammar and model.thinks and self._reply.state == "start" and model.openings is None:
            self._forced.extend(model.opening)

    def _begin(self) -> None:
        """Follow what the answer begins with, which is no news to whoever asked.

        It may have ended amid the tokens with which a budget closes the reasoning: the rest of them has to follow.
        """
        for token_id in self._request.begun:
            self.restrict(token_id)
            self.follow(token_id, None)
        self._pieces.clear()
        self._fresh, self._cut = "", False

    def _plan_budget(self) -> int | None:
        """Return the tokens after which the reasoning is closed: those asked for, or what a grammar's answer leaves."""
        budget = self._request.max_thinking_tokens
        if self._grammar is None:
            return budget
        share, shortest = int(ANSWER_SHARE * self._most), self._grammar.shortest
        kept = share if shortest is None else max(min(share, shortest + ROOM), shortest + MARGIN)
        most = max(0, self._most - kept - len(self._model.closing))
        return most if budget is None else min(budget, most)

    @property
    def written(self) -> int:
        """Tokens written so far, without those that the answer had begun with."""
        return self.tokens - len(self._request.begun)

    def restrict(self, token_id: int) -> Allowed | None:
        """See ``Steering``."""
        thinks = not self._is_answering()
        if thinks and not self._forced and self._budget is not None and self.thinking_tokens >= self._budget:
            self._closed = True
            opened = self._reply.state == "thinking"
            self._forced.extend(self._model.closing if opened else (*self._model.opening, *self._model.closing))
        if self._forced:
            return None if token_id == self._forced[0] else self._forced[0]
        if self._grammar is None:
            return None
        if thinks:  # the answer has to follow
            allowed = self._model.openings if self._reply.state == "start" else self._model.no_end
            return None if allowed is None or is_marked(allowed, token_id) else allowed
        return self._grammar.refuse(token_id, self._most - self.tokens)

    def follow(self, token_id: int, logits_V: Float[Tensor, " V"] | None) -> bool:
        """See ``Steering``."""
        self.tokens += 1
        forced = bool(self._forced)
        if forced:
            self._forced.popleft()
        before = self._reply.state
        ends = token_id in self._eos_ids
        follows = self._grammar is not None and not forced and self._is_answering()
        self._reply.settled |= follows
        text = None if ends else self._stream.step(self._core, token_id)
        gain = self._reply.feed(text) if text else Gain()
        if before == "thinking" or self._reply.state == "thinking":
            self.thinking_tokens += 1
        found = [self._explain(token_id, logits_V)] if logits_V is not None else []
        self._add(gain, found)
        whole = False
        if self._grammar is not None and follows and not ends:
            whole = self._grammar.advance(token_id)
        over = ends or self._reply.stopped or whole
        if self._request.until is not None:
            self._fresh += text or ""
            self._cut = not over and self._request.until(self._fresh)
        return over or self._cut

    def _is_answering(self) -> bool:
        """Whether what comes next is the answer, as far as the text has gone."""
        return self._reply.state == "answer" or (self._reply.state == "start" and not self._model.thinks)

    def finish(self, written: Written) -> None:
        """Write the last piece, or note the error; called once the row has ended.

        Args:
            written: all that it wrote, and how it ended.
        """
        if self._grammar is not None and (why := self._grammar.find_error()):
            self.error = Fault(f"the grammar of the answer failed on the way: {why}")
            return
        ended = "stop" if self._reply.stopped else "length" if self._cut else written.finish
        self._token_ids = tuple(written.token_ids.tolist())
        self._token_logprobs = tuple(written.logprobs.tolist())
        gain = self._reply.end(ended)
        calls = ended == "stop" and (self._calls or gain.calls)
        self._add(gain, [], "tool_calls" if calls else ended)

    @property
    def has_news(self) -> bool:
        """Whether ``take`` would return something."""
        return bool(self._pieces)

    def take(self) -> Piece | None:
        """Return what was written since the last call, joined; None where that is nothing."""
        pieces = []
        while self._pieces:
            pieces.append(self._pieces.popleft())
        if not pieces:
            return None
        return Piece(
            index=self.index,
            reasoning="".join(piece.reasoning for piece in pieces),
            content="".join(piece.content for piece in pieces),
            calls={place: call for piece in pieces for place, call in piece.calls.items()},
            logprobs=[found for piece in pieces for found in piece.logprobs],
            finish=pieces[-1].finish,
        )

    def collect(self) -> Choice:
        """Return the whole answer; it has ended."""
        assert self._finish is not None
        return Choice(
            reasoning="".join(self._reasoning),
            content="".join(self._content),
            calls=tuple(self._calls),
            finish=self._finish,
            tokens=self.tokens,
            thinking_tokens=self.thinking_tokens,
            logprobs=tuple(self._logprobs),
            closed=self._closed,
            token_ids=self._token_ids,
            token_logprobs=self._token_logprobs,
        )

    def _add(self, gain: Gain, logprobs: Sequence[TokenLogprob], finish: Finish | None = None) -> None:
        self._reasoning.append(gain.reasoning)
        self._content.append(gain.content)
        calls = [ToolCall(id=f"call_{uuid.uuid4().hex}", name=name, arguments=given) for name, given in gain.calls]
        placed = dict(enumerate(calls, len(self._calls)))
        self._calls += calls
        self._logprobs += logprobs
        self._finish = finish
        if self._streams and (any(gain) or logprobs or finish):
            self._pieces.append(
                Piece(
                    index=self.index,
                    reasoning=gain.reasoning,
                    content=gain.content,
                    calls=placed,
                    logprobs=list(logprobs),
                    finish=finish,
                )
            )

    def _explain(self, token_id: int, logits_V: Float[Tensor, " V"]) -> TokenLogprob:
        logprobs_V = logits_V.float().log_softmax(0)
        values, ids = logprobs_V.topk(min(self._request.top_logprobs or 0, len(logprobs_V)))
        top = zip(ids.tolist(), values.tolist(), strict=True)
        return TokenLogprob(
            token=self._write_token(token_id),
            logprob=float(logprobs_V[token_id]),
            top=tuple((self._write_token(other), value) for other, value in top),
        )

    def _write_token(self, token_id: int) -> str:
        return str(self._core.decode([token_id], skip_special_tokens=False))
