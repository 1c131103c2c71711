"""The second verification: an answer is derived again, independently, and released only where all checks agree.

Whoever derives sees the question and never the answer. Two answers are the same where each means the other by the rules
of ``verifiers/math``; what those cannot decide counts as different. Disagreement and failure hold the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dunwu.errors import counted
from dunwu.serve.review.decision import Decision
from dunwu.serve.review.matching import find_pattern, normalize
from dunwu.verifiers.math.answers import same_answer
from dunwu.verifiers.quality import read_statements

Outcome = Literal["agree", "disagree", "failed"]
Same = Callable[[str, str], bool]
"""Whether one final answer means the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What an independent check says of an answer.

    Attributes:
        check: Which check: a vote, another model, a tool, a rule.
        outcome: Whether it agrees; ``failed`` where nothing was found out.
        reason: Why, in one line.
        derived: The answers that were derived.
    """

    check: str
    outcome: Outcome
    reason: str
    derived: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """A check by its name; ``ask(question, answer)`` gets the final answer as it was extracted."""

    name: str
    ask: Callable[[str, str], Verification]


def is_same(derived: str, answer: str) -> bool:
    """Tell whether two final answers mean each other, by rules alone; a blank one means nothing."""
    if not (derived.strip() and answer.strip()):
        return False
    return same_answer(derived, answer, _leave_undecided) and same_answer(answer, derived, _leave_undecided)


def _leave_undecided(*_: str) -> bool:
    return False


def check_by_vote(sample: Callable[[str], Sequence[str | None]], same: Same = is_same) -> Check:
    """Make a check by fresh samples: more than half of all must mean the answer.

    Args:
        sample: Samples final answers to a question; None for each that has none.
        same: Compares two final answers.

    Returns:
        The check.
    """

    def ask(question: str, answer: str) -> Verification:
        samples = sample(question)
        derived = tuple(text for text in samples if text is not None and text.strip())
        votes = sum(same(text, answer) for text in derived)
        outcome: Outcome = "failed" if not derived else "agree" if 2 * votes > len(samples) else "disagree"
        return Verification(
            check="vote", outcome=outcome, reason=f"{votes} of {len(samples)} samples agree", derived=derived
        )

    return Check("vote", ask)


def check_by_derivation(name: str, derive: Callable[[str], str | None], same: Same = is_same) -> Check:
    """Make a check by one other derivation: another model, or a tool.

    Args:
        name: Who derives.
        derive: Answers a question; None where it cannot.
        same: Compares two final answers.

    Returns:
        The check.
    """

    def ask(question: str, answer: str) -> Verification:
        derived = derive(question)
        if derived is None or not derived.strip():
            return Verification(check=name, outcome="failed", reason="no answer was derived")
        outcome: Outcome = "agree" if same(derived, answer) else "disagree"
        return Verification(check=name, outcome=outcome, reason=f"derived {derived!r:.60}", derived=(derived,))

    return Check(name, ask)


def check_by_rule(name: str, rule: Callable[[str, str], bool]) -> Check:
    """Make a check by a rule, such as a range in which a dose must lie.

    Args:
        name: What the rule is called.
        rule: ``rule(question, answer)``: whether the answer may stand.

    Returns:
        The check.
    """

    def ask(question: str, answer: str) -> Verification:
        holds = rule(question, answer) is True
        reason = "the rule holds" if holds else "the rule does not hold"
        return Verification(check=name, outcome="agree" if holds else "disagree", reason=reason)

    return Check(name, ask)


def check_by_patterns(must_match: Sequence[str], must_not_match: Sequence[str]) -> Check:
    """Make a check by regular expressions on the normalized answer.

    Args:
        must_match: Each must match somewhere.
        must_not_match: None may.

    Returns:
        The check.
    """

    def ask(_: str, answer: str) -> Verification:
        text = normalize(answer)
        missing = next((one for one in must_match if find_pattern([one], text) is None), None)
        forbidden = find_pattern(must_not_match, text)
        reason = "the patterns hold"
        if missing is not None:
            reason = f"{missing!r:.60} does not match"
        elif forbidden is not None:
            reason = f"{forbidden!r:.60} matches"
        agrees = missing is None and forbidden is None
        return Verification(check="rule", outcome="agree" if agrees else "disagree", reason=reason)

    return Check("rule", ask)


def check_by_arithmetic(chain: str, same: Same = is_same) -> Check:
    """Make a check by recalculation: all that the chain calculates is right, and a result of it means the answer.

    Args:
        chain: The reasoning, and the text of the answer.
        same: Compares two final answers.

    Returns:
        The check.
    """

    def ask(_: str, answer: str) -> Verification:
        found = read_statements(chain)
        results = tuple(dict.fromkeys(str(result) for _, result in found.operations))
        outcome: Outcome = "disagree"
        if found.wrong:
            reason = f"{counted(found.wrong, 'statement')} of the chain {'is' if found.wrong == 1 else 'are'} wrong"
        elif not results:
            outcome, reason = "failed", "the chain calculates nothing that can be read"
        elif any(same(result, answer) for result in reversed(results)):
            outcome, reason = "agree", f"{counted(found.right, 'statement')} calculated again"
        else:
            reason = "no calculation of the chain leads to the answer"
        return Verification(check="arithmetic", outcome=outcome, reason=reason, derived=results)

    return Check("arithmetic", ask)


def verify(question: str, answer: str | None, checks: Iterable[Check]) -> tuple[Verification, ...]:
    """Ask checks one after the other, up to the first that does not agree.

    Args:
        question: What was asked.
        answer: The final answer as it was extracted; None where the text has none.
        checks: Who derives again.

    Returns:
        What they say, in order.
    """
    if answer is None or not answer.strip():
        return (Verification(check="extraction", outcome="failed", reason="the text has no final answer"),)
    found: list[Verification] = []
    for check in checks:
        try:
            found.append(check.ask(question, answer))
        except Exception as error:  # whatever a check raises, it has not agreed
            reason = f"{type(error).__name__}: {error!s:.100}"
            found.append(Verification(check=check.name, outcome="failed", reason=reason))
        if found[-1].outcome != "agree":
            break
    return tuple(found)


def apply_verification(decision: Decision, verifications: Sequence[Verification]) -> Decision:
    """Turn ``verify`` into ``answer`` where there was a check and all agree, else into ``hold``.

    Args:
        decision: Of the policy; any other action stays as it is.
        verifications: What the checks say.

    Returns:
        The decision that holds now.
    """
    if decision.action != "verify":
        return decision
    agree = bool(verifications) and all(one.outcome == "agree" for one in verifications)
    found = [f"{one.check}: {one.outcome}: {one.reason}" for one in verifications] or ["no check was made"]
    derived_by = tuple(one.check for one in verifications if one.derived) if agree else ()
    reasons = (*decision.reasons, *found)
    return replace(decision, action="answer" if agree else "hold", reasons=reasons, derived_by=derived_by)
