"""The stage that makes a base: stopped and resumed it ends with the bytes of a straight run."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.pipeline.contexts import make_context

from dunwu.config.schema import OptimizerSpec, PretrainStage, TransformerSpec
from dunwu.errors import Interrupted
from dunwu.pipeline.interrupts import StopSignal
from dunwu.pipeline.stages.pretraining import run_pretrain
from dunwu.pretraining.train import Pretrainer
from dunwu.runs import StageWriter

STAGE = PretrainStage.model_validate(
    {
        "kind": "pretrain",
        "corpus": "countdown-traces",
        "tokens": 15 * 512,
        "sequence_length": 256,
        "batch_sequences": 2,
        "transformer": TransformerSpec(hidden_size=32, layers=2, heads=2, kv_heads=1, intermediate_size=64),
        "optimizer": OptimizerSpec(name="muon", lr=3e-3, warmup_steps=2),
        "checkpoint": {"every": 4},
    }
)


def run(folder: Path, stop: StopSignal) -> list[str]:
    """Runs the stage; gives back what was marked as done."""
    done: list[str] = []
    store = StageWriter(folder, keep=2, on_finish=lambda: done.append("base"))
    run_pretrain(STAGE, make_context(store, stop, name="base"))
    return done


def files(folder: Path) -> dict[str, bytes]:
    """The model and the metrics."""
    return {path.name: path.read_bytes() for path in (*folder.glob("model/*"), folder / "metrics.jsonl")}


@pytest.mark.parametrize("ends", [None, RuntimeError("killed")], ids=["stopped", "killed"])
def test_a_base_that_was_cut_short_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: Exception | None
) -> None:
    monkeypatch.setattr("dunwu.pretraining.batches.POOL", 60)
    stop = StopSignal()
    assert run(tmp_path / "straight", stop) == ["base"]
    straight = files(tmp_path / "straight")
    assert len(straight["metrics.jsonl"].splitlines()) == 15

    step = Pretrainer.step

    def cut(self: Pretrainer) -> dict[str, float]:
        if self.position.step == 6:
            stop.requested = True
            if ends is not None:
                raise ends
        return step(self)

    monkeypatch.setattr(Pretrainer, "step", cut)
    with pytest.raises(RuntimeError if ends else Interrupted, match="killed" if ends else "asked to stop; saved"):
        run(tmp_path / "cut", stop)
    newest = sorted(path.name for path in (tmp_path / "cut" / "checkpoints").iterdir())[-1]
    assert newest == ("step-000004" if ends else "step-000007")
    monkeypatch.setattr(Pretrainer, "step", step)
    stop.requested = False
    assert run(tmp_path / "cut", stop) == ["base"]
    assert files(tmp_path / "cut") == straight
