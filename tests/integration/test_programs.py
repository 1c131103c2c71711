"""``dunwu eval`` of a served model on programs in their published forms: right ones pass, wrong ones do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from dunwu.cli import main
from tests.published import packed, write
from tests.serving import Answer, question, said, serving


class Solved(NamedTuple):
    """A row of a file, words of its question, and two answers."""

    row: dict[str, Any]
    asked: str
    right: str
    wrong: str


def starter(name: str, head: str, right: str, wrong: str, *cases: tuple[list[Any], Any]) -> Solved:
    """A row of LiveCodeBench, and answers that begin with its starter code."""
    code = f"class Solution:\n    def {name}{head}:\n        "
    tests = [
        {"input": "\n".join(map(json.dumps, given)), "output": json.dumps(result), "testtype": "functional"}
        for given, result in cases
    ]
    row = {
        "question_content": f"Solve {name}.",
        "starter_code": code,
        "public_test_cases": json.dumps(tests[:1]),
        "private_test_cases": packed(tests[1:]),
        "metadata": json.dumps({"func_name": name}),
    }
    return Solved(row, f"Solve {name}.", code + right, code + wrong)


def program(name: str, right: str, wrong: str, *cases: tuple[str, str]) -> Solved:
    """A row of LiveCodeBench that asks for a whole program."""
    tests = [{"input": given, "output": result, "testtype": "stdin"} for given, result in cases]
    row = {"question_content": f"Write {name}.", "public_test_cases": tests, "metadata": "{}", "starter_code": ""}
    return Solved(row, f"Write {name}.", right, wrong)


LIVECODEBENCH = [
    starter(
        "twoLargest",
        "(self, nums: List[int]) -> List[int]",
        "return nlargest(2, nums)",
        "return nsmallest(2, nums)",
        ([[3, 1, 2]], [3, 2]),
        ([[5, 9]], [9, 5]),
    ),
    starter(
        "paths",
        "(self, m: int, n: int) -> int",
        "return self.walk(m - 1, n - 1)\n\n    @cache\n    def walk(self, a, b):\n"
        "        return 1 if min(a, b) == 0 else self.walk(a - 1, b) + self.walk(a, b - 1)",
        "return comb(m + n, m)",
        ([3, 7], 28),
        ([3, 2], 3),
    ),
    starter(
        "count",
        "(self, s: str) -> Dict[str, int]",
        "return Counter(s)",
        "return dict.fromkeys(s, 1)",
        (["aba"], {"a": 2, "b": 1}),
        ([""], {}),
    ),
    starter(
        "mean",
        "(self, nums: List[int], skip: Optional[int]) -> float",
        "return sum(n for n in nums if n != skip) / (len(nums) - nums.count(skip))",
        "return sum(nums) / len(nums)",
        ([[1, 2, 3], 3], 1.5),
        ([[2, 4], None], 3),
    ),
    program(
        "shortest",
        "n, m = map(int, input().split())\ng = defaultdict(list)\nfor _ in range(m):\n"
        "    a, b = map(int, stdin.readline().split())\n    g[a].append(b)\nseen, queue = {1: 0}, deque([1])\n"
        "while queue:\n    a = queue.popleft()\n    for b in g[a]:\n        if b not in seen:\n"
        "            seen[b] = seen[a] + 1\n            queue.append(b)\nprint(seen.get(n, inf))",
        "n, m = map(int, input().split())\nprint(m)",
        ("3 3\n1 2\n2 3\n1 3\n", "1\n"),
        ("2 1\n2 1\n", "inf"),
    ),
    program("half", "print(int(input()) / 2)", "print(int(input()) // 2 + 1)", ("6\n", "3\n"), ("5\n", "2.5\n")),
]

PLUS = """
import numpy as np

def close(out, exp):
    if isinstance(exp, float):
        assert np.allclose(out, exp, rtol=1e-7, atol=1e-6)
    else:
        assert out == exp

def check(candidate):
    inputs = {inputs}
    results = {results}
    for given, result in zip(inputs, results):
        close(candidate(*given), result)
"""


def humaneval(prompt: str, right: str, wrong: str, inputs: list[Any], results: list[Any]) -> Solved:
    """A row of HumanEval+, and the bodies of two functions."""
    row = {
        "prompt": prompt,
        "canonical_solution": right,
        "entry_point": prompt.partition("def ")[2].partition("(")[0],
        "test": PLUS.format(inputs=inputs, results=results),
    }
    return Solved(row, prompt.strip(), right, prompt + wrong)


HUMANEVAL = [
    humaneval(
        'from typing import List\n\n\ndef mid(xs: List[float]) -> float:\n    """ Their median. """\n',
        "    xs = sorted(xs)\n    return (xs[len(xs) // 2] + xs[~(len(xs) // 2)]) / 2\n",
        "    return sum(xs) / len(xs)\n",
        [[[1.0, 2.0, 9.0]], [[1, 2, 3, 8]]],
        [2.0, 2.5],
    ),
    humaneval(
        'def pairs(xs):\n    """ Neighbours. """\n',
        "    return list(zip(xs, xs[1:]))\n",
        "    return list(zip(xs, xs))\n",
        [[[1, 2, 3]], [[]]],
        [[(1, 2), (2, 3)], []],
    ),
    humaneval(
        'def letters(text):\n    """ How often each stands there. """\n',
        "    import collections\n    return collections.Counter(text)\n",
        "    return set(text)\n",
        [["abca"], [""]],
        [{"a": 2, "b": 1, "c": 1}, {}],
    ),
]


def mbpp(name: str, right: str, wrong: str, *tests: str, **more: Any) -> Solved:
    """A row of MBPP, where ``more`` has no tests of its own of the first form."""
    row = {"text": f"Write {name}.", "code": right, "test_list": list(tests), "test_setup_code": "", **more}
    return Solved(row, f"Write {name}.", right, wrong)


MBPP = [
    mbpp(
        "shared",
        "def shared(a, b):\n  return tuple(sorted(set(a) & set(b)))",
        "def shared(a, b):\n  return tuple(a)",
        "assert shared((3, 4, 5), (5, 7, 4)) == (4, 5)",
        "assert set(shared((1,), (2,))) == set()",
    ),
    mbpp(
        "area",
        "import math\r\ndef area(r):\r\n  return math.pi * r * r",
        "def area(r):\n  return 3 * r * r",
        "assert math.isclose(area(1), math.pi, rel_tol=0.001)",
    ),
    mbpp(
        "larger",
        "larger = max\ndef bigger(a, b): return larger(a, b)",
        "bigger = min",
        "assert bigger(*limits) == 2",
        test_setup_code="limits = (1, 2)",
    ),
    mbpp(
        "rotate",
        "def rotate(xs, n):\n  return xs[n:] + xs[:n]",
        "def rotate(xs, n):\n  return xs",
        "assert rotate([1, 2], 1) == [2, 1]",
        test="import numpy as np\nfor xs, n in [([1, 2, 3], 1), ([1, 2], 2)]:\n"
        "    assert np.array_equal(rotate(xs, n), np.roll(xs, -n))",
    ),
]
FORMS = {"livecodebench": LIVECODEBENCH, "humaneval": HUMANEVAL, "mbpp": MBPP}


@pytest.mark.parametrize("form", FORMS)
def test_right_programs_pass_and_wrong_ones_do_not(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    path = write(tmp_path / f"{form}.jsonl", [one.row for one in FORMS[form]])
    for side, share in (("right", 1.0), ("wrong", 0.0)):

        def answer(body: Any, side: str = side) -> Answer:
            (one,) = (one for one in FORMS[form] if question(body).startswith(one.asked))
            return said(f"Like this:\n```python\n{getattr(one, side)}\n```\nThat is all.", reasoning_content="So.")

        with serving(answer) as server:
            arguments = ["eval", f"{server.url}#m", "--bench", form, "--data", str(path), "-k", "1", "--json"]
            done = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path / side)])
        assert done.exit_code == 0, done.output
        told = json.loads(done.stdout)["results"]["m"]
        assert told["pass@1"]["value"] == share, done.output
