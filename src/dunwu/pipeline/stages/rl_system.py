"""Builds what an RL stage works with, from its recipe: the only place that decides who executes a step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import torch

from dunwu import algorithms, tasks, verifiers
from dunwu.algorithms import Algorithm
from dunwu.config.schema import CustomFunction, EvalStage, GradingSpec, JudgeSpec, RewardSpec, RLStage, TaskSpec
from dunwu.errors import UserError
from dunwu.models.load import Policy
from dunwu.models.templates import PromptTooLong, Template, count_positions
from dunwu.monitoring.progress import Progress
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.cost_ledger import Ledger
from dunwu.pipeline.judges.reward_judge import RewardModel
from dunwu.pipeline.stages.prompts import Encoder, Room, held_out_prompts, instructing, tasks_of
from dunwu.rollout.engine import Engine
from dunwu.rollout.seeds import derive_seed
from dunwu.sandbox import Sandbox, Unavailable, choose, widest
from dunwu.tasks.mixture import Mixture
from dunwu.training.trainer import Trainer
from dunwu.types import Problem, Prompt, Sampling
from dunwu.verifiers import Grader, Judge, gym
from dunwu.verifiers.code import make_limits
from dunwu.verifiers.format import READS

MAX_SKIPPED = 1000
"""Prompts in a row that may be too long before the recipe must be wrong."""


NO_SCORERS: Mapping[str, str] = {}
VALUE = "stage.value"
"""The value network among the scorers; no part of a reward can have this name."""


class Notes(Protocol):
    """Where grading tells what kind of sandbox it has; a stage's context is one."""

    @property
    def progress(self) -> Progress:
        """For people."""

    @property
    def note(self) -> Callable[[str, object], None]:
        """For the run's manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """An RL stage's rooms, opened."""

    stage: RLStage
    context: StageContext
    mixture: Mixture
    template: Encoder
    engine: Engine
    grader: Grader
    judges: Mapping[str, RewardModel]
    algorithm: Algorithm
    trainer: Trainer
    ledger: Ledger
    held_out: Mapping[str, Sequence[Prompt]]
    """The prompts of each evaluation set, by its name."""

    def draw(self, position: int, count: int) -> tuple[list[Prompt], int]:
        """See ``drawn``."""
        return drawn(self.mixture, self.template, position, count)

    def fitting(self, problems: Iterable[Problem]) -> list[Prompt]:
        """Those that fit."""
        prompts: list[Prompt] = []
        for problem in problems:
            with suppress(PromptTooLong):
                prompts.append(self.template.encode(problem))
        return prompts

    def sampling(self, step: int) -> Sampling:
        """How the rollout after ``step`` updates samples: the context-length schedule is applied here."""
        spec = self.stage.rollout
        return Sampling(
            temperature=spec.temperature,
            top_p=spec.top_p,
            max_new_tokens=self.stage.new_tokens_at(step),
            stop=spec.stop,
        )


def drawn(mixture: Mixture, template: Encoder, position: int, count: int) -> tuple[list[Prompt], int]:
    """The next ``count`` prompts of a mixture that fit, and the position after them.

    Raises:
        UserError: nothing but prompts that are too long for ``prompt.max_tokens``.
    """
    prompts: list[Prompt] = []
    skipped = 0
    while len(prompts) < count:
        (problem,) = mixture.draw(position, 1)
        position += 1
        try:
            prompts.append(template.encode(problem))
            skipped = 0
        except PromptTooLong as error:
            skipped += 1
            if skipped == MAX_SKIPPED:
                message = f"{skipped} prompts in a row are too long: {error}"
                raise UserError(message, field="prompt.max_tokens") from error
    return prompts, position


@contextmanager
def assembled(
    stage: RLStage, context: StageContext, source: str, scorers: Mapping[str, str] = NO_SCORERS
) -> Iterator[Parts]:
    """Opens the rooms of a stage that starts from the model at ``source``, and closes them.

    ``scorers``: where the reward models lie, by the names of their parts, and the value network's source by VALUE.

    Everything that the user may have got wrong is looked at before the first token is generated.
    """
    context.progress.show_activity("opening the tasks")
    mixture = tasks.build_mixture(stage.tasks, context.seed, context.left_out)
    context.progress.show_activity("loading the model")
    executor = context.executor
    policy = executor.open_policy(source, longest=stage.longest_sequence, learns=True, generates=True)
    algorithm = algorithms.build(
        stage.algorithm, stage.value, max_new_tokens=stage.rollout.max_new_tokens, correct_kl=stage.corrects_kl
    )
    value_network = _open_value_network(stage, context, scorers[VALUE]) if stage.value else None
    trainer = executor.build_policy_trainer(stage, policy, algorithm, value_network=value_network)
    template = Template(stage.prompt, policy.tokenizer)
    asking = instructing(template, stage.prompt, stage.reward, tasks_of(stage))
    engine = executor.build_engine(policy, max_sequences=stage.rollout.max_sequences)
    context.progress.show_activity("drawing the held-out problems")
    judges = {part.name: judge(part, scorers[part.name], stage, context) for part in stage.reward.models}
    with closing(engine), grading(stage.reward, tasks_of(stage), context, judges) as grader:
        parts = Parts(
            stage=stage,
            context=context,
            mixture=mixture,
            template=asking,
            engine=engine,
            grader=grader,
            judges=judges,
            algorithm=algorithm,
            trainer=trainer,
            ledger=Ledger(context.store, policy.model),
            held_out=held_out_prompts(
                stage.evaluation.sets,
                context.seed,
                template,
                asking.instruct,
                room=Room.of(stage, context.name, count_positions(policy.model)),
            ),
        )
        parts.draw(0, 1)
        yield parts


def _open_value_network(stage: RLStage, context: StageContext, source: str) -> Policy:
    torch.manual_seed(derive_seed(context.seed, "value head"))
    return context.executor.open_scorer(source, longest=stage.longest_sequence, new_head=True)


def judge(part: JudgeSpec, source: str, stage: RLStage | EvalStage, context: StageContext) -> RewardModel:
    """A reward model at work. Raises UserError where it cannot be used."""
    scorer = context.executor.open_scorer(source, longest=stage.longest_sequence)
    return RewardModel(
        scorer,
        Template(part.prompt, scorer.tokenizer),
        read=READS[part.input],
        probability=part.output == "probability",
        tokens_per_pass=part.tokens_per_pass,
    )


@contextmanager
def grading(
    reward: RewardSpec, specs: Sequence[TaskSpec], context: Notes, judges: Mapping[str, Judge] | None = None
) -> Iterator[Grader]:
    """What grades answers to these tasks, with the sandbox that they need."""
    with (
        _sandbox(reward, specs, context, "reward") as sandbox,
        verifiers.build(reward, sandbox, judges) as grader,
    ):
        yield grader


@contextmanager
def plain_grading(
    spec: GradingSpec, specs: Sequence[TaskSpec], context: StageContext, own: Sequence[CustomFunction] = ()
) -> Iterator[Grader]:
    """The same for a stage that rewards nothing; ``own`` functions of the user's stand in its field ``custom``."""
    parts = [function.model_dump() for function in own]
    rules = RewardSpec.model_validate({**spec.model_dump(), "custom": parts})
    try:
        with _sandbox(spec, specs, context, "grading") as sandbox, verifiers.build(rules, sandbox) as grader:
            yield grader
    except UserError as error:
        field = error.field.removeprefix("reward.") if error.field else None
        raise UserError(error.message, file=error.file, field=field) from error


@contextmanager
def _sandbox(spec: GradingSpec, specs: Sequence[TaskSpec], context: Notes, field: str) -> Iterator[Sandbox | None]:
    """Where programs run, if any task needs it; its tier stands in the manifest. ``field``: where ``spec`` stands.

    Raises:
        UserError: this machine gives no safe one, and the recipe does not allow another.
    """
    if not any(task.needs_sandbox for task in specs):
        yield None
        return
    limits, allow = make_limits(spec.code), spec.code.allow_unsafe_sandbox
    libraries: tuple[str, ...] = ()
    if any(task.task == "gym" for task in specs):
        limits, libraries = widest(limits, gym.SCORER_LIMITS), gym.find_libraries()
    try:
        sandbox, tier = choose(spec.workers, limits, libraries=libraries, allow_unsafe=allow)
    except Unavailable as error:
        text = f"programs of the model would not be safe on this machine ({error}); true runs them all the same"
        raise UserError(text, field=f"{field}.code.allow_unsafe_sandbox") from error
    context.note("sandbox_tier", tier)
    if tier == 3:
        context.progress.log_message(
            "programs of the model run without a sandbox (tier 3): they can do what you can do"
        )
    with sandbox:
        yield sandbox
