"""Cold start: what R1-Zero got right, rewritten into R1's format and looked through by people (R1, on cold start)."""

from __future__ import annotations

import numpy as np

from dunwu.config.schema import ColdStartStage
from dunwu.errors import Interrupted
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.judges.rewriters import build_rewriter
from dunwu.pipeline.stages.answer_filter import find_fault
from dunwu.pipeline.stages.answer_sampling import FinishAnswer, sample_answers
from dunwu.pipeline.stages.grading import open_rule_grader
from dunwu.runs import StageWriter
from dunwu.runs.generated_data import Review
from dunwu.tasks.datasets.conversations import check_examples
from dunwu.types import Completion, Problem
from dunwu.verifiers import RewardGrader


def run_cold_start(stage: ColdStartStage, context: StageContext, source: str) -> None:
    """Make the first conversations to learn from with a model, as the stage's data.

    Args:
        stage: the recipe's.
        context: the run's.
        source: the model.

    Raises:
        UserError: see ``sample_answers``; the rewriter or the review file cannot be used.
        Interrupted: a stop was asked for, or people have not yet decided on every answer.
        Fault: see ``sample_answers``; the endpoint gives no answer.
    """
    with open_rule_grader(stage.rewritten, stage.tasks, context.progress, context.note) as grader:
        finish = build_finish(stage, grader)
        sample_answers(stage, context, source, finish, concurrency=stage.rewrite.concurrency)
    if stage.review:
        review = read_review(context.store)
        if review.undecided:
            waiting = f"{review.undecided:,} answers wait in {context.store.generated.review_file}"
            raise Interrupted(f'{waiting}: set each "accept" to true or false, edit what you like, then go on')
        context.progress.log_message(f"people accepted {review.accepted:,} answers and refused {review.refused:,}")
    context.store.finish()


def read_review(store: StageWriter) -> Review:
    """Read what people have decided so far. Raises UserError naming what is wrong with their file."""
    data = store.generated
    if data.review_file.exists():
        check_examples(data.review_file)
    return data.review()


def build_finish(stage: ColdStartStage, grader: RewardGrader) -> FinishAnswer:
    """Build what rewrites an answer and looks at it again: one that is wrong or unreadable then is not kept.

    Raises:
        UserError: the rewriter cannot be used.
    """
    rewrite = build_rewriter(stage.rewrite)
    none = np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)

    def finish(problem: Problem, text: str) -> tuple[str, str | None]:
        rewritten = rewrite(problem, text)
        completion = Completion(token_ids=none[0], logprobs=none[1], text=rewritten, finish="stop")
        score = grader.plain.score(problem, completion)
        why = find_fault(stage.rewritten, stage.answer_filter, problem, completion, score)
        return rewritten, None if why is None else f"rewritten: {why}"

    return finish
