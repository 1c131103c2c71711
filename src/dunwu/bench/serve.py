"""``dunwu bench serve``: tokens a second of ``dunwu serve`` beside other servers, 64 clients at once, by turns.

The nano base answers Countdown, ends when it wants to, and is asked by the same light clients over HTTP. ``whole`` has
answers that come whole, ``streamed`` those that come token by token. Each server has a process of its own with as many
threads; tokens are counted in the texts, by one tokenizer. ``start`` is the seconds from the command to the first token
of an answer, ``leaving`` those from the moment that a client of 64 answers leaves until their rows are free. The peers
are ``transformers serve`` with continuous batching, and llama.cpp's server over an exported GGUF file (xllamacpp).
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from dunwu.bench.memory import read_peak_memory
from dunwu.bench.pair import Side, alternate, report_memory
from dunwu.bench.serve_load import Load, count_tokens, run_load
from dunwu.errors import Fault, NotInstalled, UserError
from dunwu.loopback import LOOPBACK, listen

CLIENTS, REQUESTS, MAX_TOKENS = 64, 256, 256
QUESTION: Final = "Use 3, 5, 7 once each with + - * / to make 22."
CONTEXT: Final = 512
"""Tokens of question and answer, for a server that has to know."""
ROUNDS: Final = 3
START_SECONDS: Final = 120.0
PEERS: Final = ("transformers", "llamacpp")
SAMPLING: Final[dict[str, dict[str, Any]]] = {
    "ours": {},
    "transformers": {},
    "llamacpp": {"top_k": 0, "min_p": 0.0, "samplers": ["temperature"]},
}
"""What makes each server draw from the whole distribution."""


class Server(NamedTuple):
    """A server that answers: where, under which name of the model, and its process."""

    address: str
    model: str
    process: subprocess.Popen[str]


def measure(against: Sequence[str] = PEERS) -> dict[str, dict[str, Any]]:
    """Measure tokens a second.

    Args:
        against: Some of ``PEERS``.

    Returns:
        By workload the median of each side, the ratio over each peer, and each server's peak memory.

    Raises:
        UserError: A peer that there is not.
    """
    import torch

    unknown = [peer for peer in against if peer not in PEERS]
    if unknown:
        raise UserError(f"no peer {', '.join(unknown)}; there are {', '.join(PEERS)}", field="--against")
    if "llamacpp" in against and importlib.util.find_spec("xllamacpp") is None:
        raise NotInstalled("xllamacpp", "llamacpp", field="--against")
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="dunwu-bench-") as folder:
        model = Path(folder) / "model"
        _write_model(model, gguf="llamacpp" in against)
        for workload, stream in (("whole", False), ("streamed", True)):
            sides: dict[str, Side] = {side: partial(serve_load, side, model, stream) for side in ("ours", *against)}
            turns = alternate(sides, ROUNDS, torch.get_num_threads())
            speeds = {side: found.median for side, found in turns.items()}
            ours = speeds.pop("ours")
            results[workload] = {
                "ours": ours,
                "unit": "tokens/s",
                "peers": speeds,
                "ratio": ours / max(speeds.values()) if speeds else None,
                "ratios": {peer: ours / speed for peer, speed in speeds.items()},
                "floor_share": None,
                "peak_memory_mib": report_memory(turns),
            }
        starts = {side: [_measure_start(side, model) for _ in range(1 + ROUNDS)][1:] for side in ("ours", *against)}
        results["start"] = _make_entry({side: median(seconds) for side, seconds in starts.items()})
        results["leaving"] = _make_entry({"ours": median(_measure_leaving(model))})
    return results


def _make_entry(seconds: dict[str, float]) -> dict[str, Any]:
    """Make the entry of a workload whose measure is seconds: the less, the better."""
    ours, peers = seconds["ours"], {side: value for side, value in seconds.items() if side != "ours"}
    ratio = min(peers.values()) / ours if peers else None
    return {"ours": ours, "unit": "s", "peers": peers, "ratio": ratio, "floor_share": None}


def _measure_start(side: str, folder: Path) -> float:
    """Start a server, and return the seconds until the first token of an answer comes; the first time is slower."""
    start, load = time.perf_counter(), make_load(side, stream=True)
    more = {"stream": True, "max_tokens": 32, **load.more}
    with START[side](folder) as server, _ask_until_it_answers(server, more) as reply:
        for line in reply:
            if b'content":"' in line.replace(b" ", b"").replace(b'content":""', b""):
                return time.perf_counter() - start
    raise Fault(f"{side} streamed no token")


def _measure_leaving(folder: Path) -> list[float]:
    """Have a client leave while its 64 answers are written, and return the seconds until their rows are free."""
    found = []
    with start_ours(folder) as server:
        for _ in range(2 * ROUNDS):
            reply = _ask_until_it_answers(server, {"stream": True, "n": CLIENTS})
            while not _count_running(server):
                pass
            reply.close()
            left = time.perf_counter()
            while _count_running(server):
                pass
            found.append(time.perf_counter() - left)
    return found


def _count_running(server: Server) -> int:
    with urllib.request.urlopen(f"{server.address}/metrics", timeout=START_SECONDS) as reply:
        lines = reply.read().decode().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("dunwu_samples_running "))


def _write_model(folder: Path, *, gguf: bool) -> None:
    """Write the nano base as other programs read it, with the chat template that asks as it was trained."""
    from dunwu.exporting.gguf_file import write_gguf
    from dunwu.exporting.huggingface import write_folder
    from dunwu.exporting.sources import open_model

    opened = open_model("nano-base")
    write_folder(opened, folder, "f32")
    file = folder / "generation_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(config | {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}))
    if gguf:
        write_gguf(opened, folder.with_suffix(".gguf"), "f32")


def serve_load(side: str, folder: Path, stream: bool, connection: Connection) -> float | None:
    """Start a server, ask it all questions at every turn, and send its tokens a second.

    Args:
        side: ``ours`` or a peer.
        folder: The model; beside it the GGUF file.
        stream: Whether answers come piece by piece.
        connection: To the process that compares.

    Returns:
        The server's peak memory.
    """
    from dunwu.models.load import load_tokenizer

    tokenizer, load = load_tokenizer(str(folder)), make_load(side, stream)
    with START[side](folder) as server:
        _ask_until_it_answers(server, {"max_tokens": 2}).close()
        while connection.recv():
            seconds, texts = run_load(server.address, server.model, load)
            connection.send(count_tokens(tokenizer, texts) / seconds)
        return read_peak_memory(server.process.pid)


def make_load(side: str, stream: bool) -> Load:
    """Make the questions of a turn."""
    from dunwu.tasks.generators.countdown import draw_instance, write_question

    rng = random.Random(0)
    questions = tuple(write_question(*draw_instance(rng, 3), rng.choice(("en", "zh"))) for _ in range(REQUESTS))
    return Load(questions=questions, clients=CLIENTS, max_tokens=MAX_TOKENS, stream=stream, more=dict(SAMPLING[side]))


@contextmanager
def start_ours(folder: Path) -> Iterator[Server]:
    """Start ``dunwu serve``."""
    import torch

    command = ["-m", "dunwu", "serve", str(folder), "--port", "0", "--name", "nano", "--max-sequences", str(CLIENTS)]
    with _run([sys.executable, *command, "--threads", str(torch.get_num_threads())]) as process:
        yield Server(_read_address(process), "nano", process)


@contextmanager
def start_transformers(folder: Path) -> Iterator[Server]:
    """Start ``transformers serve`` with continuous batching."""
    import torch

    free = listen(0, "a benchmark")
    port = free.getsockname()[1]
    free.close()
    program = Path(sys.executable).with_name("transformers")
    options = ["--continuous-batching", "--device", "cpu", "--dtype", "float32", "--host", LOOPBACK]
    command = [str(program), "serve", str(folder), *options, "--port", str(port)]
    with _run(command, quiet=True, OMP_NUM_THREADS=str(torch.get_num_threads())) as process:
        yield Server(f"http://{LOOPBACK}:{port}", str(folder), process)


@contextmanager
def start_llamacpp(folder: Path) -> Iterator[Server]:
    """Start the server of llama.cpp."""
    import torch

    script = Path(__file__).with_name("llamacpp_server.py")
    numbers = map(str, (CLIENTS, CONTEXT, torch.get_num_threads()))
    with _run([sys.executable, str(script), str(folder.with_suffix(".gguf")), *numbers]) as process:
        yield Server(_read_address(process), "nano", process)


START: Final[dict[str, Callable[[Path], Any]]] = {
    "ours": start_ours,
    "transformers": start_transformers,
    "llamacpp": start_llamacpp,
}


def _read_address(process: subprocess.Popen[str]) -> str:
    """Read the address that a server prints first."""
    assert process.stdout is not None
    found = re.search(r"http://[\d.:]+", process.stdout.readline())
    if found is None:
        raise Fault("a server ended early; its words stand above")
    return found[0]


@contextmanager
def _run(command: Sequence[str], *, quiet: bool = False, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program until the block ends; what it prints is for us, or, where it is ``quiet``, for nobody."""
    environment = {**os.environ, **variables}
    out = subprocess.DEVNULL if quiet else subprocess.PIPE
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": out, "stderr": out if quiet else None, "text": True}
    with subprocess.Popen(list(command), env=environment, **pipes) as process:
        try:
            yield process
        finally:
            process.terminate()


def _ask_until_it_answers(server: Server, more: dict[str, Any]) -> Any:
    """Ask one question again and again until the server is there, and has loaded the model; return the reply."""
    body = {"model": server.model, "messages": [{"role": "user", "content": QUESTION}], **more}
    address, end = f"{server.address}/v1/chat/completions", time.monotonic() + START_SECONDS
    while True:
        request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            return urllib.request.urlopen(request, timeout=START_SECONDS)
        except (urllib.error.URLError, ConnectionError) as error:
            if server.process.poll() is not None or time.monotonic() > end:
                raise Fault(f"the server at {server.address} does not answer: {error}") from error
            time.sleep(0.05)
