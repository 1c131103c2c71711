"""The runs that are watched: who extracts their facts, and what has been read of each."""

from __future__ import annotations

import hashlib
import logging
import subprocess
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from dunwu.analysis.curves import Rollout
from dunwu.analysis.facts_worker import start_worker, stop_worker
from dunwu.analysis.results import EvaluationsBySet, LastEvaluations, find_last_evaluations, read_evaluations_by_set
from dunwu.analysis.stage_data import StageData, find_base_rollout
from dunwu.errors import UserError
from dunwu.observatory.web.rollout_index import RolloutIndex
from dunwu.runs import RunReader

LOOK_SECONDS = 1.0
"""Between looks at what the worker has extracted."""

log = logging.getLogger(__name__)


class WatchedRun:
    """One run: what has been read of it is kept until its files change.

    Attributes:
        directory: Its folder.
        name: What pages call it.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self.directory, self.name = directory, name
        RunReader(directory)  # an unusable one shows at once
        self._indexes: dict[str, RolloutIndex] = {}
        self._evaluations: dict[str, tuple[str, EvaluationsBySet, Rollout | None]] = {}
        self._stages: dict[str, tuple[str, StageData]] = {}
        self._lock = threading.Lock()

    def read(self) -> RunReader:
        """Read the run as it is now.

        Raises:
            UserError: It is gone or damaged.
        """
        return RunReader(self.directory)

    def is_intact(self) -> bool:
        """Tell whether it is there, and whole."""
        try:
            self.read()
        except UserError:
            return False
        return True

    def open_index(self, stage: str) -> RolloutIndex:
        """Return the index of a stage's completions, as far as they have been read.

        Raises:
            UserError: There is no such stage.
        """
        return self._open_index(self.read(), stage)

    def _open_index(self, run: RunReader, stage: str) -> RolloutIndex:
        if stage not in run.stages:
            raise UserError(f"no stage {stage!r:.60} has begun", file=self.directory)
        with self._lock:
            return self._indexes.setdefault(stage, RolloutIndex(run.stage(stage)))

    def read_stage(self, stage: str) -> StageData:
        """Read what a stage's figures are made of.

        Args:
            stage: The stage.

        Returns:
            The same object until there is something new.

        Raises:
            UserError: There is no such stage, or an evaluation is damaged.
        """
        run = self.read()
        index = self._open_index(run, stage)
        begun = run.stage(stage)
        progress = index.progress
        reading = None if progress.is_whole else (progress.read, progress.stored)
        signature = f"{begun.numbers_token} {begun.evaluations_token} {index.version} {reading}"
        with self._lock:
            known = self._stages.get(stage)
        if known is None or known[0] != signature:
            by_set, base = self._read_evaluations(run, stage)
            data = StageData(
                run=run, name=stage, rollouts=index.choose_rollouts(), by_set=by_set, base=base, reading=reading
            )
            known = (signature, data)
            with self._lock:
                self._stages[stage] = known
        return known[1]

    def find_last_evaluations(self) -> LastEvaluations | None:
        """Find the last evaluations as ``results.find_last_evaluations`` does; they are read once."""
        return find_last_evaluations(self.read(), lambda run, stage: self._read_evaluations(run, stage)[0])

    def find_last_results(self) -> LastEvaluations | None:
        """Find the last evaluations without their answers, for a list of many runs."""
        return find_last_evaluations(self.read(), partial(read_evaluations_by_set, rows=False))

    def refresh(self) -> None:
        """Load what the worker has extracted."""
        run = self.read()
        for stage in run.stages:
            self._open_index(run, stage).refresh()

    def make_change_token(self) -> str:
        """Make a text that is another one whenever a page of this run would look different."""
        run = self.read()
        parts = [run.change_token]
        for stage in run.stages:
            begun, index = run.stage(stage), self._open_index(run, stage)
            parts += [begun.numbers_token, begun.evaluations_token, str(index.version), str(index.progress.stored)]
        return _hash(parts)

    def _read_evaluations(self, run: RunReader, stage: str) -> tuple[EvaluationsBySet, Rollout | None]:
        """Read a stage's evaluations, and the base's answers among them."""
        signature = run.stage(stage).evaluations_token
        with self._lock:
            known = self._evaluations.get(stage)
        if known is None or known[0] != signature:
            by_set = read_evaluations_by_set(run, stage)
            known = (signature, by_set, find_base_rollout(by_set))
            with self._lock:
                self._evaluations[stage] = known
        return known[1:]


class WatchedRuns:
    """All watched runs, by their places in the command line. A context manager: within it they are read.

    Attributes:
        runs: The runs.
    """

    def __init__(self, directories: Sequence[Path]) -> None:
        names = name_folders(directories)
        self.runs = [WatchedRun(directory, name) for directory, name in zip(directories, names, strict=True)]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="loader", daemon=True)
        self._worker: subprocess.Popen[bytes] | None = None

    def __getitem__(self, place: int) -> WatchedRun:
        if not 0 <= place < len(self.runs):
            raise UserError(f"there is no run {place}; there are {len(self.runs)}")
        return self.runs[place]

    def make_change_token(self) -> str:
        """Make a text that is another one whenever a page of several runs would look different."""
        parts = []
        for run in self.runs:
            try:
                parts.append(run.make_change_token())
            except UserError as error:
                parts.append(str(error))
        return _hash(parts)

    def __enter__(self) -> WatchedRuns:
        self._worker = start_worker([run.directory for run in self.runs])
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._worker is not None:
            stop_worker(self._worker)
            with suppress(subprocess.TimeoutExpired):
                self._worker.wait(5)

    def _work(self) -> None:
        """Refresh until the end: a run that cannot be read is tried again, a worker that has ended is started again."""
        logged: dict[Path, str] = {}
        while not self._ended.wait(LOOK_SECONDS):
            for run in self.runs:
                try:
                    run.refresh()
                except (UserError, OSError) as error:
                    if logged.get(run.directory) != str(error):
                        log.warning("%s", error)
                    logged[run.directory] = str(error)
            if self._worker is not None and self._worker.poll() is not None and not self._ended.is_set():
                code = self._worker.poll()
                log.warning("the reader of rollouts ended with exit code %s and is begun again", code)
                self._worker = start_worker([run.directory for run in self.runs])


def name_folders(directories: Sequence[Path]) -> list[str]:
    """Name folders, each by its end, as long as it takes to tell it from the others."""
    parts = [directory.absolute().parts for directory in directories]

    def name(own: tuple[str, ...]) -> str:
        for length in range(1, len(own) + 1):
            if Counter(other[-length:] for other in parts)[own[-length:]] == 1:
                return "/".join(own[-length:])
        return str(Path(*own))

    return [name(own) for own in parts]


def _hash(parts: Sequence[str]) -> str:
    return hashlib.blake2b(" ".join(parts).encode(), digest_size=8).hexdigest()
