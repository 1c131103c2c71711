"""How a run stands: its stage, its state, its pace, and the machine that it is made on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from dunwu.analysis.labels import format_duration, format_number
from dunwu.analysis.remaining_time import RECENT, estimate_time_left, sum_row_seconds
from dunwu.runs import RunReader, StageReader


class Pace(NamedTuple):
    """The pace of a stage's last rollouts: seconds each, and tokens a second while they were written (0: unknown)."""

    seconds: float
    tokens_per_second: float


def describe_progress(run: RunReader, *, reason: bool = True) -> str:
    """Say which stage a run is at, how far that is, and whether it goes on.

    Args:
        run: The run.
        reason: Whether to say why it does not go on.

    Returns:
        The sentence, without a full stop at the end.
    """
    kind, why = run.state
    because = f": {why.rstrip('.')}" if why and reason else ""
    if not run.stages:
        gone = f"; it {kind}{because}" if kind in ("stopped", "failed") else ""
        return f"The run has not begun its first stage{gone}"
    name, status = list(run.stages.items())[-1]
    rows = run.stage(name).read_metrics()
    done, total = int(rows[-1]["step"]) if rows else 0, run.count_steps(name)
    stages = len(run.recipe["stages"])
    place = f" ({len(run.stages)} of {stages})" if stages > 1 else ""
    step = (f"step {done:,}" if done or total else "") + (f" of {total:,}" if total else "")
    if status == "done" and kind in ("stopped", "failed"):
        return f"The run {kind} after stage {name}{place}{because}"
    if kind in ("stopped", "failed"):
        return f"Stage {name}{place} {kind}{f' at {step}' if step else ''}{because}"
    return f"Stage {name}{place} is {status}{f', {step}' if step else ''}"


def list_run_facts(run: RunReader) -> Iterator[tuple[str, str]]:
    """List what there is to know of a run at a glance.

    Args:
        run: The run.

    Yields:
        What it is, and its value; the time left only while the run is being made.
    """
    stage = run.stage(list(run.stages)[-1]) if run.stages else None
    found = measure_pace(stage) if stage else None
    kind, _ = run.state
    if kind == "running" and stage and (left := estimate_time_left(run, stage.name)):
        yield "time left", f"{'more than' if left.at_least else 'about'} {format_duration(left.seconds)}"
    began, ended = run.dates
    yield "began", format_date(began)
    if kind == "done":
        yield "ended", format_date(ended)
    elif kind != "running":
        yield "last written", format_date(ended)
    if worked := run.seconds:
        yield "worked", format_duration(worked)
    if found:
        each = f"{format_number('seconds', found.seconds)} s a rollout" if found.tokens_per_second else ""
        speed = f"{found.tokens_per_second:,.0f} tokens/s" if found.tokens_per_second else ""
        yield "speed", ", ".join(filter(None, [speed, each])) or f"{format_number('seconds', found.seconds)} s a step"
    if machine := run.manifest.get("machine"):
        yield "machine", _describe_machine(machine)


def measure_pace(stage: StageReader) -> Pace | None:
    """Measure how fast a stage goes of late; None before its first row."""
    timings, metrics = stage.read_timings()[-RECENT:], stage.read_metrics()[-RECENT:]
    seconds = sum(map(sum_row_seconds, timings))
    if not seconds:
        return None
    writing = sum(row.get("rollout", 0.0) for row in timings)
    written = {row["step"]: row.get("tokens", 0.0) for row in metrics}
    tokens = sum(written.get(row["step"], 0.0) for row in timings)
    return Pace(seconds / len(timings), tokens / writing if writing else 0.0)


def _describe_machine(machine: Mapping[str, Any]) -> str:
    cores, memory = machine.get("cores", 0), machine.get("memory_gib", 0)
    parts = [*machine.get("accelerators", []), str(machine.get("processor", ""))]
    parts += [f"{cores} core{'s' if cores != 1 else ''}"] if cores else []
    parts += [f"{memory} GiB"] if memory else []
    parts += [f"{kernels} kernels"] if (kernels := machine.get("kernels")) else []
    return ", ".join(filter(None, parts))


def format_date(seconds: float) -> str:
    """Write a moment, given in seconds since 1970, by this machine's clock: ``2026-11-29 07:06``."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
