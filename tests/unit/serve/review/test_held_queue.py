"""Held answers: nothing is given out before a verdict, and one verdict and one release is all there is."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dunwu
from dunwu.errors import Fault, UserError
from dunwu.serve.review import expiry, held_queue
from dunwu.serve.review.held_queue import CLAIM_SECONDS, HeldQueue
from dunwu.serve.review.records import Conflict, Delivery, UnknownAnswer, Verdict


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(tmp_path: Path, clock: Clock) -> Iterator[HeldQueue]:
    found = HeldQueue(tmp_path / "review", clock)
    yield found
    found.close()


def hold(queue: HeldQueue, client: str = "ward", **more: Any) -> str:
    return queue.hold(client, "How much?", "Let me think.", "5 mg", topics=("dose",), reasons=("dose: mg",), **more)


def events(queue: HeldQueue) -> list[dict[str, Any]]:
    return [json.loads(line)["record"] for line in (queue.path.parent / "audit.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("verdict", "text", "state", "released"),
    [("accept", "ignored", "accepted", "5 mg"), ("edit", "4 mg", "edited", "4 mg"), ("reject", "no", "rejected", "no")],
)
def test_the_text_is_given_out_after_a_verdict_alone(
    queue: HeldQueue, verdict: Verdict, text: str, state: str, released: str
) -> None:
    held = hold(queue)
    waiting = Delivery(id=held, state="held", verdict=None, text="")
    assert queue.fetch(held, "ward") == waiting
    queue.claim(held, "ann")
    assert queue.fetch(held, "ward") == waiting
    queue.decide(held, "ann", verdict, text, "looked it up")
    assert queue.find(held).state == state
    expected = Delivery(id=held, state="released", verdict=verdict, text=released)
    assert [queue.fetch(held, "ward") for _ in range(3)] == [expected] * 3
    assert [event["event"] for event in events(queue)] == ["held", "claimed", "decided", "released"]
    assert queue.verify_log() is None


@pytest.mark.parametrize(
    ("topics", "read"),
    [
        ((), "A reviewer has declined to release this answer."),
        (("dose",), "A reviewer has declined to release this answer."),
        (("dose", "poison", "self-harm"), "Call the poison line."),
    ],
)
@pytest.mark.parametrize("text", ["", " \n"])
def test_a_client_is_never_left_without_words(tmp_path: Path, topics: tuple[str, ...], read: str, text: str) -> None:
    refusals = {"self-harm": "Talk to someone.", "poison": "Call the poison line."}
    queue = HeldQueue(tmp_path / "review", refusals=refusals)
    held = queue.hold("ward", "q", "", "5 mg", topics=topics)
    queue.claim(held, "ann")
    assert queue.find(held).refusal == read, "reviewers see what the client will read"
    queue.decide(held, "ann", "reject", text, "why")
    assert queue.fetch(held, "ward") == Delivery(id=held, state="released", verdict="reject", text=read)
    with pytest.raises(UnknownAnswer):
        queue.decide("held-0", "ann", "reject", "", "why")
    queue.close()


def test_the_log_has_no_texts_but_their_hashes(queue: HeldQueue) -> None:
    held = hold(queue)
    queue.claim(held, "ann")
    queue.decide(held, "ann", "edit", "4 mg", "too much")
    queue.fetch(held, "ward")
    log = (queue.path.parent / "audit.jsonl").read_text()
    assert "How much?" not in log
    assert "5 mg" not in log
    assert "4 mg" not in log
    decided, released = events(queue)[-2:]
    assert decided["text"] == released["text"] != events(queue)[0]["answer"]
    assert (decided["reviewer"], decided["reason"]) == ("ann", "too much")


def test_another_client_s_answer_is_not_found_and_says_nothing_else(queue: HeldQueue) -> None:
    held = hold(queue)
    with pytest.raises(UnknownAnswer, match=r"^no such answer$"):
        queue.fetch(held, "lab")
    with pytest.raises(UnknownAnswer, match=r"^no such answer$"):
        queue.fetch("held-0", "lab")


def test_one_reviewer_has_an_answer_until_the_claim_ends(queue: HeldQueue, clock: Clock) -> None:
    held = hold(queue)
    with pytest.raises(Conflict, match="claim the answer first"):
        queue.decide(held, "ann", "accept")
    queue.claim(held, "ann")
    with pytest.raises(Conflict, match="ann has claimed"):
        queue.claim(held, "bob")
    with pytest.raises(Conflict, match="ann has claimed"):
        queue.decide(held, "bob", "accept")
    clock.now += CLAIM_SECONDS
    queue.claim(held, "bob")
    with pytest.raises(Conflict, match="bob has claimed"):
        queue.decide(held, "ann", "accept")
    queue.decide(held, "bob", "accept")
    with pytest.raises(Conflict, match="is accepted already"):
        queue.claim(held, "ann")
    with pytest.raises(Conflict, match="is accepted already"):
        queue.decide(held, "bob", "reject", "", "no")
    with pytest.raises(UnknownAnswer):
        queue.claim("held-0", "ann")


@pytest.mark.parametrize(
    ("verdict", "text", "reason", "field"),
    [("edit", " ", "why", "text"), ("edit", "x", " ", "reason"), ("reject", "", "", "reason"), ("pass", "", "", "ver")],
)
def test_a_verdict_without_what_it_needs_decides_nothing(
    queue: HeldQueue, verdict: Any, text: str, reason: str, field: str
) -> None:
    held = hold(queue)
    queue.claim(held, "ann")
    with pytest.raises(UserError, match=f"^{field}"):
        queue.decide(held, "ann", verdict, text, reason)
    assert queue.find(held).state == "held"


def test_threads_that_want_the_same_answer_get_one_verdict_and_one_release(queue: HeldQueue) -> None:
    held = hold(queue)
    outcomes: Counter[str] = Counter()

    def review(name: str) -> None:
        try:
            queue.claim(held, name)
            queue.decide(held, name, "accept")
            outcomes["decided"] += 1
        except Conflict:
            outcomes["conflict"] += 1
        queue.fetch(held, "ward")

    threads = [threading.Thread(target=review, args=(f"r{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {"decided": 1, "conflict": 7}
    assert queue.fetch(held, "ward").text == "5 mg"
    assert Counter(event["event"] for event in events(queue)) == {"held": 1, "claimed": 1, "decided": 1, "released": 1}


def test_what_nobody_decided_in_time_expires_without_its_text(queue: HeldQueue, clock: Clock) -> None:
    old = hold(queue)
    clock.now += 50
    new, decided = hold(queue), hold(queue)
    queue.claim(decided, "ann")
    queue.decide(decided, "ann", "accept")
    clock.now += 10
    assert queue.expire(60) == 1
    assert queue.fetch(old, "ward") == Delivery(id=old, state="expired", verdict=None, text="")
    with pytest.raises(Conflict, match="is expired already"):
        queue.claim(old, "ann")
    clock.now += 1000
    assert queue.expire(60) == 1, "a decided answer waits for its client"
    assert queue.fetch(new, "ward").state == "expired"
    assert queue.fetch(decided, "ward").text == "5 mg"


def test_a_claimed_answer_does_not_expire_under_the_reviewer_s_hands(queue: HeldQueue, clock: Clock) -> None:
    held = hold(queue)
    clock.now += 59
    queue.claim(held, "ann")
    clock.now += 1
    assert queue.expire(60) == 0
    clock.now += CLAIM_SECONDS
    assert queue.expire(60) == 1
    with pytest.raises(Conflict, match="is expired already"):
        queue.decide(held, "ann", "accept")
    assert [event["event"] for event in events(queue)] == ["held", "claimed", "expired"]
    assert queue.verify_log() is None


def test_the_server_gives_up_what_is_old_at_its_start_and_later(
    queue: HeldQueue, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "LOOK_SECONDS", 0.01)
    expire, looked = queue.expire, threading.Event()
    old = hold(queue)
    clock.now += 100
    young = hold(queue)
    keeper = expiry.Expiry(queue, 60)
    keeper.start()
    assert queue.fetch(old, "ward").state == "expired", "before anybody is answered"
    assert queue.fetch(young, "ward").state == "held"

    def fail_once(seconds: float) -> int:
        monkeypatch.setattr(queue, "expire", expire_and_tell)
        raise Fault("the disk is full")

    def expire_and_tell(seconds: float) -> int:
        count = expire(seconds)
        looked.set()
        return count

    clock.now += 100
    monkeypatch.setattr(queue, "expire", fail_once)
    assert looked.wait(60), "a full disk may have room again"
    keeper.close()
    assert queue.fetch(young, "ward").state == "expired"


def test_everything_is_there_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    queue = HeldQueue(tmp_path, clock)
    first, second = hold(queue), hold(queue, client="lab")
    queue.claim(first, "ann")
    queue.decide(first, "ann", "edit", "4 mg", "too much")
    queue.close()
    again = HeldQueue(tmp_path, clock)
    assert again.fetch(first, "ward").text == "4 mg"
    (waiting,) = again.list_waiting()
    assert (waiting.id, waiting.client, waiting.topics, waiting.reasons) == (second, "lab", ("dose",), ("dose: mg",))
    assert (waiting.question, waiting.reasoning, waiting.answer) == ("How much?", "Let me think.", "5 mg")
    again.close()
    HeldQueue(tmp_path, clock).close()


def test_texts_of_any_characters_are_kept(queue: HeldQueue) -> None:
    held = queue.hold("ward", "a\0b", "\ud800", "é\u2028\U0001f600\r\n", reasons=("\udfff",))
    found = queue.find(held)
    assert (found.question, found.reasoning, found.answer) == ("a\0b", "?", "é\u2028\U0001f600\r\n")
    queue.claim(held, "ann")
    queue.decide(held, "ann", "accept")
    assert queue.fetch(held, "ward").text == "é\u2028\U0001f600\r\n"


def test_only_so_many_wait(queue: HeldQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_queue, "MOST_WAITING", 2)
    hold(queue)
    hold(queue)
    with pytest.raises(Fault, match="2 answers wait"):
        hold(queue)


def test_one_process_has_a_folder(queue: HeldQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dunwu.serve.review.database.WAIT_SECONDS", 0.0)
    with pytest.raises(UserError, match="another process is using this queue"):
        HeldQueue(tmp_path / "review")


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "queue.sqlite").write_bytes(b"x" * 4096)
    with pytest.raises(UserError, match=r"queue\.sqlite: is no database of a queue: file is not a database"):
        HeldQueue(tmp_path)


def test_a_release_that_the_log_does_not_take_is_not_given_out(
    queue: HeldQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    held = hold(queue)
    queue.claim(held, "ann")
    queue.decide(held, "ann", "accept")
    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", refuse)
        for _ in range(2):
            with pytest.raises(Fault, match="No space left"):
                queue.fetch(held, "ward")
    assert queue.fetch(held, "ward").text == "5 mg"
    assert [event["event"] for event in events(queue)].count("released") == 1
    assert queue.verify_log() is None


FULL = """
import sys
from pathlib import Path
from dunwu.errors import Fault
from dunwu.serve.review.held_queue import HeldQueue
queue = HeldQueue(Path(sys.argv[1]))
for number in range(100):
    try:
        print("kept", queue.hold("ward", "q", "", "x" * 4000), flush=True)
    except Fault as error:
        print("full", flush=True)
"""


def test_on_a_full_disk_holding_fails_and_what_was_kept_stays(tmp_path: Path) -> None:
    """The limit on a file's size stands for the disk: the system refuses in the same places."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    command = [sys.executable, "-c", FULL, str(tmp_path)]
    environment = {"PYTHONPATH": str(Path(dunwu.__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    kept = [line.split()[1] for line in lines if line.startswith("kept")]
    assert 10 < len(kept) < 60
    assert "full" in lines
    queue = HeldQueue(tmp_path)
    assert set(kept) <= {answer.id for answer in queue.list_waiting()}
    assert queue.verify_log() is None
    queue.close()
