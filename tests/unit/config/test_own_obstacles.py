"""What a recipe of several stages needs on this machine is looked at before the first of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dunwu.config.loader import load_recipe
from dunwu.planning import make_plan

RECIPE = """
name = "needs"
[data.pairs]
task = "talk"
[stages.cold]
kind = "cold_start"
from = "nano-world"
questions = 8
max_new_tokens = 64
prompt = { max_tokens = 64 }
tasks = [{ task = "countdown" }]
rewrite = REWRITE
[stages.picked]
kind = "reject"
from = "nano-world"
questions = 8
max_new_tokens = 64
prompt = { max_tokens = 64 }
tasks = [{ task = "countdown" }]
judge = { by = "custom", file = "good.py", function = "agree", tasks = ["countdown"] }
[stages.scorer]
kind = "reward_model"
from = "nano-world"
data = ["pairs"]
learn_from = "pairs"
input = "all"
judge = { by = "custom", file = "good.py", function = "compare" }
"""
GOOD = (
    "def rewrite(problem, text): ...\ndef agree(question, gold, answer): ...\ndef compare(question, one, other): ...\n"
)


@pytest.mark.parametrize(
    ("rewrite", "told"),
    [
        ('{ by = "custom", file = "good.py" }', None),
        ('{ by = "custom", file = "none.py" }', "stages.cold.rewrite.file: no such file"),
        (
            '{ by = "custom", file = "good.py", function = "rewrit" }',
            "defines no 'rewrit' at its top level; did you",
        ),
        (
            '{ by = "custom", file = "good.py", function = "agree" }',
            "cannot be called with two arguments, problem and text",
        ),
        (
            '{ by = "endpoint", endpoint = { url = "http://x/v1", model = "m", key_variable = "NO_SUCH_KEY" } }',
            "stages.cold.rewrite.endpoint.key_variable: the environment has no NO_SUCH_KEY",
        ),
    ],
)
def test_files_and_keys(rewrite: str, told: str | None, tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "needs.toml").write_text(RECIPE.replace("REWRITE", rewrite))
    problems = make_plan(load_recipe(tmp_path / "needs.toml")).problems
    assert len(problems) == (told is not None)
    assert told is None or told in str(problems[0])


def test_three_arguments_are_counted(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(GOOD.replace("(question, gold, answer)", "(question, gold)"))
    (tmp_path / "needs.toml").write_text(RECIPE.replace("REWRITE", '{ by = "rules" }'))
    (problem,) = make_plan(load_recipe(tmp_path / "needs.toml")).problems
    assert "cannot be called with three arguments, question, gold and answer" in str(problem)
