"""llama.cpp's side of ``dunwu bench rollout``: a script for an environment that has xllamacpp and not Dunwu.

    python llamacpp_worker.py JOB      JOB is the JSON of ``rollout_peers.Job``, with ``threads``

For every line on stdin it does the job once and prints tokens a second. The server's batched decoding does the work:
the completions of a prompt share its cache, and as many sequences decode at once as were fastest in the first turn.
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TextIO

SEQUENCES = (16, 32, 64, 128)
SEPARATOR = ";"
"""Ends every token's text; see ``gguf_file``."""


def main() -> None:
    """Serve until stdin ends."""
    numbers = open_numbers()
    job = json.loads(sys.argv[1])
    rows = len(job["prompts"]) * job["group"]
    candidates = [count for count in SEQUENCES if job["group"] <= count <= rows] or [job["group"]]
    server: Any = None
    fastest = 0
    for _ in sys.stdin:
        if server is None:
            fastest = max(candidates, key=lambda count: measure(start_server(job, count), job, count))
            server = start_server(job, fastest)
        print(measure(server, job, fastest), file=numbers, flush=True)


def open_numbers() -> TextIO:
    """Return the real stdout, and let all else that is printed go to stderr."""
    numbers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return numbers


def start_server(job: dict[str, Any], sequences: int) -> Any:
    """Load the model into a server that decodes a number of sequences at once."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = job["gguf"]
    params.n_parallel = sequences
    params.n_ctx = sequences * (max(map(len, job["prompts"])) + job["max_new_tokens"])
    params.verbosity = 0
    for threads in (params.cpuparams, params.cpuparams_batch):
        threads.n_threads = job["threads"]
    return xllamacpp.Server(params)


def measure(server: Any, job: dict[str, Any], sequences: int) -> float:
    """Do the job once, and return tokens a second."""

    def complete(number: int) -> int:
        found = server.handle_completions(
            {
                "prompt": job["prompts"][number],
                "n_cmpl": job["group"],
                "n_predict": job["max_new_tokens"],
                "seed": number * job["group"],
                "samplers": ["temperature"],
                "temperature": 1.0,
                "ignore_eos": not job["eos_ids"],
            }
        )
        return sum(count_tokens(choice) for choice in found["choices"])

    start = time.perf_counter()
    with ThreadPoolExecutor(max(1, sequences // job["group"])) as pool:
        count = sum(pool.map(complete, range(len(job["prompts"]))))
    return count / (time.perf_counter() - start)


def count_tokens(choice: dict[str, Any]) -> int:
    """Count the tokens of a completion: its text has one separator each, and the end leaves none."""
    ended = bool(choice["finish_reason"] == "stop")
    return str(choice["text"]).count(SEPARATOR) + ended


if __name__ == "__main__":
    main()
