"""The nano base as a model to talk to, and servers over it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import uvicorn

from dunwu.config.schema import ModelSpec
from dunwu.loopback import LOOPBACK, listen
from dunwu.serve.answering import Answerer
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.http.server import configure
from dunwu.serve.review.keys import Keys, load_keys, make_key
from dunwu.serve.service import GenerationService
from dunwu.serve.workers import ServiceLimits


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
    with run_server(Answerer(http_service)) as found:
        yield found


@pytest.fixture
def locked_address(service: GenerationService, tmp_path: Path) -> Iterator[tuple[Address, str]]:
    """A server that wants a key, and the key."""
    key, lines = make_key("ann", "client")
    (tmp_path / "keys.toml").write_text(lines)
    with run_server(Answerer(service), load_keys(tmp_path / "keys.toml")) as found:
        yield found, key


@contextmanager
def run_server(answerer: Answerer, keys: Keys | None = None) -> Iterator[Address]:
    """Run a server in a thread, as ``dunwu serve`` runs it in a process."""
    listener = listen(0, "a test")
    server = uvicorn.Server(configure(answerer, keys, patience=5))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    port = listener.getsockname()[1]
    yield Address(f"http://{LOOPBACK}:{port}", port)
    server.should_exit = True
    thread.join(30)
