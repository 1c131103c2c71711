"""What a reward model learns from: pairs of answers, or answers with verdicts, as tokens (R1, section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from dunwu.config.schema import DataSpec, RewardModelStage
from dunwu.models.templates import Template
from dunwu.pipeline.judges.answer_judges import PairJudge
from dunwu.tasks.datasets.conversations import order_by_judgement, read_labelled, read_preferences
from dunwu.tasks.task import is_held_out
from dunwu.training.reward import PairBatch, Tokens, VerdictBatch
from dunwu.types import LabelledResponse, Preference
from dunwu.verifiers.format import READS


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardCase:
    """A text to score: against another one, which is worse, or by a verdict."""

    record: Preference | LabelledResponse
    tokens: Tokens
    worse: Tokens | None
    good: bool

    @property
    def lengths(self) -> tuple[int, int]:
        """Tokens of both texts; of a single one twice the same."""
        return len(self.tokens), len(self.tokens if self.worse is None else self.worse)


def read_cases(
    stage: RewardModelStage,
    seed: int,
    template: Template,
    data: Mapping[str, DataSpec],
    longest: int,
    left_out: Set[str] = frozenset(),
    judge: PairJudge | None = None,
) -> tuple[list[RewardCase], str]:
    """Read every text that fits, in the order of the recipe.

    Args:
        stage: the recipe's.
        seed: chooses which pairs go where lengths are balanced.
        template: of the model.
        data: the recipe's pairs or verdicts by name.
        longest: tokens that a text may have.
        left_out: records that a benchmark has too, by name.
        judge: decides pairs that the data do not.

    Returns:
        The cases; and in words what was left out, "" where nothing was.

    Raises:
        UserError: a file cannot be used.
    """
    left: dict[str, int] = {}
    if stage.learn_from == "pairs":
        pairs = [(f"{name}:{found[0].id}", found) for name in stage.data for found in read_preferences(data[name])]
        read = [found for place, found in pairs if place not in left_out]
        left["in a benchmark"] = len(pairs) - len(read)
        records: Sequence[Preference | LabelledResponse] = decide_pairs(stage, read, judge)
        left["too near"] = len(read) - len(records)
    else:
        verdicts = [(f"{name}:{record.id}", record) for name in stage.data for record in read_labelled(data[name])]
        records = [record for place, record in verdicts if place not in left_out]
        left["in a benchmark"] = len(verdicts) - len(records)
    cases = [_to_case(record, stage.input, template) for record in records]
    alike = [case.worse is not None and np.array_equal(case.tokens, case.worse) for case in cases]
    left["alike in what is read"] = sum(alike)
    cases = [case for case, same in zip(cases, alike, strict=True) if not same]
    fitting = [case for case in cases if max(case.lengths) <= longest]
    left["too long"] = len(cases) - len(fitting)
    if stage.learn_from == "pairs" and stage.balance_lengths:
        before = len(fitting)
        fitting = balance_lengths(fitting, seed)
        left["to balance lengths"] = before - len(fitting)
    reasons = ", ".join(f"{count:,} {why}" for why, count in left.items() if count)
    return fitting, f" ({reasons} left out)" if reasons else ""


def decide_pairs(
    stage: RewardModelStage, read: Sequence[tuple[Preference, float | None]], judge: PairJudge | None
) -> list[Preference]:
    """Choose the pairs whose answers are more than ``margin`` apart, and call the better one chosen.

    Args:
        stage: the recipe's.
        read: each pair, with how much better its chosen answer is, where the data say so.
        judge: says so where the data do not; where nobody does, a pair is taken as it stands.
    """
    unsaid = {place: pair for place, (pair, said) in enumerate(read) if said is None}
    judgements = judge.compare(unsaid, READS[stage.input]) if judge else {}
    kept = []
    for place, (pair, said) in enumerate(read):
        ahead = judgements.get(place, said)
        if ahead is None or abs(ahead) > stage.margin:
            kept.append(pair if ahead is None else order_by_judgement(pair, ahead))
    return kept


def balance_lengths(cases: Sequence[RewardCase], seed: int) -> list[RewardCase]:
    """Keep as many pairs whose better text is the longer one as pairs whose better text is the shorter one.

    A model that learns from others learns that longer is better (R1, section 3.1). Those of equal length stay; of the
    surplus a random part goes.
    """
    signs = np.array([better - worse for better, worse in (case.lengths for case in cases)])
    longer, shorter = np.flatnonzero(signs > 0), np.flatnonzero(signs < 0)
    surplus = longer if len(longer) > len(shorter) else shorter
    spare = abs(len(longer) - len(shorter))
    gone = set(np.random.default_rng(seed).choice(surplus, spare, replace=False).tolist() if spare else ())
    return [case for place, case in enumerate(cases) if place not in gone]


def split_cases(cases: Sequence[RewardCase], share: float) -> tuple[list[RewardCase], list[RewardCase]]:
    """Split cases into those to train on, and those whose questions, in whatever wording, are kept apart.

    A split of its own: a question that the data leave out for benchmarks is not here at all.

    Args:
        cases: all of them.
        share: of the questions that is held out.

    Returns:
        To train on; to measure on.
    """
    training, held_out = list[RewardCase](), list[RewardCase]()
    for case in cases:
        (held_out if is_held_out(f"reward model/{case.record.question}", share) else training).append(case)
    return training, held_out


def count_tokens(cases: Sequence[RewardCase]) -> list[int]:
    """Count the tokens of every text, pair by pair."""
    return [length for case in cases for length in case.lengths[: 1 + (case.worse is not None)]]


def to_batch(stage: RewardModelStage, cases: Sequence[RewardCase]) -> PairBatch | VerdictBatch:
    """Make a trainer's batch of cases."""
    texts = [case.tokens for case in cases]
    if stage.learn_from == "pairs":
        return PairBatch(chosen=texts, rejected=[case.worse for case in cases if case.worse is not None])
    return VerdictBatch(each=texts, good=[case.good for case in cases])


def _to_case(record: Preference | LabelledResponse, part: str, template: Template) -> RewardCase:
    def tokenize(answer: str) -> Tokens:
        return template.encode_answer(record.id, record.messages, READS[part](answer))

    if isinstance(record, LabelledResponse):
        return RewardCase(record=record, tokens=tokenize(record.response), worse=None, good=record.good)
    return RewardCase(record=record, tokens=tokenize(record.chosen), worse=tokenize(record.rejected), good=True)
