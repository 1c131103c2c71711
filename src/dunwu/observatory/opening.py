"""A run in three sentences (what is trained, on what, why it matters), and what to do with it afterwards."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dunwu.runs import RunReader, display_names

Stages = Mapping[str, Mapping[str, Any]]
LANGUAGES = {"en": "English", "zh": "Chinese"}
VERBS = {
    "rl": "learns from rewards",
    "sft": "learns from examples",
    "distil": "learns from a larger model's answers",
    "reward_model": "learns what answers are worth",
}
SHOWN, FEW = 6, 2
"""Names in a sentence, at most; names that are told with more than the name."""


def opening(recipe: Mapping[str, Any]) -> list[str]:
    """Tell a run in three sentences.

    Args:
        recipe: As recipe.json holds it.
    """
    stages: Stages = recipe["stages"]
    return [_what(stages), _on_what(stages, recipe.get("data", {})), _why({stage["kind"] for stage in stages.values()})]


def next_steps(run: RunReader) -> Iterator[tuple[str, str]]:
    """Yield commands for a finished run, each with what it is for."""
    stages: Stages = run.recipe["stages"]
    place = shlex.quote(str(run.directory))
    yield f"dunwu watch {place}", "the curves and every answer, in a browser"
    done = [name for name, state in run.stages.items() if state == "done"]
    if any(stages[name]["kind"] == "rl" for name in done):
        yield f"dunwu ablate {place}", "does its reflection help? answers go on without and with it"
    if writers := list(models(run)):
        base = str(stages[writers[-1].parent.name].get("from") or "")
        beside = f" {shlex.quote(base)}" if base and base not in stages else ""
        yield f"dunwu eval {place}{beside} --bench {_benchmark(stages)}", "the model on a benchmark"


def models(run: RunReader) -> Iterator[Path]:
    """Yield the folders of a run's finished models that write, in its order."""
    for name, state in run.stages.items():
        folder = run.stage(name).model
        if state == "done" and run.recipe["stages"][name]["kind"] != "reward_model" and folder.is_dir():
            yield folder


def _what(stages: Stages) -> str:
    if len(stages) > 1:
        told = [name if name == stage["kind"] else f"{name} ({stage['kind']})" for name, stage in stages.items()]
        return f"{len(stages)} stages, one after the other: {_listed(told)}."
    (stage,) = stages.values()
    if stage["kind"] == "pretrain":
        return f"A small model is made from nothing, on {stage['tokens']:,} tokens at most."
    if stage["kind"] == "eval":
        return f"{_listed(display_names(stage['models']))} answer the same held-out problems."
    (base,) = display_names([stage["from"]])
    if stage["kind"] in ("reject", "cold_start"):
        return f"{base} answers {stage['questions']:,} questions {stage['samples']} times each."
    if stage["kind"] != "rl":
        return f"{base} {VERBS[stage['kind']]}: {_listed(stage['data'])}."
    rollout, update = stage["rollout"], stage["update"]
    times = stage["steps"] // (update["minibatches"] * update["epochs"])
    return (
        f"{base} learns from rewards: {times:,} times it answers {rollout['questions']:,} problems, "
        f"{rollout['group_size']} times each, and what scores above its group becomes likelier."
    )


def _on_what(stages: Stages, data: Mapping[str, Any]) -> str:
    tasks = [task for stage in stages.values() for task in stage.get("tasks", [])]
    names = list(dict.fromkeys(map(_name, tasks)))
    asked = list(dict.fromkeys(map(_task, tasks))) if len(names) <= FEW else names
    sets = [chosen for stage in stages.values() for chosen in _sets(stage)]
    measured = _listed([f"{chosen['name']} ({chosen['problems']:,} problems)" for chosen in sets])
    if len(sets) > FEW:
        measured = f"{len(sets)} sets of problems"
    if {stage["kind"] for stage in stages.values()} == {"eval"}:
        return f"The problems are {measured}."
    parts = []
    if asked:
        parts.append(f"The problems are {_listed(asked)}, and rules grade the answers")
    elif any(stage["kind"] == "pretrain" for stage in stages.values()):
        corpora = [stage["corpus"] for stage in stages.values() if stage["kind"] == "pretrain"]
        parts.append(f"It reads the generated corpus {_listed(corpora)}")
    elif data:
        parts.append(f"The texts are {_listed(list(data))}")
    if sets:
        held_out = " that training never draws" if asked else ""
        parts.append(f"{'it is' if parts else 'It is'} measured on {measured}{held_out}")
    return "; ".join(parts or ["Nothing is measured on the way"]) + "."


def _why(kinds: set[str]) -> str:
    if {"rl", "sft"} <= kinds:
        return (
            "This is DeepSeek-R1's road: reasoning that grows from rewards, then form and manners from chosen answers."
        )
    if {"rl", "distil"} <= kinds:
        return "The question: does a small model gain more from a larger one's answers, or from rewards of its own?"
    if "rl" in kinds:
        return "As in R1-Zero nobody shows it how to reason: what grows here grows from rewards alone."
    if kinds & {"sft", "distil"}:
        return "It can become as good as its examples: what they show, it repeats."
    if "pretrain" in kinds:
        return "A base must know the skills before rewards can make a habit of them: this is where they come from."
    if "reward_model" in kinds:
        return "Where no rule can grade an answer, such a model's word is the reward."
    if kinds & {"reject", "cold_start"}:
        return "Its right and readable answers are what a next model learns from."
    return "Nothing is trained; problems and random numbers are common, so that differences are the models' own."


def _sets(stage: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = stage.get("sets") or stage.get("evaluation", {}).get("sets", [])
    return found


def _name(task: Mapping[str, Any]) -> str:
    return str(task.get("called") or (f"gym-{task['set']}" if task.get("set") else task["task"]))


def _task(task: Mapping[str, Any]) -> str:
    if task.get("path") or task.get("hub"):
        return f"{_name(task)} ({task.get('hub') or Path(task['path']).name})"
    languages = [LANGUAGES.get(language, language) for language in task.get("languages", [])]
    return f"{_name(task)} ({' and '.join(languages)}, made as they are needed)"


def _benchmark(stages: Stages) -> str:
    """What the run trained on, which ``dunwu eval`` generates afresh; else a file of the user's."""
    tasks = [task for stage in stages.values() for task in stage.get("tasks", [])]
    generated = [task["task"] for task in tasks if not (task.get("path") or task.get("hub") or task.get("set"))]
    return shlex.quote(generated[0]) if generated else "file --data FILE"


def _listed(names: Sequence[str]) -> str:
    """``a, b and c``; of many the first ones."""
    if len(names) > SHOWN:
        return f"{', '.join(names[:SHOWN])} and {len(names) - SHOWN} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""
