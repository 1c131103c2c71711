"""One whole GRPO step beside TRL's, from rollout to update, on the same model, prompts, lengths and threads.

``fixed``    a Qwen2-shaped model of 1.05 M random weights; prompts of 24 tokens, every completion exactly 128 long
``natural``  the nano base on Countdown; every completion as long as the model makes it, 256 at most

With a size both are a model of that size, with the prompts, groups and lengths of ``sizes``. Without, G = 16 and 32
prompts a step. One update per rollout, beta = 0.001, temperature 1, all on the CPU, whose floor it is held to. Our
weights are in fp32, or in bf16 beside masters in fp32. TRL runs with its own ``generate``, without gradient
checkpointing (which would cost it a third more), in microbatches that suit the caches; ``trl-bf16`` is TRL under
autocast, as its ``bf16 = True`` has it.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dunwu import algorithms
from dunwu.bench.floor import compute_decode_cost, compute_step_seconds
from dunwu.bench.machine import measure_model_rates, measure_plain_rates
from dunwu.bench.pair import alternate, report_memory
from dunwu.bench.random_model import make_prompts, make_random_model
from dunwu.bench.rollout_peers import explain_absence, find_dtype
from dunwu.bench.sizes import SIZES, Size, find_size
from dunwu.config.packaged import NANO_BASE
from dunwu.config.schema import AlgorithmSpec, OptimizerSpec, TaskSpec, UpdateSpec
from dunwu.errors import NotInstalled, UserError
from dunwu.machine import Dtype, keep_freed_memory
from dunwu.metrics import Stopwatch
from dunwu.models.load import load_policy
from dunwu.models.places import resolve
from dunwu.models.templates import NANO
from dunwu.rollout.builtin.worker_threads import build_builtin_engine
from dunwu.rollout.collect import NOTHING, Grader, collect
from dunwu.rollout.engine import Engine
from dunwu.tasks import build_mixture
from dunwu.training.steps import take_step
from dunwu.training.trainer import PolicyTrainer
from dunwu.types import (
    Completion,
    GenerationRequest,
    Message,
    Problem,
    Prompt,
    RolloutGroup,
    Sampling,
    Score,
    ScoredGroup,
)

PROMPTS, GROUP_SIZE, BETA, LEARNING_RATE, ROUNDS = 32, 16, 0.001, 3e-6, 3
COMPLETION_TOKENS = 128
TRL_MICROBATCH = 32
PEERS = ("trl", "trl-bf16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What a step generates.

    Attributes:
        model: A transformers folder.
        prompts: The prompts of a step.
        group_size: Completions of each.
        max_new_tokens: How long completions are.
        exactly: Whether every one is that long; else at most.
        microbatch: Sequences that TRL trains on at once.
        dtype: Of our weights.
        shaped: Whether the floor is that of products of the model's own shapes; else of one shape.
    """

    model: str
    prompts: tuple[str, ...]
    group_size: int
    max_new_tokens: int
    exactly: bool
    microbatch: int
    shaped: bool
    dtype: Dtype = "float32"

    @property
    def completions(self) -> int:
        """All completions of a step."""
        return len(self.prompts) * self.group_size


def measure(against: Sequence[str], *, size: str | None = None, dtype: Dtype = "float32") -> dict[str, dict[str, Any]]:
    """Measure the samples a second of each workload.

    Args:
        against: Some of ``PEERS``.
        size: A key of ``sizes.SIZES``; None: the workloads above.
        dtype: Of our weights.

    Returns:
        By workload ours, the peers', the ratio over the best of them, of whatever type, the share of the machine's
        floor (the rate of a step that were nothing but its matrix products and the reads of weights and cache), and
        each side's peak memory.

    Raises:
        UserError: There is no such peer, or no bfloat16 for it; TRL is not installed; or the size is unknown or too
            large.
    """
    for peer in against:
        if peer not in PEERS:
            raise UserError(f"no such peer: {peer}; the step is measured against {', '.join(PEERS)}", field="--against")
        if why := explain_absence(peer):
            raise UserError(f"{peer} cannot be measured: {why}", field="--against")
        if importlib.util.find_spec("trl") is None:
            raise NotInstalled("TRL", "bench", field="--against")
    if size:
        find_size(size).check_memory("step", 1 + len(against))
    with tempfile.TemporaryDirectory(prefix="dunwu-bench-") as folder:
        workloads = (
            make_sized_workloads(Path(folder), find_size(size))
            if size
            else {"fixed": make_fixed_workload(Path(folder)), "natural": make_natural_workload(NANO_BASE)}
        )
        return {name: _measure(replace(workload, dtype=dtype), against) for name, workload in workloads.items()}


def _measure(workload: Workload, against: Sequence[str]) -> dict[str, Any]:
    sides = {"dunwu": partial(serve_ours, workload)} | {
        peer: partial(serve_trl, workload, find_dtype(peer)) for peer in against
    }
    turns = alternate(sides, ROUNDS, torch.get_num_threads())
    rates = {name: workload.completions / side.median for name, side in turns.items()}
    rate = rates.pop("dunwu")
    return {
        "ours": rate,
        "unit": "samples/s",
        "peers": rates,
        "ratio": rate / max(rates.values()) if rates else None,
        "floor_share": rate / compute_floor(workload),
        "peak_memory_mib": report_memory(turns),
    }


def make_fixed_workload(folder: Path) -> Workload:
    """Make the model of random weights in a folder, and prompts of random letters."""
    make_random_model(folder, SIZES["1M"].config)
    return _make_workload(str(folder), make_prompts(PROMPTS), COMPLETION_TOKENS, exactly=True)


def make_natural_workload(model: str) -> Workload:
    """Draw Countdown problems for a nano base."""
    problems = build_mixture((TaskSpec(task="countdown", levels=(3,)),), 0).draw(0, PROMPTS)
    questions = ("\n".join(message.content for message in problem.messages) for problem in problems)
    prompts = tuple(NANO.replace("{prompt}", question) for question in questions)
    return _make_workload(resolve(model), prompts, 2 * COMPLETION_TOKENS, exactly=False)


def _make_workload(model: str, prompts: tuple[str, ...], max_new_tokens: int, exactly: bool) -> Workload:
    return Workload(
        model=model,
        prompts=prompts,
        group_size=GROUP_SIZE,
        max_new_tokens=max_new_tokens,
        exactly=exactly,
        microbatch=TRL_MICROBATCH,
        shaped=False,
    )


def make_sized_workloads(folder: Path, size: Size) -> dict[str, Workload]:
    """Make the model of a size in a folder, and its two workloads; see ``sizes``."""
    work = size.step
    make_random_model(folder, size.config, work.mean_tokens)
    fixed = Workload(
        model=str(folder),
        prompts=make_prompts(work.prompts),
        group_size=work.group_size,
        max_new_tokens=work.new_tokens,
        exactly=True,
        microbatch=size.microbatch,
        shaped=True,
    )
    return {"fixed": fixed, "natural": replace(fixed, max_new_tokens=work.most_tokens, exactly=False)}


class FreeGrader:
    """A reward that costs nothing, and is not the same for a whole group."""

    workers = 1

    def score(self, problem: Problem, completion: Completion) -> Score:
        """Score by the tokens alone; see ``rollout.collect.Grader``."""
        value = _reward(completion.token_ids.tolist())
        return Score(value=value, parts={}, status="graded", extracted=None, reason="")

    def score_group(self, group: RolloutGroup, scores: Sequence[Score], update: int) -> tuple[Score, ...]:
        """Return the scores as they are; see ``rollout.collect.Grader``."""
        return tuple(scores)


class OurStep:
    """Dunwu's side: the calls of ``pipeline.stages.rl``."""

    def __init__(self, workload: Workload, grader: Grader) -> None:
        self.grader = grader
        self.policy = load_policy(workload.model, dtype=workload.dtype, device="cpu")
        if workload.exactly:
            self.policy = replace(self.policy, eos_ids=())
        self.prompts = [_prompt(text, self.policy.tokenizer) for text in workload.prompts]
        self.sampling = Sampling(max_new_tokens=workload.max_new_tokens)
        self.algorithm = algorithms.build(AlgorithmSpec(kl_coefficient=BETA), max_new_tokens=workload.max_new_tokens)
        self.update = UpdateSpec(minibatches=1)
        self.trainer = PolicyTrainer(
            self.policy,
            self.algorithm,
            OptimizerSpec(lr=LEARNING_RATE),
            self.update,
            temperature=self.sampling.temperature,
            total_steps=1 + ROUNDS,
        )
        self.engine: Engine = build_builtin_engine(self.policy, max_sequences=workload.completions)
        self.group_size = workload.group_size

    def rollout(self, waiting: AbstractContextManager[None] = NOTHING) -> list[ScoredGroup]:
        """Generate every prompt's group, other completions at every step; see ``collect``."""
        first = self.trainer.policy_version * self.group_size
        seeds = tuple(range(first, first + self.group_size))
        requests = [GenerationRequest(prompt=prompt, seeds=seeds) for prompt in self.prompts]
        return collect(self.engine, requests, self.sampling, self.grader, waiting=waiting)

    def __call__(self) -> float:
        """Take one whole step, and return the seconds that it waited for rewards."""
        watch = Stopwatch()
        groups = self.rollout(watch.time("rewards"))
        spec = self.algorithm.spec
        rewards = algorithms.compute_rewards(groups, spec, self.sampling.max_new_tokens)
        samples = algorithms.to_samples(groups, rewards, spec)
        logprobs = self.trainer.compute_logprobs(samples)
        batch = algorithms.assign_advantages(samples, logprobs, rewards, self.algorithm)
        for step in algorithms.cut_minibatches(batch, self.update, seed=0):
            take_step(self.trainer, step, at=self.trainer.policy_version)
        self.engine.update_weights(self.trainer.export_weights())
        return watch.seconds["rewards"]


def serve_ours(workload: Workload, connection: Connection) -> None:
    """Take a step of ours at every turn, and send its seconds."""
    keep_freed_memory()  # as every run of ours does; what TRL does is TRL's
    step = OurStep(workload, FreeGrader())
    while connection.recv():
        start = time.perf_counter()
        step()
        connection.send(time.perf_counter() - start)


def serve_trl(workload: Workload, dtype: Dtype, connection: Connection) -> None:
    """Train with TRL, whose trainer waits for its turn before every step."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    class Turns(TrainerCallback):  # type: ignore[misc]  # transformers is untyped here
        start = 0.0

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = not connection.recv()
            self.start = time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if not control.should_training_stop:
                connection.send(time.perf_counter() - self.start)

    def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [_reward(token_ids) for token_ids in completion_ids]

    with tempfile.TemporaryDirectory(prefix="dunwu-bench-trl-") as folder:
        config = GRPOConfig(
            output_dir=folder,
            per_device_train_batch_size=workload.microbatch,
            gradient_accumulation_steps=workload.completions // workload.microbatch,
            num_generations=workload.group_size,
            max_completion_length=workload.max_new_tokens,
            generation_kwargs={"min_new_tokens": workload.max_new_tokens} if workload.exactly else {},
            beta=BETA,
            learning_rate=LEARNING_RATE,
            loss_type="grpo",
            bf16=dtype == "bfloat16",
            use_cpu=True,
            gradient_checkpointing=False,
            max_steps=2 + ROUNDS,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        GRPOTrainer(
            model=workload.model,
            reward_funcs=reward,
            args=config,
            train_dataset=Dataset.from_dict({"prompt": list(workload.prompts)}),
            callbacks=[Turns()],
        ).train()


def compute_floor(workload: Workload) -> float:
    """Compute the samples a second of a step that were its matrix products and reads; see ``floor``."""
    step = OurStep(workload, FreeGrader())
    lengths = [len(c.token_ids) for scored in step.rollout() for c in scored.group.completions]
    model = step.policy.model
    rates = measure_model_rates(model, len(lengths)) if workload.shaped else measure_plain_rates(model.dtype)
    prompts = [len(prompt.token_ids) for prompt in step.prompts]
    return len(lengths) / compute_step_seconds(compute_decode_cost(model), prompts, lengths, rates)


def _prompt(text: str, tokenizer: Any) -> Prompt:
    token_ids = np.array(tokenizer.encode(text), dtype=np.int32)
    message = Message(role="user", content=text)
    problem = Problem(id=text, task="bench", kind="math", level=0, language="en", messages=(message,), gold="")
    return Prompt(problem=problem, token_ids=token_ids)


def _reward(token_ids: Sequence[int]) -> float:
    return float(sum(token_ids) % 2)
