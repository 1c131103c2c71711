"""``dunwu bench eval``: a whole evaluation beside lm-evaluation-harness: 500 held-out problems, 16 answers each.

Both sides draw at temperature 0.6 and top-p 0.95 from the nano base in fp32, at most 288 tokens, on the same prompts,
and grade with the same rule; the harness runs its own Hugging Face model. Besides the speed both say the pass@1 that
they found. With a size it is a model of random weights (see ``sizes``), whose answers are as long as natural ones and
never right.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from dunwu.bench.pair import Side, alternate, report_memory
from dunwu.bench.sizes import find_size
from dunwu.errors import NotInstalled, UserError
from dunwu.machine import keep_freed_memory

PEER = "lm_eval"
PROBLEMS, SAMPLES, NEW_TOKENS, TEMPERATURE, TOP_P = 500, 16, 288, 0.6, 0.95
BATCH = 256
"""Rows that the harness decodes at once."""
PROMPT_TOKENS, LETTERS = 64, 256
"""Tokens of the longest prompt, and of one whose tokens are letters."""
MOST_POSITIONS = 512
ROUNDS = 1
"""After one that is thrown away: a round of the harness takes minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A workload, the same for both sides.

    Attributes:
        model: A name or a transformers folder.
        problems: Held-out problems.
        samples: Answers to each.
        prompt_tokens: Of the longest prompt, at most.
        max_new_tokens: Of the longest answer.
        languages: Of the problems.
    """

    model: str
    problems: int
    samples: int
    prompt_tokens: int
    max_new_tokens: int
    languages: tuple[Literal["en", "zh"], ...]


def measure(against: Sequence[str] = (), *, size: str | None = None) -> dict[str, dict[str, Any]]:
    """Measure the answers a second, generated and graded.

    Args:
        against: ``lm_eval`` or nothing.
        size: A key of ``sizes.SIZES``; None: the nano base.

    Returns:
        Ours and the harness's rates, and each side's pass@1 and peak memory.

    Raises:
        UserError: Another peer, the harness is not installed, or the size is unknown or too large.
    """
    import torch

    for peer in against:
        if peer != PEER:
            raise UserError(f"no such peer: {peer}; there is {PEER}", field="--against")
        if find_spec(PEER) is None:
            raise NotInstalled(PEER, "bench", field="--against")
    if size:
        find_size(size).check_memory("eval", 1 + len(against))
    with tempfile.TemporaryDirectory(prefix="dunwu-eval-") as folder:
        job = make_job(Path(folder) / "model", size)
        sides: dict[str, Side] = {"ours": partial(serve_ours, job, folder)}
        sides |= {peer: partial(serve_harness, job, folder) for peer in against}
        turns = alternate(sides, ROUNDS, torch.get_num_threads())
        speeds = {name: found.median for name, found in turns.items()}
        right = {name: json.loads((Path(folder) / f"{name}.json").read_text()) for name in speeds}
    ours = speeds.pop("ours")
    return {
        f"countdown, {job.problems} x {job.samples}": {
            "ours": ours,
            "unit": "answers/s",
            "peers": speeds,
            "ratio": ours / max(speeds.values()) if speeds else None,
            "floor_share": None,
            "pass@1": right,
            "peak_memory_mib": report_memory(turns),
        }
    }


def make_job(folder: Path, name: str | None) -> Job:
    """Make the workload, and in a folder the model of its size."""
    if name is None:
        return Job(
            model="nano-base",
            problems=PROBLEMS,
            samples=SAMPLES,
            prompt_tokens=PROMPT_TOKENS,
            max_new_tokens=NEW_TOKENS,
            languages=("en", "zh"),
        )
    from dunwu.bench.random_model import make_random_model

    size = find_size(name)
    make_random_model(folder, size.config, size.eval.mean_tokens, TEMPERATURE)
    return Job(
        model=str(folder),
        problems=size.eval.prompts,
        samples=size.eval.group_size,
        prompt_tokens=LETTERS,
        max_new_tokens=size.eval.most_tokens,
        languages=("en",),
    )


def serve_ours(job: Job, folder: str, connection: Connection) -> None:
    """Do what ``dunwu eval`` does for one set at every turn, and send its answers a second."""
    keep_freed_memory()  # as every run of ours does
    from dunwu.config.schema import RewardSpec
    from dunwu.evaluation.evaluate import evaluate, summarize
    from dunwu.models.load import load_policy
    from dunwu.rollout.builtin.worker_threads import build_builtin_engine
    from dunwu.types import Sampling
    from dunwu.verifiers import RewardGrader

    policy = load_policy(job.model, device="cpu")
    engine, prompts = build_builtin_engine(policy, max_sequences=512), _prompts(job, policy.tokenizer)
    sampling = Sampling(temperature=TEMPERATURE, top_p=TOP_P, max_new_tokens=job.max_new_tokens)
    with RewardGrader(RewardSpec()) as grader:
        while connection.recv():
            began = time.perf_counter()
            groups = evaluate(engine, prompts, grader.plain, sampling, samples=job.samples, seed=1, set_name="bench")
            right = summarize(groups, job.samples)["pass@1"].value
            connection.send(job.problems * job.samples / (time.perf_counter() - began))
            (Path(folder) / "ours.json").write_text(json.dumps(right))


def serve_harness(job: Job, folder: str, connection: Connection) -> None:
    """Evaluate with lm-evaluation-harness: its model, its task, its loop; our rule in its ``process_results``."""
    import torch
    from lm_eval import simple_evaluate
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.models.huggingface import HFLM

    from dunwu.config.schema import RewardSpec
    from dunwu.models.load import load_policy
    from dunwu.models.places import resolve
    from dunwu.verifiers import RewardGrader

    prompts = _prompts(job, load_policy(job.model, device="cpu").tokenizer)
    by_id = {prompt.problem.id: prompt.problem for prompt in prompts}
    data = Path(folder) / "countdown.jsonl"
    rows = ({"id": p.problem.id, "text": f"User: {p.problem.messages[0].content} Assistant:"} for p in prompts)
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with RewardGrader(RewardSpec()) as grader:

        def right(doc: dict[str, str], results: list[Any]) -> dict[str, float]:
            answers = results[0] if isinstance(results[0], list) else results
            graded = [grader.plain.score(by_id[doc["id"]], _completion(text)) for text in answers]
            return {"acc": sum(score.parts["accuracy"] for score in graded) / len(graded)}

        task = ConfigurableTask(
            config={
                "task": "countdown",
                "dataset_path": "json",
                "dataset_kwargs": {"data_files": {"test": str(data)}},
                "test_split": "test",
                "output_type": "generate_until",
                "doc_to_text": "{{text}}",
                "doc_to_target": "",
                "target_delimiter": "",
                "repeats": job.samples,
                "filter_list": [{"name": "all", "filter": [{"function": "take_first_k", "k": job.samples}]}],
                "generation_kwargs": {
                    "until": [],
                    "do_sample": True,
                    "temperature": TEMPERATURE,
                    "top_p": TOP_P,
                    "top_k": 0,
                    "max_gen_toks": job.max_new_tokens,
                },
                "process_results": right,
                "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
            }
        )
        model = HFLM(
            pretrained=resolve(job.model),
            device="cpu",
            dtype=torch.float32,
            batch_size=BATCH,
            max_length=MOST_POSITIONS,
        )
        model.model.generation_config.max_new_tokens = None  # the folder's limit would outdo the harness's
        while connection.recv():
            began = time.perf_counter()
            found = simple_evaluate(model=model, tasks=[task], bootstrap_iters=0, log_samples=False)
            connection.send(job.problems * job.samples / (time.perf_counter() - began))
            (Path(folder) / f"{PEER}.json").write_text(json.dumps(found["results"]["countdown"]["acc,all"]))


def _prompts(job: Job, tokenizer: Any) -> list[Any]:
    from dunwu.config.schema import PromptSpec, TaskSpec
    from dunwu.models.templates import Template
    from dunwu.tasks import build_task

    template = Template(PromptSpec(template="nano", max_tokens=job.prompt_tokens), tokenizer)
    task = build_task(TaskSpec(task="countdown", levels=(3,), languages=job.languages), 1)
    return [template.encode(problem) for problem in task.get_held_out(job.problems)]


def _completion(text: str) -> Any:
    import numpy as np

    from dunwu.types import Completion

    return Completion(token_ids=np.zeros(0, np.int32), logprobs=np.zeros(0, np.float32), text=text, finish="stop")
