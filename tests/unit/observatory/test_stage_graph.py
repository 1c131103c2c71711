"""The drawing of a run's stages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.made_runs import PER_ROLLOUT, STAGE, begin

from dunwu.analysis.stage_graph import read_stage_nodes
from dunwu.errors import Fault
from dunwu.observatory.rendering import make_environment
from dunwu.observatory.stage_graph import WIDTH, lay_out_stages
from dunwu.runs import Cost, RunReader

WIDEST = 6.2
"""Of a character of a box's small text, in the drawing's units."""


def test_a_stage_that_failed_says_so_within_its_box(tmp_path: Path) -> None:
    def fail() -> None:
        with begin(tmp_path) as run:
            run.stage(STAGE).append(PER_ROLLOUT, {"reward": 1.0}, {"rollout": 1.0})
            run.stage(STAGE).append_costs(PER_ROLLOUT, {"rollout": Cost(54_321.0, 1, 1.0)})
            raise Fault("NaN in the loss")

    with pytest.raises(Fault):
        fail()
    graph = lay_out_stages(read_stage_nodes(RunReader(tmp_path)))
    template = make_environment().get_template("stage_graph.html")
    svg = str(template.module.stage_graph(graph))  # type: ignore[attr-defined]
    _, kind, progress = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert (kind, progress) == ("rl · failed", "16 of 160 steps · 15.1 h")
    assert 12 + WIDEST * len(progress) < WIDTH
    assert '<g class="stage failed">' in svg
