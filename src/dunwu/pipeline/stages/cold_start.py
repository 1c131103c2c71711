"""Cold start: what R1-Zero got right, rewritten into R1's format and looked through by people (R1, on cold start)."""

from __future__ import annotations

import numpy as np

from dunwu.config.schema import ColdStartStage
from dunwu.errors import Interrupted
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.judges.rewriters import rewriter
from dunwu.pipeline.stages.answer_filter import fault
from dunwu.pipeline.stages.answer_sampling import FinishAnswer, sample_answers
from dunwu.pipeline.stages.rl_system import plain_grading
from dunwu.runs import StageDirectory
from dunwu.runs.stage_data import Review
from dunwu.tasks.datasets.conversations import check_examples
from dunwu.types import Completion, Problem
from dunwu.verifiers import Grader


def run_cold_start(stage: ColdStartStage, context: StageContext, source: str) -> None:
    """The first conversations to learn from, made with the model at ``source``, as the stage's data.

    Raises:
        UserError: see ``sample_answers``; the rewriter or the review file cannot be used.
        Interrupted: a stop was asked for, or people have not yet decided on every answer.
        Fault: see ``sample_answers``; the endpoint gives no answer.
    """
    with plain_grading(stage.rewritten, stage.tasks, context) as grader:
        sample_answers(stage, context, source, rewriting(stage, grader), at_once=stage.rewrite.concurrency)
    if stage.review:
        said = reviewed(context.store)
        if said.undecided:
            told = f"{said.undecided:,} answers wait in {context.store.review_file}"
            raise Interrupted(f'{told}: set each "accept" to true or false, edit what you like, then go on')
        context.progress.log_message(f"people accepted {said.accepted:,} answers and refused {said.refused:,}")
    context.store.finish()


def reviewed(store: StageDirectory) -> Review:
    """What people have decided so far. Raises UserError naming what is wrong with their file."""
    if store.review_file.exists():
        check_examples(store.review_file)
    return store.review()


def rewriting(stage: ColdStartStage, grader: Grader) -> FinishAnswer:
    """Rewrites an answer, and looks at it again: a rewriting that is wrong or unreadable is not kept."""
    rewrite = rewriter(stage.rewrite)
    none = np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)

    def finish(problem: Problem, text: str) -> tuple[str, str | None]:
        rewritten = rewrite(problem, text)
        completion = Completion(token_ids=none[0], logprobs=none[1], text=rewritten, finish="stop")
        score = grader.plain.score(problem, completion)
        why = fault(stage.rewritten, stage.answer_filter, problem, completion, score)
        return rewritten, None if why is None else f"rewritten: {why}"

    return finish
