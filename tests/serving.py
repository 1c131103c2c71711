"""A model behind a server, made of a function: what a real one says in the form of OpenAI's, or anything else."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, Any] | bytes
"""A status with what becomes JSON, or bytes as they are."""


class FakeServer(ThreadingHTTPServer):
    """``answer`` is asked with the body of every question; ``asked`` holds these bodies."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, answer: Callable[[Any], Answer]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.asked: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: FakeServer

    def do_GET(self) -> None:
        self._send((404, {}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        self._send(self.server.answer(body))

    def _send(self, answer: Answer) -> None:
        if isinstance(answer, bytes):
            self.wfile.write(answer)
            self.close_connection = True
            return
        status, said = answer
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *told: Any) -> None:
        """Nothing is printed."""


@contextmanager
def serving(answer: Callable[[Any], Answer]) -> Iterator[FakeServer]:
    """A server that runs while the block does."""
    with FakeServer(answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def said(text: Any, finish: str = "stop", tokens: int | None = 3, **message: Any) -> tuple[int, Any]:
    """A reply with one choice; ``text`` is its content, also in parts."""
    choice = {"message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    usage = {} if tokens is None else {"usage": {"completion_tokens": tokens}}
    return 200, {"choices": [choice], **usage}


def question(body: Any) -> str:
    """What was asked last."""
    return str(body["messages"][-1]["content"])
