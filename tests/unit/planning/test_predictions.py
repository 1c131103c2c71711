"""The published rows: one is fitted, the others are predicted, and the errors are those that the page states."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dunwu.bench.simulator import measure
from dunwu.cli import main
from dunwu.errors import UserError
from dunwu.planning.simulator.fitted import FITTED, fit_costs, simulate_fitted_row
from dunwu.planning.simulator.predictions import Prediction, predict_all
from dunwu.planning.simulator.published import FITTED_ROW, SOURCES

PAGE = Path(__file__).parents[3] / "docs" / "scaling.md"


@pytest.fixture(scope="module")
def predictions() -> Mapping[str, Prediction]:
    """Return all predictions by the names of their rows."""
    return {one.name: one for one in predict_all(FITTED)}


def test_the_fit_is_the_one_that_is_kept() -> None:
    found = fit_costs()
    assert found.mean == pytest.approx(FITTED.mean, rel=0.01)
    assert found.costs.layer_seconds == pytest.approx(FITTED.costs.layer_seconds, rel=0.01)
    assert found.costs.forward_share == pytest.approx(FITTED.costs.forward_share, rel=0.01)


def test_the_fitted_row_comes_out() -> None:
    found = simulate_fitted_row(FITTED)
    growth = 5345 / (2 * 1663)  # 89 h 5 min for all steps, 27 h 43 min for the first half, in minutes
    assert growth == pytest.approx(FITTED_ROW.growth)
    assert found.generation == pytest.approx(357.41 / growth, rel=0.01)
    assert found.forward == pytest.approx(107.71 / growth, rel=0.01)
    assert found.update == pytest.approx(269.80 / growth, rel=0.01)


@pytest.mark.parametrize(
    ("name", "run", "first_steps"),
    [
        ("verl 7B, synchronous, 64", 0.25, 0.25),
        ("verl 7B, synchronous, 128", 0.25, 0.25),
        ("verl 7B, streaming, 16:16, staleness 0.5", 0.25, 0.25),
        ("verl 7B, streaming, 32:32, staleness 0.5", 0.25, 0.25),
        ("verl 7B, streaming, 64:64, staleness 0.5", 0.40, 0.25),
    ],
)
def test_the_five_other_rows(predictions: Mapping[str, Prediction], name: str, run: float, first_steps: float) -> None:
    one = predictions[name]
    assert abs(one.error) < run
    assert one.early_error is not None
    assert abs(one.early_error) < first_steps


def test_staleness_helps_as_it_did(predictions: Mapping[str, Prediction]) -> None:
    steps = [predictions[f"verl 7B, streaming, 64:64, staleness {staleness}"].predicted for staleness in (0.5, 0.1, 0)]
    assert steps == sorted(steps)


def test_r1_zero_within_a_factor(predictions: Mapping[str, Prediction]) -> None:
    one = predictions["R1-Zero, 512 H800"]
    assert 1 / 1.3 < one.predicted / 198 < 1.3


def test_each_row_has_its_source_and_says_why_it_is_far_off(predictions: Mapping[str, Prediction]) -> None:
    assert {one.source for one in predictions.values()} == set(SOURCES.values())
    silent = [one.name for one in predictions.values() if abs(one.error) > 0.25 and not one.remark]
    assert silent == []


def test_the_page_shows_what_the_command_prints(
    monkeypatch: pytest.MonkeyPatch, predictions: Mapping[str, Prediction]
) -> None:
    monkeypatch.setattr("dunwu.bench.simulator.predict_all", lambda fit: iter(predictions.values()))
    shown = CliRunner().invoke(main, ["bench", "simulator"]).stdout
    assert shown in PAGE.read_text(encoding="utf-8")
    assert len(shown.splitlines()) == 1 + 1 + 3 + len(predictions)  # title, constants, fitted parts


def test_the_command_prints_every_row(monkeypatch: pytest.MonkeyPatch, predictions: Mapping[str, Prediction]) -> None:
    monkeypatch.setattr("dunwu.bench.simulator.predict_all", lambda fit: iter(predictions.values()))
    shown = CliRunner().invoke(main, ["bench", "simulator"]).stdout
    lines = dict(line.strip().partition(": ")[::2] for line in shown.splitlines()[1:])
    assert lines.keys() >= predictions.keys()
    text = lines["verl 7B, synchronous, 64"]
    assert text.startswith("365.3 s, predicted ")
    assert "; first 200 steps 373.5: " in text
    assert "first 200" not in lines["R1-Zero, 512 H800"]
    results = json.loads(CliRunner().invoke(main, ["bench", "simulator", "--json"]).stdout)
    assert results["constants"]["sigma"] == 1.5
    assert results["R1-Zero, 512 H800"]["published"] == 198
    with pytest.raises(UserError, match="no such peer: verl"):
        measure(["verl"])
