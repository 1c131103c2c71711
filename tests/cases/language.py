"""Area ``language``: the share of a text's words that are of the target language."""

from __future__ import annotations

import re
from math import isclose

from dunwu.verifiers.language import measure_consistency
from tests.cases.running import Case

BOUND = re.compile(r"at (least|most) ([\d.]+)")


def check(case: Case) -> bool:
    """Whether the share is the expected number, or within the expected bound."""
    given, expected = case["input"], case["expected"]
    share = measure_consistency(given["text"], given["target"], tuple(given.get("rivals", ())))
    if bound := BOUND.match(str(expected)):
        return share >= float(bound[2]) if bound[1] == "least" else share <= float(bound[2])
    return isclose(share, float(expected), abs_tol=0.005)
