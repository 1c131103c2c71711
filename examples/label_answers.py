"""Make verdicts of a run's training answers: whole ones, and their beginnings with the verdict on the whole.

python examples/label_answers.py runs/demo runs/verdicts.jsonl

A reward model that learns from them can guide a search: dunwu run nano/guide.
"""

import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import dunwu

STEP_END = re.compile(r"[.,] |[。，]|</think>")


def main(directory: str, file: str) -> None:
    """Write a line for each answer, and one for a beginning of it."""
    rng = random.Random(1)
    with Path(file).open("w", encoding="utf-8") as out:
        for answer in dunwu.Run(directory).answers().to_pylist():
            good = answer["part.accuracy"] == 1.0
            for text in cut(answer["completion"], rng):
                row = {"prompt": answer["prompt"], "response": text, "good": good, "language": answer["language"]}
                out.write(json.dumps(row, ensure_ascii=False) + "\n")


def cut(text: str, rng: random.Random) -> Iterator[str]:
    """Yield a text, and what of it stands before the end of one of its steps."""
    yield text
    ends = [end.end() for end in STEP_END.finditer(text)]
    if ends:
        yield text[: rng.choice(ends)]


if __name__ == "__main__":
    main(*sys.argv[1:])
