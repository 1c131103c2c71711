"""The program in an answer, among words, fences and examples."""

from __future__ import annotations

import pytest

from dunwu.verifiers.programs import find_program


@pytest.mark.parametrize(
    ("answer", "source"),
    [
        ("print(1)", "print(1)"),
        ("So:\n```\nprint(1)\n```\nor\n```\nprint(2)\n```\ndone", "print(2)"),
        ("```python\nprint(1)\n```\nIt writes\n```\n1\n```", "print(1)"),
        ("```text\n1 2\n```\n~~~Python\nprint(1)\n~~~", "print(1)"),
        ("```py\nx = '''\n```'''\n```", "x = '''\n```'''"),
        ("````\n```\nx\n```\n````", "```\nx\n```"),
        ("It is\n```python\nprint(1)", "print(1)"),
        ("  ```py  \n  x = 1\n  ```", "x = 1"),
        ("1. So:\n   ```python\n   if x:\n     y\n\n  z\n   ```", "if x:\n  y\n\nz"),
        ("- ```py\n  if x:\n      y\n  ```\n- done", "if x:\n    y"),
        ("12. ~~~ {.python .numberLines}\n    x\n    ~~~", "x"),
        ("\t```python\n\tif x:\n\t\ty\n\t```", "if x:\n\ty"),
        (
            "```pycon\n>>> x = 1\n>>> for y in z:\n...     print(y)\n...\n1\n>>> x\n1\n```",
            "x = 1\nfor y in z:\n    print(y)\n\nx",
        ),
        ("```python print(1)```\n```\nprint(2)\n```", "print(2)"),
        ("```c++\nint x;\n```", "int x;"),
        ("```pytb\nTraceback\n```\n```\nx = 1\n```", "x = 1"),
        ("```cython\nx\n```\n```python\ny\n```\n```pyspark\nz\n```", "y"),
    ],
)
def test_the_program_of_an_answer(answer: str, source: str) -> None:
    assert find_program(answer) == source


@pytest.mark.parametrize("lead", ["", "  ", "\t", "1. ", "- ", "  * "])
@pytest.mark.parametrize("fence", ["```", "~~~~", "````"])
@pytest.mark.parametrize(
    "info",
    """python Python py py3 python3.11 python2 pypy3 ipython ipython3 cpython pycon {.python} {python} .py python:a.py
    python,linenos {.python#id}""".split(),  # noqa: SIM905
)
def test_a_block_that_says_it_is_python_is_the_program_however_it_says_so(lead: str, fence: str, info: str) -> None:
    inside = " " * len(lead) if lead.strip() else lead
    block = f"{lead}{fence}{info}\n{inside}if x:\n{inside}    y\n{inside}{fence}\n"
    assert find_program(f"So:\n{block}It prints\n```\n1\n```\n```text\n2\n```") == "if x:\n    y"


SOLUTION = "def f(x):\n    return x"


@pytest.mark.parametrize(
    "answer",
    [
        "Here is the code: ```python\n{}\n```",
        "```python\n{}\n``` This is all.",
        "```python\n{}\n```That prints 5, boxed as $\\boxed{{5}}$.",
        "```python\n{}```",
        "```python\n{}```\nThis is all.",
        "```python\n```python\n{}\n```\n```",
        "[BEGIN]\n{}\n[DONE]",
        "{}\n[DONE]\nWrite another.\n[BEGIN]\nx = 1\n[DONE]",
        "[PYTHON]\n{}\n[/PYTHON]",
        "[BEGIN]\n```python\n{}\n```\n[DONE]",
        "With ```x``` in words\n```python\n{}\n```",
        "```python\n{}\n```\nUsage:\n```python\nprint(f(1))\n```",
        "```python\n{}\n```\nTest:\n```python\nassert f(1) == 1\n```\n```\n1\n```",
        "```\n{}\n```\nUsage:\n```python\nf(1)\n```",
        "```python\ndef f(x): pass\n```\nBetter:\n```python\n{}\n```",
    ],
)
def test_the_program_among_words_fences_and_examples(answer: str) -> None:
    assert find_program(answer.format(SOLUTION), "f").rstrip() == SOLUTION


@pytest.mark.parametrize(
    ("block", "defines"),
    [
        ("class Solution:\n    def f(self): ...", True),
        ("class Solution:\n    x = 1", True),
        ("def f(x): ...", True),
        ("async def f(x): ...", True),
        ("f = lambda x: x", True),
        ("print(Solution().f(1))", False),
        ("assert f(1) == 1", False),
        ("f == 1", False),
        ("def further(): ...", False),
    ],
)
def test_a_block_that_only_uses_the_function_is_no_program(block: str, defines: bool) -> None:
    answer = f"```python\n{block}\n```\n```python\nlast\n```"
    assert find_program(answer, "Solution.f") == (block if defines else "last")
    assert find_program(answer) == "last"


@pytest.mark.parametrize("piece", ["x", " ", "```\n", "```python\n", "a ```py\n", "[BEGIN]\n", "[DONE]", "``` a b\n"])
def test_long_answers_are_read_in_one_pass(piece: str) -> None:
    assert isinstance(find_program(piece * 50_000, "f"), str)
    assert isinstance(find_program("```py\n" + piece * 50_000, "f"), str)
