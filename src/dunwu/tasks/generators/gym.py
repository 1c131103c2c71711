"""The problem sets of reasoning-gym as generators, each at its default difficulty and in English.

github.com/open-thought/reasoning-gym, 0.1.25; ``pip install reasoning-gym``. A set's own scorer decides (``kind`` is
``gym``), in the sandbox, and exactly 1.0 is right: what it pays in parts is lost. Sets whose scorer can be talked into
1.0 are left out; ``tests/unit/tasks/generators/test_gym.py`` measures which.
"""

from __future__ import annotations

import difflib
import json
import random
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from dunwu.errors import NotInstalled, UserError
from dunwu.tasks.task import Draft, Generator

ENTRIES = 1 << 30
"""Entries of a set, which makes each from its number when it is asked for."""
MADE_AHEAD = {"acre": 2000}
"""Entries of sets that make all entries at once."""
EXECUTES = "its scorer executes the answer"
LENIENT = "its scorer takes wrong answers for right"
MIXES = "it mixes other sets"
NO_JSON = "its scorer needs facts that are no JSON"
NO_ORACLE = "it has no answer of its own that scores 1"
RUNS = "it runs programs of its data in this process"
UNSTABLE = "its problems differ from process to process"
EXCLUDED = {
    name: reason
    for reason, found in {
        EXECUTES: "binary_matrix countdown intermediate_integration n_queens polynomial_multiplication puzzle24 "
        "simple_integration spiral_matrix string_insertion",
        LENIENT: "coin_flip complex_arithmetic fraction_simplification game_of_life_halting kakurasu knights_knaves "
        "letter_jumble number_sorting polynomial_equations quantum_lock sokoban survo time_intervals",
        MIXES: "composite",
        NO_JSON: "arc_agi gsm_symbolic rearc",
        NO_ORACLE: "boxnet graph_color propositional_logic rubiks_cube rush_hour",
        RUNS: "codeio",
        UNSTABLE: "isomorphic_strings knight_swap list_functions ransom_note word_ladder",
    }.items()
    for name in found.split()
}
"""Sets that are left out, and why."""


def list_sets() -> tuple[str, ...]:
    """List the sets that can be used.

    Raises:
        UserError: The package is not installed.
    """
    return tuple(sorted(_registry().keys() - EXCLUDED.keys()))


def make_generator(name: str) -> Generator:
    """Make a generator of a set.

    Raises:
        UserError: There is no such set, it is left out, or the package is not installed.
    """
    if name in EXCLUDED:
        raise UserError(f"the set {name} of reasoning-gym is left out: {EXCLUDED[name]}", field="set")
    if name not in list_sets():
        close = difflib.get_close_matches(name, list_sets(), n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(list_sets())}"
        raise UserError(f"reasoning-gym has no set {name!r}; {hint}", field="set")

    def draft(rng: random.Random, _level: int, _language: str) -> Draft:
        return _draft(name, _data_set(name)[rng.randrange(MADE_AHEAD.get(name, ENTRIES))])

    return Generator(draft, levels=(1,))


def _draft(name: str, entry: dict[str, Any]) -> Draft:
    """Make a problem of an entry.

    Its tests are the set's name, and as JSON all that scoring needs: where the scorer is (to import that module alone
    takes a twentieth of the package's second), the answer and the facts.
    """
    module = _registry()[name][0].__module__
    facts = {"module": module, "answer": entry["answer"], "metadata": entry["metadata"]}
    question = entry["question"].strip()
    return Draft(
        question=question,
        gold=entry["answer"],
        kind="gym",
        key=f"gym/{name}/{' '.join(question.split())}",
        tests=(name, json.dumps(facts)),
    )


@cache
def _data_set(name: str) -> Any:
    return import_module("reasoning_gym").create_dataset(name, seed=0, size=MADE_AHEAD.get(name, ENTRIES))


def _registry() -> dict[str, Any]:
    """Return every set's name, with its class and its configuration's."""
    if find_spec("reasoning_gym") is None:
        raise NotInstalled("reasoning-gym", "gym", field="task")
    import_module("reasoning_gym")  # which fills it
    return dict(import_module("reasoning_gym.factory").DATASETS)
