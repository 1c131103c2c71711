"""Answers that wait for a person.

    held --verdict--> accepted | edited | rejected --the client asks--> released
      '--nobody came--> expired

Every change is one transaction with its line of the audit log, and each is made where the answer is still as expected,
so two reviewers never decide the same one and the release is recorded once. What a function returns from is durable;
what raises has given nothing out.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from dunwu.errors import Fault, UserError
from dunwu.runs.atomic import make_directory
from dunwu.serve.review.audit_log import AuditLog, BrokenLine, Head, verify_log
from dunwu.serve.review.database import open_database, translate_refusals
from dunwu.serve.review.records import (
    STATES,
    Conflict,
    Delivery,
    HeldAnswer,
    Notice,
    UnknownAnswer,
    Verdict,
    check_verdict,
)

CLAIM_SECONDS = 900.0
"""How long a claimed answer is one reviewer's alone."""
PRIVATE = 0o700
"""Rights of a new folder: questions and answers lie in it."""
MOST_WAITING = 10_000
"""Answers that may wait; one more is refused, so that no client fills the disk."""
DECLINED = "A reviewer has declined to release this answer."
"""What a client reads in the place of a rejected answer, where neither reviewer nor policy says it otherwise."""
_SEEN = "id, client, question, reasoning, answer, topics, reasons, state, claimed_by, claimed_until, created"


class HeldQueue:
    """The queue of one service, in a folder: ``queue.sqlite`` and ``audit.jsonl``. Threads may share it.

    Args:
        folder: Made where it is missing.
        clock: Gives seconds of the epoch.
        refusals: By topic: what a client reads in the place of a rejected answer; see ``Policy.refusals``.

    Raises:
        UserError: Another process has the folder.
        Fault: The file system refuses, or the log is not the one that the database knows.
    """

    def __init__(
        self, folder: Path, clock: Callable[[], float] = time.time, refusals: Mapping[str, str] | None = None
    ) -> None:
        if not folder.exists():
            make_directory(folder)
            folder.chmod(PRIVATE)
        self.path = folder / "queue.sqlite"
        self._clock, self._lock, self._refusals = clock, threading.Lock(), refusals or {}
        self._database = open_database(self.path)
        try:
            self._log = AuditLog(folder / "audit.jsonl", self._database)
            if self._log.cut_bytes:
                with self._transaction() as now:
                    self._log.append("repaired", now, cut_bytes=self._log.cut_bytes)
        except BaseException:
            self._database.close()
            raise

    def hold(
        self,
        client: str,
        question: str,
        reasoning: str,
        answer: str,
        *,
        topics: Sequence[str] = (),
        reasons: Sequence[str] = (),
        webhook: str | None = None,
    ) -> str:
        """Hold an answer for a person.

        Args:
            client: The name of the key that asked.
            question: What was asked.
            reasoning: The model's chain.
            answer: What the model answered.
            topics: The policy's topics that match.
            reasons: Why it is held.
            webhook: Where the client wants to hear that it is decided, or has expired.

        Returns:
            The id by which the client asks for it.

        Raises:
            Fault: It could not be kept, and must not be released either.
        """
        held_id = f"held-{secrets.token_hex(16)}"
        texts = [_mend(text) for text in (question, reasoning, answer)]
        lists = [_mend(json.dumps(list(entries), ensure_ascii=False)) for entries in (topics, reasons)]
        with self._transaction() as now:
            waiting = self._database.execute("SELECT count(*) FROM held WHERE state = 'held'").fetchone()[0]
            if waiting >= MOST_WAITING:
                raise Fault(f"{waiting:,} answers wait for reviewers already")
            self._database.execute(
                "INSERT INTO held (id, client, question, reasoning, answer, topics, reasons, state, created, webhook)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, 'held', ?, ?)",
                (held_id, client, *texts, *lists, now, webhook),
            )
            self._log.append(
                "held", now, id=held_id, client=client, topics=list(topics), question=_hash(texts[0]),
                answer=_hash(texts[2]),
            )  # fmt: skip
        return held_id

    def list_waiting(self, limit: int = 100) -> list[HeldAnswer]:
        """Return the answers that wait longest, those that reviewers have claimed among them.

        Args:
            limit: How many at most.

        Returns:
            The answers, the oldest first.
        """
        return self._select("state = 'held' ORDER BY number LIMIT ?", limit)

    def count_waiting(self) -> int:
        """Return how many answers wait."""
        with self._reading():
            count: int = self._database.execute("SELECT count(*) FROM held WHERE state = 'held'").fetchone()[0]
        return count

    def find(self, held_id: str) -> HeldAnswer:
        """Return an answer, for reviewers.

        Args:
            held_id: Which.

        Returns:
            The answer, as reviewers see it.

        Raises:
            UnknownAnswer: There is none.
        """
        found = self._select("id = ?", held_id)
        if not found:
            raise UnknownAnswer
        return found[0]

    def claim(self, held_id: str, reviewer: str) -> None:
        """Give an answer to one reviewer for a while; claiming it again makes the while longer.

        Args:
            held_id: Which.
            reviewer: Who wants to decide it.

        Raises:
            UnknownAnswer: There is none.
            Conflict: Another reviewer has it, or it is decided.
        """
        with self._transaction() as now:
            changed = self._database.execute(
                "UPDATE held SET claimed_by = ?, claimed_until = ? WHERE id = ? AND state = 'held'"
                " AND (claimed_by IS NULL OR claimed_by = ? OR claimed_until <= ?)",
                (reviewer, now + CLAIM_SECONDS, held_id, reviewer, now),
            ).rowcount
            if not changed:
                raise self._explain_conflict(held_id)
            self._log.append("claimed", now, id=held_id, reviewer=reviewer)

    def decide(self, held_id: str, reviewer: str, verdict: Verdict, text: str = "", reason: str = "") -> None:
        """Decide an answer that the reviewer has claimed.

        Args:
            held_id: Which.
            reviewer: Who decides.
            verdict: ``accept`` the answer as it is, ``edit`` it, or ``reject`` it.
            text: The edited answer, or what the client reads in the place of a rejected one; "" for a rejected one:
                see ``HeldAnswer.refusal``.
            reason: Why; needed unless the answer is accepted.

        Raises:
            UserError: Text or reason are missing or too long.
            UnknownAnswer: There is no such answer.
            Conflict: It is decided, or not claimed by this reviewer.
        """
        text, reason = _mend(text), _mend(reason).strip()
        check_verdict(verdict, text, reason)
        with self._transaction() as now:
            if verdict == "reject" and not text.strip():
                text = self._find_refusal(held_id)
            changed = self._database.execute(
                "UPDATE held SET state = ?, verdict = ?, text = iif(? = 'accept', answer, ?), reviewer = ?, reason = ?,"
                " decided = ? WHERE id = ? AND state = 'held' AND claimed_by = ?",
                (STATES[verdict], verdict, verdict, text, reviewer, reason, now, held_id, reviewer),
            ).rowcount
            if not changed:
                raise self._explain_conflict(held_id)
            released = self._database.execute("SELECT text FROM held WHERE id = ?", (held_id,)).fetchone()[0]
            self._log.append(
                "decided", now, id=held_id, reviewer=reviewer, verdict=verdict, reason=reason, text=_hash(released)
            )
            self._add_notice(held_id, now)

    def fetch(self, held_id: str, client: str) -> Delivery:
        """Give a client what has become of its answer; the first time after a verdict is the release.

        Args:
            held_id: Which.
            client: The name of the key that asks.

        Returns:
            Its state, with verdict and text once it is released.

        Raises:
            UnknownAnswer: There is none, or it is another client's.
            Fault: The release cannot be recorded, so nothing is given out.
        """
        with self._transaction() as now:
            row = self._database.execute(
                "SELECT state, verdict, text FROM held WHERE id = ? AND client = ?", (held_id, client)
            ).fetchone()
            if row is None:
                raise UnknownAnswer
            state, verdict, text = row
            if state in ("held", "expired"):
                return Delivery(id=held_id, state=state, verdict=None, text="")
            if state != "released":
                self._database.execute("UPDATE held SET state = 'released', released = ? WHERE id = ?", (now, held_id))
                self._log.append("released", now, id=held_id, client=client, verdict=verdict, text=_hash(text))
        return Delivery(id=held_id, state="released", verdict=verdict, text=text)

    def expire(self, seconds: float) -> int:
        """Give up answers that nobody decided in time; their texts are never released.

        One that a reviewer has claimed stays until the claim ends.

        Args:
            seconds: How long an answer may wait.

        Returns:
            How many were given up.

        Raises:
            Fault: This cannot be kept, so nothing was given up.
        """
        with self._transaction() as now:
            rows = self._database.execute(
                "SELECT id FROM held WHERE state = 'held' AND created <= ? AND claimed_until <= ?", (now - seconds, now)
            ).fetchall()
            for (held_id,) in rows:
                self._database.execute("UPDATE held SET state = 'expired', decided = ? WHERE id = ?", (now, held_id))
                self._log.append("expired", now, id=held_id)
                self._add_notice(held_id, now)
        return len(rows)

    def list_due_notices(self, url: str | None = None) -> list[Notice]:
        """List webhooks whose time has come: of each address the one that is due longest.

        Args:
            url: An address of which alone it is asked; None: of all.

        Returns:
            Those that are due longest first.
        """
        with self._reading():
            rows = self._database.execute(
                "SELECT held_id, url, attempts, iif(state = 'expired', 'expired', 'decided'), min(due) FROM notices"
                " JOIN held ON id = held_id WHERE due <= ?1 AND url = coalesce(?2, url) GROUP BY url ORDER BY min(due)",
                (self._clock(), url),
            ).fetchall()
        return [Notice(held_id=row[0], url=row[1], attempts=row[2], event=row[3]) for row in rows]

    def record_notice(self, notice: Notice, error: str | None, retry_seconds: float | None) -> None:
        """Keep how a webhook went.

        Args:
            notice: As it was due.
            error: What went wrong; None where it was taken.
            retry_seconds: When it is tried again; None for never.
        """
        with self._transaction() as now:
            due = None if retry_seconds is None else now + retry_seconds
            self._database.execute(
                "UPDATE notices SET attempts = ?, due = ? WHERE held_id = ?", (notice.attempts + 1, due, notice.held_id)
            )
            if due is None:
                event = "notified" if error is None else "not notified"
                self._log.append(event, now, id=notice.held_id, attempts=notice.attempts + 1, error=error)

    def read_head(self) -> Head:
        """Return the end of the audit log, to be kept elsewhere."""
        with self._reading():
            return self._log.read_head()

    def verify_log(self) -> BrokenLine | None:
        """Follow the chain of the audit log up to the head that the database has."""
        with self._reading():
            return verify_log(self._log.path, self._log.read_head())

    def close(self) -> None:
        """Close the files; the folder is free for another process."""
        with self._lock:
            self._log.close()
            self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[float]:
        """Change the database and the log together; yields the time. Commits before the log is written."""
        with self._lock, translate_refusals(self.path):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._clock()
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
            self._log.flush()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, translate_refusals(self.path):
            yield

    def _select(self, condition: str, *values: str | int) -> list[HeldAnswer]:
        with self._reading():
            rows = self._database.execute(f"SELECT {_SEEN} FROM held WHERE {condition}", values).fetchall()
        found = [dict(zip(_SEEN.split(", "), row, strict=True)) for row in rows]
        for one in found:
            one.update({name: tuple(json.loads(one[name])) for name in ("topics", "reasons")})
            one["refusal"] = self._choose_refusal(one["topics"])
        return [HeldAnswer(**one) for one in found]

    def _find_refusal(self, held_id: str) -> str:
        """Find what a client reads where its answer is rejected without a text."""
        row = self._database.execute("SELECT topics FROM held WHERE id = ?", (held_id,)).fetchone()
        return self._choose_refusal(json.loads(row[0]) if row else ())

    def _choose_refusal(self, topics: Sequence[str]) -> str:
        return next((self._refusals[topic] for topic in topics if topic in self._refusals), DECLINED)

    def _add_notice(self, held_id: str, now: float) -> None:
        self._database.execute(
            "INSERT INTO notices SELECT id, webhook, 0, ? FROM held WHERE id = ? AND webhook IS NOT NULL",
            (now, held_id),
        )

    def _explain_conflict(self, held_id: str) -> UserError:
        """Say why an answer cannot be claimed or decided."""
        row = self._database.execute("SELECT state, claimed_by FROM held WHERE id = ?", (held_id,)).fetchone()
        if row is None:
            return UnknownAnswer()
        state, claimed_by = row
        if state != "held":
            return Conflict(f"the answer is {state} already")
        return Conflict(f"{claimed_by} has claimed the answer" if claimed_by else "claim the answer first")


def _mend(text: str) -> str:
    """Replace halves of characters, which no database takes."""
    return text.encode(errors="replace").decode()


def _hash(text: str) -> str:
    """Name a text in the log without showing it: what patients ask stays out of it."""
    return hashlib.sha256(text.encode()).hexdigest()
