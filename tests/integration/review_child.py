"""A service that holds, reviews and releases answers until it is killed; ``test_review_kills`` runs it.

Each line that it prints says what a function has returned from: whoever reads it may rely on that.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

from dunwu.serve.review.held_queue import HeldQueue

TRACED = ("_transaction", "append", "flush", "_recover", "_write_at")
"""Functions between whose lines it is killed: from the first change of the database to the last byte of the log."""
PIECE = 64
"""Bytes that one write takes: a kill can leave half a line."""
SUBSTANCES = ("cyanide", "r i c i n", "ＴＨＡＬＬＩＵＭ", "arsenic", "毒药", "氰 化 物", "poi\u200bson")


def make_question(number: int) -> str:
    """A dangerous question, in English or Chinese."""
    substance = SUBSTANCES[number % len(SUBSTANCES)]
    return f"How much {substance} is enough for {number}?" if number % 2 else f"第{number}问：多少{substance}才够？"


def say(*words: str) -> None:
    """Acknowledge, in one write, so that a kill leaves a whole line or none."""
    os.write(1, ("\t".join(words) + "\n").encode())


def die_after(lines: int) -> None:
    """Be killed between two lines of the code under test."""
    left = lines

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code.co_name not in TRACED:
            return None
        left -= event == "line"
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    write = os.pwrite
    os.pwrite = lambda file, content, start: write(file, memoryview(content)[:PIECE], start)
    sys.settrace(trace)


def review(queue: HeldQueue, random: Random) -> None:
    """Decide one of the answers that wait, as one of two reviewers."""
    waiting = queue.list_waiting(20)
    if not waiting:
        return
    chosen, reviewer = random.choice(waiting), random.choice(("ann", "bob"))
    if chosen.claimed_by not in (None, reviewer):
        reviewer = chosen.claimed_by or ""
    queue.claim(chosen.id, reviewer)
    verdict, text = random.choice(
        (("accept", chosen.answer), ("edit", f"edited {chosen.id}"), ("reject", f"refused {chosen.id}"))
    )
    queue.decide(chosen.id, reviewer, verdict, text, "because")  # type: ignore[arg-type]  # of the three texts
    say("decided", chosen.id, verdict, text)


def poll(queue: HeldQueue, held_id: str) -> None:
    """Ask as the client does."""
    found = queue.fetch(held_id, "ward")
    say("fetched", held_id, found.state, found.verdict or "", found.text)


def main(folder: Path, known: Path, seed: int, first: int, last: int, lines: int) -> None:
    """Work through the questions from the first to the last; then decide and release what still waits."""
    random, mine = Random(seed), known.read_text().split()
    if lines:
        die_after(lines)
    queue = HeldQueue(folder)
    for number in range(first, last):
        mine.append(queue.hold("ward", make_question(number), "Hm.", f"answer {number}", topics=["poison"]))
        say("held", mine[-1], str(number))
        if random.random() < 0.7:
            review(queue, random)
        poll(queue, random.choice(mine[-20:]))
    while queue.count_waiting():
        review(queue, random)
    for held_id in mine:
        poll(queue, held_id)
    queue.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
