"""The pretraining loop: a Qwen3-shaped transformer from nothing, in float32, on a generated corpus."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from dunwu.config.schema import OptimizerSpec, PretrainStage, TransformerSpec
from dunwu.errors import Fault
from dunwu.pretraining.batches import IGNORED, Batch, batches
from dunwu.pretraining.corpus import CorpusSpec, documents
from dunwu.pretraining.muon import StackedMuon
from dunwu.pretraining.tokenizer import build_tokenizer

CORPORA: Mapping[str, CorpusSpec] = {"countdown-traces": CorpusSpec()}
"""Corpus generators by the name that a recipe gives."""
REPORT_EVERY = 50

Report = Callable[[int, Mapping[str, float]], None]
"""Called with the step and {"loss", "tokens", "lr"}; may raise to stop."""


def pretrain(stage: PretrainStage, seed: int, report: Report) -> tuple[Any, PreTrainedTokenizerFast]:
    """The model (float32) and its tokenizer, a function of (stage, seed, number of threads).

    Raises:
        UserError: no document of the corpus fits into ``sequence_length``.
        Fault: the loss is not finite.
    """
    if stage.model.threads:
        torch.set_num_threads(stage.model.threads)
    tokenizer = build_tokenizer()
    model = make_model(stage.transformer, tokenizer, seed)
    optimizers = make_optimizers(model, stage.optimizer)
    per_batch = stage.sequence_length * stage.batch_sequences
    texts = documents(CORPORA[stage.corpus], seed)
    seen = step = 0
    losses: list[float] = []
    for batch in batches(texts, tokenizer, per_batch, stage.sequence_length, seed):
        share = seen / stage.tokens
        scale = schedule(stage.optimizer, step, share)
        losses.append(update(model, optimizers, batch, scale, stage.optimizer.max_grad_norm))
        if not math.isfinite(losses[-1]):
            raise Fault(f"the loss is {losses[-1]} at step {step + 1}; lower the learning rates")
        seen, step = seen + batch.token_ids.size, step + 1
        done = seen >= stage.tokens
        if done or step % REPORT_EVERY == 0:
            report(step, {"loss": sum(losses) / len(losses), "tokens": seen, "lr": stage.optimizer.lr * scale})
            losses.clear()
        if done:
            break
    return model.eval(), tokenizer


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


def make_optimizers(model: Any, spec: OptimizerSpec) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices and AdamW for the rest, or AdamW for all."""
    hidden: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, weight in model.named_parameters():
        matrix = weight.ndim == 2 and "embed" not in name and spec.name == "muon"
        (hidden if matrix else others).append(weight)
    made: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, lr=spec.lr, betas=spec.betas, weight_decay=0.0 if hidden else spec.weight_decay)
    ]
    if hidden:
        made.append(StackedMuon(hidden, lr=spec.muon_lr, weight_decay=spec.weight_decay))
    for optimizer in made:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return made


def schedule(spec: OptimizerSpec, step: int, share: float) -> float:
    """The learning rate's scale: warm-up by steps, then down as the ``share`` of the tokens goes to 1."""
    warm = min(1.0, (step + 1) / spec.warmup_steps) if spec.warmup_steps else 1.0
    down = {"constant": 0.0, "linear": share, "cosine": 0.5 - 0.5 * math.cos(math.pi * share)}[spec.schedule]
    return warm * (1.0 - down * (1.0 - spec.final_lr_share))


def update(
    model: Any, optimizers: list[torch.optim.Optimizer], batch: Batch, scale: float, max_grad_norm: float
) -> float:
    """One optimizer step on the mean loss over the batch's labelled tokens; returns that loss."""
    labels = torch.from_numpy(batch.labels)[:, 1:]
    carries = labels != IGNORED
    hidden = model.model(torch.from_numpy(batch.token_ids)).last_hidden_state[:, :-1]
    loss = torch.nn.functional.cross_entropy(model.lm_head(hidden[carries]), labels[carries])
    torch.autograd.backward(loss)
    torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * scale
        optimizer.step()
        optimizer.zero_grad()
    return loss.item()


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
