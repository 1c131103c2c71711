"""500 dangerous requests under 50 kills: nothing is released without a verdict, lost, or released twice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import dunwu
from dunwu.serve.review.decision import decide
from dunwu.serve.review.held_queue import HeldQueue
from dunwu.serve.review.policy import read_policy
from tests.integration.review_child import make_question

KILLS = 50
REQUESTS = 500
CHILD = Path(__file__).with_name("review_child.py")
Said = list[list[str]]


def run_child(folder: Path, said: Said, seed: int, *, acknowledged: int = 0, wait: int = 0, lines: int = 0) -> int:
    """Run the service on the next requests, until it ends or is killed.

    Args:
        folder: Of the queue.
        said: What services before it have acknowledged; its own is added.
        seed: Of what it does.
        acknowledged: It is killed from outside once it has acknowledged so much; 0: it is not.
        wait: Turns of a loop until the signal is sent, so that it comes anywhere in what is done next.
        lines: It is killed after so many lines of the code under test; 0: it is not.

    Returns:
        Its exit status.
    """
    known = folder.parent / "known"
    known.write_text("\n".join(words[1] for words in said if words[0] == "held"), encoding="utf-8")
    first = 1 + max((int(words[2]) for words in said if words[0] == "held"), default=-1)
    command = [sys.executable, str(CHILD), str(folder), str(known), *map(str, (seed, first, REQUESTS, lines))]
    environment = {**os.environ, "PYTHONPATH": str(Path(dunwu.__file__).parents[1])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        for count, line in enumerate(child.stdout, start=1):
            said.append(line.rstrip("\n").split("\t"))
            if count == acknowledged:
                for _ in range(wait):
                    pass
                child.send_signal(signal.SIGKILL)
    return child.returncode


def test_the_requests_are_dangerous_by_the_policy() -> None:
    policy = read_policy("safety")
    assert {decide(policy, make_question(number)).action for number in range(REQUESTS)} == {"hold"}


def test_no_answer_is_released_without_a_verdict_lost_or_released_twice(tmp_path: Path) -> None:
    folder, random, said = tmp_path / "review", Random(7), Said()
    for kill in range(KILLS):
        if kill % 2:  # between two lines of ours; else wherever it is when the signal comes
            status = run_child(folder, said, kill, lines=random.randint(20, 1100))
        else:
            status = run_child(folder, said, kill, acknowledged=random.randint(1, 40), wait=random.randrange(200_000))
        assert status == -signal.SIGKILL
    assert any(words[0] == "held" for words in said[-60:]), "requests were left for the last kills"
    assert run_child(folder, said, KILLS) == 0

    queue = HeldQueue(folder)
    assert queue.verify_log() is None
    queue.close()
    with sqlite3.connect(folder / "queue.sqlite") as database:
        rows = {
            row[0]: row[1:] for row in database.execute("SELECT id, answer, state, verdict, text, reviewer FROM held")
        }
    records = [json.loads(line)["record"] for line in (folder / "audit.jsonl").read_text().splitlines()]
    check_acknowledged(said, rows)
    check_log(records, rows)
    assert {int(words[2]) for words in said if words[0] == "held"} == set(range(REQUESTS))
    assert len(rows) > REQUESTS, "no kill fell between a commit and its acknowledgement"
    assert any(record["event"] == "repaired" for record in records), "no kill fell into a line"


def check_acknowledged(said: Said, rows: dict[str, tuple[str, ...]]) -> None:
    """Whatever a function has returned from is in the database, and no text came before its verdict."""
    decided: dict[str, tuple[str, str]] = {}
    for words in said:
        kind, held_id = words[:2]
        answer, state, verdict, text, _ = rows[held_id]
        if kind == "held":
            assert answer == f"answer {words[2]}"
        elif kind == "decided":
            assert held_id not in decided, "decided twice"
            decided[held_id] = verdict, text
            assert [verdict, text] == words[2:]
        elif words[2] == "released":
            assert [state, verdict, text] == words[2:]
            assert text == {"accept": answer, "edit": f"edited {held_id}", "reject": f"refused {held_id}"}[verdict]
        else:
            assert words[2:] == ["held", "", ""], "a text without a verdict"
            assert held_id not in decided, "a verdict was lost"
    assert Counter(words[2] for words in said if words[0] == "fetched")["released"] >= REQUESTS


def check_log(records: list[dict[str, str]], rows: dict[str, tuple[str, ...]]) -> None:
    """The log has every change of the database once, and each release after its verdict."""
    seen: dict[str, list[str]] = {}
    for record in records:
        if record["event"] in ("held", "decided", "released"):
            seen.setdefault(record["id"], []).append(record["event"])
        if record["event"] == "decided":
            assert (record["verdict"], record["reviewer"]) == (rows[record["id"]][2], rows[record["id"]][4])
    steps = {"held": 1, "accepted": 2, "edited": 2, "rejected": 2, "released": 3}
    assert seen == {held_id: ["held", "decided", "released"][: steps[row[1]]] for held_id, row in rows.items()}
