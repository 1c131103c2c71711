"""Answers to problems of reasoning-gym, by the scorers of its sets.

They are somebody else's programs over hostile text, so they run in the sandbox, each answer in a cell of its own; the
sets whose scorers run the answer are no tasks. ``Problem.tests`` are the set's name, and JSON: ``module`` in which the
set stands, ``answer`` and ``metadata`` as the scorer wants them. Right is what scores exactly 1.0.
"""

from __future__ import annotations

import json
import os
from functools import cached_property
from importlib.util import find_spec

from dunwu.errors import NotInstalled
from dunwu.sandbox import Limits, Outcome, Sandbox, Unavailable, retry, values
from dunwu.verifiers.verdict import Verdict

SCORER_LIMITS = Limits(memory_bytes=1 << 30)
PACKAGES = ("reasoning_gym", "numpy", "sympy", "matplotlib", "yaml", "dateutil")
"""What sets import, with all that is installed beside it."""
SCORER = """
import importlib, importlib.util, json, os, sys, types
os.environ["OPENBLAS_NUM_THREADS"] = "1"
sys.path += LIBRARIES
home = os.path.dirname(importlib.util.find_spec("reasoning_gym").origin)
folders = MODULE.split(".")[:-1]
# Hollow packages: to import all the sets beside this one would take a second, for each answer.
for depth in range(1, len(folders) + 1):
    package = sys.modules[".".join(folders[:depth])] = types.ModuleType(".".join(folders[:depth]))
    package.__path__ = [os.path.join(home, *folders[1:depth])]
importlib.import_module("reasoning_gym.coaching")  # first: it and the factory import each other
importlib.import_module(MODULE)
data = importlib.import_module("reasoning_gym.factory").create_dataset(NAME, seed=0, size=1)

def score(answer, facts):
    return float(data.score_answer(answer, json.loads(facts)))
"""


def find_libraries() -> tuple[str, ...]:
    """Return the directories that the sandbox must let programs read: see ``sandbox.choose``.

    Raises:
        NotInstalled: The package is not.
    """
    if find_spec("reasoning_gym") is None:
        raise NotInstalled("reasoning-gym", "gym", field="task")
    places = [
        place for name in PACKAGES if (spec := find_spec(name)) for place in spec.submodule_search_locations or ()
    ]
    return tuple(sorted({os.path.dirname(os.path.realpath(place)) for place in places}))


class GymVerifier:
    """Asks the scorers of reasoning-gym. Threads may share it, each waiting for a place in the sandbox.

    Args:
        sandbox: One that was chosen with ``find_libraries()``, before the first answer is graded. Whoever made it
            closes it.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    @cached_property
    def _libraries(self) -> list[str]:
        return list(find_libraries())

    def judge(self, tests: tuple[str, ...], answer: str) -> Verdict:
        """Ask the set's scorer: right is what it gives 1.0.

        An answer on which the scorer fails, or for which it takes too long, is wrong.

        Args:
            tests: The set's name, and what its scorer wants, as JSON.
            answer: What was answered.
        """
        try:
            return retry(lambda: self._score(tests, answer))
        except Unavailable as error:
            return Verdict(None, str(error))

    def _score(self, tests: tuple[str, ...], answer: str) -> Verdict:
        name, facts = tests
        given = {"LIBRARIES": self._libraries, "NAME": name, "MODULE": json.loads(facts)["module"]}
        source = "".join(f"{key} = {value!r}\n" for key, value in given.items()) + SCORER
        with self._sandbox.open(SCORER_LIMITS) as session, session.serve(source, "score") as said:
            if said != "R":  # no answer has been seen yet
                return Verdict(None, f"the scorer of {name} does not start: {_describe(said)}")
            scored = session.say(values.dumps(((answer, facts), {})))
        if isinstance(scored, Outcome) or not scored.startswith("V"):
            return Verdict(False, f"the scorer of {name} fails: {_describe(scored)}")
        value = values.loads(scored[1:])
        return Verdict(value == 1.0, f"scores {value:g} in {name}")


def _describe(said: str | Outcome) -> str:
    if isinstance(said, str):
        return ": ".join(json.loads(said[1:]))
    return f"{said.status}: {said.detail}" if said.detail else said.status
