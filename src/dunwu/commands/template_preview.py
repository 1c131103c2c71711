"""What ``dunwu plan`` says of a template: how it asks, what is read as reasoning, what an example teaches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dunwu import tasks
from dunwu.config.schema import DataSpec, RLStage, StageInputs, StageSpec, TaskSpec
from dunwu.config.stage_kind import kind_of
from dunwu.errors import UserError
from dunwu.models.load import load_tokenizer
from dunwu.models.shape import find_shape
from dunwu.models.templates import Template, is_closed
from dunwu.pipeline.stages.prompts import InstructingEncoder, PromptLimit, build_encoder, encode_held_out
from dunwu.planning.preview import GLANCE, Previewed
from dunwu.planning.sharing import PromptTokens
from dunwu.rollout.builtin.stop_strings import decode
from dunwu.tasks.datasets.conversations import read_first_examples
from dunwu.tasks.datasets.files import FileTask
from dunwu.tasks.task import Task
from dunwu.types import Message, Problem, TokenizedExample

SHOWN = 12
"""Tokens at either end of what is shown."""
LETTERS = 60
"""The most letters that are shown of a problem or an answer."""


def preview(folder: Path, name: str, stage: StageSpec, files: Sequence[DataSpec]) -> Previewed:
    """Say how a stage asks and what it teaches; see ``planning.preview``.

    Args:
        folder: The model whose tokenizer it is, or its GGUF file.
        name: The stage's name.
        stage: One that asks a model or teaches it.
        files: Files of conversations that it learns from, and that are there.

    Returns:
        Lines by names in snake case; of an RL stage also how long its prompts are.

    Raises:
        UserError: The tokenizer, the template or one of the first conversations cannot be used; held-out prompts of an
            RL stage are too long.
    """
    inputs, rules = stage.inputs, stage.rules
    assert inputs.models[0].prompt is not None, "a corpus has no template"
    spec, tokenizer = inputs.models[0].prompt.spec, load_tokenizer(str(folder))
    template = Template(spec.model_copy(update={"max_tokens": 2**40}), tokenizer)
    lines: dict[str, str] = {}
    tokens: PromptTokens | None = None
    if rules is not None and inputs.every_task:
        asking = build_encoder(template, spec, rules, inputs.every_task)
        prompt = template.encode(asking.instruct(*_make_question(inputs)))
        lines["asks"] = _escape(decode(tokenizer, prompt.token_ids.tolist()))
        lines["reads_as_reasoning"] = _describe_reasoning(template.opening)
        lines |= dict(_describe_files(inputs))
        if isinstance(stage, RLStage):
            tokens = _count_prompt_tokens(stage, asking)
    if isinstance(stage, RLStage) and (shape := find_shape(str(folder))) and shape.max_positions:
        _check_lengths(
            stage, PromptLimit.for_stage(stage, name, shape.max_positions), Template(stage.prompt, tokenizer)
        )
    if inputs.layout == "conversations":
        for data in files:
            for example in read_first_examples(data):
                first, *_ = template.tokenize_example(example)
                lines.setdefault("teaches_first", show_example(tokenizer, first))
    if template.lead:
        lines["answers_begin_with"] = _escape(template.lead)
    if kind_of(stage).makes != "scorer":
        lines["turns_end_with"] = _escape(decode(tokenizer, list(template.end)))
    return Previewed(lines, tokens)


def show_example(tokenizer: Any, example: TokenizedExample) -> str:
    """Show an example token by token: the end of its prompt, an arrow, and what is learnt of the first answer."""
    tokens = [_escape(decode(tokenizer, [token_id])) for token_id in example.token_ids.tolist()]
    begins = int(example.loss_mask.argmax())
    unlearnt = example.loss_mask[begins:].argmin()
    ends = begins + int(unlearnt) if unlearnt else len(tokens)
    learnt = tokens[begins:ends]
    if len(learnt) > 2 * SHOWN:
        learnt = [*learnt[:SHOWN], f"({len(learnt) - 2 * SHOWN} more)", *learnt[-SHOWN:]]
    asked = [*(["..."] if begins > SHOWN else []), *tokens[max(0, begins - SHOWN) : begins]]
    count = f"{int(example.loss_mask.sum())} of {len(tokens)} tokens are learnt"
    return f"{'·'.join(asked)} → {'·'.join(learnt)} ({count})"


def _make_question(inputs: StageInputs) -> tuple[Problem, str | None]:
    """Make a stand-in for the questions of a stage's first task, and the instruction that stands below them."""
    first = next(iter(inputs.sets.values()), None)
    own = None if inputs.tasks or first is None else first.instruction
    asked, name = Message(role="user", content="QUESTION"), inputs.every_task[0].name
    return Problem(id="a question", task=name, kind="math", level=0, language="en", messages=(asked,), gold=""), own


def _describe_files(inputs: StageInputs) -> Iterator[tuple[str, str]]:
    """Say what is read of the user's own problems: how many, and the first of them, where a wrong column shows."""
    measured = [chosen.task for chosen in inputs.sets.values()]
    for label, specs in (("trains_on", inputs.tasks.values()), ("measured_on", measured)):
        if files := [_describe_task(task, spec) for spec in specs if spec.reads_file and (task := _open_task(spec, 0))]:
            yield label, " | ".join(files)


def _describe_task(task: Task, spec: TaskSpec) -> str:
    assert isinstance(task, FileTask)
    first = task.training_problems[0] if task.size else task.get_held_out(1)[0]
    counts = f"{task.size + task.held_out_size:,} problems, {task.held_out_size:,} of them held out"
    return f"{spec.name}: {counts}; the first: {_shorten(first.messages[-1].content)} → {_shorten(first.gold)}"


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LETTERS else f"{line[:LETTERS]} ..."


def _open_task(spec: TaskSpec, held_out: int) -> Task | None:
    """Open a task; None where it does not open, or has too few problems: the plan says what is wrong with each."""
    with suppress(UserError):
        task = tasks.build_task(spec, 0)
        task.get_held_out(held_out)
        return task
    return None


def _count_prompt_tokens(stage: RLStage, encoder: InstructingEncoder) -> PromptTokens | None:
    """Count the tokens of a few training prompts; None where no task opens."""
    rows = []
    with suppress(UserError):  # the plan says what is wrong with a task
        for spec in stage.tasks:
            task = tasks.build_task(spec, 0)
            rows += [encoder.encode(task.get_problem(number)).token_ids for number in range(GLANCE)]
    if not rows:
        return None
    alike = min(int((rows[0][: len(row)] == row[: len(rows[0])]).cumprod().sum()) for row in rows)
    whole = round(sum(map(len, rows)) / len(rows))
    return PromptTokens(min(whole, stage.prompt.max_tokens), min(alike, stage.prompt.max_tokens))


def _check_lengths(stage: RLStage, limit: PromptLimit, template: Template) -> None:
    """Raise UserError where held-out prompts are too long, as the run would."""
    asking = build_encoder(template, stage.prompt, stage.reward, stage.inputs.every_task)
    few = [
        chosen if chosen.task.reads_file else chosen.model_copy(update={"problems": min(GLANCE, chosen.problems)})
        for chosen in stage.evaluation.sets
    ]
    whole = [chosen for chosen in few if _open_task(chosen.task, chosen.problems)]
    encode_held_out(whole, 0, template, asking.instruct, limit=limit)


def _describe_reasoning(opening: str) -> str:
    if is_closed(opening):
        return f"nothing: the prompt ends it with {_escape(opening)}, so no format rule can be earned, nor is one asked"
    if opening:
        return f"the prompt opens it with {_escape(opening)}: all up to </think>; without that tag there is no answer"
    return "what the model writes inside <think> </think>; without tags all of it"


def _escape(text: str) -> str:
    return text.replace("\n", "⏎")
