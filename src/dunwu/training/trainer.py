"""The policy trainer: anchors samples to old and reference policy, and makes one optimizer step at a time."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

import numpy as np
import torch
from jaxtyping import Float32
from safetensors.torch import load_file, save_file
from torch import Tensor

from dunwu.algorithms.algorithm import Algorithm
from dunwu.algorithms.batching import TrainStep, buckets, pad
from dunwu.config.schema import OptimizerSpec, UpdateSpec
from dunwu.errors import Fault
from dunwu.metrics import Metric, combine, reduce
from dunwu.models import packing
from dunwu.models.load import Policy, load_policy, save_policy
from dunwu.models.logprobs import check_head, token_logprobs
from dunwu.training.optimizers import Optimizer
from dunwu.training.schedule import lr_share
from dunwu.types import AnchoredSample, StepResult, TrainSample


class Trainer(Protocol):
    """What the pipeline sees of whoever holds the policy's weights."""

    @property
    def policy_version(self) -> int:
        """Optimizer steps done."""

    def anchor(self, samples: Sequence[TrainSample]) -> list[AnchoredSample]:
        """Adds the log-probabilities that the loss needs, under the weights as they are before the first update."""

    def step(self, step: TrainStep, *, at: int, check: Callable[[float], None] = ...) -> StepResult:
        """One optimizer step.

        Args:
            step: its microbatches.
            at: its place in the schedule of the learning rate, counted from 0.
            check: called with the share of the step that is done; may raise to give the step up, weights untouched.

        Raises:
            Fault: a loss or a gradient is not finite; weights untouched.
        """

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """The policy's parameters under transformers' names."""

    def refresh_reference(self) -> None:
        """The policy as it is becomes the reference."""

    def save(self, folder: Path) -> None:
        """Writes everything from which the next step follows; the same state gives the same bytes."""

    def save_model(self, folder: Path) -> None:
        """Writes the policy alone, an ordinary transformers folder."""

    def load(self, folder: Path) -> None:
        """Goes on bit for bit where ``save`` was called."""


class PolicyTrainer:
    """GRPO and its relatives on one device. The algorithm's name is nowhere here: it is what ``algorithm`` computes.

    Args:
        policy: updated in place.
        algorithm: the loss, and which anchors it needs.
        optimizer: what updates the weights, and its schedule.
        update: how a rollout is split; ``minibatches x epochs`` = 1 means that every step is on-policy.
        temperature: the rollout's. Log-probabilities are those of the distribution that was sampled from.
        total_steps: updates in the whole stage, for the schedule.

    Raises:
        UserError: the model makes its logits in a way that is not known here.
    """

    def __init__(
        self,
        policy: Policy,
        algorithm: Algorithm,
        optimizer: OptimizerSpec,
        update: UpdateSpec,
        *,
        temperature: float,
        total_steps: int,
    ) -> None:
        check_head(policy.model)
        packing.enable(policy.model)
        self._policy, self._model = policy, policy.model
        self._algorithm, self._update = algorithm, update
        self._optimizer_spec, self._total_steps = optimizer, total_steps
        self._temperature = temperature
        self._version = 0
        self._optimizer = Optimizer(self._model, optimizer)
        # The reference costs memory and a pass over every sample: only where the loss has a KL term.
        needs_reference = algorithm.spec.kl_coefficient > 0
        self._reference = copy.deepcopy(self._model).eval().requires_grad_(False) if needs_reference else None
        _prepare(self._model, update.gradient_checkpointing)

    @property
    def policy_version(self) -> int:
        return self._version

    def anchor(self, samples: Sequence[TrainSample]) -> list[AnchoredSample]:
        on_policy = self._update.minibatches * self._update.epochs == 1
        nothing: list[Float32[np.ndarray, " L"] | None] = [None] * len(samples)
        old: Sequence[Float32[np.ndarray, " L"] | None] = nothing
        if self._algorithm.spec.old_logprobs == "sampler":
            old = [sample.sampler_logprobs for sample in samples]
        elif not on_policy:
            old = self._logprobs(self._model, samples)
        ref = nothing if self._reference is None else self._logprobs(self._reference, samples)
        return [
            AnchoredSample(sample=sample, old_logprobs=old[i], ref_logprobs=ref[i]) for i, sample in enumerate(samples)
        ]

    def step(self, step: TrainStep, *, at: int, check: Callable[[float], None] = lambda share: None) -> StepResult:
        self._optimizer.zero_grad()
        parts = []
        for index in range(len(step.microbatches)):
            check(index / len(step.microbatches))
            parts.append(self._accumulate(index, step))
        grad_norm = self._optimizer.grad_norm()
        share = lr_share(self._optimizer_spec, at, self._total_steps)
        self._optimizer.step(grad_norm, share)
        self._version += 1
        metrics = reduce(combine(parts)) | {"grad_norm": float(grad_norm), "lr": self._optimizer_spec.lr * share}
        return StepResult(policy_version=self._version, metrics=metrics)

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        for name, parameter in self._model.named_parameters():
            yield name, parameter.detach()

    def refresh_reference(self) -> None:
        if self._reference is not None:
            _take(self._reference, dict(self._model.named_parameters()))

    def save(self, folder: Path) -> None:
        self.save_model(folder / "model")
        save_file(_bare(self._optimizer.state()), folder / "optimizer.safetensors")
        if self._reference is not None:
            save_file(_bare(dict(self._reference.named_parameters())), folder / "reference.safetensors")
        (folder / "trainer.json").write_text(json.dumps({"policy_version": self._version}) + "\n", encoding="utf-8")

    def save_model(self, folder: Path) -> None:
        save_policy(self._policy, folder)

    def load(self, folder: Path) -> None:
        saved = load_policy(str(folder / "model"), dtype=self._model.dtype, device=self._model.device)
        _take(self._model, dict(saved.model.named_parameters()))
        self._optimizer.load(load_file(folder / "optimizer.safetensors"))
        if self._reference is not None:
            _take(self._reference, load_file(folder / "reference.safetensors"))
        self._version = json.loads((folder / "trainer.json").read_text(encoding="utf-8"))["policy_version"]

    def _accumulate(self, index: int, step: TrainStep) -> dict[str, Metric]:
        """Forward and backward of one microbatch. Raises Fault where its loss or the gradient so far is not finite."""
        batch = step.microbatches[index].to(self._model.device)
        logprobs = token_logprobs(
            self._model,
            batch.token_ids,
            batch.loss_mask,
            temperature=self._temperature,
            chunk=self._update.logprob_chunk,
        )
        output = self._algorithm.loss(logprobs.values, logprobs.entropy, batch, step)
        output.loss.backward()  # type: ignore[no-untyped-call]
        for what, value in (("loss", output.loss), ("gradient", self._optimizer.grad_norm())):
            if not torch.isfinite(value):
                self._stop(what, value.item(), index, step)
        return dict(output.metrics)

    def _stop(self, what: str, value: float, index: int, step: TrainStep) -> NoReturn:
        groups = sorted(set(step.microbatches[index].group_ids))
        self._optimizer.zero_grad()
        raise Fault(
            f"the {what} is {value} in update {self._version + 1}, microbatch {index + 1} of {len(step.microbatches)}, "
            f"groups {', '.join(map(str, groups))}; the weights are as they were before this update"
        )

    def _logprobs(self, model: Any, samples: Sequence[TrainSample]) -> list[Float32[np.ndarray, " L"]]:
        """Log-probabilities of the loss slots under ``model``, bucket by bucket, without gradients."""
        rows: dict[int, Float32[np.ndarray, " L"]] = {}
        for bucket in buckets(samples, self._update.tokens_per_microbatch):
            with torch.no_grad():
                logprobs = token_logprobs(
                    model,
                    pad([samples[i].token_ids for i in bucket], torch.int64).to(model.device),
                    pad([samples[i].loss_mask for i in bucket], torch.bool).to(model.device),
                    temperature=self._temperature,
                    chunk=self._update.logprob_chunk,
                )
            values = logprobs.values.cpu().numpy()
            rows |= {i: values[row, : len(samples[i].token_ids)] for row, i in enumerate(bucket)}
        return [rows[i] for i in range(len(samples))]


def _prepare(model: Any, gradient_checkpointing: bool) -> None:
    """No dropout, so that a token has one probability; transformers checkpoints in training mode only."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.0
    model.train(gradient_checkpointing)
    if gradient_checkpointing:
        model.gradient_checkpointing_enable()


@torch.no_grad()
def _take(model: Any, weights: Mapping[str, Tensor]) -> None:
    """Copies ``weights`` into the model's parameters."""
    for name, parameter in model.named_parameters():
        parameter.copy_(weights[name])


def _bare(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As safetensors wants them: off the graph, contiguous, on the CPU."""
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
