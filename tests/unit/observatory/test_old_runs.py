"""A run that an earlier version wrote opens as it did then."""

from __future__ import annotations

import json
from pathlib import Path

from tests.made_runs import STAGE, begin, train

from dunwu.analysis.stage_data import StageData
from dunwu.runs import RunReader


def test_a_recipe_with_fields_of_before_is_diagnosed_all_the_same(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        train(run.stage(STAGE), rollouts=2, questions=2)
        run.stage(STAGE).append(48, {"sampler_gap_mean": 0.2}, {})
    recipe = json.loads((tmp_path / "recipe.json").read_text())
    algorithm = recipe["stages"][STAGE]["algorithm"]
    algorithm["sampler_gap_warning"] = algorithm.pop("logprob_difference_warning")
    recipe["stages"][STAGE]["reward"]["own"] = recipe["stages"][STAGE]["reward"].pop("custom")
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    (flag,) = StageData.read(RunReader(tmp_path), STAGE).diagnose()
    assert (flag.name, flag.red) == ("engine against trainer", True)
