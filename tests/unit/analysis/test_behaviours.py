"""What the detectors of behaviours see in chains that readers have labelled who knew nothing of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dunwu.analysis.reasoning.behaviours import BEHAVIOURS, Behaviour, find_behaviours
from dunwu.analysis.reasoning.chain import read_chain

DATA = Path(__file__).parents[2] / "data"
OURS = [json.loads(line) for line in (DATA / "chains.jsonl").open(encoding="utf-8")]
PROSE = [json.loads(line) for line in (DATA / "prose.jsonl").open(encoding="utf-8")]


def shown(text: str) -> set[Behaviour]:
    return {sighting.behaviour for sighting in find_behaviours(read_chain(text))}


def confusion(rows: list[dict[str, Any]], behaviour: Behaviour) -> tuple[int, int, int]:
    """(seen rightly, seen wrongly, missed)."""
    pairs = [(behaviour in shown(row["chain"]), row[behaviour]) for row in rows]
    return pairs.count((True, True)), pairs.count((True, False)), pairs.count((False, True))


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        ("verification", (159, 0, 0)),
        ("backtracking", (97, 2, 0)),
        ("alternatives", (107, 2, 0)),
        ("subgoals", (36, 0, 1)),
    ],
)
def test_precision_and_recall_on_our_chains_are_as_documented(
    behaviour: Behaviour, expected: tuple[int, int, int]
) -> None:
    """The 220 chains that the detectors were not made on; the figures of docs/reference/measures.md."""
    held_out = [row for row in OURS if row["part"] == "held-out"]
    assert len(held_out) == 220
    assert confusion(held_out, behaviour) == expected


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        ("verification", (20, 4, 18)),
        ("backtracking", (16, 2, 18)),
        ("alternatives", (13, 4, 26)),
        ("subgoals", (8, 1, 26)),
    ],
)
def test_precision_and_recall_on_prose_are_as_documented(behaviour: Behaviour, expected: tuple[int, int, int]) -> None:
    """80 chains of prose, written to avoid the usual words where the behaviour is, and to use them where it is not."""
    assert confusion(PROSE, behaviour) == expected


def test_two_readers_agree_on_our_chains() -> None:
    """Cohen's kappa on the chains that both have read, before any was talked about."""
    both = [tuple(row["readers"].values()) for row in OURS if len(row["readers"]) == 2]
    assert len(both) == 60
    for place, least in enumerate((1.0, 0.89, 1.0, 1.0)):
        pairs = [(first[place], second[place]) for first, second in both]
        agreed = sum(a == b for a, b in pairs) / 60
        yes, also = (sum(pair[side] for pair in pairs) / 60 for side in (0, 1))
        chance = yes * also + (1 - yes) * (1 - also)
        assert (agreed - chance) / (1 - chance) >= least, BEHAVIOURS[place]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>13+9=22, 22-1=21.</think> <answer>(13+9)-1</answer>", set()),
        ("<think>9/3=3, 3-2=1, yes.</think>", {"verification"}),
        ("<think>good.</think>", set()),
        ("<think>maybe wrong. 2*3=6</think>", set()),
        ("<think>3+4=7, too small. wait, 3*4=12, yes.</think>", {"verification", "backtracking", "alternatives"}),
        ("<think>3+4=7, 7+5=12. maybe 3*4=12, 12-5=7.</think>", {"alternatives"}),
        ("<think>3+4=7. wait, 3+4=7.</think>", {"backtracking"}),
        ("<think>26-16=10, 4-2=2, 10/2=5.</think>", {"subgoals"}),
        ("<think>Bob, Dan is missing. wait, Dan > Bob, all, yes.</think>", {"verification"}),
        ("<think>Dan > Bob. wrong, Cleo > Ann.</think>", {"verification", "backtracking", "alternatives"}),
        ("<think>8 is even, wrong.</think>", {"verification"}),
        ("<think>5*3=15. verify: (4+1)*3=15.</think>", {"verification"}),
        (
            "<think>先求第一个数。3+4=7，太小。等等，3*4=12，对。</think>",
            {"verification", "backtracking", "alternatives", "subgoals"},
        ),
        ("yes, yes, right, correct", set()),
        ("", set()),
    ],
)
def test_what_counts(text: str, expected: set[str]) -> None:
    assert shown(text) == expected


def test_nothing_outside_of_the_reasoning_counts_and_places_are_those_of_the_text() -> None:
    text = "3*3=9, yes <think>3+4=7, too small. wait, 3*4=12</think> 12+1=13, correct"
    found = find_behaviours(read_chain(text))
    assert [(one.behaviour, text[one.start : one.end]) for one in found] == [
        ("verification", "too small"),
        ("backtracking", "too small. wait, 3*4=12"),
        ("alternatives", "3*4=12"),
    ]


def test_steps_are_equations_and_sentences_without_any() -> None:
    assert read_chain("<think>3+4=7, 7*2=14. That is 14.5 or so. wait! 2+2=4</think>").steps == 5
    assert read_chain("<think> ... </think>").steps == 0


@pytest.mark.parametrize(
    "text", ["(" * 40_000, "1+" * 40_000, "A > " * 20_000, "wait, " * 20_000, "is not " * 20_000, "缺甲" * 20_000]
)
def test_no_text_makes_it_slow(text: str) -> None:
    """Patterns without backtracking: twice the text takes about twice the steps, so these end at once."""
    read_chain(text)
