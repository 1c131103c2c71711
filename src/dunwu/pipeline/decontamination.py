"""Looks for training texts that a benchmark of the recipe has too, before anything is learnt from them.

Files are held against every evaluation set, whose questions must be there whole where a generator made them. Generated
tasks need no search: what they pose is held out by its content, in every wording, and no evaluation may ask for more
than training leaves out (``config.checks``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from dunwu import tasks
from dunwu.config.schema import EvaluationSet, Recipe
from dunwu.errors import UserError
from dunwu.evaluation.contamination import NGramIndex, NGramMatch
from dunwu.monitoring.progress import Progress
from dunwu.runs.atomic import atomic_write
from dunwu.tasks.datasets.conversations import read_texts
from dunwu.tasks.datasets.files import FileTask, read_problem_texts

REPORTED = 1000
"""Matches that the report holds of each source."""


def decontaminate(recipe: Recipe, out: Path, progress: Progress) -> frozenset[str]:
    """Compare every training text with every benchmark of a recipe, and report what they share.

    Args:
        recipe: validated.
        out: the run directory; the report lies beside it.
        progress: takes what was found.

    Returns:
        The names of the training texts to leave out.

    Raises:
        UserError: there are matches and the recipe refuses them; a file cannot be used.
    """
    spec, sets = recipe.decontamination, list(_sets(recipe))
    sources = list(_sources(recipe)) if sets else []  # nothing is read where nothing is measured
    if not sources:
        return frozenset()
    benchmarks = NGramIndex(spec.words, spec.boilerplate)
    count = sum(_add(benchmarks, name, chosen, recipe.seed) for name, chosen in sets)
    found = {name: list(benchmarks.find_first(texts)) for name, texts in sources}
    sizes = {name: len(texts) for name, texts in sources}
    total = sum(map(len, found.values()))
    path = out.resolve().with_name(f"{out.resolve().name}-contamination.json")
    atomic_write(path, _report(spec.words, sizes, found).encode())
    shared = f"share {spec.words} words in a row with a benchmark, or are a shorter question of it"
    found_text = f"{total:,} of {sum(sizes.values()):,} training texts {shared}"
    if total and spec.matches == "refuse":
        first = next(match for matches in found.values() for match in matches)
        text = f"{found_text}: {first.text} and {first.benchmark}: {first.words!r}; all of them in {path}; "
        raise UserError(text + '"drop" leaves them out', field="decontamination.matches")
    ends = {"drop": ", and are left out", "keep": ", and are kept"}.get(spec.matches, "") if total else ""
    progress.log_message(f"decontamination: {found_text} ({count:,} problems looked at){ends}")
    return frozenset(match.text for matches in found.values() for match in matches if spec.matches == "drop")


def _sources(recipe: Recipe) -> Iterator[tuple[str, Sequence[tuple[str, Sequence[str]]]]]:
    """Yield every file that is trained on, with its texts by name."""
    for name, data in recipe.data.items():
        if data.path is not None:
            yield f"data.{name}", [(f"{name}:{row}", texts) for row, texts in read_texts(data)]
    for name, stage in recipe.stages.items():
        for field, spec in stage.inputs.tasks.items():
            if spec.reads_file:
                task = tasks.build_task(spec, recipe.seed)
                if isinstance(task, FileTask):
                    problems = task.training_problems
                    texts = [(one.id, [message.content for message in one.messages]) for one in problems]
                    yield f"stages.{name}.{field}", texts


def _sets(recipe: Recipe) -> Iterator[tuple[str, EvaluationSet]]:
    """Yield every evaluation set, by stage and name."""
    for name, stage in recipe.stages.items():
        for chosen in stage.inputs.sets.values():
            yield f"{name}/{chosen.name}", chosen


def _add(benchmarks: NGramIndex, name: str, chosen: EvaluationSet, seed: int) -> int:
    """Add a set and return how many problems it has. Of a file's also the solutions; a generator has none."""
    problems = tasks.build_task(chosen.task, seed).get_held_out(chosen.problems)
    in_file = chosen.task.reads_file
    known = read_problem_texts(chosen.task) if in_file else {}
    texts = [(one.id, known.get(one.id) or [message.content for message in one.messages]) for one in problems]
    benchmarks.add(name, texts, whole=not in_file)
    return len(problems)


def _report(words: int, sizes: dict[str, int], found: dict[str, list[NGramMatch]]) -> str:
    sources = {
        name: {
            "texts": sizes[name],
            "matches": len(matches),
            "first": [match._asdict() for match in matches[:REPORTED]],
        }
        for name, matches in found.items()
    }
    return json.dumps({"words": words, "sources": sources}, indent=2, ensure_ascii=False) + "\n"
