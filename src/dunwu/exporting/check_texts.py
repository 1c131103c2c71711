"""What an exported model is asked, and the texts on which the two tokenizers are compared."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Final

from dunwu import tasks
from dunwu.config.schema import TaskSpec

QUESTIONS: Final = 100
TEXTS: Final = 1000
BEYOND: Final = 10
"""How many of a nano model's questions have numbers beyond its vocabulary."""
FACTORS: Final = (37, 101, 1009)
TOPICS: Final = (
    *("the sea", "bread", "a rainbow", "the moon", "iron", "music", "a bicycle", "honey", "a bridge", "the heart"),
    *("paper", "coffee", "a volcano", "sleep", "glass", "a library", "winter", "silk", "a compass", "salt"),
    *("a garden", "the wind", "a clock", "rice", "a map"),
)
CHINESE_TOPICS: Final = (
    *("大海", "面包", "彩虹", "月亮", "铁", "音乐", "自行车", "蜂蜜", "桥", "心脏"),
    *("纸", "咖啡", "火山", "睡眠", "玻璃", "图书馆", "冬天", "丝绸", "指南针", "盐"),
    *("花园", "风", "钟表", "大米", "地图"),
)
WHITE: Final = (" ", "  ", "   ", "\t", "\n", "\n\n", " \n ", "\r\n", "\u00a0", "\u3000", " \t\t", "\n    ")
CODE: Final = (
    "def f(x):\n    return {'a': [x, 2.50, -3e8], \"b\": x ** 2}  # done",
    "for (int i = 0; i < n; ++i) { sum += a[i] & 0xff; }",
    "SELECT name, COUNT(*) FROM t WHERE id >= 10 GROUP BY name;",
    "<div class=\"x\"><a href='/a?b=1&c=2'>it's</a></div>",
    "$ ls -la ~/src | grep '\\.py$' > out.txt && echo \"${HOME}\"",
    "\\frac{1}{2} + \\sqrt{x^2 - 1} \\leq \\sum_{i=1}^{n} i",
)
WORDS: Final = (
    *("wait", "check", "the factor", "and", "or", "to", "so", "however", "We've", "I'm", "naïve", "résumé", "Straße"),
    *("3rd", "x²", "42%", "e.g.", "…", "—", "«so»", "tomato", "error", "evaluate", "too much", "let me see", "O'Neil"),
    *(
        "检查",
        "等等",
        "不对",
        "重新",
        "也许",
        "三加四等于七",
        "，",
        "。",
        "、",
        "（一）",
        "日本語",
        "한국어",
        "привет",
        "🙂",
    ),
)


def list_questions(*, nano: bool) -> list[str]:
    """List what an exported model is asked: 100 questions, half of them in Chinese.

    Args:
        nano: The model's vocabulary is a nano one: it is asked held-out problems of Countdown, some of them
            with numbers beyond its vocabulary. Others get short questions.

    Returns:
        The questions.
    """
    if not nano:
        return [
            *_ask_about(TOPICS, "What is {}?", "Tell me about {} in one sentence."),
            *_ask_about(CHINESE_TOPICS, "什么是{}？", "用一句话介绍{}。"),
        ]
    task = tasks.build_task(TaskSpec(task="countdown", languages=("en", "zh")), 0)
    asked = [problem.messages[-1].content for problem in task.get_held_out(QUESTIONS)]
    for place, factor in zip(range(0, QUESTIONS, QUESTIONS // BEYOND), cycle(FACTORS), strict=False):
        asked[place] = _enlarge(asked[place], factor)
    return asked


def list_texts(seed: int = 0) -> list[str]:
    """List texts of all kinds: problems, numbers, Chinese, code, and odd white space.

    Args:
        seed: Of all that is random in them.

    Returns:
        The texts.
    """
    return list(islice(_write_texts(random.Random(seed)), TEXTS))


def _ask_about(topics: tuple[str, ...], *forms: str) -> list[str]:
    return [form.format(topic) for topic in topics for form in forms]


def _enlarge(text: str, factor: int) -> str:
    return re.sub(r"\d+", lambda found: str(int(found[0]) * factor), text)


def _write_texts(rng: random.Random) -> Iterator[str]:
    """Yield texts without end, a kind after the other."""
    problems = [question for nano in (True, False) for question in list_questions(nano=nano)]
    kinds = (_write_problem, _write_numbers, _write_words, _write_code)
    for kind in cycle(kinds):
        yield kind(rng, problems)


def _write_problem(rng: random.Random, problems: list[str]) -> str:
    problem = rng.choice(problems)
    return _enlarge(problem, rng.choice(FACTORS)) if rng.random() < 0.2 else problem


def _write_numbers(rng: random.Random, _: list[str]) -> str:
    numbers = [str(rng.randrange(10 ** rng.randint(1, 9))).zfill(rng.choice((1, 1, 1, 3))) for _ in range(6)]
    return "".join(
        part for number in numbers for part in (number, rng.choice((" + ", "*", ", ", "=", ".", "-", "、", " ")))
    )


def _write_words(rng: random.Random, _: list[str]) -> str:
    return "".join(
        part for _ in range(8) for part in (rng.choice(WORDS), rng.choice((*WHITE, " ", " ", ", ", ". ", "")))
    )


def _write_code(rng: random.Random, _: list[str]) -> str:
    return rng.choice(WHITE).join(rng.choice(CODE) for _ in range(2)) + rng.choice(WHITE)
