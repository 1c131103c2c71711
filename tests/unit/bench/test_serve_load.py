"""The clients of ``dunwu bench serve``: they read whole and streamed replies, and no more ask at once than wanted."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from dunwu.bench.serve_load import Load, run_load
from dunwu.loopback import LOOPBACK


class Scripted:
    """A server that answers each request with its question, whole or in chunks; it counts who asks at once."""

    def __init__(self, status: int = 200) -> None:
        self.status, self.at_once, self.most = status, 0, 0
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._answer, LOOPBACK, 0))
        self.address = f"http://{LOOPBACK}:{self._server.sockets[0].getsockname()[1]}"
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
        body = json.loads(await reader.readexactly(length))
        await asyncio.sleep(0)
        question = body["messages"][0]["content"]
        status = f"HTTP/1.1 {self.status} X\r\n".encode()
        if not body["stream"]:
            message = {"content": question, "reasoning_content": f"seed {body['seed']}: "}
            whole = json.dumps({"choices": [{"message": message}]}).encode()
            writer.write(status + f"Content-Length: {len(whole)}\r\n\r\n".encode() + whole)
        else:
            pieces = [{"reasoning_content": "等: "}, {"content": question[:2]}, {"content": question[2:]}]
            events = [f"data: {json.dumps({'choices': [{'delta': piece}]})}\n\n".encode() for piece in pieces]
            writer.write(status + b"Transfer-Encoding: chunked\r\n\r\n")
            for event in [*events, b'data: {"choices": []}\n\n', b"data: [DONE]\n\n"]:
                writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
            writer.write(b"0\r\n\r\n")
        self.at_once -= 1
        writer.close()

    def close(self) -> None:
        """Stop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._server.close()
        self._loop.close()


def make_load(stream: bool) -> Load:
    questions = tuple(f"question {number}" for number in range(20))
    return Load(questions=questions, clients=4, max_tokens=9, stream=stream, more={})


@pytest.mark.parametrize("stream", [False, True])
def test_answers_come_in_the_order_of_their_questions(stream: bool) -> None:
    server = Scripted()
    try:
        _, texts = run_load(server.address, "m", make_load(stream))
    finally:
        server.close()
    expected = [f"等: question {n}" if stream else f"seed {n}: question {n}" for n in range(20)]
    assert texts == expected
    assert 1 <= server.most <= 4


def test_a_request_that_is_refused_ends_the_benchmark() -> None:
    server = Scripted(status=429)
    try:
        with pytest.raises(RuntimeError, match=r"a request was not answered: b'HTTP/1\.1 429"):
            run_load(server.address, "m", make_load(False))
    finally:
        server.close()
