"""Training on texts as kinds of stages: pre-training, supervised training, distillation, reward models."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import TYPE_CHECKING

from dunwu.config.check_amounts import check_weights
from dunwu.config.check_helpers import check_helper, is_changed
from dunwu.config.check_learning import check_adapter, check_betas, check_optimizer
from dunwu.config.check_tasks import CORPORA
from dunwu.config.issues import Issue
from dunwu.config.schema import PretrainStage, RewardModelStage, SFTStage
from dunwu.config.stage_kind import StageKind, Upstream
from dunwu.errors import did_you_mean
from dunwu.models.shape import shape_from_spec
from dunwu.planning.adapter import check_rank, describe_adapter
from dunwu.planning.estimate import estimate_pretrain_hours, estimate_supervised_hours
from dunwu.planning.memory import estimate_pretrain_memory, estimate_supervised_memory
from dunwu.planning.stage_plan import PlanContext, StagePlan, plan_stage
from dunwu.planning.volume import estimate_volume

if TYPE_CHECKING:
    from dunwu.pipeline.context import StageContext


def check_pretrain(stage: PretrainStage, upstream: Upstream) -> Iterator[Issue]:
    """Check the corpus, and the shape of the model that is made."""
    if stage.corpus not in CORPORA:
        message = f"no corpus is called {stage.corpus!r}; there are {', '.join(CORPORA)}"
        yield Issue("corpus", message + did_you_mean(stage.corpus, CORPORA))
    shape = stage.transformer
    if shape.hidden_size % shape.heads:
        text = f"hidden_size = {shape.hidden_size} does not divide into {shape.heads} heads"
        yield Issue("transformer.heads", text)
    elif (shape.hidden_size // shape.heads) % 2:
        text = f"hidden_size / heads = {shape.hidden_size // shape.heads} must be even for rotary positions"
        yield Issue("transformer.heads", text)
    if shape.heads % shape.kv_heads:
        text = f"heads = {shape.heads} does not divide into {shape.kv_heads} kv_heads"
        yield Issue("transformer.kv_heads", text)
    if stage.sequence_length > shape.max_positions:
        text = f"{stage.sequence_length} is more than transformer.max_positions = {shape.max_positions}"
        yield Issue("sequence_length", text)
    if stage.model.dtype != "float32":
        yield Issue("model.dtype", "a base is trained in float32: say so, or leave it out")
    yield from check_optimizer(stage.optimizer, stage.steps)
    yield from check_weights(shape)


def check_sft(stage: SFTStage, upstream: Upstream) -> Iterator[Issue]:
    """Check the optimizer."""
    yield from check_betas(stage.optimizer)
    yield from check_adapter(stage.adapter, {"optimizer": stage.optimizer})


def check_reward_model(stage: RewardModelStage, upstream: Upstream) -> Iterator[Issue]:
    """Check the optimizer, and that nothing is said of pairs where there are verdicts."""
    yield from check_betas(stage.optimizer)
    yield from check_adapter(stage.adapter, {"optimizer": stage.optimizer})
    for field in ("judge", "margin", "balance_lengths"):
        if stage.learn_from == "verdicts" and is_changed(stage, field):
            yield Issue(field, "is for pairs, and learn_from is verdicts")
    if stage.judge:
        yield from check_helper(stage.judge, "judge")


def plan_pretrain(stage: PretrainStage, context: PlanContext) -> StagePlan:
    """Estimate the training of a model whose shape stands in the recipe."""
    shape = shape_from_spec(stage.transformer, CORPORA[stage.corpus].vocabulary)
    return plan_stage(
        stage,
        context,
        shape=shape,
        memory=estimate_pretrain_memory(stage, shape, context.hardware),
        hours=estimate_pretrain_hours(stage, shape, context.hardware),
        steps=stage.steps,
    )


def plan_training(stage: SFTStage | RewardModelStage, context: PlanContext) -> StagePlan:
    """Estimate epochs over texts. Where the volume of a source is not known, neither are updates and hours."""
    shape, learnt = context.find_shape(stage.from_), 1 - stage.held_out_share
    volumes = [estimate_volume(source, context.recipe) for source in stage.data]
    known = [volume for volume in volumes if volume is not None]
    rows, counted = learnt * sum(volume.rows for volume in known), len(known) == len(volumes)
    hours = None
    if shape and counted:
        hours = estimate_supervised_hours(
            stage, shape, learnt * sum(volume.tokens for volume in known), context.hardware
        )
    return plan_stage(
        stage,
        context,
        shape=shape,
        memory=None if shape is None else estimate_supervised_memory(stage, shape, context.hardware),
        hours=hours,
        steps=stage.epochs * ceil(rows / stage.batch) if counted else None,
        details={
            "reads": f"{' + '.join(stage.data)}, {rows:,.0f} texts at most" if counted else " + ".join(stage.data),
            "epochs": f"{stage.epochs}, {stage.batch:,} texts an update, of {stage.max_tokens:,} tokens at most",
            **describe_adapter(stage.adapter, stage.optimizer, shape),
        },
        issues=check_rank(stage.adapter, shape),
    )


def run_pretrain_stage(stage: PretrainStage, context: StageContext) -> None:
    """Run the stage; see ``pipeline.stages.pretraining``."""
    from dunwu.pipeline.stages.pretraining import run_pretrain

    run_pretrain(stage, context)


def run_sft_stage(stage: SFTStage, context: StageContext) -> None:
    """Run the stage; see ``pipeline.stages.sft``."""
    from dunwu.pipeline.stages.sft import run_sft

    run_sft(stage, context, context.find_model(stage.from_), context.data)


def run_reward_model_stage(stage: RewardModelStage, context: StageContext) -> None:
    """Run the stage; see ``pipeline.stages.reward_model``."""
    from dunwu.pipeline.stages.reward_model import run_reward_model

    run_reward_model(stage, context, context.find_model(stage.from_), context.data)


PRETRAIN = StageKind(
    schema=PretrainStage,
    summary="Pre-training: a small model from nothing, on a generated corpus.",
    makes="policy",
    result="A base model from nothing, pre-trained on a generated corpus",
    check=check_pretrain,
    plan=plan_pretrain,
    run=run_pretrain_stage,
)
SFT = StageKind(
    schema=SFTStage,
    summary="Supervised fine-tuning on conversations.",
    makes="policy",
    result="{} after supervised fine-tuning on conversations",
    check=check_sft,
    plan=plan_training,
    run=run_sft_stage,
)
DISTIL = StageKind(
    schema=SFTStage,
    summary="Distillation: supervised fine-tuning of a smaller model on a larger one's answers.",
    makes="policy",
    result="{} after supervised fine-tuning on a larger model's answers",
    check=check_sft,
    plan=plan_training,
    run=run_sft_stage,
    defaults={"batch": 64, "optimizer": {"lr": 1e-4}},
)
REWARD_MODEL = StageKind(
    schema=RewardModelStage,
    summary="A reward model: learns from pairs or verdicts what an answer is worth.",
    makes="scorer",
    result="A reward model on {}",
    check=check_reward_model,
    plan=plan_training,
    run=run_reward_model_stage,
)
