"""``python -m tests.cases [--file FILE] [--area AREA] [--show]``: how many cases of each kind are wrong."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from tests.cases.running import SHARED, Case, check

LONGEST = 300


def main(arguments: list[str] | None = None) -> int:
    """Runs the cases of a file, prints wrong/all by kind; returns 1 where one is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.cases", description=__doc__)
    parser.add_argument("--file", type=Path, default=SHARED, help="one JSON object a line")
    parser.add_argument("--area", help="only this area")
    parser.add_argument("--show", action="store_true", help="print each wrong case")
    options = parser.parse_args(arguments)
    if not options.file.exists():
        parser.error(f"{options.file}: no such file")
    cases: list[Case] = [json.loads(line) for line in options.file.read_text(encoding="utf-8").splitlines() if line]
    chosen = [case for case in cases if options.area in (None, case["area"])]
    count: Counter[tuple[str, str]] = Counter()
    wrong: Counter[tuple[str, str]] = Counter()
    unchecked: Counter[tuple[str, str]] = Counter()
    for case in chosen:
        kind = case["area"], case["kind"]
        count[kind] += 1
        right = _checked(case)
        if right is None:
            unchecked[kind] += 1
        elif not right:
            wrong[kind] += 1
            if options.show:
                print(json.dumps(case, ensure_ascii=False))
    for kind in count:
        note = f"  ({unchecked[kind]} not checked here)" if unchecked[kind] else ""
        print(f"{' '.join(kind):24} {wrong[kind]:4}/{count[kind]}{note}")
    print(f"{'all':24} {wrong.total():4}/{count.total()}" + (f"  ({unchecked.total()} not)" if unchecked else ""))
    return int(bool(wrong))


def _checked(case: Case) -> bool | None:
    """As ``check``; a case in which something else goes wrong is a wrong one, and stops no other."""
    try:
        return check(case)
    except Exception as error:  # whatever the product or the check raises
        print(f"{case['area']} {case['kind']}: {type(error).__name__}: {error}"[:LONGEST])
        return False


if __name__ == "__main__":
    sys.exit(main())
