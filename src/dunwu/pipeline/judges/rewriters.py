"""What brings an answer into R1's format: rules, a function of the user's, or a model behind an endpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dunwu.config.schema import RewriteSpec
from dunwu.errors import UserError
from dunwu.pipeline.judges.prompting import fill_placeholders, join_messages
from dunwu.pipeline.judges.user_functions import load_function
from dunwu.rollout.remote import Endpoint
from dunwu.tasks.rewriting import rewrite_by_rule, strip_thought
from dunwu.types import Problem

Rewriter = Callable[[Problem, str], str]
INSTRUCTION = """Rewrite the reasoning below as a natural first-person chain of thought in the language of the question,
then a short summary for the reader. Change no step and no result. Keep exactly this form:
<think>reasoning</think> summary with the answer inside <answer></answer>

Question: {question}

Reasoning and answer: {answer}"""
"""Ours; the paper's prompt asks for the same (supplement, cold start)."""


def build_rewriter(spec: RewriteSpec) -> Rewriter:
    """Build the rewriter that the recipe asks for.

    Args:
        spec: the recipe's.

    Raises:
        UserError: the function cannot be loaded, or the endpoint's key is not set.
    """
    if spec.by == "rules":
        return lambda problem, text: rewrite_by_rule(text, problem.language)
    if spec.by == "custom":
        assert spec.file is not None  # the recipe was checked
        return _build_custom(spec.file, spec.function)
    assert spec.endpoint is not None
    endpoint = Endpoint(spec.endpoint, "rewrite.endpoint")

    def ask(problem: Problem, text: str) -> str:
        instruction = spec.instruction or INSTRUCTION
        asked = fill_placeholders(instruction, question=join_messages(problem), answer=text.strip())
        lead = text[: len(text) - len(text.lstrip())]  # what the template's completions begin with
        return lead + strip_thought(endpoint.ask(asked)).strip()

    return ask


def _build_custom(file: Path, function: str) -> Rewriter:
    rewrite = load_function(file, function, "rewrite")

    def call(problem: Problem, text: str) -> str:
        rewritten = rewrite(problem, text)
        if not isinstance(rewritten, str):
            what = f"{file}: {function} returns {type(rewritten).__name__}, no text, on problem {problem.id}"
            raise UserError(what, field="rewrite.function")
        return rewritten.encode("utf-8", "replace").decode()  # halves of surrogate pairs are no text

    return call
