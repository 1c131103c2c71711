"""A run as a newcomer is told of it: what came out in one sentence, what was done in three, and what to do next."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dunwu.observatory import beside
from dunwu.observatory.findings import EvaluationsBySet, LastEvaluated, are_models, base_and_trained, last_evaluated
from dunwu.observatory.wording import checkpoint, interval, number, quantity
from dunwu.runs import ABLATION, RunReader

TASKS = {
    "arithmetic": "sums",
    "bases": "numbers to write in another base",
    "ciphers": "ciphers to read",
    "countdown": "Countdown puzzles (reach a number with given ones, each used once)",
    "divisors": "common divisors and multiples",
    "equations": "equations to solve",
    "functions": "functions to find from examples",
    "game24": "puzzles of the 24 game",
    "knights": "puzzles of knights who tell the truth and knaves who lie",
    "ordering": "numbers to sort",
    "premise": "questions whose premise may be false",
    "probability": "probabilities to work out",
    "ranking": "people to rank by height",
    "zebra": "zebra puzzles (who lives where, by clues)",
}
"""Generated tasks in a few words; any other is called by its name."""
LANGUAGES = {"en": "English", "zh": "Chinese", "de": "German", "fr": "French", "es": "Spanish", "ja": "Japanese"}
KINDS = {
    "rl": "reinforcement learning",
    "sft": "supervised fine-tuning",
    "distil": "distillation",
    "reward_model": "a reward model",
    "reject": "rejection sampling",
    "cold_start": "cold-start data",
    "pretrain": "pretraining",
    "eval": "an evaluation",
}


class Advice(NamedTuple):
    """What to do next: in words, and the command ("" where there is none)."""

    what: str
    command: str


def headline(run: RunReader, found: LastEvaluated | None = None) -> str:
    """Say what happened, in one sentence that claims no change that the 95 % intervals do not show.

    Args:
        run: the run.
        found: its last evaluations, where they have been read.

    Returns:
        The sentence.
    """
    found = found or last_evaluated(run)
    if found is None:
        return "No held-out evaluation yet, so there is nothing to claim."
    stage, by_set = found
    if are_models(run, stage):
        return _beside(run, by_set)
    name, evaluations = next(iter(by_set.items()))
    measure = beside.first_measure(run.recipe["stages"].get(stage, {}), evaluations[-1].results)
    what = "Right answers" if measure == "pass@1" else quantity(measure or "").label.capitalize()
    ends = base_and_trained(evaluations)
    if measure is None or ends is None or any(measure not in end.results for end in ends):
        only = evaluations[-1]
        told = number(measure, only.results[measure].value) if measure else "measured"
        named = "" if measure in (None, "pass@1") else f"{what.lower()} "
        whose = checkpoint(only.checkpoint).capitalize()
        return f"{whose} on {only.problems:,} held-out problems ({name}): {named}{told}."
    problems = ends[0].problems
    before, after = (end.results[measure] for end in ends)
    told = " to ".join(f"{number(measure, end.value)} ({interval(measure, end)})" for end in (before, after))
    if before.low <= after.high and after.low <= before.high:
        return f"{what} went from {told} on {problems:,} held-out problems: no change that the intervals can tell."
    verb = "grew" if after.value > before.value else "fell"
    return f"{what} {verb} from {told} on {problems:,} problems that training never drew."


def _beside(run: RunReader, by_set: EvaluationsBySet) -> str:
    """Of a pipeline from the first model to the last, what each benchmark measures above all; of an evaluation every
    model."""
    if all(stage.get("kind") == "eval" for stage in run.recipe["stages"].values()):
        told = [
            f"{row.benchmark}: " + ", ".join(f"{name} {number('pass@1', v.value)}" for name, v in row.values.items())
            for row in beside.rows(by_set)
            if row.quantity == "pass@1"
        ]
        return f"Right answers, {'; '.join(told)}." if told else "Models beside each other."
    told, ends = list[str](), ("", "")
    for row in beside.rows(by_set):
        if row.quantity == "pass@1" and len(row.values) > 1:
            (first, before), *_, (last, after) = row.values.items()
            ends = (first, last)
            values = " to ".join(number("pass@1", value.value) for value in (before, after))
            told.append(f"{row.benchmark} {values}")
    if not told:
        return "Models beside each other."
    return f"Right answers from {ends[0]} to {ends[1]}: {', '.join(told)}."


def told_in_three(run: RunReader) -> list[str]:
    """Tell what was trained, on what, and why it matters, to someone who knows nothing of it.

    Args:
        run: the run, at any moment.

    Returns:
        Three sentences.
    """
    stages: dict[str, Any] = run.recipe["stages"]
    kinds = [str(spec.get("kind", "")) for spec in stages.values()]
    return [_what(stages), _on_what(run.recipe), _why(kinds)]


def _what(stages: Mapping[str, Any]) -> str:
    if len(stages) > 1:
        sources = [str(spec["from"]) for spec in stages.values() if spec.get("from")]
        times = Counter(_kind(spec) for spec in stages.values())
        listed = _listed([kind if count == 1 else f"{count} x {kind}" for kind, count in times.items()])
        how = "that build on each other" if set(sources) & stages.keys() else "side by side"
        return f"Beginning with {_source(sources[0] if sources else 'a model')}, {len(stages)} stages {how}: {listed}."
    (spec,) = stages.values()
    source, models = _source(str(spec.get("from", "a model"))), _listed(list(spec.get("models") or ("models",)))
    match spec.get("kind"):
        case "rl":
            return f"The model {source} learned by reinforcement learning: {_rollouts(spec)}."
        case "eval":
            return f"Nothing was trained: {models} answered the same problems."
        case "pretrain":
            return "A small model was made from nothing, by predicting the next token of a generated corpus."
        case _:
            return f"The model {source} went through {_kind(spec)}."


def _source(name: str) -> str:
    """A model's name; of a folder somewhere on this machine its end."""
    return "/".join(name.split("/")[-2:]) if name.startswith("/") else name


def _kind(spec: Mapping[str, Any]) -> str:
    kind = str(spec.get("kind", "unknown"))
    return KINDS.get(kind, kind)


def _rollouts(spec: Mapping[str, Any]) -> str:
    rollout, reward = spec.get("rollout") or {}, spec.get("reward") or {}
    size, questions = rollout.get("group_size"), rollout.get("questions")
    asked = f"it wrote {size} answers to each of {questions} questions" if size and questions else "it wrote answers"
    judged = "rules and a reward model scored them" if reward.get("models") else "rules scored them"
    return f"again and again {asked}, {judged}, and what scored more than its siblings was made more likely"


def _on_what(recipe: Mapping[str, Any]) -> str:
    specs = [
        task
        for stage in recipe["stages"].values()
        for task in (stage.get("tasks") or [one.get("task") or {} for one in stage.get("sets") or ()])
        if isinstance(task, Mapping)
    ]
    names = list(dict.fromkeys(str(task.get("task", "")) for task in specs if task.get("task")))
    data = list(recipe.get("data") or ())
    if not names:
        return f"It read the data {_listed(data)} of the recipe." if data else "The recipe below says on what."
    languages = dict.fromkeys(code for task in specs for code in task.get("languages") or ())
    spoken = f", in {_listed([LANGUAGES.get(code, code) for code in languages])}" if languages else ""
    read = f"; conversations come from {_listed(data)}" if data else ""
    unseen = "; it is measured on problems that training never drew" if _is_measured(recipe) else ""
    return f"The questions are {_listed([TASKS.get(name, name) for name in names])}{spoken}{read}{unseen}."


def _trains(recipe: Mapping[str, Any]) -> bool:
    return any(stage.get("kind") != "eval" for stage in recipe["stages"].values())


def _is_measured(recipe: Mapping[str, Any]) -> bool:
    """Whether what is trained is measured on held-out problems."""
    stages = recipe["stages"].values()
    sets = any(stage.get("sets") or (stage.get("evaluation") or {}).get("sets") for stage in stages)
    return sets and _trains(recipe)


def _why(kinds: Sequence[str]) -> str:
    if set(kinds) == {"eval"}:
        return "Models that answer the same problems, drawn with the same random numbers, can be told apart fairly."
    if set(kinds) <= {"rl", "eval"}:
        return (
            "It matters because nobody showed the model how to reason: only results were rewarded, so whatever it does "
            "before it answers it found by itself, as DeepSeek-R1-Zero did (arXiv 2501.12948)."
        )
    if "distil" in kinds:
        return (
            "It matters because small models learn to reason better from a large one's answers than by reinforcement "
            "alone, as DeepSeek reports (arXiv 2501.12948)."
        )
    if "rl" in kinds:
        return (
            "It matters because it is how DeepSeek-R1 was made (arXiv 2501.12948): reasoning grows by reinforcement, "
            "and the stages around it keep it readable and useful."
        )
    if "reward_model" in kinds:
        return "It matters because a reward model scores what no rule can, and what it gets wrong a policy exploits."
    return "It matters because a model that has learned the form of reasoning is what reinforcement can build on."


def _listed(items: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def next_steps(run: RunReader) -> Iterator[Advice]:
    """Say what can be done with a run as it stands.

    Args:
        run: the run.

    Yields:
        What to do, with its command, the most useful first.
    """
    folder, kind = str(run.directory), run.state.kind
    recipe = str(run.directory / "recipe.json")
    if kind in ("stopped", "failed"):
        mend = "Mend what it failed of, then go on" if kind == "failed" else "Go on"
        yield Advice(f"{mend} where it stands", _command("run", recipe, "--out", folder, "--resume"))
    yield Advice("Look through every answer, filter them, follow one problem", _command("watch", folder))
    if kind != "done":
        return
    stages = run.recipe["stages"]
    writing = [name for name in run.stages if stages[name].get("kind") == "rl"]
    for name in writing[-1:]:
        if run.stage(name).derived.record(ABLATION) is None:
            yield Advice("Find out whether reflection helps or only comes along", _command("ablate", folder))
        if steps := stages[name].get("steps"):
            more = ("--set", f"stages.{name}.steps={2 * steps}", "--out", folder, "--resume")
            if name == list(run.stages)[-1]:
                yield Advice("Train it longer", _command("run", recipe, *more))
    if _trains(run.recipe):
        yield Advice("See whether another seed says the same", _command("reproduce", recipe, "--seeds", "1,2,3"))
    if writing:
        yield Advice("Measure the model on a benchmark", _command("eval", folder, "--bench", "countdown"))


def _command(*words: str) -> str:
    return shlex.join(["dunwu", *words])
