"""The supervised stage: each conversation once an epoch, what is left out is told, and a stop between two updates."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.unit.pipeline.contexts import make_context, shown_text

from dunwu.config.packaged import NANO_BASE
from dunwu.config.schema import DataSpec, SFTStage
from dunwu.errors import Interrupted
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.interrupts import StopSignal
from dunwu.pipeline.stages.sft import run_sft
from dunwu.pipeline.stages.update_loop import choose_items
from dunwu.runs import StageWriter

STAGE: dict[str, Any] = {
    "kind": "sft",
    "from": "nowhere",
    "data": ["talk"],
    "epochs": 2,
    "batch": 4,
    "max_tokens": 20,
    "prompt": {"template": "nano"},
    "model": {"threads": 1},
}


class StopAfter(StopSignal):
    """Asks to stop when it has been looked at so often."""

    looks = 10**9

    @property
    def requested(self) -> bool:
        self.looks -= 1
        return self.looks < 0

    @requested.setter
    def requested(self, value: bool) -> None: ...


def context(folder: Path, stop: StopSignal) -> StageContext:
    store = StageWriter(folder, keep=2, on_finish=lambda: None)
    return make_context(store, stop, name="taught")


def data(folder: Path) -> dict[str, DataSpec]:
    asked = [{"role": "user", "content": "1+1"}]
    rows = [{"messages": [*asked, {"role": "assistant", "content": " 2" * length}]} for length in (1, 1, 2, 1, 1, 30)]
    (folder / "talk.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"talk": DataSpec(path=folder / "talk.jsonl")}


def test_every_lesson_comes_once_an_epoch_in_other_orders() -> None:
    lessons: list[Any] = [object() for _ in range(10)]
    steps = [choose_items(lessons, 4, context_named(), step) for step in range(6)]
    assert [len(step) for step in steps] == [4, 4, 2, 4, 4, 2]
    epochs = [[lesson for step in part for lesson in step] for part in (steps[:3], steps[3:])]
    assert all(Counter(map(id, epoch)) == Counter(map(id, lessons)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def context_named() -> Any:
    class Named:
        seed, name = 3, "taught"

    return Named()


def test_a_stop_saves_and_the_rest_is_as_if_there_had_been_none(tmp_path: Path) -> None:
    stage, sources = SFTStage.model_validate(STAGE), data(tmp_path)
    straight = context(tmp_path / "straight", StopSignal())
    run_sft(stage, straight, NANO_BASE, sources)
    assert "SFT on 5 conversations (1 longer ones left out) from nano-base, 4 updates" in shown_text(straight)

    stop = StopAfter()
    stop.looks = 3  # once before the first update
    with pytest.raises(Interrupted, match="asked to stop; saved"):
        run_sft(stage, context(tmp_path / "stopped", stop), NANO_BASE, sources)
    newest = StageWriter(tmp_path / "stopped", keep=2, on_finish=lambda: None).find_newest_checkpoint()
    assert newest is not None
    assert newest.step == 2
    run_sft(stage, context(tmp_path / "stopped", StopSignal()), NANO_BASE, sources)
    for name in ("metrics.jsonl", "model/model.safetensors"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()
