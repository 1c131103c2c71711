"""``dunwu bench rollout``: tokens a second of the built-in engine beside its peers, by turns, each in its own process.

Two workloads of 512 completions, 16 for each of 32 prompts, by the nano base in fp32: ``fixed``, where every completion
has 128 tokens, and ``natural``, where it answers Countdown and ends when it wants to. With a size both are done by a
model of that size, with the prompts, groups and lengths of ``sizes``. Our weights may be in bf16 too; a peer whose name
ends with ``-bf16`` has its own so. Ours also reports log-probabilities and text; the peers are asked for tokens only.
"""

from __future__ import annotations

import importlib.util
import os
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from dunwu.bench.floor import compute_decode_cost, compute_floor
from dunwu.bench.machine import measure_model_rates, measure_plain_rates
from dunwu.bench.pair import Side, alternate, report_memory
from dunwu.bench.rollout_peers import (
    GGUF_PEERS,
    HF_PEERS,
    INTERPRETERS,
    Job,
    explain_absence,
    find_dtype,
    serve_hf,
    serve_worker,
)
from dunwu.bench.sizes import END, PROMPT_TOKENS, Size, find_size
from dunwu.errors import NotInstalled, UserError
from dunwu.machine import Dtype, keep_freed_memory

PROMPTS, GROUP, NEW_TOKENS, NATURAL_CAP = 32, 16, 128, 384
PEERS = (*HF_PEERS, *INTERPRETERS)
ROUNDS = 3


def measure(
    against: Sequence[str] = ("hf", "hf-static"),
    *,
    size: str | None = None,
    dtype: Dtype = "float32",
    rounds: int = ROUNDS,
) -> dict[str, dict[str, Any]]:
    """Measure tokens a second.

    vLLM and llama.cpp live in environments of their own, whose interpreters ``DUNWU_VLLM_PYTHON`` and
    ``DUNWU_LLAMACPP_PYTHON`` name; without them a peer is listed under ``not_measured``, with the reason.

    Args:
        against: Some of ``PEERS``.
        size: A key of ``sizes.SIZES``; None: the nano base.
        dtype: Of our weights; the peers' names say theirs.
        rounds: Turns of each side.

    Returns:
        By workload the median of each side, the ratio over the best peer, of whatever type, the share of the machine's
        floor, and each side's peak memory.

    Raises:
        UserError: A peer that there is not, or a size that is unknown or too large.
    """
    import torch

    unknown = [peer for peer in against if peer not in PEERS]
    if unknown:
        raise UserError(f"no peer {', '.join(unknown)}; there are {', '.join(PEERS)}", field="--against")
    absent = {peer: reason for peer in against if (reason := explain_absence(peer))}
    present = [peer for peer in against if peer not in absent]
    if set(GGUF_PEERS) & set(present) and importlib.util.find_spec("gguf") is None:
        raise NotInstalled("gguf", "gguf", field="--against")
    if size:
        find_size(size).check_memory("rollout", 1 + len(present))
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="dunwu-bench-") as folder:
        jobs = make_jobs(Path(folder), size)
        files = write_gguf_files(Path(folder), jobs["natural"], present)
        for name, job in jobs.items():
            own = replace(job, dtype=dtype)
            turns = alternate(_make_sides(own, present, files), rounds, torch.get_num_threads())
            speeds = {side: found.median for side, found in turns.items()}
            results[name] = make_entry(speeds.pop("ours"), speeds, estimate_floor(own, shaped=size is not None))
            results[name]["peak_memory_mib"] = report_memory(turns)
            if absent:
                results[name]["not_measured"] = absent
    return results


def _make_sides(job: Job, peers: Sequence[str], files: Mapping[str, str]) -> dict[str, Side]:
    sides: dict[str, Side] = {"ours": partial(serve_ours, job)}
    for peer in peers:
        own = replace(job, dtype=find_dtype(peer), gguf=files.get(peer))
        if peer in HF_PEERS:
            sides[peer] = partial(serve_hf, own, peer)
        else:
            sides[peer] = partial(serve_worker, own, peer, os.environ[INTERPRETERS[peer]])
    return sides


def make_entry(ours: float, peers: dict[str, float], floor_speed: float) -> dict[str, Any]:
    """Make one workload's entry in the report.

    Args:
        ours: Tokens a second.
        peers: The same by peer.
        floor_speed: The same at the machine's floor.
    """
    return {
        "ours": ours,
        "unit": "tokens/s",
        "peers": peers,
        "ratio": ours / max(peers.values()) if peers else None,
        "floor_share": ours / floor_speed,
    }


def make_jobs(folder: Path, size: str | None) -> dict[str, Job]:
    """Make the two workloads.

    Args:
        folder: Where files may be written.
        size: See ``measure``.
    """
    return _make_sized_jobs(folder, find_size(size)) if size else _make_nano_jobs()


def write_gguf_files(folder: Path, natural: Job, peers: Sequence[str]) -> dict[str, str]:
    """Write the model as a GGUF file for each peer that reads one, and return the files.

    Args:
        folder: Where to.
        natural: The workload whose completions end by themselves.
        peers: All that are measured.
    """
    readers = [peer for peer in peers if peer in GGUF_PEERS]
    if not readers:
        return {}
    from dunwu.bench.gguf_file import write_gguf
    from dunwu.models.load import load_policy

    model, files = load_policy(natural.folder, device="cpu").model, {}
    for peer in readers:
        files[peer] = str(folder / f"{peer}.gguf")
        write_gguf(model, natural.eos_ids[0], Path(files[peer]), bf16=find_dtype(peer) == "bfloat16")
    return files


def _make_nano_jobs() -> dict[str, Job]:
    from dunwu.models.load import load_policy
    from dunwu.models.places import resolve
    from dunwu.models.templates import NANO
    from dunwu.tasks.generators.countdown import draw_instance, write_question

    folder, policy = resolve("nano-base"), load_policy("nano-base", device="cpu")
    rng = random.Random(0)
    noise = _make_noise(rng, PROMPTS)
    questions = [write_question(*draw_instance(rng, 3), rng.choice(("en", "zh"))) for _ in range(PROMPTS)]
    asked = [tuple(policy.tokenizer.encode(NANO.replace("{prompt}", question))) for question in questions]
    return {
        "fixed": Job(folder=folder, prompts=noise, group=GROUP, max_new_tokens=NEW_TOKENS, eos_ids=()),
        "natural": Job(
            folder=folder, prompts=tuple(asked), group=GROUP, max_new_tokens=NATURAL_CAP, eos_ids=policy.eos_ids
        ),
    }


def _make_sized_jobs(folder: Path, size: Size) -> dict[str, Job]:
    from dunwu.bench.random_model import make_random_model

    work, model = size.rollout, folder / "model"
    make_random_model(model, size.config, work.mean_tokens)
    noise = _make_noise(random.Random(0), work.prompts)
    fixed = Job(folder=str(model), prompts=noise, group=work.group_size, max_new_tokens=work.new_tokens, eos_ids=())
    return {"fixed": fixed, "natural": replace(fixed, max_new_tokens=work.most_tokens, eos_ids=(END,))}


def _make_noise(rng: random.Random, prompts: int) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(rng.randrange(256) for _ in range(PROMPT_TOKENS)) for _ in range(prompts))


def serve_ours(job: Job, connection: Connection) -> None:
    """Do the job with the built-in engine at every turn, and send its tokens a second."""
    keep_freed_memory()  # as every run of ours does
    engine, requests, sampling = build_engine(job)
    while connection.recv():
        start = time.perf_counter()
        completions = [completion for _, completion in engine.generate(requests, sampling)]
        seconds = time.perf_counter() - start
        tokens = sum(len(completion.token_ids) for completion in completions)
        connection.send(tokens / seconds)


def build_engine(job: Job) -> tuple[Any, Any, Any]:
    """Build the engine, the requests and the sampling of a job."""
    from dunwu.models.load import load_policy
    from dunwu.models.policy import Policy
    from dunwu.rollout.builtin.worker_threads import build_builtin_engine
    from dunwu.types import GenerationRequest, Problem, Prompt, Sampling

    problem = Problem(id="bench", task="bench", kind="math", level=1, language="en", messages=(), gold="")
    requests = [
        GenerationRequest(
            prompt=Prompt(problem=problem, token_ids=np.array(tokens, dtype=np.int32)),
            seeds=tuple(range(job.group * number, job.group * (number + 1))),
        )
        for number, tokens in enumerate(job.prompts)
    ]
    loaded = load_policy(job.folder, dtype=job.dtype, device="cpu")
    policy = Policy(model=loaded.model, tokenizer=loaded.tokenizer, eos_ids=job.eos_ids, pad_id=loaded.pad_id)
    return (
        build_builtin_engine(policy, max_sequences=job.completions),
        requests,
        Sampling(max_new_tokens=job.max_new_tokens),
    )


def estimate_floor(job: Job, *, shaped: bool) -> float:
    """Compute the tokens a second of nothing but the job's matrix products and memory reads.

    Args:
        job: The workload.
        shaped: Whether products are those of the model's own shapes; else of one shape.
    """
    from dunwu.models.load import load_policy

    engine, requests, sampling = build_engine(job)
    lengths = [len(completion.token_ids) for _, completion in engine.generate(requests, sampling)]
    model = load_policy(job.folder, dtype=job.dtype, device="cpu").model
    rates = measure_model_rates(model, job.completions) if shaped else measure_plain_rates(model.dtype)
    prompt_tokens = float(np.mean([len(prompt) for prompt in job.prompts]))
    return compute_floor(compute_decode_cost(model), prompt_tokens, lengths, job.completions, rates.decode)
