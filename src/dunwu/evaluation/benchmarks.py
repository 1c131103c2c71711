"""The benchmarks by name: what is read, how it is asked, where the answer stands, how often.

Nothing is downloaded but where no file is named and ``hub`` says where the data set is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

AnswerIn = Literal["answer-tag", "boxed", "last-line", "summary"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """``task`` reads the data (``TaskSpec.task``). ``samples`` are drawn of each problem, the paper's number for AIME,
    GPQA, MATH, Codeforces and LiveCodeBench, ours elsewhere (1 where judges compare answers, else the 4 that are the
    fewest in the paper). ``hub`` is name, configuration and split of the data set where ``datasets`` can load it as the
    task reads it. ``kind`` and ``fields`` are those of ``TaskSpec``, of anybody's own file."""

    name: str
    task: str
    form: Form
    samples: int
    hub: tuple[str, str | None, str] | None = None
    kind: Literal["math", "choice", "code"] = "math"
    fields: Mapping[str, str] = field(default_factory=dict)


_ALL = (
    Benchmark(
        name="aime",
        task="aime",
        form=MATHEMATICS,
        samples=64,
        hub=("HuggingFaceH4/aime_2024", None, "train"),
    ),
    Benchmark(
        name="math500",
        task="math",
        form=MATHEMATICS,
        samples=16,
        hub=("HuggingFaceH4/MATH-500", None, "test"),
    ),
    Benchmark(
        name="gsm8k",
        task="gsm8k",
        form=MATHEMATICS,
        samples=4,
        hub=("openai/gsm8k", "main", "test"),
    ),
    Benchmark(name="amc", task="amc", form=MATHEMATICS, samples=64),
    Benchmark(name="cmath", task="cmath", form=CHINESE_MATHEMATICS, samples=4),
    Benchmark(
        name="gpqa",
        task="gpqa",
        form=CHOICE,
        samples=64,
        hub=("Idavidrein/gpqa", "gpqa_diamond", "train"),
    ),
    Benchmark(
        name="humaneval",
        task="humaneval",
        form=CODE,
        samples=4,
        hub=("openai/openai_humaneval", None, "test"),
    ),
    Benchmark(name="mbpp", task="mbpp", form=CODE, samples=4),
    Benchmark(
        name="livecodebench",
        task="livecodebench",
        form=CODE,
        samples=8,
    ),
    Benchmark(
        name="codeforces",
        task="codeforces",
        form=CODE,
        samples=16,
    ),
    Benchmark(
        name="ifeval",
        task="ifeval",
        form=RESPONSE,
        samples=4,
        hub=("google/IFEval", None, "train"),
    ),
    Benchmark(name="safety", task="safety", form=RESPONSE, samples=4),
    Benchmark(name="alpaca", task="alpaca", form=RESPONSE, samples=1),
    Benchmark(name="arena", task="arena", form=RESPONSE, samples=1),
    Benchmark(
        name="file",
        task="file",
        form=MATHEMATICS,
        samples=4,
        fields={"problem": "problem", "answer": "answer"},
    ),
    Benchmark(
        name="choices",
        task="file",
        form=CHOICE,
        samples=4,
        kind="choice",
        fields={"problem": "problem", "answer": "answer"},
    ),
    Benchmark(
        name="programs",
        task="file",
        form=CODE,
        samples=4,
        kind="code",
        fields={"problem": "problem", "tests": "tests"},
    ),
)
BENCHMARKS = {benchmark.name: benchmark for benchmark in _ALL}
