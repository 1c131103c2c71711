"""Agreement over golds: pairs are what they are said to be, and wrong verdicts are counted by kind and direction."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dunwu.bench import agreement, verify
from dunwu.bench.respelling import RENDERINGS, make_near_misses
from dunwu.cli import main
from dunwu.errors import UserError
from dunwu.verifiers.math import answers
from dunwu.verifiers.math.answers import same_answer

GOLDS = ["12", r"\frac{3}{4}", r"2\sqrt{3}", "(1,2)", "58,500"]


@pytest.fixture
def golds(tmp_path: Path) -> Path:
    file = tmp_path / "golds.jsonl"
    file.write_text("".join(json.dumps({"answer": gold}) + "\n" for gold in GOLDS), encoding="utf-8")
    return file


def test_renderings_mean_what_the_gold_means_and_misses_do_not() -> None:
    def never(gold: str, answer: str) -> bool:
        raise AssertionError(f"asked a worker about {gold} and {answer}")

    for gold in GOLDS:
        assert all(same_answer(gold, render(gold), never) for render in RENDERINGS.values())
        made = make_near_misses(random.Random(0), gold, draws=3)
        assert gold not in made
        assert len(made) > 3
    assert make_near_misses(random.Random(0), "(1,2)", 3).items() >= {"(2,1)": "items changed"}.items()


def test_wrong_verdicts_are_counted_by_direction_and_kind(golds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = agreement.measure_agreement([golds])
    assert [clean[way]["ours"] for way in ("right answers refused", "near misses paid")] == [0, 0]
    monkeypatch.setattr(answers, "same_answer", lambda gold, answer, ask: len(answer) > 6)
    faulty = agreement.measure_agreement([golds])
    refused, paid = faulty["right answers refused"], faulty["near misses paid"]
    assert refused["ours"] == sum(refused["dunwu, by kind"].values()) > 0
    assert paid["ours"] == sum(paid["dunwu, by kind"].values()) > 0
    assert refused["dunwu, by kind"]["bare"] == 3, "all golds but the long fraction and root"
    assert paid["examples"]["dunwu"].keys() == paid["dunwu, by kind"].keys()


def test_math_verify_is_measured_beside_it(golds: Path) -> None:
    result = verify.measure(("math-verify",), [golds])
    assert set(result["near misses paid"]["peers"]) == {"math-verify"}


def test_files_without_golds_are_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "no.jsonl"
    file.write_text('{"answer": "5"}\n{"question": "?"}\n', encoding="utf-8")
    with pytest.raises(UserError, match=r"no.jsonl, line 2: no gold; wanted answer or golden"):
        list(agreement.read_golds(file))
    refused = CliRunner().invoke(main, ["bench", "rollout", "--data", str(file)])
    assert refused.exit_code == 2
    assert "--data" in refused.stderr
