"""Rejection sampling: ask, grade, keep what is right and readable (R1, arXiv 2501.12948v2, section 3.2.3)."""

from __future__ import annotations

from dunwu.config.schema import RejectStage
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.judges.answer_judges import TruthJudge
from dunwu.pipeline.stages.answer_sampling import sample_answers


def run_reject(stage: RejectStage, context: StageContext, source: str) -> None:
    """Answers of the model at ``source`` that are worth learning from, as the stage's data.

    Raises: see ``sample_answers``.
    """
    if stage.judge is None:
        sample_answers(stage, context, source)
    else:
        judge = TruthJudge(stage.judge)
        sample_answers(stage, context, source, judged=judge.judged, at_once=stage.judge.concurrency)
    context.store.finish()
