"""Answers written to hang, crash or exhaust whoever reads them: each gets a verdict within its processor time.

Time is processor time, of this process and of the workers, so that a busy machine fails nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psutil
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tests.unit.verifiers.conftest import make_completion, make_problem

from dunwu.config.schema import RewardSpec
from dunwu.types import Completion, Problem, Score
from dunwu.verifiers import RewardGrader, texts
from dunwu.verifiers.arithmetic import NotArithmetic, evaluate
from dunwu.verifiers.expression import check
from dunwu.verifiers.expression import make_key as expression_key
from dunwu.verifiers.math.answers import make_key, read_literal_value, same_answer, same_literal
from dunwu.verifiers.math.brackets import Unreadable
from dunwu.verifiers.math.equality import MOST_PIECES
from dunwu.verifiers.math.grammar import parse
from dunwu.verifiers.math.reading import read, read_tokens
from dunwu.verifiers.math.sympy_pool import CheckTimeout, WorkerPool, share_budget
from dunwu.verifiers.math.tokens import tokenize
from dunwu.verifiers.math.tree import dump
from dunwu.verifiers.math.unit_phrases import split_quantity

BUDGET = 0.25
MARGIN = 1.0
"""Seconds of processor time beside the budget: reading by hand, forking, the clock's grain; a tenth is usual."""
TEN_MILLION = 10_000_000

CUT = [
    "9^{9^{9^9}}", "10^10!", "10^{10}!", "(10!)!", "((10!)!)!", "99999999!", r"\binom{1000000000}{500000000}",
    r"\binom{10^9}{10^8}", r"\sum_{n=1}^{1000000000}n^n", r"\sum_{n=1}^{10^9}\frac{1}{n}", r"\sum_{n=1}^{10^9}\sin n",
    r"\prod_{n=1}^{10^9}n", r"\prod_{n=1}^{10^9}\sin(n)", r"\sum_{i=1}^{10^5}\sum_{j=1}^{10^5}\sin(ij)",
    r"\sin(10^{10^{9}})", r"\lfloor 10^{10^9}\rfloor", r"\sqrt{10^{10^8}+1}", r"\Gamma(10^9)",
]  # fmt: skip
"""What takes an algebra system minutes or the age of the world."""
REFUSED = [
    "9^{9^9}", "10^{10^{10}}", "(x+y+z)^{500}", "(x+1)^{100000}", r"\int e^{x^2}\sin(x^3)\ln(x) dx", "x^" * 100 + "x",
    "(" * 35 + "x" + ")" * 35, "|" * 50 + "x" + "|" * 50,
    "(" * 3000 + "x" + ")" * 3000, "[" * 900, "{" * 900, r"\{" * 450 + r"\}" * 450, "$" * 999, "**" * 499,
    r"\frac{1}{" * 100 + "x" + "}" * 100, r"\frac" * 190, r"\sqrt{" * 160 + "x" + "}" * 160, r"\sqrt" * 190,
    "-" * 900 + "1", "+" * 900 + "1", "1/" * 490 + "0", "1+" * 490, "1,000" * 190, "1," * 490, ",".join("xyz" * 160),
    r"\begin{pmatrix}" + r"1&" * 400 + r"1\end{pmatrix}", r"\begin{pmatrix}" * 60, r"\begin{pmatrix}" + r"x\\" * 300,
    r"\begin{pmatrix}" + r"\\".join(["&".join(["9!"] * 12)] * 12) + r"\end{pmatrix}", r"[0,1]\cup" * 100 + "[2,3]",
    r"\text{" * 150, "5" + " " * 900 + "zorked", "5" + " a" * 480, "5" + " cm" * 300, "5" + "a/" * 480,
    "answer is " * 99 + "5", "so " * 300, "=" * 900, "x=" * 480 + "5", "5=" * 480 + "6", "<" * 900, r"\pm" * 300 + "1",
    "一" * 900, "亿" * 900, "一亿" * 400, "百分之" * 300, "分之" * 450, "又" * 900, "3又" * 400, "零" * 900 + "五",
    "\x00", "5\x006", "\x00" * 900, "\ud800", "5\udfff", "\udc00\ud800" * 400, "\u202e5\u202c", "\u200f5", "5\u200b6",
    "\u2066" * 900,
    "ﷺ" * 900, "½" * 900, "²" * 900, "①" * 900, "e\u0301" * 450, "a\u0300" + "\u0300" * 900, "𝟓" * 900 + "x", "٥", "५",
    "1e999", "1e-999", "9e9e9", "0." + "0" * 900 + "1", "9" * 990, "9" * 990 + "!",
    r"0.\overline{" + "9" * 900 + "}" + "8",
    "2^" * 400 + "2", "9^9^9^9", "0^-1", "1/0", "0/0", r"\infty-\infty", r"\frac{0}{0}", r"\input{/etc/passwd}",
    r"\write18{id}", "__import__('os').system('id')", "lambda: 0", "%s%n" * 200, "${jndi:ldap://x}", "<answer>" * 100,
    "x" * 950, r"\sin " * 190 + "x", "a_{" * 200 + "1" + "}" * 200, r"\x" * 400, "\\" * 999, "&" * 900, "#" * 900,
    r"1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", "1 " * 490, "1\n" * 490, "\t" * 900,
    "(" * TEN_MILLION, "9" * TEN_MILLION, "\\frac{" * 500_000, "x+" * 5_000_000,
    " " * TEN_MILLION + "6", "一" * 3_000_000,
]  # fmt: skip
"""What rules decide, or the algebra system soon gives up; the first would take it minutes, were it asked."""


def shown(text: str) -> str:
    """A short name for a test."""
    return ascii(text[:24])


def spent(children: bool = True) -> float:
    """Seconds of processor time of this process, its workers and their forks, dead ones too."""
    total = time.process_time()
    for child in psutil.Process().children(recursive=True) if children else []:
        times = child.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    return total


@pytest.fixture(scope="module")
def hurried() -> Iterator[RewardGrader]:
    """One worker, a quarter of a second; up and warm."""
    with RewardGrader(RewardSpec(workers=1, timeout_seconds=BUDGET)) as grader:
        while grader.score(*asked("i", r"\sqrt{-1}")).value == 0.0:
            pass
        yield grader


def asked(gold: str, answer: str) -> tuple[Problem, Completion]:
    """A problem and a completion that answers it."""
    return make_problem("math", gold), make_completion(f"<answer>{answer}</answer>")


def tree(text: str) -> str:
    """An expression as a worker reads it."""
    return dump(parse(tokenize(text)))


def refused(score: Score) -> bool:
    """Whether a verdict was reached, and it is no."""
    reasons = ("does not equal", "timeout", "no answer found")
    return score.status == "graded" and score.value == 0.0 and score.reason.startswith(reasons)


@pytest.mark.parametrize("gold", ["5", "x+1"])
@pytest.mark.parametrize("answer", CUT, ids=shown)
def test_what_hangs_is_cut_and_counted(hurried: RewardGrader, gold: str, answer: str) -> None:
    before = spent()
    score = hurried.score(*asked(gold, answer))
    assert refused(score)
    assert score.reason.startswith("timeout")
    assert spent() - before < BUDGET + MARGIN


@pytest.mark.parametrize("answer", REFUSED, ids=shown)
def test_what_is_hostile_is_refused_in_time(hurried: RewardGrader, answer: str) -> None:
    before = spent()
    assert refused(hurried.score(*asked("5", answer)))
    assert refused(hurried.score(*asked("x+1", answer)))
    assert spent() - before < 2 * (BUDGET + MARGIN)


def test_a_hostile_gold_is_no_better_and_equals_itself(hurried: RewardGrader) -> None:
    for gold in CUT[:8] + REFUSED[:12]:
        assert refused(hurried.score(*asked(gold, "5")))
        assert hurried.score(*asked(gold, gold)).value == 1.0


def test_after_every_cut_the_next_answer_is_right(hurried: RewardGrader) -> None:
    for number, answer in enumerate(CUT[:6], start=2):
        assert refused(hurried.score(*asked("7", answer)))
        assert hurried.score(*asked(str(number), rf"\sqrt{{{number**2}}}")).value == 1.0


def test_lists_of_lists_cost_no_more_than_their_steps() -> None:
    def rows(ends: str, letters: list[str]) -> str:
        return r"\{" + ",".join(r"\{" + ",".join([*letters, end]) + r"\}" for end in ends) + r"\}"

    asked = []

    def alike(gold: str, answer: str) -> bool:
        asked.append(answer)
        return gold.split('"')[-2] == answer.split('"')[-2]  # the letter

    letters, ends = "abcdfghjkl", "ABCDEFGHJKLMNOPQR"
    sizes = [f"|{letter}|" for letter in letters]
    assert not same_answer(rows(ends, sizes), rows(ends[::-1], [f"|-{letter}|" for letter in letters[::-1]]), alike)
    assert MOST_PIECES // 2 < len(asked) <= MOST_PIECES


def test_many_slow_pieces_share_one_budget() -> None:
    slow = [rf"\sum_{{n=1}}^{{{top}}}\sin(n)" for top in range(40, 240)]
    pool = WorkerPool(workers=1, budget=1.0)
    try:
        with share_budget():
            assert pool.ask(tree("2"), tree(r"\sqrt{4}"))
            before = spent()
            with pytest.raises(CheckTimeout):
                all(pool.ask(tree(piece), tree("2" + piece + "-" + piece)) for piece in slow)
            assert spent() - before < 1.0 + MARGIN
            with pytest.raises(CheckTimeout):  # it stays used up
                pool.ask(tree("2"), tree(r"\sqrt{4}"))
        assert pool.ask(tree("2"), tree(r"\sqrt{4}"))
    finally:
        pool.close()


def test_every_thread_gets_its_verdict() -> None:
    answers = [*CUT[:8], *REFUSED[:30], *[rf"\sqrt{{{n * n}}}" for n in range(2, 14)]]
    with RewardGrader(RewardSpec(workers=2, timeout_seconds=BUDGET)) as grader, ThreadPoolExecutor(8) as threads:
        scores = list(threads.map(lambda answer: grader.score(*asked("5", answer)), answers))
    assert [score.status for score in scores] == ["graded"] * len(answers)
    assert [answer for answer, score in zip(answers, scores, strict=True) if score.value] == [r"\sqrt{25}"]


def test_a_thread_of_another_process_gets_its_verdict() -> None:
    code = """
import threading
from dunwu.config.schema import RewardSpec
from dunwu.verifiers import RewardGrader
from tests.unit.verifiers.math.test_hostile import asked
said = []
def ask():
    said.extend(grader.score(*asked("5", answer)) for answer in ("10^{10}!", "\\\\sqrt{25}"))
with RewardGrader(RewardSpec(timeout_seconds=0.25)) as grader:
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
print([(score.status, score.reason.split(":")[0]) for score in said])
"""
    paths = os.pathsep.join(path for path in sys.path if path)
    child = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert child.stdout.strip() == "[('graded', 'timeout'), ('graded', 'equals 5')]"


HUGE = ["(" * TEN_MILLION, "9" * TEN_MILLION, "\ud800" * 3_000_000, "\\boxed{" * 1_000_000, "a " * 5_000_000]


@pytest.mark.parametrize("text", HUGE, ids=shown)
def test_ten_megabytes_are_read_by_no_function(text: str) -> None:
    before = spent(children=False)
    for function in READERS:
        function(text)
    assert spent(children=False) - before < 3 * MARGIN


def answered_no(gold: str, answer: str) -> bool:
    """An ``ask`` that is quick."""
    return False


def evaluated(text: str) -> None:
    """Arithmetic, or a finding."""
    for powers in (False, True):
        with suppress(NotArithmetic):
            evaluate(text, powers=powers)


def parsed(text: str) -> None:
    """A tree, or a finding."""
    with suppress(Unreadable):
        parse(tokenize(text))


READERS: list[Callable[[str], object]] = [
    lambda text: same_answer("5", text, answered_no),
    lambda text: same_answer(r"\{1,2\}", text, answered_no),
    lambda text: same_answer(text, "5", answered_no),
    lambda text: same_literal("5", text),
    make_key,
    lambda text: make_key(text, written=True),
    read_literal_value,
    lambda text: texts.same_text("5", text),
    lambda text: texts.same_sequence("1, 2", text),
    lambda text: texts.same_set("1, 2", text),
    lambda text: texts.find_choice(("red", "blue"), text),
    texts.split_members,
    lambda text: check(("24", "3", "8"), text),
    expression_key,
    evaluated,
]
PARSERS: list[Callable[[str], object]] = [
    tokenize,
    read,
    lambda text: read_tokens(tokenize(text)),
    lambda text: split_quantity(tokenize(text)),
    lambda text: parsed(text),
]
"""They see a thousand characters at most, but must take any."""
ANY = st.text(st.characters(codec=None, exclude_categories=()), max_size=200)
SPELLED = r"""
    \frac \frac{ \sqrt \sqrt{ \text{ \begin{pmatrix} \end{pmatrix} \\ & \cup \in \pm \approx \mid \left \right \{ \}
    ( ) [ ] { } | , ; : = < > + - * / ^ _ ! . % ° $ $$ ** ~ 0 1 25 1,000 0.5 x y A e i \pi cm apples or and is so
    一 二 十 百 万 百分之 分之 又 元 和 或 答案 √ ½ ² ① ﷺ
"""
MATHEMATICAL = st.lists(st.sampled_from([*SPELLED.split(), " ", "\x00", "\ud800", "\u202e", "\n"]), max_size=40).map(
    "".join
)


@settings(deadline=None, max_examples=60)  # the machine may be busy
@given(ANY | MATHEMATICAL)
@example("\ud800")
@example("\x00")
@example("(" * 999)
@example("À0")
def test_no_text_breaks_a_reader(text: str) -> None:
    for function in READERS:
        function(text)
    for parser in PARSERS:
        parser(text)
    assert same_answer(text, text, answered_no)


@settings(deadline=None, max_examples=100)  # the machine may be busy
@given(MATHEMATICAL, MATHEMATICAL)
def test_equality_by_hand_has_no_direction(left: str, right: str) -> None:
    assume("=" not in left + right)  # m+n = 5 answers 5; the equation m+n = 5 is not answered by 5
    assert same_answer(left, right, answered_no) == same_answer(right, left, answered_no)


@settings(deadline=None, max_examples=100)  # the machine may be busy
@given(MATHEMATICAL, MATHEMATICAL)
def test_answers_of_one_key_are_graded_alike(left: str, right: str) -> None:
    for one, other in ((left, right), (left, f" $ {left} $"), (left, f"x={left}")):
        if make_key(one) == make_key(other):
            assert same_answer("25", one, answered_no) == same_answer("25", other, answered_no)
