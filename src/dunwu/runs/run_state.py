"""Whether a run is being made, and how the last process that made it ended."""

from __future__ import annotations

import json
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from dunwu.errors import Fault, Interrupted
from dunwu.runs.atomic import atomic_remove, atomic_write
from dunwu.runs.lock import is_held
from dunwu.runs.regular_files import require_regular

FILE = "ended.json"
LONGEST_REASON = 500
"""Characters of an error's text that are kept."""
UNSAID = "its process ended without saying why: it was killed, or the machine went down"


class RunState(NamedTuple):
    """Whether a run is being made, and if not, how it ended; ``why`` is "" where there is nothing to say."""

    kind: Literal["running", "stopped", "failed", "done"]
    why: str = ""


def read_state(directory: Path, *, done: bool) -> RunState:
    """Find out whether a run is being made, and if not, how it ended.

    Args:
        directory: The run directory.
        done: Whether all its stages are.

    Returns:
        Its state. Only a process that holds the directory's lock makes a run "running".
    """
    if done:
        return RunState("done")
    if is_held(directory) is not False:  # where nothing can be found out, what the manifest says stands
        return RunState("running")
    try:
        ended = json.loads(require_regular(directory / FILE).read_text(encoding="utf-8"))
        return RunState("failed" if ended["state"] == "failed" else "stopped", str(ended["why"]))
    except (OSError, ValueError, KeyError, TypeError):
        return RunState("stopped", UNSAID)


def record_end(directory: Path, error: BaseException) -> None:
    """Keep why a process gave up a run. A disk on which that cannot be written changes nothing.

    Args:
        directory: The run directory.
        error: What ended it; a stop that was asked for is no failure.
    """
    stopped = isinstance(error, Interrupted | KeyboardInterrupt)
    known = str(error) or type(error).__name__
    why = known if isinstance(error, Interrupted | Fault | ValueError) else f"{type(error).__name__}: {error}"
    text = json.dumps({"state": "stopped" if stopped else "failed", "why": why[:LONGEST_REASON]}, ensure_ascii=False)
    with suppress(Fault):
        atomic_write(directory / FILE, text.encode(errors="replace"))


def forget_end(directory: Path) -> None:
    """Remove what :func:`record_end` kept: the run goes on."""
    atomic_remove(directory / FILE)


def format_resume_command(directory: Path) -> str:
    """Return the command that resumes a run by its own recipe, whatever file and --set that came from."""
    return shlex.join(["dunwu", "run", str(directory / "recipe.json"), "--out", str(directory), "--resume"])
