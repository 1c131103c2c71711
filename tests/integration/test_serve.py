"""``dunwu serve`` and ``dunwu chat`` as commands: they answer, stop gracefully, and say what is wrong in one line."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from dunwu.serve.review.held_queue import HeldQueue
from dunwu.serve.review.keys import add_key

PROGRAM = [sys.executable, "-m", "dunwu"]
QUESTION = "Use 3, 5, 7 once each with + - * / to make 22."
BODY = {"messages": [{"role": "user", "content": QUESTION}], "seed": 7}


@contextmanager
def serving(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server of the nano base, and its address."""
    command = [*PROGRAM, "serve", "nano-base", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://[\d.:]+", process.stdout.readline())
            assert found
            yield process, found[0]
        finally:
            process.kill()


def post(address: str, body: dict[str, Any]) -> Any:
    request = Request(f"{address}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    return urlopen(request, timeout=120)


def test_a_stop_lets_answers_end_and_takes_no_new_ones() -> None:
    with serving() as (process, address):
        whole = json.loads(post(address, BODY | {"n": 16}).read())
        stream = post(address, BODY | {"n": 16, "stream": True})
        first = stream.readline()
        process.send_signal(signal.SIGTERM)
        lines = [first, *stream]
        events = [json.loads(line[6:]) for line in lines if line.startswith(b"data: {")]
        assert lines[-2] == b"data: [DONE]\n"
        for choice in whole["choices"]:
            own = [event["choices"][0] for event in events if event["choices"][0]["index"] == choice["index"]]
            content = "".join(one["delta"].get("content", "") for one in own)
            assert content == choice["message"]["content"]
        assert process.wait(60) == 0
        port = int(address.rpartition(":")[2])
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), timeout=5)


def test_whoever_still_waits_when_the_patience_ends_reads_why() -> None:
    with serving("--patience", "0") as (process, address):
        stream = post(address, BODY | {"n": 64, "stream": True, "temperature": 2})
        stream.readline()
        process.send_signal(signal.SIGTERM)
        last = [line for line in stream if line.startswith(b"data: ")][-1]
        assert json.loads(last[6:])["error"]["message"] == "the server has stopped"
        assert process.wait(60) == 0


def test_a_client_that_leaves_gives_its_rows_back() -> None:
    with serving() as (_, address):
        stream = post(address, BODY | {"n": 64, "stream": True})
        stream.readline()
        stream.close()
        running = threading.Event()
        while not running.is_set():
            metrics = urlopen(f"{address}/metrics", timeout=60).read().decode()
            if "dunwu_samples_running 0" in metrics:
                running.set()
        values = dict(line.split() for line in metrics.splitlines() if not line.startswith("#"))
        assert values["dunwu_requests_cancelled_total"] == "1"
        assert values["dunwu_requests_total"] == "1"
        assert int(values["dunwu_samples_finished_total"]) < 64, "most were given up"
        ended = [int(values[f"dunwu_samples_{how}_total"]) for how in ("finished", "given_up")]
        assert sum(ended) == int(values["dunwu_samples_total"]) == 64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["no/such/run"], "error: no/such/run: no model: neither"),
        (["nano-base", "--template", "chat"], "error: prompt.template: the tokenizer has no chat template"),
        (["nano-base", "--policy", "safty"], "error: safty: no such file; did you mean safety?"),
        (
            ["nano-base", "--policy", "medicine"],
            "error: keys: policy medicine holds answers, and there is no reviewer: dunwu key",
        ),
        (["nano-base", "--keys", "none.toml"], "error: none.toml: "),
        (["nano-base", "--guide", "no/such/run"], "error: no/such/run: no model: neither"),
        (["nano-base", "--guide", "nano-base"], "error: nano-base: --guide: is no run that made a reward model"),
        (["nano-base", "--guide", "rule"], "error: rule: no model: neither"),
    ],
)
def test_what_is_wrong_is_one_line(options: list[str], message: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [*PROGRAM, "serve", "--port", "0", *options], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(message), done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("review*"))


def test_a_chat_with_a_wrong_guide_is_one_line() -> None:
    command = [*PROGRAM, "chat", "nano-base", "--guide", "nano-base"]
    done = subprocess.run(command, input=QUESTION, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: nano-base: --guide: is no run that made a reward model"), done.stderr
    assert done.stderr.count("\n") == 1


def test_rules_guide_a_server() -> None:
    with serving("--guide", "rules") as (_, address):
        answer = json.loads(post(address, BODY | {"best_of": 4}).read())
        assert answer["guidance"]["method"] == "best_of"
        assert 0 <= answer["guidance"]["score"] <= 2
        guided = json.loads(post(address, BODY | {"guided": {"width": 2}}).read())
        assert guided["guidance"]["choices"] > 0


def test_an_answer_that_expires_is_heard_of(tmp_path: Path) -> None:
    """An answer held by an earlier server is too old for this one: expired at its start, said to client and webhook."""
    heard, arrived = list[Any](), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            arrived.set()

        def log_message(self, *_: Any) -> None:
            pass

    listener = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    queue = HeldQueue(tmp_path / "review", lambda: time.time() - 3601)
    held = queue.hold("ward", "q", "", "secret", webhook=f"http://127.0.0.1:{listener.server_port}/")
    queue.close()
    policy, keys = tmp_path / "p.toml", tmp_path / "keys.toml"
    policy.write_text(
        'name = "p"\ndefault = "answer"\nexpire_after = "1 hour"\n[topics.a]\naction = "hold"\nkeywords = ["x"]\n'
    )
    ward = add_key(keys, "ward", "client")
    add_key(keys, "ann", "reviewer")
    options = ("--policy", str(policy), "--keys", str(keys), "--review", str(tmp_path / "review"))
    with serving(*options) as (_, address):
        poll = Request(f"{address}/v1/held/{held}", headers={"Authorization": f"Bearer {ward}"})
        found = json.loads(urlopen(poll, timeout=60).read())
        assert found == {"id": held, "state": "expired", "verdict": None, "text": ""}
        assert arrived.wait(60)
    assert heard == [{"id": held, "event": "expired"}]
    listener.shutdown()
    listener.server_close()
    log = [json.loads(line)["record"]["event"] for line in (tmp_path / "review" / "audit.jsonl").open()]
    assert log[:2] == ["held", "expired"]


@pytest.mark.parametrize("name", ["", " ann"])
def test_a_name_that_no_key_can_have_is_one_line(name: str) -> None:
    done = subprocess.run([*PROGRAM, "key", name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "is no name for a key" in done.stderr


def test_a_taken_port_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [*PROGRAM, "serve", "nano-base", "--port", str(taken.getsockname()[1])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "perhaps by another dunwu serve" in done.stderr


def test_a_pipe_is_one_question_and_only_the_answer_goes_to_stdout() -> None:
    command = [*PROGRAM, "chat", "nano-base", "--seed", "7", "--budget", "30"]
    one, other = (subprocess.run(command, input=QUESTION, capture_output=True, text=True, check=True) for _ in range(2))
    assert one.stdout == other.stdout
    assert re.fullmatch(r"[-+*/()\d]+\n", one.stdout)
    assert "seed 7" in one.stderr
    empty = subprocess.run(command, input=" \n", capture_output=True, text=True, check=False)
    assert (empty.returncode, empty.stderr) == (2, "error: stdin: is empty: nothing was asked\n")
    broken = subprocess.run(command, input=b"caf\xe9 \xff", capture_output=True, check=True)
    assert b"seed 7" in broken.stderr


class Terminal:
    """A conversation in a terminal of its own."""

    def __init__(self, *options: str) -> None:
        self._unread = ""
        self._process, self._file = pty.fork()
        if self._process == 0:
            os.environ |= {"TERM": "xterm", "COLUMNS": "100"}
            os.execv(sys.executable, [*PROGRAM, "chat", "nano-base", *options])

    def read_until(self, text: str, seconds: float = 120.0) -> str:
        """Read until a text has come, and no further."""
        end = time.monotonic() + seconds
        while text not in self._unread:
            ready, _, _ = select.select([self._file], [], [], max(0.0, end - time.monotonic()))
            assert ready, self._unread
            self._unread += os.read(self._file, 65536).decode(errors="replace")
        seen, _, self._unread = self._unread.partition(text)
        return seen + text

    def say(self, line: str) -> None:
        """Type a line."""
        os.write(self._file, line.encode())

    def wait(self) -> int:
        """Return the exit code."""
        return os.waitstatus_to_exitcode(os.waitpid(self._process, 0)[1])


def test_a_conversation_in_a_terminal(tmp_path: Path) -> None:
    terminal = Terminal("--seed", "7", "--guide", "rules")
    assert "each is asked by itself" in terminal.read_until("> ")
    terminal.say(QUESTION + "\n")
    answer = terminal.read_until("tokens, ")
    assert "thought for" in answer
    assert "seed 7" in answer + terminal.read_until("> ")
    for line, said in (
        ("/vote 4", "4 samples vote"),
        ("/votte", "did you mean vote?"),
        ("/seed x", "'x' is no whole number"),
        ("/save /", "'/' names no file"),
        (f"/save {tmp_path / 'talk.json'}", "1 turn"),
    ):
        terminal.say(line + "\n")
        terminal.read_until(said)
        terminal.read_until("> ")
    terminal.say(QUESTION + "\n")
    terminal.read_until("samples voted")
    terminal.read_until("> ")
    terminal.say("/guided 3\n")
    terminal.read_until("steps out of 3")
    terminal.read_until("> ")
    terminal.say(QUESTION + "\n")
    terminal.read_until("the guide chose ")
    terminal.read_until("> ")
    terminal.say("\x04")
    assert terminal.wait() == 0
    saved = json.loads((tmp_path / "talk.json").read_text())
    assert saved["turns"][0]["question"] == QUESTION
    assert saved["turns"][0]["settings"]["vote"] == 1
