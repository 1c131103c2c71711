"""A second verification releases only what all checks agree on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import pytest

from dunwu.serve.review.decision import Decision
from dunwu.serve.review.verification import (
    Check,
    apply_verification,
    check_by_arithmetic,
    check_by_derivation,
    check_by_patterns,
    check_by_rule,
    check_by_vote,
    is_same,
    verify,
)

WANTED = Decision(action="verify", topics=("dose",), reasons=("dose: 'mg' stands in the answer",))


@pytest.mark.parametrize(
    ("derived", "answer", "same"),
    [
        ("0.5", r"\frac{1}{2}", True),
        ("1/2", "50%", True),
        ("5 mg", "5mg", True),
        ("5 mg", "5 g", False),
        ("5 mg", "5 ml", False),
        ("10", "-10", False),
        ("", "", False),
        (" ", "x", False),
        ("Paris", "paris", True),
        ("not safe", "safe", False),
        ("1,2", "x=1,y=2", False),  # the one says which is which, and the other does not
        ("5", "5 mg", True),  # a unit on one side only: the question may have named it
    ],
)
def test_answers_are_the_same_by_the_verifiers_equivalence(derived: str, answer: str, same: bool) -> None:
    assert is_same(derived, answer) is same


@pytest.mark.parametrize(
    ("samples", "outcome"),
    [
        (["5", "5.0", "10/2"], "agree"),
        (["5", "5", "6", None], "disagree"),  # two of four are no majority
        (["5", "5", "5", None], "agree"),
        (["6", "6", "5"], "disagree"),
        ([None, " "], "failed"),
        ([], "failed"),
    ],
)
def test_a_vote_needs_more_than_half_of_all_samples(samples: Sequence[str | None], outcome: str) -> None:
    (found,) = verify("q", "5", [check_by_vote(lambda _: samples)])
    assert found.outcome == outcome


def _raise(_: str) -> NoReturn:
    raise RuntimeError("no such server")


@pytest.mark.parametrize(
    ("check", "outcome"),
    [
        (check_by_derivation("tool", lambda _: "5"), "agree"),
        (check_by_derivation("tool", lambda _: "6"), "disagree"),
        (check_by_derivation("tool", lambda _: None), "failed"),
        (check_by_derivation("tool", _raise), "failed"),
        (check_by_rule("range", lambda _, answer: float(answer) < 10), "agree"),
        (check_by_rule("range", lambda _, answer: float(answer) > 10), "disagree"),
        (check_by_rule("range", lambda _, answer: bool(float("x"))), "failed"),
    ],
)
def test_only_agreement_releases(check: Check, outcome: str) -> None:
    found = verify("q", "5", [check])
    assert [one.outcome for one in found] == [outcome]
    decision = apply_verification(WANTED, found)
    assert decision.action == ("answer" if outcome == "agree" else "hold")
    assert decision.reasons[1].startswith(f"{check.name}: {outcome}: ")


@pytest.mark.parametrize(
    ("must_match", "must_not_match", "answer", "outcome"),
    [
        ([r"^\d+ mg$"], [], "500 mg", "agree"),
        ([r"^\d+ mg$"], [], "５００ MG", "agree"),  # as topics see it: small letters of one width
        ([r"^\d+ mg$"], [], "500 g", "disagree"),
        ([r"\d", "mg"], [], "mg", "disagree"),  # each must match
        ([], ["5000", "mg"], "500", "agree"),
        ([], ["5000", "mg"], "500 mg", "disagree"),  # none may
        ([r"\d"], ["5000"], "5000", "disagree"),
        ([r"(a|a)*$"], [], "a" * 200_001, "failed"),  # too long to be tried
    ],
)
def test_a_rule_of_patterns(must_match: list[str], must_not_match: list[str], answer: str, outcome: str) -> None:
    (found,) = verify("q", answer, [check_by_patterns(must_match, must_not_match)])
    assert found.outcome == outcome, found.reason


@pytest.mark.parametrize(
    ("chain", "answer", "outcome", "reason"),
    [
        ("16 - 3 = 13. 13 * 2 = 26.", "26", "agree", "2 statements calculated again"),
        ("16 - 3 = 13. 13 * 2 = 26.", "13.0", "agree", "2 statements calculated again"),
        ("16 - 3 = 13. 13 * 2 = 26.", "27", "disagree", "no calculation of the chain leads to the answer"),
        ("16 - 3 = 14. 14 * 2 = 28.", "28", "disagree", "1 statement of the chain is wrong"),
        ("16 - 3 = 14. 14 * 2 = 27.", "27", "disagree", "2 statements of the chain are wrong"),
        ("It is thirteen, of course.", "13", "failed", "the chain calculates nothing that can be read"),
        ("5 * 3 = 15, 15 + 7 = 22.", "3*5+7", "agree", "2 statements calculated again"),
    ],
)
def test_what_a_chain_calculates_is_calculated_again(chain: str, answer: str, outcome: str, reason: str) -> None:
    (found,) = verify("q", answer, [check_by_arithmetic(chain)])
    assert (found.outcome, found.reason) == (outcome, reason)


def test_all_checks_must_agree_and_the_first_that_does_not_ends_it() -> None:
    agree, disagree = check_by_derivation("a", lambda _: "5"), check_by_derivation("b", lambda _: "6")
    found = verify("q", "5", [agree, disagree, check_by_derivation("c", _raise)])
    assert [(one.check, one.outcome) for one in found] == [("a", "agree"), ("b", "disagree")]
    assert apply_verification(WANTED, found).action == "hold"


@pytest.mark.parametrize("answer", [None, "", "  "])
def test_a_text_without_a_final_answer_is_held(answer: str | None) -> None:
    assert apply_verification(WANTED, verify("q", answer, [check_by_vote(lambda _: ["5"])])).action == "hold"


def test_no_check_is_no_agreement_and_other_actions_stay() -> None:
    assert apply_verification(WANTED, ()).action == "hold"
    refused = Decision(action="refuse")
    assert apply_verification(refused, verify("q", "5", [check_by_derivation("a", lambda _: "5")])) == refused
