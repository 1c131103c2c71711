"""``dunwu bench rollout``: tokens a second of the built-in engine beside its peers, by turns, each in its own process.

Two workloads of 512 completions, 16 for each of 32 prompts, by the nano base in fp32: ``fixed``, where every completion
has 128 tokens, and ``natural``, where it answers Countdown and ends when it wants to. Ours also reports
log-probabilities and text; the peers are asked for tokens only.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from functools import partial
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

import numpy as np

from dunwu.bench.floor import compute_decode_cost, compute_floor
from dunwu.bench.pair import Side, alternate
from dunwu.bench.rollout_peers import HF_PEERS, VLLM_PYTHON, Job, serve_hf, serve_vllm
from dunwu.errors import UserError

PROMPTS, GROUP, PROMPT_TOKENS, NEW_TOKENS, NATURAL_CAP = 32, 16, 24, 128, 384
ROWS = PROMPTS * GROUP
PEERS = (*HF_PEERS, "vllm")


def measure(
    against: Sequence[str] = ("hf", "hf-static"), *, model: str = "nano-base", rounds: int = 3
) -> dict[str, dict[str, Any]]:
    """Measure tokens a second.

    vLLM lives in an environment of its own, whose interpreter the variable ``DUNWU_VLLM_PYTHON`` names; without it
    the peer is listed under ``not_measured``, with the reason.

    Args:
        against: Some of ``PEERS``.
        model: The policy.
        rounds: Turns of each side.

    Returns:
        By workload the median of each side, the ratio over the best peer, and the share of the machine's floor.

    Raises:
        UserError: A peer that there is not, or a model that cannot be loaded.
    """
    import torch

    unknown = [peer for peer in against if peer not in PEERS]
    if unknown:
        raise UserError(f"no peer {', '.join(unknown)}; there are {', '.join(PEERS)}", field="--against")
    interpreter = os.environ.get(VLLM_PYTHON)
    results: dict[str, dict[str, Any]] = {}
    for name, job in make_jobs(model).items():
        sides: dict[str, Side] = {"ours": partial(serve_ours, job)}
        sides |= {peer: partial(serve_hf, job, peer) for peer in against if peer in HF_PEERS}
        if "vllm" in against and interpreter:
            sides["vllm"] = partial(serve_vllm, job, interpreter)
        numbers = alternate(sides, rounds, torch.get_num_threads())
        speeds = {side: median(values) for side, values in numbers.items()}
        results[name] = make_entry(speeds.pop("ours"), speeds, estimate_floor(job))
        if "vllm" in against and not interpreter:
            results[name]["not_measured"] = {"vllm": f"{VLLM_PYTHON} names no interpreter"}
    return results


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


def make_jobs(model: str) -> dict[str, Job]:
    """Make the two workloads."""
    from dunwu.models.load import load_policy, resolve
    from dunwu.models.templates import NANO
    from dunwu.tasks.generators.countdown import draw_instance, write_question

    folder, policy = resolve(model), load_policy(model, device="cpu")
    rng = random.Random(0)
    noise = [tuple(rng.randrange(256) for _ in range(PROMPT_TOKENS)) for _ in range(PROMPTS)]
    questions = [write_question(*draw_instance(rng, 3), rng.choice(("en", "zh"))) for _ in range(PROMPTS)]
    asked = [tuple(policy.tokenizer.encode(NANO.replace("{prompt}", question))) for question in questions]
    return {
        "fixed": Job(folder=folder, prompts=tuple(noise), group=GROUP, max_new_tokens=NEW_TOKENS, eos_ids=()),
        "natural": Job(
            folder=folder, prompts=tuple(asked), group=GROUP, max_new_tokens=NATURAL_CAP, eos_ids=policy.eos_ids
        ),
    }


def serve_ours(job: Job, connection: Connection) -> None:
    """Do the job with the built-in engine at every turn, and send its tokens a second."""
    engine, requests, sampling = build_engine(job)
    while connection.recv():
        start = time.perf_counter()
        completions = [completion for _, completion in engine.generate(requests, sampling)]
        seconds = time.perf_counter() - start
        tokens = sum(len(completion.token_ids) for completion in completions)
        connection.send(tokens / seconds)


def build_engine(job: Job) -> tuple[Any, Any, Any]:
    """Build the engine, the requests and the sampling of a job."""
    from dunwu.models.load import Policy, load_policy
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
    loaded = load_policy(job.folder, device="cpu")
    policy = Policy(model=loaded.model, tokenizer=loaded.tokenizer, eos_ids=job.eos_ids, pad_id=loaded.pad_id)
    return build_builtin_engine(policy, max_sequences=ROWS), requests, Sampling(max_new_tokens=job.max_new_tokens)


def estimate_floor(job: Job) -> float:
    """Compute the tokens a second of nothing but the job's matrix products and memory reads."""
    from dunwu.models.load import load_policy

    engine, requests, sampling = build_engine(job)
    lengths = [len(completion.token_ids) for _, completion in engine.generate(requests, sampling)]
    prompt_tokens = float(np.mean([len(prompt) for prompt in job.prompts]))
    return compute_floor(compute_decode_cost(load_policy(job.folder, device="cpu").model), prompt_tokens, lengths)
