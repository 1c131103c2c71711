"""The nano base as a model to talk to, and a server over it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dunwu.config.schema import ModelSpec
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.service import GenerationService, ServiceLimits


@pytest.fixture(scope="session")
def model() -> ChatModel:
    """The nano base, as ``dunwu serve nano-base`` opens it."""
    return ChatModel("nano", "nano-base", "nano", (), ModelSpec())


@pytest.fixture
def service(model: ChatModel) -> Iterator[GenerationService]:
    """A service of eight rows."""
    made = GenerationService(model, ServiceLimits(max_sequences=8, queue=64))
    yield made
    made.stop(0.0)
