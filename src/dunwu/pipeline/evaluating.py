"""Evaluation as a stage: several models on the same held-out problems, on common random numbers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

from dunwu.config.schema import EvalStage
from dunwu.models.load import load_policy, load_tokenizer
from dunwu.models.templates import Template
from dunwu.pipeline.assembly import held_out_prompts, judge, plain_grading
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.ledger import Ledger
from dunwu.pipeline.measuring import examine
from dunwu.rollout.lanes import embedded_engine


def run_eval(stage: EvalStage, context: StageContext, sources: Mapping[str, str], scorers: Mapping[str, str]) -> None:
    """Measures every model on every set; what was measured before a stop is not measured again.

    Args:
        stage: the recipe's.
        context: the run's.
        sources: the folder or hub id of each model, by the name under which it is told.
        scorers: where the judges lie, by their names.

    Raises:
        UserError: a model or a set cannot be used.
        Interrupted: a stop was asked for; sets that were done are saved.
        Fault: nothing could be graded, or the disk is full.
    """
    sets = ", ".join(chosen.name for chosen in stage.sets)
    context.progress.stage_started(context.name, f"{', '.join(sources)} on {sets}")
    judges = {spec.name: judge(spec, scorers[spec.name], stage.model) for spec in stage.judges}
    prompts = {  # of all models before any is measured: they must fit whatever the tokenizer
        name: held_out_prompts(stage.sets, stage.prompt, context.seed, Template(stage.prompt, load_tokenizer(source)))
        for name, source in sources.items()
    }
    with plain_grading(stage.grading, [chosen.task for chosen in stage.sets], context) as grader:
        for name, source in sources.items():
            if len(context.store.read_evaluations(name)) == len(stage.sets):
                continue
            policy = load_policy(source, dtype=stage.model.dtype, device=stage.model.device)
            with closing(embedded_engine(policy, slots=stage.slots)) as engine, context.stop.interruptible():
                for chosen in stage.sets:
                    examine(
                        context,
                        engine,
                        grader,
                        stage.sampling,
                        Ledger(context.store, policy.model),
                        checkpoint=name,
                        set_name=chosen.name,
                        prompts=prompts[name][chosen.name],
                        samples=chosen.samples,
                        judges={name: judges[name] for name in chosen.judges},
                    )
    context.store.finish()
