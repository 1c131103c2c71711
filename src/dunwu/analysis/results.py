"""What a run's evaluations say: base against trained, set by set, and answers to the same problem side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dunwu.analysis.reasoning.reflection import count_words
from dunwu.analysis.stage_roles import compares_models, makes_reward_model
from dunwu.runs import BASE, TRAINED, AnswerRow, Evaluation, PairedTest, RunReader, display_names, read_comparison

EvaluationsBySet = Mapping[str, Sequence[Evaluation]]
"""Sets in the recipe's order; of each its evaluations, from the base to the trained model or model by model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Sample pairs (same problem, same sample number, same seed) of one kind, e.g. wrong before and right after.

    Attributes:
        before_right: Whether the answers before are right.
        after_right: Whether the answers after are right.
        count: How many pairs are of this kind.
        examples: Those with the most typical answers: the lengths before and after are nearest to their medians. The
            first one is in English where there is such a pair.
    """

    before_right: bool
    after_right: bool
    count: int
    examples: tuple[tuple[AnswerRow, AnswerRow], ...]


def read_evaluations_by_set(run: RunReader, stage: str, *, rows: bool = True) -> dict[str, list[Evaluation]]:
    """Read a stage's evaluations.

    Args:
        run: The run.
        stage: The stage.
        rows: Whether the answers are read, too, and not the results alone.

    Returns:
        The evaluations of each set; those of an evaluation stage are in the order of its models.

    Raises:
        UserError: A file is damaged (named).
    """
    recipe = run.recipe["stages"].get(stage, {})
    measured = recipe if recipe.get("sets") else recipe.get("evaluation", {})
    sets = [*measured.get("sets", []), *measured.get("texts", [])]
    models = display_names(recipe.get("models", []))
    by_set: dict[str, list[Evaluation]] = {chosen["name"]: [] for chosen in sets}
    evaluations = run.stage(stage).read_evaluations(rows=rows)
    evaluations.sort(key=lambda found: models.index(found.checkpoint) if found.checkpoint in models else -1)
    for evaluation in evaluations:
        by_set.setdefault(evaluation.set, []).append(evaluation)
    return {name: evaluations for name, evaluations in by_set.items() if evaluations}


def reads_text(evaluation: Evaluation) -> bool:
    """Tell whether an evaluation is of ordinary text, which has no problems and no answers."""
    return "perplexity" in evaluation.results


ReadEvaluations = Callable[[RunReader, str], EvaluationsBySet]
"""Reads the evaluations of a stage, for whoever keeps them."""
LastEvaluations = tuple[str, EvaluationsBySet]
"""The last stage that has evaluations, and them."""


def find_last_evaluations(run: RunReader, read: ReadEvaluations = read_evaluations_by_set) -> LastEvaluations | None:
    """Find the run's last stage that has evaluations of a model that writes.

    Args:
        run: The run.
        read: Reads a stage's evaluations.

    Returns:
        The stage with its evaluations; where it compares models, with those of the stages before it that do so on other
        sets. None where there are no evaluations.
    """
    last, found = "", dict[str, Sequence[Evaluation]]()
    for stage in reversed(run.stages):
        if makes_reward_model(run.recipe["stages"].get(stage, {})):
            continue
        if not (by_set := read(run, stage)):
            continue
        if found and (not is_model_comparison(run, stage) or by_set.keys() & found.keys()):
            break
        last, found = last or stage, {**by_set, **found}
        if not is_model_comparison(run, stage):
            break
    return (last, found) if found else None


def is_model_comparison(run: RunReader, stage: str) -> bool:
    """Tell whether a stage's evaluations are of several models, not of one on its way."""
    return compares_models(run.recipe["stages"].get(stage, {}))


def read_paired_tests(run: RunReader, sets: Collection[str]) -> list[PairedTest]:
    """Read the paired tests of models on these sets; none before a stage has measured all of them."""
    comparisons = [read_comparison(run.stage(stage).path) for stage in run.stages if is_model_comparison(run, stage)]
    return [pair for one in comparisons for pair in one.pairs if pair.set in sets]


def find_base_and_trained(evaluations: Sequence[Evaluation]) -> tuple[Evaluation, Evaluation] | None:
    """Find the two ends of a set's evaluations; None where one of them is not there."""
    by_checkpoint = {evaluation.checkpoint: evaluation for evaluation in evaluations}
    if BASE in by_checkpoint and TRAINED in by_checkpoint:
        return by_checkpoint[BASE], by_checkpoint[TRAINED]
    return None


def group_outcomes(base: Evaluation, trained: Evaluation, examples: int = 2) -> list[Outcome]:
    """Group sample pairs by whether they were right before and after.

    Args:
        base: The answers before.
        trained: The answers after.
        examples: How many examples are returned of each kind at most.

    Returns:
        The kinds that have a pair, those that training mended first.
    """
    before = {(row.problem_id, row.index): row for row in base.rows}
    pairs = [(before[key], row) for row in trained.rows if (key := (row.problem_id, row.index)) in before]
    kinds = [(False, True), (True, False), (True, True), (False, False)]
    found = []
    for kind in kinds:
        chosen = [pair for pair in pairs if (bool(pair[0].right), bool(pair[1].right)) == kind]
        if chosen:
            typical = _sort_by_typicality(chosen)
            english = next((pair for pair in typical if pair[0].language == "en"), typical[0])
            shown = (english, *(pair for pair in typical if pair is not english))[:examples]
            found.append(Outcome(before_right=kind[0], after_right=kind[1], count=len(chosen), examples=shown))
    return found


def _sort_by_typicality(pairs: list[tuple[AnswerRow, AnswerRow]]) -> list[tuple[AnswerRow, AnswerRow]]:
    """Sort by the distance to the median lengths; one pair for each problem is left."""
    lengths_N2 = np.array([[before.tokens, after.tokens] for before, after in pairs], dtype=np.float64)
    distances_N = np.abs(lengths_N2 - np.median(lengths_N2, axis=0)).sum(axis=1)
    nearest = [pairs[place] for place in np.argsort(distances_N, kind="stable")]
    by_problem: dict[str, tuple[AnswerRow, AnswerRow]] = {}
    for pair in nearest:
        by_problem.setdefault(pair[0].problem_id, pair)
    return list(by_problem.values())


def count_frequent_words(evaluation: Evaluation, most: int) -> list[tuple[str, float]]:
    """Count the words of reflection in the answers of an evaluation.

    Args:
        evaluation: The evaluation.
        most: How many words are returned at most.

    Returns:
        The most frequent words, each with how often it stands in an answer on average.
    """
    counts = Counter[str]()
    for row in evaluation.rows:
        counts.update(count_words(row.completion))
    chosen = sorted(counts, key=lambda word: (-counts[word], word))[:most]
    return [(word, counts[word] / len(evaluation.rows)) for word in chosen]
