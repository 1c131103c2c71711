"""What a recipe can name: losses, advantages, tasks, verifiers, rewards, engines and kinds of stages.

A reference is one of three things:

    grpo                     a name: built in, registered by a decorator, or by an installed package (entry points)
    package.module:my_loss   an attribute of a module that can be imported
    folder/file.py:my_loss   an attribute of a Python file; a recipe writes its path relative to its own

Built-in entries are references too, so that every list of names stands here once and listing them imports nothing.

What a reference leads to is trusted code: losses, advantages, engines and kinds of stages run in this process, with the
user's rights. Rewards and verifiers meet texts that a model wrote, and run in processes of their own
(``dunwu.verifiers.user``).
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar

from dunwu.errors import Fault, Interrupted, UserError, did_you_mean
from dunwu.user_code import FILE_MODULE, describe_error, is_reference, load_reference, source_file

T = TypeVar("T")
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a name stands for.

    Attributes:
        holder: Who registered it, for errors.
        target: The thing itself, or a reference that leads to it.
        file: The file that registered it; None for what is built in, or typed into an interpreter.
    """

    holder: str
    target: object
    file: Path | None = None


class Registry:
    """The names of one sort of thing, and what stands behind them.

    Args:
        noun: What one entry is called in errors, ``loss``.
        plural: The same for several; ``dunwu.losses`` is the group of their entry points.
        builtin: References by name.
    """

    def __init__(self, noun: str, plural: str, builtin: Mapping[str, str]) -> None:
        self.noun, self.plural, self.group = noun, plural, f"dunwu.{plural}"
        self.builtin = tuple(builtin)
        self._entries = {name: Entry(holder="dunwu itself", target=target) for name, target in builtin.items()}
        self._lent: Counter[str] = Counter()
        self._lending = Lock()

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that adds what it decorates under a name.

        The same module may register a name again, as a cell of a notebook does that runs twice.

        Raises:
            UserError: It is no name, or another module holds it.
        """
        if not NAME.fullmatch(name):
            raise UserError(f"{name!r} cannot name a {self.noun}: letters, digits, - and _ only")
        scope = sys._getframe(1).f_globals
        holder, file = str(scope.get("__name__")), scope.get("__file__")
        file = None if file is None else Path(file).absolute()

        def add(thing: T) -> T:
            self._add(name, Entry(holder=holder if file is None else str(file), target=thing, file=file))
            return thing

        return add

    @contextmanager
    def lend(self, name: str, thing: object) -> Iterator[None]:
        """Hold a name for a thing while the block runs.

        Several blocks may hold a name at once, in threads too; what they hold under it must be alike.

        Args:
            name: The name.
            thing: What it stands for.

        Raises:
            UserError: Somebody else has registered the name.
        """
        with self._lending:
            self._add(name, Entry(holder="dunwu.train", target=thing))
            self._lent[name] += 1
        try:
            yield
        finally:
            with self._lending:
                self._lent[name] -= 1
                if not self._lent[name]:
                    del self._entries[name]

    def names(self) -> tuple[str, ...]:
        """List every name: built in, registered, and those of installed packages."""
        return tuple(self._entries | self._installed)

    def is_registered(self, name: str) -> bool:
        """Tell whether code of this process gave a name, so that no other process knows it."""
        return name in self._entries and name not in self.builtin

    def problem_with(self, reference: str) -> str | None:
        """Say what is wrong with a reference, as far as that shows without importing anything; None: nothing."""
        if is_reference(reference) or reference in self._entries or reference in self._installed:
            return None
        names = self.names()
        known = f"there are {', '.join(names)}" if names else "none is registered"
        more = "a name may also be MODULE:NAME or FILE.py:NAME"
        return f"no {self.noun} is called {reference!r}{did_you_mean(reference, names)}; {known}; {more}"

    def load(self, reference: str) -> Any:
        """Return what a reference leads to, importing its module or file where that is needed.

        Raises:
            UserError: No such name, module, file or attribute; or the import fails.
        """
        target = self._target(reference)
        return load_reference(target) if isinstance(target, str) else target

    def load_function(self, reference: str, field: str) -> Callable[..., Any]:
        """Return the function that a field of a recipe names.

        Raises:
            UserError: As ``load``; or it is no function; names the field.
        """
        try:
            found = self.load(reference)
        except UserError as error:
            raise UserError(str(error), field=field) from error
        if not callable(found):
            raise UserError(f"{reference} is {type(found).__name__}, not a function", field=field)
        function: Callable[..., Any] = found
        return function

    def source_file(self, reference: str) -> Path | None:
        """Find the file that a reference leads to, without importing it; None for what is built in, or has none.

        Raises:
            UserError: There is no such name.
        """
        if reference in self.builtin:
            return None
        target = self._target(reference)
        return source_file(target) if isinstance(target, str) else self._entries[reference].file

    @contextmanager
    def blame(self, reference: str, field: str | None) -> Iterator[None]:
        """Name an entry in whatever its code raises while the block runs; what is built in raises as it does.

        Args:
            reference: The entry whose code runs.
            field: The field of the recipe that names it.

        Raises:
            UserError: The code raised, or wanted to end the process.
        """
        try:
            yield
        except (Interrupted, KeyboardInterrupt, UserError, Fault):
            raise
        except BaseException as error:  # whatever code of the user's raises, sys.exit too
            if reference in self.builtin:
                raise
            text = f"{reference} raised {describe_error(error, self.source_file(reference))}"
            raise UserError(text, field=field) from error

    def portable(self, reference: str) -> str | None:
        """Return the reference by which another process can load the same thing; None where none can.

        Raises:
            UserError: There is no such name.
        """
        target = self._target(reference)
        if isinstance(target, str):
            return target
        module, path = getattr(target, "__module__", None), getattr(target, "__qualname__", None)
        if not module or not path or module == "__main__" or "<" in path:
            return None
        return f"{self._entries[reference].file if module.startswith(FILE_MODULE) else module}:{path}"

    def name_elsewhere(self, name: str, field: str) -> str:
        """Return the name by which another process of the run finds what stands behind a name.

        Raises:
            UserError: No name of it is known there; ``field`` says where it stands in the recipe.
        """
        found = self.portable(name) if self.is_registered(name) else name
        if found is None:
            text = f"{name} is known in this process alone, and workers cannot find it: name it as FILE.py:NAME"
            raise UserError(text, field=field)
        return found

    def _target(self, reference: str) -> object:
        if problem := self.problem_with(reference):
            raise UserError(problem)
        entry = self._entries.get(reference) or ({} if ":" in reference else self._installed).get(reference)
        return reference if entry is None else entry.target

    def _add(self, name: str, entry: Entry) -> None:
        held = self._entries.get(name)
        if held is not None and held.holder != entry.holder:
            raise UserError(f"the {self.noun} {name!r} of {entry.holder} cannot be added: {held.holder} holds the name")
        self._entries[name] = entry

    @cached_property
    def _installed(self) -> dict[str, Entry]:
        """Entries of installed packages, read where a name is not known otherwise: it takes a tenth of a second."""
        from importlib.metadata import entry_points

        found: dict[str, Entry] = {}
        for point in entry_points(group=self.group):
            holder = f"the package {point.dist.name}" if point.dist else f"an entry point of {self.group}"
            held = self._entries.get(point.name) or found.get(point.name)
            if held is not None:
                text = f"the {self.noun} {point.name!r} of {holder} cannot be added: {held.holder} holds the name"
                raise UserError(f"{text}; uninstall one of them")
            found[point.name] = Entry(holder=holder, target=point.value)
        return found


losses: Final = Registry(
    "loss",
    "losses",
    {name: f"dunwu.algorithms.losses:{name}" for name in ("grpo", "gspo", "cispo")},
)
advantages: Final = Registry(
    "advantage",
    "advantages",
    {
        "group-std": "dunwu.algorithms.group_baselines:group_std",
        "group-mean": "dunwu.algorithms.group_baselines:group_mean",
        "leave-one-out": "dunwu.algorithms.group_baselines:leave_one_out",
        "gae": "dunwu.algorithms.gae:gae",
    },
)
PUZZLES: Final = (
    *("countdown", "game24", "arithmetic", "addition", "equations", "divisors", "bases", "ordering", "knights"),
    *("zebra", "ciphers", "probability", "ranking", "functions", "premise"),
)
PUBLISHED: Final = (
    *("gsm8k", "math", "aime", "amc", "cmath", "humaneval", "mbpp", "gpqa"),
    *("livecodebench", "codeforces", "ifeval", "safety", "alpaca", "arena"),
)
DATA_SETS: Final = (*PUBLISHED, "file")
"""Tasks that are read from a file: data sets in their published form, and any other whose columns a recipe names."""
GENERATORS: Final = {
    **{name: f"dunwu.tasks.generators.{name}:{name.upper()}" for name in PUZZLES},
    "talk": "dunwu.tasks.world.talk:TALK",
    "harmful": "dunwu.tasks.world.requests:HARMFUL_REQUESTS",
    "harmless": "dunwu.tasks.world.requests:HARMLESS_REQUESTS",
}
"""Tasks that make their problems."""
tasks: Final = Registry(
    "task",
    "tasks",
    {
        **GENERATORS,
        **{name: f"dunwu.tasks.datasets.layouts:{name.upper()}" for name in PUBLISHED},
        "file": "dunwu.tasks.datasets.layouts:make_layout",
        "gym": "dunwu.tasks.generators.gym:make_generator",
    },
)
PROBLEM_KINDS: Final = (
    *("expression", "math", "choice", "premise", "code", "gym", "instructions", "refusal"),
    *("number", "text", "sequence", "set", "open"),
)
verifiers: Final = Registry(
    "verifier", "verifiers", {kind: f"dunwu.verifiers.kinds:{kind.capitalize()}" for kind in PROBLEM_KINDS}
)
rewards: Final = Registry("reward", "rewards", {})
engines: Final = Registry(
    "engine",
    "engines",
    {
        "builtin": "dunwu.rollout.builtin.worker_threads:build_builtin_engine",
        "vllm": "dunwu.rollout.vllm.engine:build_vllm_engine",
    },
)
stages: Final = Registry(
    "kind of stage",
    "stages",
    {
        "rl": "dunwu.kinds.rl:RL",
        "sft": "dunwu.kinds.training:SFT",
        "distil": "dunwu.kinds.training:DISTIL",
        "reject": "dunwu.kinds.answering:REJECT",
        "cold_start": "dunwu.kinds.answering:COLD_START",
        "reward_model": "dunwu.kinds.training:REWARD_MODEL",
        "eval": "dunwu.kinds.answering:EVAL",
        "pretrain": "dunwu.kinds.training:PRETRAIN",
    },
)
REGISTRIES: Final = (losses, advantages, tasks, verifiers, rewards, engines, stages)
