"""Rejection sampling: ask, grade, keep what is right and readable (R1, arXiv 2501.12948v2, section 3.2.3)."""

from __future__ import annotations

from dunwu.config.schema import RejectStage
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.judges.answer_judges import TruthJudge
from dunwu.pipeline.stages.answer_sampling import sample_answers


def run_reject(stage: RejectStage, context: StageContext, source: str) -> None:
    """Store answers of a model that are worth learning from as the stage's data.

    Args:
        stage: the recipe's.
        context: the run's.
        source: the model.

    Raises:
        UserError, Interrupted, Fault: see ``sample_answers``.
    """
    if stage.judge is None:
        sample_answers(stage, context, source)
    else:
        judge = TruthJudge(stage.judge)
        sample_answers(stage, context, source, judge=judge.judge, concurrency=stage.judge.concurrency)
    context.store.finish()
