"""Tasks that a recipe names once, ``[tasks.NAME]``, and stages use by name."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from typing import Any

from dunwu.config.issues import Issue
from dunwu.config.overrides import Tree
from dunwu.errors import did_you_mean


def share_tasks(tree: Tree, inherited: Collection[str], homes: dict[str, str]) -> Iterator[Issue]:
    """Put the recipe's ``[tasks.NAME]`` where stages name them, in place, and find what is wrong with that.

    Args:
        tree: The recipe's tables.
        inherited: Tasks of an extended recipe: nobody need name them.
        homes: Filled with the place of each copy and where it is written.
    """
    shared, used = tree.pop("tasks", {}), set[str]()
    if not isinstance(shared, dict):
        yield Issue("tasks", "must be tables, [tasks.NAME]")
        return
    for holder, key, place in _find_places(tree):
        name = holder[key]
        if name in shared:
            holder[key] = copy.deepcopy(shared[name])
            used.add(name)
            homes[place] = f"tasks.{name}"
        else:
            known = ", ".join(shared) or "none"
            text = f"no task of this recipe is called {name!r} (known here: {known}){did_you_mean(name, shared)}"
            yield Issue(place, f"{text}; a task is a table, or the name of one under [tasks]")
    for name in shared.keys() - used - set(inherited):
        yield Issue(f"tasks.{name}", "no stage names it")


def _find_places(tree: Tree) -> Iterator[tuple[Any, Any, str]]:
    """Yield where a task is given by a name: what holds it, its key there, its place in the recipe."""
    stages = tree.get("stages")
    for name, stage in stages.items() if isinstance(stages, dict) else ():
        if not isinstance(stage, dict):
            continue
        tasks, evaluation = stage.get("tasks"), stage.get("evaluation")
        for index, task in enumerate(tasks if isinstance(tasks, list) else ()):
            if isinstance(task, str):
                yield tasks, index, f"stages.{name}.tasks.{index}"
        inner = evaluation.get("sets") if isinstance(evaluation, dict) else None
        for where, sets in (("sets", stage.get("sets")), ("evaluation.sets", inner)):
            for index, chosen in enumerate(sets if isinstance(sets, list) else ()):
                if isinstance(chosen, dict) and isinstance(chosen.get("task"), str):
                    yield chosen, "task", f"stages.{name}.{where}.{index}.task"
