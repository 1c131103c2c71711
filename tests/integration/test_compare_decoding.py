"""``dunwu compare-decoding`` as users run it: a run, a reward model of its answers, all ways beside each other."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import dunwu
from dunwu.commands.compare_decoding import WIDTHS, compare_decoding
from dunwu.commands.guide import open_guide
from dunwu.errors import UserError
from dunwu.monitoring.console import ConsoleProgress
from dunwu.serve.guides import Draft, RewardModelGuide
from dunwu.types import Message
from tests.integration.runs import write_recipe
from tests.integration.test_examples import load_example

SAMPLES = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds ``run``, a short run, and ``guide``, a reward model of its answers."""
    made = tmp_path_factory.mktemp("decoding")
    dunwu.run(write_recipe(made), out=made / "run", log="quiet")
    load_example("label_answers").main(str(made / "run"), str(made / "verdicts.jsonl"))
    changes = {
        "data.answers.path": str(made / "verdicts.jsonl"),
        "stages.guide.held_out": 0.5,
        "stages.guide.epochs": 1,
    }
    dunwu.run("nano/guide", out=made / "guide", overrides=changes, log="quiet")
    return made


def compare(folder: Path, out: str, **changes: Any) -> list[Any]:
    asked: dict[str, Any] = {"guide": str(folder / "guide"), "problems": 3, "samples": SAMPLES, "seed": 0}
    asked |= {"chosen": None, "progress": ConsoleProgress(Console(file=io.StringIO()))} | changes
    return compare_decoding(folder / "run", out=folder / out, **asked)


def test_every_way_has_its_points_and_a_figure(folder: Path) -> None:
    found = compare(folder, "first")
    assert [one.model for one in found] == ["nano-base", "nano-base, trained"]
    for one in found:
        settings: dict[str, list[str]] = {}
        for point in one.points:
            settings.setdefault(point.method, []).append(point.setting)
        assert settings["vote"] == settings["one of n is right"] == ["1", "2", "4"]
        assert settings["best of n, rules"] == settings["vote weighted by reward model"] == ["2", "4"]
        assert settings["guided by reward model"] == settings["guided by rules"] == [str(width) for width in WIDTHS]
        points = {(point.method, point.setting): point for point in one.points}
        single = points["vote", "1"]
        assert points["vote", "4"].tokens == pytest.approx(4 * single.tokens)
        ceiling = points["one of n is right", "4"].accuracy.value
        assert all(points[name, "4"].accuracy.value <= ceiling for name in ("vote", "best of n, reward model"))
        wide = points["guided by reward model", "16"]
        assert wide.read > points["best of n, reward model", "4"].read > 0
        assert 0.5 < (wide.guidance_share or 0) < 1
        assert set(one.auc) == {"rules", "reward model"}
    svg = (folder / "first" / "decoding.svg").read_text()
    assert "nano-base, trained" in svg
    assert "guided by reward model" in svg
    assert (folder / "first" / "decoding.png").stat().st_size > 10_000


def test_the_same_seed_gives_the_same_numbers(folder: Path) -> None:
    compare(folder, "second")
    compare(folder, "third")
    compare(folder, "fourth", seed=1)
    second, third, other = (folder / name / "decoding.json" for name in ("second", "third", "fourth"))
    assert second.read_bytes() == third.read_bytes() != other.read_bytes()
    assert {one["model"] for one in json.loads(second.read_text())} == {"nano-base", "nano-base, trained"}


def test_a_server_takes_the_same_guide_and_it_keeps_no_count(folder: Path) -> None:
    guide = open_guide(str(folder / "guide"))
    asked = [Message(role="user", content="Use 3, 5, 7 once each with + - * / to make 22.")]
    texts = ("<think>3*5=15, 15+7=22, yes.</think> <answer>3*5+7</answer>", "<think>3*5=15.</think> <answer>3</answer>")
    drafts = [Draft(text=text, reasoning="", answer="", finish="stop") for text in texts]
    both = guide.score(asked, drafts)
    alone = [guide.score(asked, [draft])[0] for draft in drafts]
    assert both == pytest.approx(alone, abs=1e-5)
    assert all(0 < score < 1 for score in both)
    assert both[0] != both[1], "it reads the answer"
    assert isinstance(guide, RewardModelGuide)
    assert guide.take_lengths() == []


def test_what_cannot_guide_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="has no model: no finished stage of this run makes one"):
        compare(folder, "none", guide=str(folder / "run"))
    with pytest.raises(UserError, match="--guide: is no run that made a reward model"):
        compare(folder, "none", guide="nano-base")
    with pytest.raises(UserError, match="--on: no set of this stage is called 'hard'; there are held-out"):
        compare(folder, "none", chosen="hard")
