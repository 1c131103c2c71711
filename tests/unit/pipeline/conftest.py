"""A stage whose engine is a script and whose trainer only writes down what it is told."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Float32, Int32
from tests.unit.pipeline.contexts import make_context
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerFast

from dunwu import algorithms, tasks
from dunwu.algorithms import TrainStep
from dunwu.config.schema import RLStage
from dunwu.models.templates import Template
from dunwu.models.weights import WeightUpdate
from dunwu.pipeline.cost_ledger import CostLedger
from dunwu.pipeline.interrupts import StopSignal
from dunwu.pipeline.stages.prompts import encode_held_out
from dunwu.pipeline.stages.rl_system import RLSystem
from dunwu.pipeline.stages.weight_history import WeightHistory
from dunwu.rollout.engine import Sample
from dunwu.rollout.scripted import ScriptedEngine
from dunwu.runs import StageWriter
from dunwu.types import (
    Completion,
    GenerationRequest,
    GradedSample,
    Problem,
    RolloutGroup,
    SampleLogprobs,
    Sampling,
    Score,
    StepResult,
)

STAGE: dict[str, Any] = {
    "kind": "rl",
    "from": "nowhere",
    "steps": 8,
    "reference_every": 4,
    "tasks": [{"task": "countdown", "levels": [3]}],
    "prompt": {"template": "nano", "max_tokens": 400},
    "rollout": {"questions": 2, "group_size": 4, "max_new_tokens": 20},
    "update": {"minibatches": 2},
    "checkpoint": {"every": 4, "keep": 9},
    "evaluation": {
        "every": 4,
        "during_problems": 1,
        "sets": [
            {"name": "held", "task": {"task": "countdown", "levels": [3]}, "problems": 2, "samples": 2},
        ],
    },
}


class Shaped:
    """A model of which only the sizes are known: 100 weights, of which 36 work on a token beside the embeddings."""

    class config:  # noqa: N801  -- as transformers calls it
        @staticmethod
        def to_dict() -> dict[str, int]:
            return {
                "hidden_size": 8,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "intermediate_size": 16,
                "vocab_size": 32,
            }


SHAPED = Shaped()


def first_logprob(version: int) -> float:
    """The log-probability of every first token, by the version of the weights."""
    return -1.0 - 0.001 * version


class RecordingTrainer:
    """``training.Trainer`` without weights: ``log`` holds what it was told, in order."""

    def __init__(self) -> None:
        self.policy_version = 0
        self.log: list[tuple[Any, ...]] = []
        self.batches: list[TrainStep] = []
        self.splits: list[tuple[tuple[int, ...], ...]] = []
        self.on_step: Callable[[int], None] = lambda at: None

    def compute_logprobs(self, samples: Sequence[GradedSample]) -> list[SampleLogprobs]:
        self.log.append(("logprobs", len(samples)))
        return [SampleLogprobs(old_logprobs=None, ref_logprobs=None) for _ in samples]

    def compute_policy_logprobs(self, samples: Sequence[GradedSample]) -> list[Float32[np.ndarray, " L"]]:
        return [sample.sampler_logprobs for sample in samples]

    def compute_text_logprobs(self, texts: Sequence[Int32[np.ndarray, " L"]]) -> list[Float32[np.ndarray, " L"]]:
        return [np.zeros(len(text), np.float32) for text in texts]

    def compute_next_logprobs(self, texts: Sequence[Int32[np.ndarray, " L"]]) -> list[Float32[np.ndarray, " V"]]:
        return [np.full(512, first_logprob(self.policy_version), np.float32) for _ in texts]

    def begin_step(self, batch: TrainStep) -> int:
        self.on_step(self.policy_version)
        self.batches.append(batch)
        return 1

    def forward_backward(self, part: int) -> None: ...

    def optim_step(self, *, at: int) -> StepResult:
        self.policy_version += 1
        self.log.append(("step", at))
        self.splits.append(tuple(batch.group_ids for batch in self.batches[-1].microbatches))
        return StepResult(policy_version=self.policy_version, metrics={"lr": float(at)})

    def export_weights(self) -> WeightUpdate:
        return WeightUpdate.in_memory(self.policy_version, [])

    def refresh_reference(self) -> None:
        self.log.append(("reference", self.policy_version))

    def save(self, folder: Path) -> None:
        self.log.append(("save", self.policy_version))
        (folder / "version").write_text(str(self.policy_version))

    def save_model(self, folder: Path) -> None:
        raise AssertionError("the stage's model is not written by train")

    def load(self, folder: Path) -> None:
        self.policy_version = int((folder / "version").read_text())


class Engine(ScriptedEngine):
    """The scripted engine; ``log`` holds the number of requests, the cap and the version of each rollout."""

    def __init__(self, text: Callable[[Problem, int], str], tokenizer: Any) -> None:
        super().__init__(text, tokenizer, eos_id=tokenizer.eos_token_id)
        self.log: list[tuple[int, int, int]] = []
        self.requests: list[GenerationRequest] = []
        self.on_generate: Callable[[], None] = lambda: None

    def generate(
        self, requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> Iterator[tuple[Sample, Completion]]:
        if sampling.max_new_tokens == 1:  # whoever asks for a token wants to know the weights
            logprob = np.array([first_logprob(self.policy_version)], np.float32)
            for sample, completion in super().generate(requests, sampling):
                yield sample, replace(completion, logprobs=logprob)
            return
        self.on_generate()
        self.log.append((len(requests), sampling.max_new_tokens, self.policy_version))
        self.requests += requests
        yield from super().generate(requests, sampling)


class WordGrader:
    """``right`` is right, ``fail`` cannot be graded, everything else is wrong."""

    workers = 1
    measured: Sequence[str] = ()

    def measure_with(self, own: Sequence[str]) -> WordGrader:
        self.measured = own
        return self

    def score_group(self, group: RolloutGroup, scores: Sequence[Score], update: int) -> tuple[Score, ...]:
        return tuple(scores)

    def score(self, problem: Problem, completion: Completion) -> Score:
        value = float(completion.text == "right")
        return Score(
            value=value,
            parts={"accuracy": value, "format": 1.0},
            status="verifier_failed" if completion.text == "fail" else "graded",
            extracted=completion.text,
            reason="it broke" if completion.text == "fail" else "",
        )


@dataclass
class Bench:
    """A stage on the bench; ``parts()`` opens it as a new process would."""

    folder: Path
    stop: StopSignal
    tokenizer: Any
    recipe: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(STAGE))
    text: Callable[[Problem, int], str] = lambda problem, seed: "right" if seed % 2 else "wrong"

    def parts(self) -> RLSystem:
        stage = RLStage.model_validate(self.recipe)
        store = StageWriter(self.folder, keep=stage.checkpoint.keep, on_finish=lambda: None)
        template = Template(stage.prompt, self.tokenizer)
        return RLSystem(
            stage=stage,
            context=make_context(store, self.stop),
            mixture=tasks.build_mixture(stage.tasks, 3),
            encoder=template,
            engine=Engine(self.text, self.tokenizer),
            grader=WordGrader(),  # type: ignore[arg-type]
            judges={},
            algorithm=algorithms.build(stage.algorithm, max_new_tokens=stage.rollout.max_new_tokens),
            trainer=RecordingTrainer(),
            ledger=CostLedger(store, SHAPED),
            history=WeightHistory(stage.rollout.max_staleness),
            held_out=encode_held_out(stage.evaluation.sets, 3, template),
            texts={},
        )


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Threads that wait for each other on busy cores are ten times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """One token a byte."""
    letters = sorted(ByteLevel.alphabet())
    core = Tokenizer(BPE(vocab={letter: index for index, letter in enumerate(letters)}, merges=[]))
    core.pre_tokenizer = ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>", pad_token="<|pad|>")


@pytest.fixture
def bench(tmp_path: Path, tokenizer: Any) -> Iterator[Bench]:
    with StopSignal() as stop:
        yield Bench(folder=tmp_path / "zero", stop=stop, tokenizer=tokenizer)
