"""The runs that are watched: who reads them, and what has been read."""

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
from dunwu.analysis.results import EvaluationsBySet, LastEvaluations, find_last_evaluations, read_evaluations_by_set
from dunwu.errors import UserError
from dunwu.observatory.figures import Told, base_of
from dunwu.observatory.web import reader
from dunwu.observatory.web.catalogue import Catalogue
from dunwu.runs import RunReader

LOOK_SECONDS = 1.0
"""Between looks at what the reader has read."""

log = logging.getLogger(__name__)


class Watched:
    """One run: what has been read of it, kept until its files change. ``name``: what pages call it."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory, self.name = directory, name
        RunReader(directory)  # an unusable one shows at once
        self._catalogues: dict[str, Catalogue] = {}
        self._evaluations: dict[str, tuple[str, EvaluationsBySet, Rollout | None]] = {}
        self._told: dict[str, tuple[str, Told]] = {}
        self._lock = threading.Lock()

    def read(self) -> RunReader:
        """The run as it is now. Raises UserError where it is gone or damaged."""
        return RunReader(self.directory)

    def is_readable(self) -> bool:
        """Whether it is there, and whole."""
        try:
            self.read()
        except UserError:
            return False
        return True

    def catalogue(self, stage: str) -> Catalogue:
        """A stage's completions, as far as they have been read. Raises UserError where there is no such stage."""
        return self._catalogue(self.read(), stage)

    def _catalogue(self, run: RunReader, stage: str) -> Catalogue:
        if stage not in run.stages:
            raise UserError(f"no stage {stage!r:.60} has begun", file=self.directory)
        with self._lock:
            return self._catalogues.setdefault(stage, Catalogue(run.stage(stage)))

    def told(self, stage: str) -> Told:
        """What a stage's figures are made of; the same object until there is something new. Raises as ``catalogue``,
        and where an evaluation is damaged."""
        run = self.read()
        catalogue = self._catalogue(run, stage)
        begun = run.stage(stage)
        progress = catalogue.progress
        reading = None if progress.is_whole else (progress.read, progress.stored)
        mark = f"{begun.numbers_mark} {begun.evaluations_mark} {catalogue.version} {reading}"
        with self._lock:
            known = self._told.get(stage)
        if known is None or known[0] != mark:
            known = (mark, Told(run, stage, catalogue.rollouts(), *self._evaluated(run, stage), reading=reading))
            with self._lock:
                self._told[stage] = known
        return known[1]

    def last_evaluated(self) -> LastEvaluations | None:
        """As ``findings.last_evaluated``, of evaluations that are read once."""
        return find_last_evaluations(self.read(), lambda run, stage: self._evaluated(run, stage)[0])

    def last_results(self) -> LastEvaluations | None:
        """As ``last_evaluated``, without the answers: for a list of many runs."""
        return find_last_evaluations(self.read(), partial(read_evaluations_by_set, rows=False))

    def refresh(self) -> None:
        """Takes what the reader has read."""
        run = self.read()
        for stage in run.stages:
            self._catalogue(run, stage).refresh()

    def pulse(self) -> str:
        """Another text whenever a page of this run would look different."""
        run = self.read()
        marks = [run.mark]
        for stage in run.stages:
            begun, catalogue = run.stage(stage), self._catalogue(run, stage)
            marks += [begun.numbers_mark, begun.evaluations_mark, str(catalogue.version)]
            marks.append(str(catalogue.progress.stored))
        return hashlib.blake2b(" ".join(marks).encode(), digest_size=8).hexdigest()

    def _evaluated(self, run: RunReader, stage: str) -> tuple[EvaluationsBySet, Rollout | None]:
        """A stage's evaluations, and the base's answers among them."""
        mark = run.stage(stage).evaluations_mark
        with self._lock:
            known = self._evaluations.get(stage)
        if known is None or known[0] != mark:
            by_set = read_evaluations_by_set(run, stage)
            known = (mark, by_set, base_of(by_set))
            with self._lock:
                self._evaluations[stage] = known
        return known[1:]


class Library:
    """All watched runs, by their places in the command line. A context manager: within it they are read."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self.runs = [Watched(directory, name) for directory, name in zip(directories, _names(directories), strict=True)]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="loader", daemon=True)
        self._reader: subprocess.Popen[bytes] | None = None

    def __getitem__(self, place: int) -> Watched:
        if not 0 <= place < len(self.runs):
            raise UserError(f"there is no run {place}; there are {len(self.runs)}")
        return self.runs[place]

    def pulse(self) -> str:
        """Another text whenever a page of several runs would look different."""
        marks = []
        for run in self.runs:
            try:
                marks.append(run.pulse())
            except UserError as error:
                marks.append(str(error))
        return hashlib.blake2b(" ".join(marks).encode(), digest_size=8).hexdigest()

    def __enter__(self) -> Library:
        self._reader = reader.start([run.directory for run in self.runs])
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._reader is not None and self._reader.stdin is not None:
            self._reader.stdin.close()
            self._reader.kill()
            with suppress(subprocess.TimeoutExpired):  # on a busy machine it may take long to be given its turn to end
                self._reader.wait(5)

    def _work(self) -> None:
        """A run that cannot be read now is tried again; a reader that has ended is begun again."""
        told: dict[Path, str] = {}
        while not self._ended.wait(LOOK_SECONDS):
            for run in self.runs:
                try:
                    run.refresh()
                except (UserError, OSError) as error:
                    if told.get(run.directory) != str(error):
                        log.warning("%s", error)
                    told[run.directory] = str(error)
            if self._reader is not None and self._reader.poll() is not None and not self._ended.is_set():
                log.warning("the reader of rollouts ended with exit code %s and is begun again", self._reader.poll())
                self._reader = reader.start([run.directory for run in self.runs])


def _names(directories: Sequence[Path]) -> list[str]:
    """What folders are called: each by its end, as long as it takes to tell it from the others."""
    parts = [directory.absolute().parts for directory in directories]

    def name(own: tuple[str, ...]) -> str:
        for length in range(1, len(own) + 1):
            if Counter(other[-length:] for other in parts)[own[-length:]] == 1:
                return "/".join(own[-length:])
        return str(Path(*own))

    return [name(own) for own in parts]
