"""A run in three sentences (what is trained, on what, why it matters), and what to do with it afterwards.

Terminal, watch and report all say it in these words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dunwu.analysis.stage_roles import compares_models, learns_from_rewards
from dunwu.config.schema import REWARD_PARTS, RewardSpec
from dunwu.errors import UserError, counted
from dunwu.registry import GENERATORS
from dunwu.runs import display_names
from dunwu.user_code import shorten_reference
from dunwu.verifiers.weights import QUALITY

Stages = Mapping[str, Mapping[str, Any]]
LANGUAGES = {"en": "English", "zh": "Chinese"}
TASKS = {
    "addition": "numbers to add",
    "arithmetic": "sums",
    "bases": "numbers to write in another base",
    "ciphers": "ciphers to read",
    "countdown": "reach a number with given ones",
    "divisors": "common divisors and multiples",
    "equations": "equations to solve",
    "functions": "small programs to write",
    "game24": "make 24 of given numbers",
    "knights": "who tells the truth and who lies",
    "ordering": "numbers to sort",
    "premise": "questions whose premise may be false",
    "probability": "probabilities to work out",
    "ranking": "people to rank by height",
    "zebra": "who lives where, by clues",
}
"""Generated tasks in a few words; any other is called by its name alone."""
VERBS = {
    "rl": "learns from rewards",
    "sft": "learns from examples",
    "distil": "learns from a larger model's answers",
    "reward_model": "learns what answers are worth",
}
KINDS = {*VERBS, "pretrain", "eval", "reject", "cold_start"}
"""Kinds of stages that have a sentence of their own."""
GRADERS = {
    "rules": ("rules", "rules"),
    "function": ("a function of the recipe's", "functions of the recipe's"),
    "reward model": ("a reward model", "reward models"),
    "judge": ("a judge", "judges"),
}
"""Who grades answers: one of them, and several."""
SHOWN, FEW = 6, 2
"""Names in a sentence at most; names that are explained."""


def describe_run(recipe: Mapping[str, Any]) -> list[str]:
    """Describe a run in three sentences.

    Args:
        recipe: The recipe as recipe.json holds it.

    Returns:
        What is trained, on what, and why it matters.

    Raises:
        UserError: The recipe lacks a field that this version writes (named).
    """
    stages: Stages = recipe["stages"]
    try:
        return [_describe_training(stages), _describe_data(stages, recipe.get("data", {})), _describe_purpose(stages)]
    except KeyError as error:
        raise UserError(
            "is not described in sentences: a field is missing", file="recipe.json", field=str(error)
        ) from error


def _describe_training(stages: Stages) -> str:
    if len(stages) > 1:
        kinds = {name: shorten_reference(stage["kind"]) for name, stage in stages.items()}
        names = [name if name == kind else f"{name} ({kind})" for name, kind in kinds.items()]
        bases = dict.fromkeys(
            str(stage["from"]) for stage in stages.values() if stage.get("from") and stage["from"] not in stages
        )
        begun = f", from {_join(display_names(list(bases)))}" if bases else ""
        return f"{len(stages)} stages, one after the other{begun}: {_join(names)}."
    (stage,) = stages.values()
    if stage["kind"] not in KINDS and not learns_from_rewards(stage):
        return f"A stage of the kind {shorten_reference(stage['kind'])} runs."
    if stage["kind"] == "pretrain":
        return f"A small model is made from nothing, on {stage['tokens']:,} tokens at most."
    if stage["kind"] == "eval":
        names = display_names(stage["models"])
        return f"{_join(names)} {'answer the same' if len(names) > 1 else 'answers'} held-out problems."
    (base,) = display_names([stage["from"]])
    if stage["kind"] in ("reject", "cold_start"):
        return f"{base} answers {counted(stage['questions'], 'question')} {counted(stage['samples'], 'time')} each."
    if not learns_from_rewards(stage):
        return f"{base} {VERBS[stage['kind']]}: {_join(stage['data'])}."
    rollout, update = stage["rollout"], stage["update"]
    times = stage["steps"] // (update["minibatches"] * update["epochs"])
    better = "goes better than a second network expects" if stage.get("value") else "scores above its group"
    return (
        f"{base} learns from rewards: {'once' if times == 1 else f'{times:,} times'} it answers "
        f"{counted(rollout['questions'], 'problem')}, {rollout['group_size']} times each, and what {better} becomes "
        "likelier."
    )


def _describe_data(stages: Stages, data: Mapping[str, Any]) -> str:
    tasks = [task for stage in stages.values() for task in stage.get("tasks", [])]
    names = list(dict.fromkeys(map(_name_briefly, tasks)))
    asked = list(dict.fromkeys(map(_describe_task, tasks))) if len(names) <= FEW else names
    sets = {(chosen["name"], chosen["problems"]): chosen for stage in stages.values() for chosen in list_sets(stage)}
    measured = _join([f"{name} ({counted(problems, 'problem')})" for name, problems in sets])
    if len(sets) > FEW:
        measured = f"{len(sets)} sets of problems"
    if all(map(compares_models, stages.values())):
        return f"The problems are {measured}{_describe_graders(list(stages.values()))}."
    parts = []
    if asked:
        graded = _describe_graders([stage for stage in stages.values() if stage.get("tasks")])
        parts.append(f"The problems are {_join(asked)}{graded}")
    elif any(stage["kind"] == "pretrain" for stage in stages.values()):
        corpora = [stage["corpus"] for stage in stages.values() if stage["kind"] == "pretrain"]
        parts.append(f"It reads the generated corpus {_join(corpora)}")
    elif data:
        parts.append(f"The texts are {_join(list(data))}")
    if sets:
        held_out = " that training never draws" if asked else ""
        parts.append(f"{'it is' if parts else 'It is'} measured on {measured}{held_out}")
    return "; ".join(parts or ["Nothing is measured on the way"]) + "."


def _describe_graders(stages: Sequence[Mapping[str, Any]]) -> str:
    """Say who says what answers are worth: ``, and rules and a reward model grade the answers``."""
    times = Counter(kind for kind, _ in {grader for stage in stages for grader in _list_graders(stage)})
    who = [several if times[kind] > 1 else one for kind, (one, several) in GRADERS.items() if times[kind]]
    verb = "grades" if len(who) == 1 and who[0].startswith("a ") else "grade"
    return f", and {_join(who)} {verb} the answers" if who else ""


def _list_graders(stage: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield who grades a stage's answers: the kind, and a name that tells one of the kind from another."""
    if learns_from_rewards(stage):
        yield from _list_reward_parts(stage)
        return
    yield "rules", ""
    yield from (("function", part["name"]) for part in stage.get("custom", ()))
    yield from (("judge", judge["name"]) for judge in stage.get("judges", ()))
    if stage.get("judge") or stage.get("benchmark_judge"):
        yield "judge", ""


def _list_reward_parts(stage: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """List the parts of the reward that weigh something for one of the tasks, as ``_list_graders`` does.

    Of a run of another version, whose reward reads otherwise, there are none.
    """
    try:
        reward = RewardSpec.model_validate(stage.get("reward", {}))
    except ValidationError:
        return
    weights = (reward.weights(_name_task(task)) for task in stage["tasks"])
    weighing = {part for of_task in weights for part, weight in of_task.items() if weight.weight} - set(QUALITY)
    if weighing & set(REWARD_PARTS):
        yield "rules", ""
    yield from (("function", part.name) for part in reward.custom if part.name in weighing)
    yield from (("reward model", part.name) for part in reward.models if part.name in weighing)


def _describe_purpose(stages: Stages) -> str:
    kinds = {"rl" if learns_from_rewards(stage) else stage["kind"] for stage in stages.values()}
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
    if kinds != {"eval"}:
        return "What it is good for, its kind of stage says."
    if sum(len(stage["models"]) for stage in stages.values()) == len(stages):
        return "Nothing is trained: this is what the model can do as it is."
    return "Nothing is trained; problems and random numbers are common, so that differences are the models' own."


def list_sets(stage: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """List the sets of held-out problems that a stage, as recipe.json has it, measures on."""
    found: Sequence[Mapping[str, Any]] = stage.get("sets") or stage.get("evaluation", {}).get("sets", [])
    return found


def _name_task(task: Mapping[str, Any]) -> str:
    own = str(task["task"]).rpartition(":")[2]  # of file.py:function
    return str(task.get("display_name") or (f"gym-{task['set']}" if task.get("set") else own))


def is_generated(task: Mapping[str, Any]) -> bool:
    """Tell whether the problems of a task are made as they are needed."""
    return not (task.get("path") or task.get("hub") or task.get("set"))


def _name_briefly(task: Mapping[str, Any]) -> str:
    """Name a task; problems of the user's own are called by the file that they stand in."""
    return f"those of {_name_source(task)}" if _name_task(task) == "file" else _name_task(task)


def _name_source(task: Mapping[str, Any]) -> str:
    return str(task.get("hub") or Path(task["path"]).name)


def _describe_task(task: Mapping[str, Any]) -> str:
    if task.get("path") or task.get("hub"):
        return _name_briefly(task) if _name_task(task) == "file" else f"{_name_task(task)} ({_name_source(task)})"
    languages = " and ".join(LANGUAGES.get(language, language) for language in task.get("languages", []))
    made = "made as they are needed" if task["task"] in GENERATORS else "of your own"
    gloss = f"{TASKS[task['task']]}; " if task["task"] in TASKS else ""
    return f"{_name_task(task)} ({gloss}{f'{languages}, ' if languages else ''}{made})"


def _join(names: Sequence[str]) -> str:
    """Write ``a, b and c``; of many the first ones."""
    if len(names) > SHOWN + 1:
        return f"{', '.join(names[:SHOWN])} and {len(names) - SHOWN} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""
