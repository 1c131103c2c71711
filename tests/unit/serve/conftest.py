"""The nano base as a model to talk to, and servers over it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import pytest
import uvicorn

from dunwu.config.schema import ModelSpec
from dunwu.loopback import LOOPBACK, listen
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.http.server import configure
from dunwu.serve.service import GenerationService, ServiceLimits


class Address(NamedTuple):
    """Where a server answers."""

    url: str
    port: int


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


@pytest.fixture(scope="session")
def http_service(model: ChatModel) -> Iterator[GenerationService]:
    """The service behind ``address``."""
    made = GenerationService(model, ServiceLimits(max_sequences=64, queue=256))
    yield made
    made.stop(0.0)


@pytest.fixture(scope="session")
def address(http_service: GenerationService) -> Iterator[Address]:
    """A server that anybody may ask."""
    with run_server(http_service) as found:
        yield found


@pytest.fixture
def locked_address(service: GenerationService) -> Iterator[Address]:
    """A server that wants a key."""
    with run_server(service, keys=("open sesame",)) as found:
        yield found


@contextmanager
def run_server(service: GenerationService, keys: Sequence[str] = ()) -> Iterator[Address]:
    """Run a server in a thread, as ``dunwu serve`` runs it in a process."""
    listener = listen(0, "a test")
    server = uvicorn.Server(configure(service, keys, patience=5))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    port = listener.getsockname()[1]
    yield Address(f"http://{LOOPBACK}:{port}", port)
    server.should_exit = True
    thread.join(30)
