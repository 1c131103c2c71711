"""Area ``code``: what an answer comes to under the tests of a row, in the form in which data sets publish it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from dunwu.config.schema import CodeSpec
from dunwu.sandbox import choose
from dunwu.tasks.datasets import published
from dunwu.tasks.datasets.rows import MalformedError, Row
from dunwu.verifiers.code import CodeVerifier, make_limits
from tests.cases.running import Case


@cache
def verifier() -> CodeVerifier:
    """One for all cases, with a recipe's own limits."""
    return CodeVerifier(choose(1)[0], make_limits(CodeSpec()))


def row(given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The data set, and the row as it stands in its file."""
    for name in ("humaneval", "mbpp"):
        if name in given:
            return name, {"canonical_solution": "pass", "text": "Write it.", "code": "pass", **given[name]}
    test = {name: given[name] for name in ("testtype", "input", "output")}
    metadata = {"func_name": given["func_name"]} if "func_name" in given else {}
    columns = {"question_content": "Solve it.", "public_test_cases": [test], "metadata": json.dumps(metadata)}
    return "livecodebench", columns


def outcome(given: Mapping[str, Any]) -> str:
    """``refused`` where the row is no problem, else what the verifier says of the answer."""
    name, values = row(given)
    try:
        asked = getattr(published, f"read_{name}")(Row(1, values))
    except MalformedError:
        return "refused"
    return verifier().judge(asked.tests, given["answer"]).result


def check(case: Case) -> bool | None:
    """Whether the answer comes to what is expected; None where a line of documentation would do as well."""
    result, expected = outcome(case["input"]), str(case["expected"])
    if result == "passed" or not expected.startswith("passed"):
        return (result == "passed") is expected.startswith("passed")
    if "documented" in expected:
        return None
    return result == "refused" and "refused" in expected
