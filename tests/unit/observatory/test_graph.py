"""The drawing of a run's stages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.unit.observatory.making import PER_ROLLOUT, STAGE, begin

from dunwu.errors import Fault
from dunwu.observatory.graph import WIDTH, drawing, nodes
from dunwu.runs import RunReader, Spent

WIDEST = 6.2
"""Of a character of a box's small text, in the drawing's units."""


def test_a_stage_that_failed_says_so_within_its_box(tmp_path: Path) -> None:
    def fail() -> None:
        with begin(tmp_path) as run:
            run.stage(STAGE).append(PER_ROLLOUT, {"reward": 1.0}, {"rollout": 1.0})
            run.stage(STAGE).spend(PER_ROLLOUT, {"rollout": Spent(54_321.0, 1, 1.0)})
            raise Fault("NaN in the loss")

    with pytest.raises(Fault):
        fail()
    drawn = drawing(nodes(RunReader(tmp_path)))
    _, kind, told = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    assert (kind, told) == ("rl · failed", "16 of 160 steps · 15.1 h")
    assert 12 + WIDEST * len(told) < WIDTH
    assert '<g class="stage failed">' in drawn
