"""The results of a run, as summary.json keeps them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from dunwu.analysis import results
from dunwu.analysis.results import EvaluationsBySet
from dunwu.runs import RunReader


def summarize_run(run: RunReader, seconds: float) -> dict[str, Any]:
    """Summarize a run that is done.

    Args:
        run: all its stages.
        seconds: what all its processes worked.

    Returns:
        ``seed``, ``seconds``, ``results``, and of models that are compared ``paired``.
    """
    summary: dict[str, Any] = {"seed": run.seed, "seconds": round(seconds, 1), "results": {}}
    if found := results.find_last_evaluations(run):
        stage, by_set = found
        summary["results"] = _summarize_evaluations(by_set)
        if results.is_model_comparison(run, stage) and (tested := _summarize_paired_tests(run, by_set)):
            summary["paired"] = tested
    return summary


def _summarize_evaluations(by_set: EvaluationsBySet) -> dict[str, dict[str, Any]]:
    """Return each quantity as value, low, high (95 %), by model.

    ``base`` and ``trained``, or an evaluation stage's models, stand for the first set, then ``base/SET`` and so on.
    """
    first = next(iter(by_set))
    return {
        _name(e.checkpoint, name, first): {quantity: asdict(estimate) for quantity, estimate in e.results.items()}
        for name, evaluations in by_set.items()
        for e in evaluations
        if not e.checkpoint.startswith("step-")
    }


def _summarize_paired_tests(run: RunReader, by_set: EvaluationsBySet) -> dict[str, dict[str, Any]]:
    """Compare each model with the first one: right answers to the same problems, and the p of the paired test."""
    first = next(iter(by_set))
    return {
        _name(pair.model, pair.set, first): {
            "against": pair.against,
            "problems": pair.problems,
            **asdict(pair.difference),
            "p": pair.p,
        }
        for pair in results.read_paired_tests(run, by_set)
    }


def _name(model: str, set_name: str, first: str) -> str:
    return model if set_name == first else f"{model}/{set_name}"
