"""What problems are asked with: the template, and how to answer where neither the question nor the template says it."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from dunwu.config.schema import GradingSpec, PromptSpec
from dunwu.models.templates import Template, is_closed
from dunwu.tasks import FAMILIES
from dunwu.types import Message, Problem, Prompt

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


class Instructing:
    """An encoder that also tells how to answer, where neither question nor template says it.

    Args:
        encoder: what encodes the questions.
        instruction: what follows those of generated tasks, which say nothing of it themselves; None: nothing does.
    """

    def __init__(self, encoder: Encoder, instruction: str | None) -> None:
        self.encoder, self._instruction = encoder, instruction

    def encode(self, problem: Problem) -> Prompt:
        """Make the prompt; its record keeps the problem as it was. Raises PromptTooLong."""
        return replace(self.encoder.encode(self.instruct(problem)), problem=problem)

    def instruct(self, problem: Problem, own: str | None = None) -> Problem:
        """Put the instruction below the question, or one of its ``own``."""
        generated = problem.task in FAMILIES or problem.task.startswith("gym-")
        ours = self._instruction if generated and problem.kind not in WHOLE_RESPONSES else None
        return instructed(problem, own or ours)


def instructing(template: Template, spec: PromptSpec, grading: GradingSpec) -> Instructing:
    """Tell how to answer under a model's own chat template; other templates say it, or were trained with."""
    return Instructing(template, instruction(grading, template.opening) if spec.template == "chat" else None)


def instruction(grading: GradingSpec, opening: str = "") -> str:
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


def instructed(problem: Problem, instruction: str | None) -> Problem:
    """The problem with an instruction at the end of its last message, all else as it was."""
    if instruction is None:
        return problem
    *before, last = problem.messages
    asked = Message(role=last.role, content=f"{last.content}\n\n{instruction}")
    return replace(problem, messages=(*before, asked))
