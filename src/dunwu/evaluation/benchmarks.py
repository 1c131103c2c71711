"""The benchmarks by name: what is read, how it is asked, where the answer stands, how often.

A data set is downloaded only where no file is named and ``hub`` says where it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from dunwu.config.schema import AnswerIn
from dunwu.tasks.datasets.readers import Hub


class AnswerForm(NamedTuple):
    """How an answer is asked for, at the end of every question (None: the question says it), and where it is read."""

    instruction: str | None
    answer_in: AnswerIn


MATHEMATICS = AnswerForm(r"Please reason step by step, and put your final answer within \boxed{}.", "boxed")
"""The paper's (R1, arXiv 2501.12948v2, on evaluation)."""
CHINESE_MATHEMATICS = AnswerForm(r"请逐步推理，并把最终答案放在 \boxed{} 中。", "boxed")
CHOICE = AnswerForm(r"Please reason step by step, and put the letter of your final answer within \boxed{}.", "boxed")
CODE = AnswerForm(
    "Please reason step by step, and write the complete code in one ```python block at the end.", "summary"
)
RESPONSE = AnswerForm(None, "summary")
GENERATED = AnswerForm("Think step by step, and put your final answer within <answer> </answer> tags.", "answer-tag")
"""For tasks that generate their problems, whose golds have no box."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A data set and how it is asked.

    Attributes:
        task: What reads the data (``TaskSpec.task``).
        form: How an answer is asked for, and where it is read.
        samples: Completions of each problem. The paper's number for AIME, GPQA, MATH, Codeforces and LiveCodeBench;
            elsewhere ours: 1 where judges compare answers, else 4, the fewest in the paper.
        hub: Where the data set is; None where the user names a file.
        kind: ``TaskSpec.kind``, for a file of the user's own.
        fields: ``TaskSpec.fields``, for a file of the user's own; empty for a published data set.
    """

    task: str
    form: AnswerForm
    samples: int = 4
    hub: Hub | None = None
    kind: Literal["math", "choice", "code"] = "math"
    fields: Mapping[str, str] = field(default_factory=dict)


ANSWERED = {"problem": "problem", "answer": "answer"}
TESTED = {"problem": "problem", "tests": "tests"}
BENCHMARKS = {
    "aime": Benchmark(task="aime", form=MATHEMATICS, samples=64, hub=Hub("HuggingFaceH4/aime_2024", None, "train")),
    "math500": Benchmark(task="math", form=MATHEMATICS, samples=16, hub=Hub("HuggingFaceH4/MATH-500", None, "test")),
    "gsm8k": Benchmark(task="gsm8k", form=MATHEMATICS, hub=Hub("openai/gsm8k", "main", "test")),
    "amc": Benchmark(task="amc", form=MATHEMATICS, samples=64),
    "cmath": Benchmark(task="cmath", form=CHINESE_MATHEMATICS),
    "gpqa": Benchmark(task="gpqa", form=CHOICE, samples=64, hub=Hub("Idavidrein/gpqa", "gpqa_diamond", "train")),
    "humaneval": Benchmark(task="humaneval", form=CODE, hub=Hub("openai/openai_humaneval", None, "test")),
    "mbpp": Benchmark(task="mbpp", form=CODE),
    "livecodebench": Benchmark(task="livecodebench", form=CODE, samples=8),
    "codeforces": Benchmark(task="codeforces", form=CODE, samples=16),
    "ifeval": Benchmark(task="ifeval", form=RESPONSE, hub=Hub("google/IFEval", None, "train")),
    "safety": Benchmark(task="safety", form=RESPONSE),
    "alpaca": Benchmark(task="alpaca", form=RESPONSE, samples=1),
    "arena": Benchmark(task="arena", form=RESPONSE, samples=1),
    "file": Benchmark(task="file", form=MATHEMATICS, fields=ANSWERED),
    "choices": Benchmark(task="file", form=CHOICE, kind="choice", fields=ANSWERED),
    "programs": Benchmark(task="file", form=CODE, kind="code", fields=TESTED),
}
"""Every benchmark that ``dunwu eval`` knows, and it knows the tasks that generate their problems too."""
