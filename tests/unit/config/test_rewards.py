"""What the weights of a reward decide together, and what is let pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dunwu.config.check_rewards import LANGUAGES, PENALTIES, QUALITY
from dunwu.config.loader import dump_recipe, load_recipe
from dunwu.config.schema import REWARD_PARTS, RLStage
from dunwu.errors import UserError

Write = Callable[..., Path]
ZERO = "stages.zero.reward."
DEAD = "counts for nothing: quality, of which it is a share, is 0"
OWN = "custom=[{name='mine', file='mine.py'}]"


@pytest.mark.parametrize(
    ("overrides", "field", "message"),
    [
        (
            ["language={weight=1, from=32}"],
            "language.from",
            "32 never comes: of 32 steps the last rollout starts at update 28",
        ),
        (["language={weight=1, from=29}"], "language.from", "29 never comes: of 32 steps the last rollout starts at"),
        (["tasks.countdown.format={weight=1, from=99}"], "tasks.countdown.format.from", "99 never comes"),
        (["custom=[{name='a', file='a.py', weight={weight=1, from=32}}]"], "custom.0.weight.from", "32 never comes"),
        (
            ["language={weight=1, from=5, until=8}"],
            "language.until",
            "no rollout starts from update 5 to before 8: one starts every 4",
        ),
        (["language={weight=1, from=5, until=5}"], "language.until", "5 is not after from = 5"),
        (["logic=1"], "logic", DEAD),
        (["steps=0.3"], "steps", DEAD),
        (["quality=0", "novelty=0.5"], "novelty", DEAD),
        (["tasks.countdown.logic=0.2"], "tasks.countdown.logic", DEAD),
        (["quality=1", "tasks.countdown={quality=0, logic=0.2}"], "tasks.countdown.logic", DEAD),
        (
            ["quality=1", "logic=0", "steps=0", "novelty=0"],
            "quality",
            "pays nothing: logic, steps and novelty are all 0",
        ),
        (
            ["quality=1", "tasks.gsm8k={logic=0, steps=0, novelty=0}"],
            "tasks.gsm8k.quality",
            "pays nothing: logic, steps and novelty are all 0",
        ),
        (
            ["tasks.countdown={accuracy=0, format=0}"],
            "tasks.countdown",
            "accuracy = 0 and format = 0: nothing is rewarded for countdown",
        ),
        (
            ["accuracy=0", "format=0", "tasks.countdown.accuracy=1"],
            "",
            "accuracy = 0 and format = 0: nothing is rewarded for gsm8k",
        ),
        (
            ["format=0", "tasks.countdown={accuracy=0, repetition=1, truncation=1}"],
            "tasks.countdown",
            "nothing is rewarded for countdown",
        ),
        (
            ["format_rule=none", "tasks.countdown.accuracy=0"],
            "tasks.countdown",
            "accuracy = 0 and format_rule = none: nothing is rewarded for countdown",
        ),
        (["languages=['en', 'xx']"], "languages.1", "no language is called 'xx'; there are zh, ja, ko"),
        (["tasks.countdwn.format=1"], "tasks.countdwn", "no task of this stage has this name; did you mean countdown?"),
        (["tasks.zebra.format=1"], "tasks.zebra", "no task of this stage has this name; there are countdown, gsm8k"),
        (["tasks.gym.format=1"], "tasks.gym", "countdown, gsm8k (a set of reasoning-gym is called gym-SET)"),
        (
            ["tasks.countdown.langauge=1"],
            "tasks.countdown.langauge",
            "no part of the reward has this name; did you mean",
        ),
        (["custom=[{name='logic', file='a.py'}]"], "custom.0.name", "'logic' is the name of another part"),
        (["custom=[{name='length', file='a.py'}]"], "custom.0.name", "'length' is the name of a metric: choose"),
    ],
)
def test_weights_that_do_not_fit(write: Write, overrides: list[str], field: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe(write(), [ZERO + text for text in overrides])
    text = str(caught.value)
    assert (ZERO + field).rstrip(".") in text
    assert message in text


@pytest.mark.parametrize(
    "overrides",
    [
        ["language={weight=1, from=28}"],
        ["language={weight=1, from=5, until=9}"],
        ["quality=0"],
        ["quality=1", "logic=0", "steps=0"],
        ["logic=1", "tasks.countdown.quality=1"],
        ["logic=0", "steps=0", "novelty=0", "tasks.countdown={quality=1, logic=1}"],
        ["accuracy=0", "format=0", "language=1"],
        ["accuracy=0", "format=0", OWN],
        ["accuracy=0", "format=0", "tasks.countdown.accuracy=1", "tasks.gsm8k.quality=1"],
        ["languages=['en', 'fr']"],
    ],
)
def test_weights_that_are_unusual_but_count(write: Write, tmp_path: Path, overrides: list[str]) -> None:
    recipe = load_recipe(write(), [ZERO + text for text in overrides])
    kept = tmp_path / "recipe.json"
    kept.write_text(dump_recipe(recipe))
    assert load_recipe(kept) == recipe, "every default is written there"


def test_a_file_s_own_name_is_that_of_its_weights(write: Write) -> None:
    overrides = ["stages.zero.tasks.1.display_name=mine", "stages.zero.reward.tasks.mine.accuracy=2"]
    stage = load_recipe(write(), overrides).stages["zero"]
    assert isinstance(stage, RLStage)
    assert [task.name for task in stage.tasks] == ["countdown", "mine"]
    with pytest.raises(
        UserError, match=r"tasks\.gsm8k.*no task of this stage has this name; there are countdown, mine"
    ):
        load_recipe(write(), [overrides[0], "stages.zero.reward.tasks.gsm8k.accuracy=2"])


def test_the_lists_are_those_of_the_verifiers() -> None:
    from dunwu.verifiers import language, weights

    assert list(LANGUAGES) == list(language.LANGUAGES)
    assert weights.QUALITY == QUALITY
    assert set(PENALTIES) < set(REWARD_PARTS)
