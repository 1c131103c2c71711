"""What a model reads: problems in a template, with how to answer where neither says it, and ordinary texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, Self

from dunwu import tasks
from dunwu.config.schema import EvaluationSet, GradingSpec, PromptSpec, RLStage, TaskSpec, TextSet
from dunwu.errors import UserError
from dunwu.evaluation.perplexity import EncodedPassage, encode_passages
from dunwu.models.templates import PromptTooLong, Template, is_closed
from dunwu.tasks.datasets.passages import read_passages
from dunwu.tasks.mixture import Mixture
from dunwu.types import Message, Problem, Prompt

MAX_SKIPPED = 1000
"""Prompts in a row that may be too long before the recipe must be wrong."""
PLACEHOLDER = "reasoning process here"
"""Of the reasoning: R1's words, as are those for the answer (arXiv 2501.12948v2, table 1)."""
ANSWER = {
    "answer-tag": "<answer> answer here </answer>",
    "boxed": r"\boxed{answer here}",
    "last-line": "\nanswer here",
    "summary": "answer here",
}
"""By the place where answers are looked for."""
WHOLE_RESPONSES = ("open", "instructions", "refusal")
"""Kinds of problems whose answer is the whole response."""


class Encoder(Protocol):
    """Brings problems to what an engine is given; a template is one."""

    def encode(self, problem: Problem) -> Prompt:
        """Make the prompt. Raises PromptTooLong."""


class InstructingEncoder:
    """An encoder that also says how to answer, where neither question nor template does.

    Args:
        encoder: encodes the questions.
        instruction: follows those of generated tasks, which say nothing of it themselves; None: nothing does.
        specs: the stage's tasks.
    """

    def __init__(self, encoder: Encoder, instruction: str | None, specs: Iterable[TaskSpec]) -> None:
        self.encoder, self._instruction = encoder, instruction
        self._generated = {spec.name for spec in specs if not spec.reads_file}

    def encode(self, problem: Problem) -> Prompt:
        """Make the prompt; its record keeps the problem as it was. Raises PromptTooLong."""
        return replace(self.encoder.encode(self.instruct(problem)), problem=problem)

    def instruct(self, problem: Problem, own: str | None = None) -> Problem:
        """Put the instruction below a question, or one of its ``own``."""
        generated = problem.task in self._generated and problem.kind not in WHOLE_RESPONSES
        ours = self._instruction if generated else None
        return add_instruction(problem, own or ours)


def build_encoder(
    template: Template, spec: PromptSpec, grading: GradingSpec, specs: Iterable[TaskSpec]
) -> InstructingEncoder:
    """Build an encoder that says how to answer under a model's own chat template.

    Other templates say it themselves, or were trained with.

    Args:
        template: applied to the model's tokenizer.
        spec: the prompt's, of the recipe.
        grading: how answers are read.
        specs: the stage's tasks.
    """
    instruction = write_instruction(grading, template.opening) if spec.template == "chat" else None
    return InstructingEncoder(template, instruction, specs)


def write_instruction(grading: GradingSpec, opening: str = "") -> str:
    """Write in what form to answer: whoever follows it earns the format, and has an answer that is read.

    Reasoning is not asked for, and no format can be earned, where the template has ended it already.

    Args:
        grading: how answers are read.
        opening: what the template has written of the answer (``Template.opening``).
    """
    answer, ruled = ANSWER[grading.answer_in], grading.format_rule != "none"
    if is_closed(opening):
        return f"Answer in this form: {answer}"
    if grading.format_rule == "think-answer" and grading.answer_in != "answer-tag":
        answer = f"<answer> {answer} </answer>"
    if not (ruled or opening) and grading.answer_in == "summary":
        return f"Write this alone: {answer}"
    reasoning = PLACEHOLDER if not (ruled or opening) else f"{'' if opening else '<think> '}{PLACEHOLDER} </think>"
    return f"First think, then answer, in this form: {reasoning} {answer}"


def add_instruction(problem: Problem, instruction: str | None) -> Problem:
    """Put an instruction at the end of a problem's last message, and leave all else as it was."""
    if instruction is None:
        return problem
    *before, last = problem.messages
    asked = Message(role=last.role, content=f"{last.content}\n\n{instruction}")
    return replace(problem, messages=(*before, asked))


def draw_prompts(mixture: Mixture, encoder: Encoder, position: int, count: int) -> tuple[list[Prompt], int]:
    """Draw the next prompts of a mixture that are not too long.

    Args:
        mixture: the tasks.
        encoder: makes prompts of their problems.
        position: problems drawn so far.
        count: prompts wanted.

    Returns:
        The prompts, and the position after them.

    Raises:
        UserError: nothing but prompts that are too long for ``prompt.max_tokens``.
    """
    prompts: list[Prompt] = []
    skipped = 0
    while len(prompts) < count:
        (problem,) = mixture.draw(position, 1)
        position += 1
        try:
            prompts.append(encoder.encode(problem))
            skipped = 0
        except PromptTooLong as error:
            skipped += 1
            if skipped == MAX_SKIPPED:
                message = f"{skipped} prompts in a row are too long: {error}"
                raise UserError(message, field="prompt.max_tokens") from error
    return prompts, position


class PromptLimit(NamedTuple):
    """How long the prompts of a stage may be: ``now`` by its recipe, ``most`` beside its longest answer; in tokens."""

    stage: str
    now: int
    most: int

    @classmethod
    def for_stage(cls, stage: RLStage, name: str, positions: int) -> Self:
        """Find the limits of a stage.

        Args:
            stage: the recipe's.
            name: the stage's.
            positions: tokens that its model reads and writes at most.
        """
        now = stage.prompt.max_tokens
        return cls(name, now, positions - (stage.longest_sequence - now))

    def explain(self, tokens: Sequence[int]) -> UserError:
        """Say of held-out prompts that are too long which limits would do, and how to set one."""
        noun = "held-out prompt has" if len(tokens) == 1 else "held-out prompts have"
        longest, field = max(tokens), "prompt.max_tokens"
        text = f"{len(tokens)} {noun} more than {self.now} tokens, the longest {longest}"
        if longest > self.most:
            text += f", and beside its longest answer the model has room for {self.most}: lower max_new_tokens, or "
            return UserError(f"{text}ask for other problems", field=field)
        return UserError(
            f"{text}: it may be {longest} to {self.most} (--set stages.{self.stage}.{field}={longest})", field=field
        )


def encode_held_out(
    sets: Sequence[EvaluationSet],
    seed: int,
    encoder: Encoder,
    instruct: Callable[[Problem, str | None], Problem] = add_instruction,
    *,
    limit: PromptLimit | None = None,
) -> dict[str, list[Prompt]]:
    """Make the prompts of evaluation sets.

    Args:
        sets: the recipe's.
        seed: the run's.
        encoder: makes prompts of problems.
        instruct: puts a set's instruction below a problem, or one for sets without.
        limit: explains which limits would do, where prompts are too long.

    Returns:
        The prompts of each set, by its name.

    Raises:
        UserError: there are fewer held-out problems than asked for, or a prompt is too long.
    """
    prompts: dict[str, list[Prompt]] = {}
    too_long: list[int] = []
    for chosen in sets:
        prompts[chosen.name] = []
        for problem in tasks.build_task(chosen.task, seed).get_held_out(chosen.problems):
            try:
                prompts[chosen.name].append(encoder.encode(instruct(problem, chosen.instruction)))
            except PromptTooLong as error:
                if limit is None:
                    raise
                too_long.append(error.tokens)
    if limit and too_long:
        raise limit.explain(too_long)
    return prompts


def encode_texts(texts: Mapping[str, TextSet], tokenizer: Any) -> dict[str, list[EncodedPassage]]:
    """Encode the texts whose perplexity is measured.

    Args:
        texts: the recipe's, by the field in which each stands.
        tokenizer: the model's.

    Returns:
        The passages of each text, by its name.

    Raises:
        UserError: a text cannot be read, or the tokenizer does not know its tokens.
    """
    encoded = {}
    for field, chosen in texts.items():
        try:
            encoded[chosen.name] = encode_passages(tokenizer, read_passages(chosen))
        except UserError as error:
            place = field if error.field is None else f"{field}.{error.field}"
            raise UserError(error.message, file=error.file, field=place) from None
    return encoded
