"""Pretraining: a Qwen3-shaped transformer from nothing, in float32, on a generated corpus."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, load_model, save_file, save_model
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from dunwu.config.schema import PretrainStage, TransformerSpec
from dunwu.errors import Fault
from dunwu.models.places import find_device
from dunwu.pretraining.batches import IGNORED, Batch, BatchPools
from dunwu.pretraining.corpora import CORPORA
from dunwu.pretraining.tokenizer import build_tokenizer
from dunwu.training.optimizers import Optimizer
from dunwu.training.schedule import compute_lr_share


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far pretraining has come: all of its state except weights and optimizer.

    Attributes:
        step: Updates done.
        pool: The pool of batches that is being gone through.
        batch: Batches done of this pool.
    """

    step: int = 0
    pool: int = 0
    batch: int = 0


class Pretrainer:
    """Trains a base; the result is a function of (stage, seed, number of threads).

    Args:
        stage: The recipe's.
        seed: The run's.

    Raises:
        UserError: The device of the recipe is not there.
    """

    def __init__(self, stage: PretrainStage, seed: int) -> None:
        corpus = CORPORA[stage.corpus]
        self.tokenizer = build_tokenizer(corpus.words)
        self.model = make_model(stage.transformer, self.tokenizer, seed).to(find_device(stage.model.device))
        self.position = Position()
        self._stage = stage
        self._optimizer = Optimizer(self.model, stage.optimizer)
        self._pools = BatchPools(
            corpus=corpus,
            tokenizer=self.tokenizer,
            seed=seed,
            tokens=stage.sequence_length * stage.batch_sequences,
            longest=stage.sequence_length,
        )
        self._batches: list[Batch] = []

    def step(self) -> dict[str, float]:
        """Make one update on the next batch.

        Returns:
            ``loss``, the mean of the batch in nats a labelled token; its ``tokens``; ``lr``, the learning rate.

        Raises:
            Fault: The loss or the gradient is not finite; the weights are as before.
            UserError: No document of the corpus fits into ``sequence_length``.
        """
        batch = self._next_batch()
        loss = self._loss(batch)
        self._optimizer.zero_grad()
        loss.backward()
        norm = self._optimizer.compute_grad_norm()
        if not torch.isfinite(loss + norm):
            what = f"the loss is {loss.item()} and the gradient's norm {norm.item()}"
            raise Fault(f"{what} at step {self.position.step + 1}; lower the learning rates")
        share = compute_lr_share(self._stage.optimizer, self.position.step, self._stage.steps)
        self._optimizer.step(norm, share)
        self.position = replace(self.position, step=self.position.step + 1, batch=self.position.batch + 1)
        return {"loss": loss.item(), "tokens": batch.token_ids.size, "lr": share * self._stage.optimizer.lr}

    def save(self, folder: Path) -> None:
        """Write everything from which the next step follows, except ``position``."""
        save_model(self.model, str(folder / "weights.safetensors"))
        save_file(self._optimizer.export_state(), folder / "optimizer.safetensors")

    def load(self, folder: Path, position: Position) -> None:
        """Read what ``save`` wrote, so that training goes on bit for bit from ``position``."""
        load_model(self.model, folder / "weights.safetensors")
        self._optimizer.load(load_file(folder / "optimizer.safetensors"), {})
        self.position, self._batches = position, self._pools.make(position.pool)

    def _next_batch(self) -> Batch:
        if not self._batches:
            self._batches = self._pools.make(self.position.pool)
        if self.position.batch == len(self._batches):
            self.position = replace(self.position, pool=self.position.pool + 1, batch=0)
            self._batches = self._pools.make(self.position.pool)
        return self._batches[self.position.batch]

    def _loss(self, batch: Batch) -> Any:
        labels = torch.from_numpy(batch.labels)[:, 1:].to(self.model.device)
        carries = labels != IGNORED
        token_ids = torch.from_numpy(batch.token_ids).to(self.model.device)
        hidden = self.model.model(token_ids).last_hidden_state[:, :-1]
        return torch.nn.functional.cross_entropy(self.model.lm_head(hidden[carries]), labels[carries])


def make_model(spec: TransformerSpec, tokenizer: PreTrainedTokenizerFast, seed: int) -> Any:
    """Make a Qwen3-shaped model with tied embeddings, initialised from the seed.

    Not Qwen2: for that type AutoTokenizer puts Qwen2's own pre-tokenizer in the place of ours.

    Args:
        spec: Its sizes.
        tokenizer: Gives the vocabulary and the special tokens.
        seed: Of the weights.

    Returns:
        The model, in float32 on the CPU.
    """
    torch.manual_seed(seed)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=spec.hidden_size,
            num_hidden_layers=spec.layers,
            num_attention_heads=spec.heads,
            num_key_value_heads=spec.kv_heads,
            head_dim=spec.hidden_size // spec.heads,
            intermediate_size=spec.intermediate_size,
            max_position_embeddings=spec.max_positions,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def save_base(model: Any, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write an ordinary transformers folder, weights in bfloat16."""
    model.to(torch.bfloat16)
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        max_new_tokens=320,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
