"""The peers of ``dunwu bench rollout``: transformers in this environment, vLLM and llama.cpp in interpreters of theirs.

Each peer takes the number of sequences that is fastest in its first turn, which is thrown away, but for vLLM, which
plans for itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from dunwu.bench.memory import read_peak_memory
from dunwu.machine import Dtype, read_cpu_flags
from dunwu.models.policy import TYPES

BF16_SUFFIX = "-bf16"
"""Ends the name of a peer whose weights, or whose products, are in bfloat16."""
BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""What Linux calls instructions for bfloat16, one of which a processor needs for such a peer."""
GGUF_PEERS = ("llamacpp", "llamacpp-bf16")
"""Peers that read a GGUF file."""
INTERPRETERS = dict.fromkeys(("vllm", "vllm-bf16"), "DUNWU_VLLM_PYTHON") | dict.fromkeys(
    GGUF_PEERS, "DUNWU_LLAMACPP_PYTHON"
)
"""Peers that have an environment of their own, and the variable that names its interpreter."""
HF_PEERS = ("hf", "hf-static", "hf-bf16", "hf-static-bf16")
HF_PARTS = (8, 4, 2, 1)
"""In how many parts transformers may do the job, one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A workload, the same for all sides.

    Attributes:
        folder: The model, a transformers folder.
        dtype: Of a side's weights.
        gguf: The same as a GGUF file, where llama.cpp is a peer.
        prompts: Token ids of each prompt.
        group: Completions of each prompt.
        max_new_tokens: Tokens of a completion, at most.
        eos_ids: What ends a completion; empty: every one has ``max_new_tokens``.
    """

    folder: str
    dtype: Dtype = "float32"
    gguf: str | None = None
    prompts: tuple[tuple[int, ...], ...]
    group: int
    max_new_tokens: int
    eos_ids: tuple[int, ...]

    @property
    def completions(self) -> int:
        """All completions of a turn."""
        return len(self.prompts) * self.group


def find_dtype(peer: str) -> Dtype:
    """Return the type of a peer's numbers, as its name says."""
    return "bfloat16" if peer.endswith(BF16_SUFFIX) else "float32"


def explain_absence(peer: str) -> str | None:
    """Say why a peer cannot be measured here; None where it can."""
    variable = INTERPRETERS.get(peer)
    if variable and not os.environ.get(variable):
        return f"{variable} names no interpreter"
    if peer.endswith(BF16_SUFFIX) and not BF16_FLAGS & read_cpu_flags():
        return "this processor has no instructions for bf16"
    return None


def serve_hf(job: Job, peer: str, connection: Connection) -> None:
    """Do the job with ``generate`` of transformers at every turn, and send its tokens a second.

    Args:
        job: The workload; prompts are padded on the left.
        peer: ``hf`` for the dynamic cache, ``hf-static`` for the static one, in either type.
        connection: To the process that compares.
    """
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(job.folder, dtype=TYPES[job.dtype], trust_remote_code=False).eval()
    longest = max(map(len, job.prompts))
    rows = [prompt for prompt in job.prompts for _ in range(job.group)]
    tokens = torch.tensor([[0] * (longest - len(prompt)) + list(prompt) for prompt in rows])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in rows])
    options: dict[str, Any] = {"do_sample": True, "top_k": 0, "max_new_tokens": job.max_new_tokens, "pad_token_id": 0}
    options |= {"eos_token_id": list(job.eos_ids)} if job.eos_ids else {"min_new_tokens": job.max_new_tokens}
    options |= {"cache_implementation": "static"} if peer.startswith("hf-static") else {}

    def tokens_per_second(batch: int) -> float:
        count, start = 0, time.perf_counter()
        for first in range(0, len(rows), batch):
            part = slice(first, first + batch)
            written = model.generate(tokens[part], attention_mask=mask[part], **options)[:, longest:]
            count += count_tokens(written.numpy(), job.eos_ids)
        return count / (time.perf_counter() - start)

    best: int | None = None
    while connection.recv():
        best = best or max({max(1, len(rows) // parts) for parts in HF_PARTS}, key=tokens_per_second)
        connection.send(tokens_per_second(best))


def count_tokens(written: Int64[np.ndarray, "B C"], eos_ids: tuple[int, ...]) -> int:
    """Count the tokens up to and with each row's first end of sequence; what pads a row after it does not count."""
    ends = np.isin(written, eos_ids)
    lengths = np.where(ends.any(axis=1), ends.argmax(axis=1) + 1, written.shape[1])
    return int(lengths.sum())


def serve_worker(job: Job, peer: str, interpreter: str, connection: Connection) -> float | None:
    """Have a program of another environment do the job at every turn, and send its tokens a second.

    Args:
        job: The workload.
        peer: A key of ``INTERPRETERS``; its program stands in this folder.
        interpreter: A Python that has the peer.
        connection: To the process that compares.

    Returns:
        The program's peak memory; see ``pair.Side``.
    """
    import torch

    threads = torch.get_num_threads()
    # By itself vLLM would leave one core idle, of two.
    own = {"VLLM_CPU_NUM_OF_RESERVED_CPU": "0", "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": str(threads)}
    worker = Path(__file__).with_name(f"{peer.partition('-')[0]}_worker.py")
    with subprocess.Popen(
        [interpreter, str(worker), json.dumps(asdict(job) | {"threads": threads})],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | own,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        while connection.recv():
            process.stdin.write("go\n")
            process.stdin.flush()
            if not (line := process.stdout.readline()):
                raise EOFError(f"{peer} ended early")
            connection.send(float(line))
        peak = read_peak_memory(process.pid)
        process.stdin.close()
    return peak
