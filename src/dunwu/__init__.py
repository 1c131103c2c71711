r"""Dunwu (顿悟): grow reasoning in language models the way DeepSeek-R1 did.

    run = dunwu.run("nano/r1-zero", out="runs/mine")      a recipe, from its file to its report
    policy = dunwu.load(run)                              a model that can be asked
    policy.generate("Using 3, 5, 7, make 22.", n=4)
    dunwu.grade(r"\boxed{\frac{1}{2}}", gold="0.5")       what a rule says of an answer
    dunwu.train("nano-base", problems, reward=mine)       your own callables, without a recipe

Importing this package imports nothing heavy: each name is imported when it is first used. Threads of torch sleep where
they wait long, if torch is imported after this package and ``OMP_WAIT_POLICY`` says nothing else; freed memory is kept.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dunwu.machine import keep_freed_memory, let_waiting_threads_sleep

if TYPE_CHECKING:
    from dunwu import register
    from dunwu.api.loop import Loop, open_loop
    from dunwu.api.policy import Policy, load
    from dunwu.api.run import Run, Summary
    from dunwu.commands.evaluate import evaluate
    from dunwu.commands.export import export
    from dunwu.commands.grade import grade
    from dunwu.commands.plan import plan
    from dunwu.commands.report import report
    from dunwu.commands.run import run
    from dunwu.commands.train import train
    from dunwu.errors import Fault, Interrupted, UserError
    from dunwu.types import Completion, Estimate, Message, Problem, Score, ScoredGroup
    from dunwu.version import __version__

_HOMES = {
    "register": "dunwu.register",
    **dict.fromkeys(("Loop", "open_loop"), "dunwu.api.loop"),
    **dict.fromkeys(("Policy", "load"), "dunwu.api.policy"),
    **dict.fromkeys(("Run", "Summary"), "dunwu.api.run"),
    **{name: f"dunwu.commands.{name}" for name in ("evaluate", "export", "grade", "plan", "report", "run", "train")},
    **dict.fromkeys(("Fault", "Interrupted", "UserError"), "dunwu.errors"),
    **dict.fromkeys(("Completion", "Estimate", "Message", "Problem", "Score", "ScoredGroup"), "dunwu.types"),
    "__version__": "dunwu.version",
}
"""Where each public name is defined."""

let_waiting_threads_sleep()  # torch reads it when it is loaded, be it by us, by the user or by a process begun here

__all__ = [
    "Completion",
    "Estimate",
    "Fault",
    "Interrupted",
    "Loop",
    "Message",
    "Policy",
    "Problem",
    "Run",
    "Score",
    "ScoredGroup",
    "Summary",
    "UserError",
    "__version__",
    "evaluate",
    "export",
    "grade",
    "load",
    "open_loop",
    "plan",
    "register",
    "report",
    "run",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dunwu' has no attribute {name!r}")
    keep_freed_memory()
    module = import_module(_HOMES[name])
    value = module if name == "register" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, "__all__", "__doc__", "__file__", "__name__", "__path__"})
