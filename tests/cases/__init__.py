"""Cases that real use brought: what goes in, what must come out, in files of one JSON object a line.

    {"area": "math", "kind": "M1", "input": {"gold": "IV", "answer": "VI"}, "expected": false, "note": "..."}

``python -m tests.cases --file FILE`` runs them and prints, for each kind, how many of them are wrong. Each area is a
module of this package with ``check(case) -> bool | None``: right, wrong, or not to be decided by a program.
"""
