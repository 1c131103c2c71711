"""Muon's arithmetic, batches, and a small model that learns and comes back from disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from dunwu.config import checks
from dunwu.config.schema import OptimizerSpec, PretrainStage, TransformerSpec
from dunwu.errors import UserError
from dunwu.pretraining.batches import IGNORED, batches
from dunwu.pretraining.corpus import CorpusSpec, documents
from dunwu.pretraining.muon import StackedMuon, orthogonal
from dunwu.pretraining.tokenizer import build_tokenizer
from dunwu.pretraining.train import CORPORA, pretrain, save_base, schedule

TINY = TransformerSpec(hidden_size=32, layers=2, heads=2, kv_heads=1, intermediate_size=64, max_positions=512)


def stage(corpus: str = "countdown-traces") -> PretrainStage:
    optimizer = OptimizerSpec(name="muon", lr=3e-3, muon_lr=0.02, schedule="cosine", warmup_steps=5)
    return PretrainStage(
        kind="pretrain",
        corpus=corpus,
        tokens=60_000,
        sequence_length=256,
        batch_sequences=4,
        transformer=TINY,
        optimizer=optimizer,
    )


def test_orthogonal_brings_every_singular_value_near_one() -> None:
    stack = torch.randn(3, 40, 16, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(stack))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_stacked_muon_agrees_with_torchs() -> None:
    torch.manual_seed(0)
    start, gradients = torch.randn(24, 16), [torch.randn(24, 16) for _ in range(3)]
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    steps = StackedMuon([ours], lr=0.02, weight_decay=0.01), torch.optim.Muon([theirs], lr=0.02, weight_decay=0.01)
    for gradient in gradients:
        for weight, optimizer in zip((ours, theirs), steps, strict=True):
            weight.grad = gradient.clone()
            optimizer.step()
    moved = (theirs - start).norm()
    assert (ours - theirs).norm() < 0.02 * moved  # theirs rounds to bfloat16


def test_batches_hold_whole_documents_and_label_what_the_author_wrote() -> None:
    tokenizer = build_tokenizer()
    made = batches(documents(CorpusSpec(), 0), tokenizer, tokens=2048, longest=200, seed=0)
    for _, batch in zip(range(20), made, strict=False):
        assert batch.token_ids.size <= 2048
        for ids, labels in zip(batch.token_ids, batch.labels, strict=True):
            carries = labels != IGNORED
            np.testing.assert_array_equal(ids[carries], labels[carries])
            assert (ids == tokenizer.eos_token_id).sum() == 1
            assert labels[ids == tokenizer.eos_token_id] == tokenizer.eos_token_id
            assert not carries[ids == tokenizer.pad_token_id].any()
            written = tokenizer.decode(ids[carries])
            assert "User: " not in written


def test_no_document_that_fits_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dunwu.pretraining.batches.POOL", 20)
    made = batches(documents(CorpusSpec(), 0), build_tokenizer(), tokens=64, longest=8, seed=0)
    with pytest.raises(UserError, match="sequence_length: none of 20 documents has at most 8 tokens"):
        next(made)


def test_schedule_warms_up_and_comes_down() -> None:
    spec = OptimizerSpec(schedule="cosine", warmup_steps=10, final_lr_share=0.1)
    assert schedule(spec, 0, 0.0) == pytest.approx(0.1)
    assert schedule(spec, 20, 0.5) == pytest.approx(0.55)
    assert schedule(spec, 40, 1.0) == pytest.approx(0.1)


def test_a_tiny_model_learns_and_comes_back(tmp_path: Path) -> None:
    reports: list[tuple[int, float]] = []
    model, tokenizer = pretrain(stage(), 0, lambda step, row: reports.append((step, row["loss"])))
    assert reports[-1][1] < 0.9 * reports[0][1]
    save_base(model, tokenizer, tmp_path / "base")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    assert loaded.dtype == torch.bfloat16
    torch.testing.assert_close(loaded.state_dict(), model.state_dict(), rtol=0, atol=0)
    again = AutoTokenizer.from_pretrained(tmp_path / "base")
    assert again.eos_token_id == loaded.config.eos_token_id
    assert again("56, too big. 等等，").input_ids == tokenizer("56, too big. 等等，").input_ids


def test_recipes_may_name_every_corpus_that_there_is() -> None:
    assert set(checks.CORPORA) == set(CORPORA)
