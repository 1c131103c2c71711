"""Batches, and a small model that learns and comes back from disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from dunwu.config import check_tasks
from dunwu.config.schema import OptimizerSpec, PretrainStage, TransformerSpec
from dunwu.errors import Fault, UserError
from dunwu.pretraining.batches import IGNORED, BatchPools
from dunwu.pretraining.corpora import CORPORA
from dunwu.pretraining.tokenizer import build_tokenizer
from dunwu.pretraining.train import Pretrainer, save_base

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


def test_batches_hold_whole_documents_and_label_what_the_writer_wrote() -> None:
    tokenizer = build_tokenizer()
    pools = BatchPools(corpus=CORPORA["countdown-traces"], tokenizer=tokenizer, seed=0, tokens=2048, longest=200)
    for batch in pools.make(3)[:20]:
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
    pools = BatchPools(corpus=CORPORA["countdown-traces"], tokenizer=build_tokenizer(), seed=0, tokens=64, longest=8)
    with pytest.raises(UserError, match="sequence_length: none of 20 documents has at most 8 tokens"):
        pools.make(0)


@pytest.fixture(scope="module")
def small_pools() -> Iterator[None]:
    """Pools of 200 documents: a few batches each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dunwu.pretraining.batches.POOL", 200)
        yield


@pytest.mark.usefixtures("small_pools")
def test_a_tiny_model_learns_and_comes_back(tmp_path: Path) -> None:
    pretrainer = Pretrainer(stage(), 0)
    losses = [pretrainer.step()["loss"] for _ in range(60)]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    save_base(pretrainer.model, pretrainer.tokenizer, tmp_path / "base")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    assert loaded.dtype == torch.bfloat16
    torch.testing.assert_close(loaded.state_dict(), pretrainer.model.state_dict(), rtol=0, atol=0)
    again = AutoTokenizer.from_pretrained(tmp_path / "base")
    assert again.eos_token_id == loaded.config.eos_token_id
    assert again("56, too big. 等等，").input_ids == pretrainer.tokenizer("56, too big. 等等，").input_ids


@pytest.mark.usefixtures("small_pools")
def test_a_resumed_base_goes_on_bit_for_bit(tmp_path: Path) -> None:
    straight, stopped, resumed = (Pretrainer(stage(), 0) for _ in range(3))
    rows = [straight.step() for _ in range(40)]
    for _ in range(23):
        stopped.step()
    assert stopped.position.pool > 0
    stopped.save(tmp_path)
    resumed.load(tmp_path, stopped.position)
    assert [resumed.step() for _ in range(17)] == rows[23:]
    assert resumed.position == straight.position
    torch.testing.assert_close(resumed.model.state_dict(), straight.model.state_dict(), rtol=0, atol=0)


@pytest.mark.usefixtures("small_pools")
def test_a_loss_that_is_not_finite_stops_before_the_update() -> None:
    pretrainer = Pretrainer(stage(), 0)
    pretrainer.step()
    with torch.no_grad():
        pretrainer.model.model.norm.weight[0] = float("nan")
    before = {name: weight.clone() for name, weight in pretrainer.model.state_dict().items()}
    with pytest.raises(Fault, match=r"the loss is nan .* at step 2"):
        pretrainer.step()
    torch.testing.assert_close(pretrainer.model.state_dict(), before, rtol=0, atol=0, equal_nan=True)


def test_recipes_may_name_every_corpus_that_there_is() -> None:
    sizes = {name: len(build_tokenizer(corpus.words)) for name, corpus in CORPORA.items()}
    assert sizes == {name: corpus.vocabulary for name, corpus in check_tasks.CORPORA.items()}
