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
from dunwu.models.load import device_of
from dunwu.pretraining.batches import IGNORED, Batch, Pools
from dunwu.pretraining.corpora import CORPORA
from dunwu.pretraining.tokenizer import build_tokenizer
from dunwu.training.optimizers import Optimizer
from dunwu.training.schedule import lr_share


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far a base has come: all the state of its making beside weights and optimizer."""

    step: int = 0
    """Updates done."""
    pool: int = 0
    batch: int = 0
    """Batches done of this pool."""


class Pretrainer:
    """A base in the making, a function of (stage, seed, number of threads).

    Raises:
        UserError: the device of the recipe is not there.
    """

    def __init__(self, stage: PretrainStage, seed: int) -> None:
        corpus = CORPORA[stage.corpus]
        self.tokenizer = build_tokenizer(corpus.words)
        self.model = make_model(stage.transformer, self.tokenizer, seed).to(device_of(stage.model.device))
        self.place = Place()
        self._stage = stage
        self._optimizer = Optimizer(self.model, stage.optimizer)
        self._pools = Pools(
            corpus=corpus,
            tokenizer=self.tokenizer,
            seed=seed,
            tokens=stage.sequence_length * stage.batch_sequences,
            longest=stage.sequence_length,
        )
        self._batches: list[Batch] = []

    def step(self) -> dict[str, float]:
        """One update on the next batch: its mean ``loss`` a labelled token, its ``tokens``, the learning rate ``lr``.

        Raises:
            Fault: the loss or the gradient is not finite; the weights are as before.
            UserError: no document of the corpus fits into ``sequence_length``.
        """
        batch = self._next_batch()
        loss = self._loss(batch)
        self._optimizer.zero_grad()
        loss.backward()
        norm = self._optimizer.grad_norm()
        if not torch.isfinite(loss + norm):
            what = f"the loss is {loss.item()} and the gradient's norm {norm.item()}"
            raise Fault(f"{what} at step {self.place.step + 1}; lower the learning rates")
        share = lr_share(self._stage.optimizer, self.place.step, self._stage.steps)
        self._optimizer.step(norm, share)
        self.place = replace(self.place, step=self.place.step + 1, batch=self.place.batch + 1)
        return {"loss": loss.item(), "tokens": batch.token_ids.size, "lr": share * self._stage.optimizer.lr}

    def save(self, folder: Path) -> None:
        """Writes everything from which the next step follows, except ``place``."""
        save_model(self.model, str(folder / "weights.safetensors"))
        save_file(self._optimizer.state(), folder / "optimizer.safetensors")

    def load(self, folder: Path, place: Place) -> None:
        """Goes on bit for bit where ``save`` was called."""
        load_model(self.model, folder / "weights.safetensors")
        self._optimizer.load(load_file(folder / "optimizer.safetensors"))
        self.place, self._batches = place, self._pools.batches(place.pool)

    def _next_batch(self) -> Batch:
        if not self._batches:
            self._batches = self._pools.batches(self.place.pool)
        if self.place.batch == len(self._batches):
            self.place = replace(self.place, pool=self.place.pool + 1, batch=0)
            self._batches = self._pools.batches(self.place.pool)
        return self._batches[self.place.batch]

    def _loss(self, batch: Batch) -> Any:
        labels = torch.from_numpy(batch.labels)[:, 1:].to(self.model.device)
        carries = labels != IGNORED
        token_ids = torch.from_numpy(batch.token_ids).to(self.model.device)
        hidden = self.model.model(token_ids).last_hidden_state[:, :-1]
        return torch.nn.functional.cross_entropy(self.model.lm_head(hidden[carries]), labels[carries])


def make_model(spec: TransformerSpec, tokenizer: PreTrainedTokenizerFast, seed: int) -> Any:
    """Qwen3-shaped, embeddings tied, initialised from the seed.

    Not Qwen2: for that type AutoTokenizer puts Qwen2's own pre-tokenizer in the place of ours.
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
    """An ordinary transformers folder, weights in bfloat16."""
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
