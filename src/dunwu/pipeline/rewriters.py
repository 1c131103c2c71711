"""Who brings an answer into R1's format: rules, a function of the user's, or a model behind an endpoint."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path

from dunwu.config.schema import RewriteSpec
from dunwu.endpoint import Endpoint
from dunwu.errors import Interrupted, UserError
from dunwu.tasks.rewriting import by_rule
from dunwu.types import Problem

GAP = re.compile(r"\{([a-z]+)\}")
Rewriter = Callable[[Problem, str], str]
INSTRUCTION = """Rewrite the reasoning below as a natural first-person chain of thought in the language of the question,
then a short summary for the reader. Change no step and no result. Keep exactly this form:
<think>reasoning</think> summary with the answer inside <answer></answer>

Question: {question}

Reasoning and answer: {answer}"""
"""Ours; the paper's prompt asks for the same (supplement, cold start)."""


def rewriter(spec: RewriteSpec) -> Rewriter:
    """What the recipe asks for.

    Raises:
        UserError: the function cannot be loaded, or the endpoint's key is not set.
    """
    if spec.by == "rules":
        return lambda problem, text: by_rule(text, problem.language)
    if spec.by == "own":
        assert spec.file is not None  # the recipe was checked
        return _own(spec.file, spec.function)
    assert spec.endpoint is not None
    endpoint = Endpoint(spec.endpoint)

    def ask(problem: Problem, text: str) -> str:
        question = "\n".join(message.content for message in problem.messages)
        told = filled(spec.instruction or INSTRUCTION, question=question, answer=text.strip())
        lead = text[: len(text) - len(text.lstrip())]  # what the template's completions begin with
        return lead + endpoint.ask(told).strip()

    return ask


def filled(instruction: str, **gaps: str) -> str:
    """An instruction with its gaps filled in one pass, so that no gap in what a model wrote is filled; braces around
    other words stay."""
    return GAP.sub(lambda gap: gaps.get(gap[1], gap[0]), instruction)


def _own(file: Path, function: str) -> Rewriter:
    rewrite = own_function(file, function, "rewrite")

    def call(problem: Problem, text: str) -> str:
        rewritten = rewrite(problem, text)
        if not isinstance(rewritten, str):
            what = f"{file}: {function} returns {type(rewritten).__name__}, no text, on problem {problem.id}"
            raise UserError(what, field="rewrite.function")
        return rewritten.encode("utf-8", "replace").decode()  # halves of surrogate pairs are no text

    return call


def own_function(file: Path, function: str, field: str) -> Callable[..., object]:
    """A function of a user's file, run in this process with the user's rights; ``field`` is for errors.

    Raises:
        UserError: the file cannot be loaded or has no such function; later, whenever it raises.
    """
    spec = importlib.util.spec_from_file_location(f"dunwu_own_{field}", file)
    try:
        if spec is None or spec.loader is None:
            raise ImportError("is no Python file")
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # as an import does it
        spec.loader.exec_module(module)
        found = getattr(module, function)
    except Interrupted:
        raise
    except (Exception, SystemExit) as error:  # whatever a file of the user's may raise
        raise UserError(f"{file}: {type(error).__name__}: {error}", field=f"{field}.file") from error

    def call(*given: object) -> object:
        try:
            return found(*given)
        except Interrupted:
            raise
        except (Exception, SystemExit) as error:
            about = f" on problem {given[0].id}" if isinstance(given[0], Problem) else ""
            what = f"{file}: {function} raises {type(error).__name__}: {error}{about}"
            raise UserError(what, field=f"{field}.function") from error

    return call
