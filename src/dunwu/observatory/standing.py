"""Where a run stands: its stage, its state, its pace, and the machine that it is made on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dunwu.observatory.wording import duration, number
from dunwu.runs import BASE, TRAINED, RunReader, StageReader
from dunwu.runs.checkpoints import is_step, step_of

RECENT = 5
"""Rollouts whose mean says how fast it goes."""


class Pace(NamedTuple):
    """Of a stage's last rollouts: seconds each, tokens a second while they were written (0: not known), and the seconds
    that the stage still takes, its evaluations among them (None: it has no steps to go by)."""

    seconds: float
    tokens_per_second: float
    left: float | None


def progress(run: RunReader) -> str:
    """Say which stage a run is at, how far that is, and whether it goes on; without a full stop at the end."""
    kind, why = run.state
    reason = f": {why.rstrip('.')}" if why else ""
    if not run.stages:
        gone = f"; it {kind}{reason}" if kind in ("stopped", "failed") else ""
        return f"The run has not begun its first stage{gone}"
    name, status = list(run.stages.items())[-1]
    rows = run.stage(name).read_metrics()
    done, total = int(rows[-1]["step"]) if rows else 0, run.recipe["stages"].get(name, {}).get("steps")
    stages = len(run.recipe["stages"])
    place = f" ({len(run.stages)} of {stages})" if stages > 1 else ""
    step = (f"step {done:,}" if done or total else "") + (f" of {total:,}" if total else "")
    if status == "done" and kind in ("stopped", "failed"):
        return f"The run {kind} after stage {name}{place}{reason}"
    if kind in ("stopped", "failed"):
        return f"Stage {name}{place} {kind}{f' at {step}' if step else ''}{reason}"
    return f"Stage {name}{place} is {status}{f', {step}' if step else ''}"


def facts(run: RunReader) -> Iterator[tuple[str, str]]:
    """List what there is to know of a run at a glance.

    Args:
        run: the run.

    Yields:
        What it is, and its value; the time left only while it is being made.
    """
    stage = run.stage(list(run.stages)[-1]) if run.stages else None
    found = pace(run, stage) if stage else None
    kind, _ = run.state
    if kind == "running" and found and found.left is not None:
        waiting = len(run.recipe["stages"]) - len(run.stages)
        after = f", then {waiting} more stage{'s' if waiting > 1 else ''}" if waiting else ""
        yield "time left", f"about {duration(found.left)} of this stage{after}"
    began, ended = run.dates
    yield "began", date(began)
    if kind == "done":
        yield "ended", date(ended)
    elif kind != "running":
        yield "last written", date(ended)
    if worked := run.seconds:
        yield "worked", duration(worked)
    if found:
        each = f"{number('seconds', found.seconds)} s a rollout" if found.tokens_per_second else ""
        speed = f"{found.tokens_per_second:,.0f} tokens/s" if found.tokens_per_second else ""
        yield "speed", ", ".join(filter(None, [speed, each])) or f"{number('seconds', found.seconds)} s a step"
    if machine := run.manifest.get("machine"):
        yield "machine", _machine(machine)


def pace(run: RunReader, stage: StageReader) -> Pace | None:
    """Tell how fast a stage goes, and how long it still takes.

    Args:
        run: its run.
        stage: the stage.

    Returns:
        Its pace; None before its first row.
    """
    timings, metrics = stage.read_timings()[-RECENT:], stage.read_metrics()[-RECENT - 1 :]
    if not timings or not metrics:
        return None
    spec = run.recipe["stages"].get(stage.name, {})
    seconds = [sum(value for name, value in row.items() if name != "step") for row in timings]
    each = sum(seconds) / len(seconds)
    writing = sum(row.get("rollout", 0.0) for row in timings)
    written = {row["step"]: row.get("tokens", 0.0) for row in metrics}
    tokens = sum(written.get(row["step"], 0.0) for row in timings)
    done, total = int(metrics[-1]["step"]), spec.get("steps")
    stride = done - int(metrics[-2]["step"]) if len(metrics) > 1 else done
    left = None
    if total:
        left = max(total - done, 0) / max(stride, 1) * each + _evaluations_left(stage, spec, done, total)
    return Pace(each, tokens / writing if writing else 0.0, left)


def _evaluations_left(stage: StageReader, spec: Mapping[str, Any], done: int, total: int) -> float:
    """Seconds of the evaluations to come, by what those so far took; at the end as long as the base's, by length."""
    there = stage.evaluated
    costs = [(step, spent["evaluation"]) for step, spent in stage.read_spendings() if "evaluation" in spent]
    if not costs or BASE not in there:
        return 0.0
    at_base = sum(cost.seconds for step, cost in costs if step == 0)
    on_the_way = [cost.seconds for step, cost in costs if step]
    every = (spec.get("evaluation") or {}).get("every") or 0
    last = max((step_of(name) for name in there if is_step(name)), default=0)
    to_come = len(range(max(last, done // every * every) + every, total, every)) if every else 0
    rate = sum(on_the_way) / max(1, sum(is_step(name) for name in there)) if on_the_way else 0.0
    end = 0.0 if TRAINED in there else at_base * _growth(stage.read_metrics())
    return to_come * rate + end


def _growth(metrics: Sequence[Mapping[str, float]]) -> float:
    """How much longer answers have become: a longer one takes longer."""
    first, last = metrics[0].get("length", 0.0), metrics[-1].get("length", 0.0)
    return last / first if first and last else 1.0


def _machine(machine: Mapping[str, Any]) -> str:
    cores, memory = machine.get("cores", 0), machine.get("memory_gib", 0)
    parts = [*machine.get("accelerators", []), str(machine.get("processor", ""))]
    parts += [f"{cores} core{'s' if cores != 1 else ''}"] if cores else []
    parts += [f"{memory} GiB"] if memory else []
    return ", ".join(filter(None, parts))


def date(seconds: float) -> str:
    """Write a moment, given in seconds since 1970, by this machine's clock: ``2026-11-29 07:06``."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
