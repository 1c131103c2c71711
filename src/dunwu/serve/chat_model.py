"""A model that people talk to: its weights, how it is asked, and how it wants to be sampled."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Int32

from dunwu.config.schema import ModelSpec, PromptSpec
from dunwu.errors import UserError
from dunwu.execution.executor import open_executor
from dunwu.models.chat_templates import start_renderer
from dunwu.models.export import GENERATION_CONFIG
from dunwu.models.llama_parts import LightModel
from dunwu.models.places import resolve
from dunwu.models.policy import Policy
from dunwu.models.templates import NAMED, Template, count_positions, tokenize
from dunwu.rollout.builtin.scheduler import Mask
from dunwu.serve.records import ChatRequest
from dunwu.serve.token_masks import mark_tokens
from dunwu.types import Message, Sampling

LONGEST: Final = 1024
"""Tokens of the sequences on which the engine is compared with the model's own forward pass."""
COLDEST: Final = 1e-3
"""Temperatures below are 0: logits divided by less would leave what single precision can tell apart."""
TEMPERATURE: Final = 0.6
TOP_P: Final = 0.95
"""What R1 is asked with (arXiv 2501.12948, section 3.1), where a model's folder says nothing."""


class ChatModel:
    """A policy with its prompt template.

    Args:
        name: what clients call it.
        source: a packaged name, a folder, a GGUF file, or a hub id.
        template: ``chat``, ``r1-zero``, ``nano``, or a text with ``{prompt}``.
        stop: texts that ended its answers in training.
        spec: type of the weights, device and threads.

    Raises:
        UserError: the model cannot be used, or has no fast tokenizer.
    """

    def __init__(self, name: str, source: str, template: str, stop: Sequence[str], spec: ModelSpec) -> None:
        if template == "chat":
            start_renderer()
        self.name, self.source, self.template, self.stop = name, source, template, tuple(stop)
        self.notes: list[str] = []
        executor = open_executor(spec, self.notes.append)
        self.policy: Policy = executor.open_reader(source, longest=LONGEST)
        if getattr(self.policy.tokenizer, "backend_tokenizer", None) is None:
            raise UserError("its tokenizer is none of the package tokenizers, which streaming takes", file=source)
        self.positions = count_positions(self.policy.model)
        self._template = Template(PromptSpec(template=template, max_tokens=self.positions), self.policy.tokenizer)

    @cached_property
    def rows(self) -> int:
        """Tokens that its logits speak of."""
        model = self.policy.model
        light = isinstance(model, LightModel)
        return len(model.parts.weights["lm_head.weight"] if light else model.get_output_embeddings().weight)

    @cached_property
    def no_end(self) -> Mask:
        """All tokens but those that end a completion."""
        return mark_tokens(sorted(set(range(self.rows)) - set(self.policy.eos_ids)), self.rows)

    @property
    def takes_turns(self) -> bool:
        """Whether it can be shown earlier turns: a chat template can, a text has room for one question."""
        return self.template == "chat"

    @cached_property
    def thinks(self) -> bool:
        """Whether its answers begin with reasoning in think tags, as far as its template tells."""
        text = self.policy.tokenizer.chat_template if self.template == "chat" else self.template
        return self.template in NAMED or "<think>" in str(text)

    @cached_property
    def closing(self) -> tuple[int, ...]:
        """The tokens that end a chain of thought."""
        text = "\n</think>\n\n" if self.template == "chat" else "</think>"
        return tuple(tokenize(self.policy.tokenizer, text))

    @cached_property
    def opening(self) -> tuple[int, ...]:
        """The tokens that begin one, where the prompt has not."""
        text = "<think>\n" if self.template == "chat" else "<think>"
        return tuple(tokenize(self.policy.tokenizer, text))

    @cached_property
    def openings(self) -> Mask | None:
        """The tokens that begin one all by themselves, with white space or without; None where there is none.

        Models know one of these from training; after another, the same to a reader, they write what they never saw.
        """
        core = self.policy.tokenizer.backend_tokenizer
        ids = [token_id for token, token_id in core.get_vocab().items() if "<think>" in token and token_id < self.rows]
        found = [
            token_id for token_id in ids if core.decode([token_id], skip_special_tokens=False).strip() == "<think>"
        ]
        return mark_tokens(found, self.rows) if found else None

    @cached_property
    def _longest_token(self) -> int:
        """Bytes of the longest token: a text of more bytes than so many a position is too long."""
        texts = self.policy.tokenizer.backend_tokenizer.get_vocab(with_added_tokens=True)
        return max(len(text.encode()) for text in texts)

    @cached_property
    def sampling(self) -> tuple[float, float]:
        """Temperature and top-p that its folder asks for, or those of R1."""
        config: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            config = json.loads((Path(resolve(self.source)) / GENERATION_CONFIG).read_text(encoding="utf-8"))
        if config.get("do_sample") is False:
            return 0.0, 1.0
        temperature, top_p = config.get("temperature"), config.get("top_p")
        if temperature is None:
            return TEMPERATURE, TOP_P
        return float(temperature), 1.0 if top_p is None else float(top_p)

    def encode(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()
    ) -> tuple[Int32[np.ndarray, " P"], str]:
        """Make the prompt of a conversation; see ``Template.encode_conversation``.

        Raises:
            UserError: see there, but whoever asks chose the messages, not the template; it is refused before it is
                tokenized where it cannot but be too long.
        """
        texts = [
            *(message.content for message in messages),
            *(call.arguments for one in messages for call in one.calls),
        ]
        size = sum(len(text.encode()) for text in (*texts, *map(json.dumps, tools)))
        if size > self.positions * self._longest_token:
            text = f"the conversation has {size:,} bytes, and the model has {self.positions:,} positions"
            raise UserError(text, field="messages")
        try:
            return self._template.encode_conversation(messages, tools)
        except UserError as error:
            field = "messages" if error.field == "prompt.template" else error.field
            raise UserError(error.message, field=field) from error

    def decode(self, token_ids: Sequence[int]) -> str:
        """Write tokens of a reply as text, without what ends it."""
        kept = [token_id for token_id in token_ids if token_id not in self.policy.eos_ids]
        return str(self.policy.tokenizer.backend_tokenizer.decode(kept, skip_special_tokens=False))

    def plan_sampling(self, request: ChatRequest, prompt: int) -> Sampling:
        """Return how a request's tokens are drawn, within the model's positions.

        Args:
            request: what is asked.
            prompt: tokens of its prompt.

        Raises:
            UserError: the prompt leaves no room.
        """
        room = self.positions - prompt
        if room < 1:
            text = f"the conversation has {prompt:,} tokens, and the model has {self.positions:,} positions"
            raise UserError(text, field="messages")
        most = min(request.max_tokens or room, room)
        temperature = 0.0 if request.temperature < COLDEST else request.temperature
        return Sampling(temperature=temperature, top_p=request.top_p, max_new_tokens=most)
