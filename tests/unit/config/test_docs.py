"""The whole recipe in docs/guides/several-stages.md is one that can be run."""

from __future__ import annotations

import json
import re
from pathlib import Path

from dunwu.config.loader import load_recipe
from dunwu.planning import make_plan
from dunwu.tasks.datasets.conversations import check_first_rows

DOCS = Path(__file__).parents[3] / "docs" / "guides" / "several-stages.md"


def test_the_recipe_of_the_docs_has_a_plan_without_obstacles(tmp_path: Path) -> None:
    (recipe,) = re.findall(r"```toml title=[^\n]*\n(name = .*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "mine.toml").write_text(recipe, encoding="utf-8")
    (tmp_path / "lessons.jsonl").write_text(json.dumps({"question": "1 + 1?", "answer": "2"}) + "\n")
    planned = make_plan(load_recipe(tmp_path / "mine.toml"), look=check_first_rows)
    assert planned.problems == ()
    assert [stage.name for stage in planned.stages] == ["zero", "cold", "dev", "answers", "table"]
    assert planned.feeds["dev"] == ("nano-world", "cold", "lessons")
