"""The benchmarks by name: what is read, how it is asked, where the answer stands, how often.

``dunwu eval MODEL --bench NAME --data FILE -k N`` is ``evaluation_set(NAME, FILE, samples=N)`` in a stage whose grading
has ``answer_in`` as the benchmark's ``form`` says. Nothing is downloaded but where no file is named and ``hub`` says
where the data set is.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from dunwu.config.schema import EvaluationSet, TaskSpec
from dunwu.errors import UserError
from dunwu.tasks.files import FileTask

AnswerIn = Literal["answer-tag", "boxed", "last-line", "summary"]
Kind = Literal["math", "choice", "expression", "code"]


class Form(NamedTuple):
    """How an answer is asked for, at the end of every question (None: the question says it), and where it is read."""

    instruction: str | None
    answer_in: AnswerIn


MATHEMATICS = Form(r"Please reason step by step, and put your final answer within \boxed{}.", "boxed")
"""The paper's (R1, arXiv 2501.12948v2, on evaluation)."""
CHINESE_MATHEMATICS = Form(r"请逐步推理，并把最终答案放在 \boxed{} 中。", "boxed")
CHOICE = Form(r"Please reason step by step, and put the letter of your final answer within \boxed{}.", "boxed")
CODE = Form("Please reason step by step, and write the complete code in one ```python block at the end.", "summary")
RESPONSE = Form(None, "summary")
GENERATED = Form("Think step by step, and put your final answer within <answer> </answer> tags.", "answer-tag")
"""Of the tasks that generate their problems, whose golds have no box."""
FORMS: Mapping[Kind, Form] = {"math": MATHEMATICS, "expression": MATHEMATICS, "choice": CHOICE, "code": CODE}
"""Of a file, by the kind of its answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """``task`` reads the data (``TaskSpec.task``). ``samples`` are drawn of each problem, the paper's number for AIME,
    GPQA, MATH, Codeforces and LiveCodeBench, ours elsewhere (1 where judges compare answers, else the 4 that are the
    fewest in the paper). ``metrics`` are the results that are told, best known first; k stands for the samples. ``hub``
    is name, configuration and split of the data set where ``datasets`` can load it as the task reads it."""

    name: str
    title: str
    task: str
    form: Form
    samples: int
    metrics: tuple[str, ...] = ("pass@1", "cons@k")
    hub: tuple[str, str | None, str] | None = None


_ALL = (
    Benchmark(
        name="aime",
        title="AIME 2024",
        task="aime",
        form=MATHEMATICS,
        samples=64,
        hub=("HuggingFaceH4/aime_2024", None, "train"),
    ),
    Benchmark(
        name="math500",
        title="MATH-500",
        task="math",
        form=MATHEMATICS,
        samples=16,
        hub=("HuggingFaceH4/MATH-500", None, "test"),
    ),
    Benchmark(
        name="gsm8k",
        title="GSM8K",
        task="gsm8k",
        form=MATHEMATICS,
        samples=4,
        hub=("openai/gsm8k", "main", "test"),
    ),
    Benchmark(name="amc", title="AMC 12 2023", task="amc", form=MATHEMATICS, samples=64),
    Benchmark(name="cmath", title="CMATH", task="cmath", form=CHINESE_MATHEMATICS, samples=4),
    Benchmark(
        name="gpqa",
        title="GPQA Diamond",
        task="gpqa",
        form=CHOICE,
        samples=64,
        hub=("Idavidrein/gpqa", "gpqa_diamond", "train"),
    ),
    Benchmark(
        name="humaneval",
        title="HumanEval",
        task="humaneval",
        form=CODE,
        samples=4,
        metrics=("pass@1", "pass@k"),
        hub=("openai/openai_humaneval", None, "test"),
    ),
    Benchmark(
        name="livecodebench",
        title="LiveCodeBench",
        task="livecodebench",
        form=CODE,
        samples=8,
        metrics=("pass@1", "pass@k"),
    ),
    Benchmark(
        name="codeforces",
        title="Codeforces",
        task="codeforces",
        form=CODE,
        samples=16,
        metrics=("pass@1", "pass@k"),
    ),
    Benchmark(
        name="ifeval",
        title="IFEval, strict",
        task="ifeval",
        form=RESPONSE,
        samples=4,
        metrics=("pass@1",),
        hub=("google/IFEval", None, "train"),
    ),
    Benchmark(name="safety", title="Safety", task="safety", form=RESPONSE, samples=4, metrics=("pass@1",)),
    Benchmark(name="alpaca", title="AlpacaEval 2.0", task="alpaca", form=RESPONSE, samples=1, metrics=()),
    Benchmark(name="arena", title="ArenaHard", task="arena", form=RESPONSE, samples=1, metrics=()),
    Benchmark(name="file", title="A file", task="file", form=MATHEMATICS, samples=4),
)
BENCHMARKS = {benchmark.name: benchmark for benchmark in _ALL}


def benchmark(name: str, kind: Kind = "math") -> Benchmark:
    """The benchmark of that name; ``file`` asks for answers of ``kind``.

    Raises:
        UserError: there is none.
    """
    if name not in BENCHMARKS:
        close = difflib.get_close_matches(name, BENCHMARKS, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UserError(f"no benchmark is called {name!r}; there are {', '.join(BENCHMARKS)}{hint}", field="bench")
    found = BENCHMARKS[name]
    return replace(found, form=FORMS[kind]) if name == "file" else found


def evaluation_set(
    name: str,
    data: Path | None = None,
    *,
    samples: int | None = None,
    problems: int | None = None,
    fields: Mapping[str, str] | None = None,
    kind: Kind = "math",
) -> EvaluationSet:
    """A benchmark as what an evaluation stage measures: every problem of the data, in an order of their hashes.

    Args:
        name: of ``BENCHMARKS``.
        data: the file or folder; None: the benchmark's data set, by its name.
        samples: of each problem; None: the benchmark's.
        problems: how many, the first of that order; None: all, for which the data are read here.
        fields: for ``file``: see ``TaskSpec.fields``.
        kind: for ``file``: what grades its answers.

    Raises:
        UserError: no benchmark has this name; it has no data set by name and no file is named; the data cannot be used.
    """
    found = benchmark(name, kind)
    if data is None and found.hub is None:
        raise UserError(f"{found.title} is read from a file: say which", field="data")
    source: dict[str, object] = {"path": data}
    if data is None and found.hub is not None:
        source = dict(zip(("hub", "hub_config", "split"), found.hub, strict=True))
    called = None if name in (found.task, "file") else name
    task = TaskSpec.model_validate(
        {"task": found.task, "called": called, "held_out": 1.0, "fields": dict(fields or {}), "kind": kind} | source
    )
    return EvaluationSet(
        name=name,
        task=task,
        problems=FileTask(task, 0).held_out_size if problems is None else problems,
        samples=found.samples if samples is None else samples,
        instruction=found.form.instruction,
    )
