"""The house holds: arrows between rooms, rooms without torch, who may import what, and the names that users rely on.

The order of the rooms is read from docs/architecture.md, so that page and code cannot part.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Collection, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import typer

from dunwu.cli import main

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "dunwu"
FILES = sorted(PACKAGE.rglob("*.py"))
TORCH_FREE = ("config", "runs", "verifiers", "analysis", "planning", "observatory", "monitoring", "kinds")
SCHEMA_READERS = ("runs", "tasks", "verifiers")
HEAVY = ("torch", "transformers", "ray", "vllm")


def tiers() -> dict[str, int]:
    """Room -> its place in the order, from the sentence of docs/architecture.md."""
    text = " ".join((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split())
    sentence = re.search(r"later may import earlier\): ([^.]*)\.", text)
    assert sentence, "docs/architecture.md no longer states the order of the rooms"
    return {room.strip(): tier for tier, rooms in enumerate(sentence[1].split("<")) for room in rooms.split(",")}


def room_of(file: Path) -> str:
    """The room a file stands in: the first part of its path in the package."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file: Path, source: str | None = None) -> Iterator[tuple[int, str]]:
    """(line, absolute module) of every import in a file, or in a source that would stand there."""
    package = ("dunwu", *file.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8") if source is None else source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join((*package[: len(package) - node.level + 1], *filter(None, [node.module])))
            module = base if node.level else node.module or ""
            yield from ((node.lineno, f"{module}.{name.name}") for name in node.names)


def forbidden(file: Path, source: str | None = None) -> Iterator[str]:
    """The imports of a file that the order of the rooms does not allow."""
    order, own = tiers(), room_of(file)
    for line, module in imports(file, source):
        package, room, *rest = (*module.split("."), "")
        if package != "dunwu" or room == own:
            continue
        beyond_schema = own in SCHEMA_READERS and room == "config" and rest[:1] != ["schema"]
        if room not in order or order[room] >= order[own] or beyond_schema:  # what is no room is the face above all
            yield f"{file.relative_to(ROOT)}:{line}: {own} imports {module}"


def test_every_room_has_its_place_in_the_order() -> None:
    rooms = {room_of(file) for file in FILES} - {"__init__", "__main__"}
    assert rooms <= tiers().keys(), "rooms that docs/architecture.md does not order"


def test_arrows_point_down_only() -> None:
    assert [line for file in FILES if room_of(file) not in ("__init__", "__main__") for line in forbidden(file)] == []


def test_the_rule_sees_a_wrong_arrow() -> None:
    source = """
def f() -> None:
    from ..models import load
    from dunwu.config.schema import TaskSpec
    import dunwu.runs.stage_reader
    from dunwu.types import Problem
    import dunwu
    from dunwu import __version__, errors
"""
    assert [line.split(": ")[1] for line in forbidden(PACKAGE / "tasks" / "wrong.py", source)] == [
        "tasks imports dunwu.models.load",
        "tasks imports dunwu.runs.stage_reader",
        "tasks imports dunwu",
        "tasks imports dunwu.__version__",
    ]


def test_what_shows_a_run_reads_run_directories_only() -> None:
    """Beside what runs are read by: the recipe's schema, how references are read, the verifiers, which say where
    reasoning ends and what a language is, and how many cores there are to read with."""
    allowed = {"types", "errors", "machine", "metrics", "loopback", "user_code", "registry", "runs", "verifiers"}
    used = {
        module.split(".")[1]
        for file in FILES
        if room_of(file) in ("analysis", "observatory")
        for _, module in imports(file)
        if module.startswith("dunwu.") and not module.startswith("dunwu.config.schema.")
    }
    assert used <= allowed | {"analysis", "observatory"}


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Not for annotations alone either: two files that need each other's types are one, or lack a third below them."""
    known = {module_name(file): file for file in FILES}
    arrows = {
        name: {deepest for _, module in imports(file) if (deepest := deepest_module(module, known)) not in (None, name)}
        for name, file in known.items()
    }
    TopologicalSorter(arrows).prepare()  # raises CycleError, which names the circle


def deepest_module(imported: str, known: Collection[str]) -> str | None:
    """The module that an import reads: of ``dunwu.errors.UserError`` it is ``dunwu.errors``."""
    parts = imported.split(".")
    names = (".".join(parts[:size]) for size in range(len(parts), 0, -1))
    return next((name for name in names if name in known), None)


SHOWS = ("dunwu.observatory", "dunwu.monitoring.console", "dunwu.planning", "dunwu.cli", "dunwu.commands")
"""What shows a run, plans it or starts it: what makes one knows nothing of these."""


def module_name(file: Path) -> str:
    """The dotted name of a file of the package."""
    return ".".join(("dunwu", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def graph() -> dict[str, set[str]]:
    """Every module of the package with those that it imports, anywhere but for its annotations alone."""
    known = {module_name(file): file for file in FILES}
    found: dict[str, set[str]] = {}
    for name, file in known.items():
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                node.body = [ast.Pass()]
        imported = {module for _, module in imports(file, ast.unparse(ast.fix_missing_locations(tree)))}
        parts = [module.split(".") for module in imported]
        prefixes = {".".join(path[:size]) for path in parts for size in range(2, len(path) + 1)}
        found[name] = prefixes & known.keys()
    return found


def reached(start: set[str], arrows: dict[str, set[str]]) -> dict[str, list[str]]:
    """Every module that can be reached from some, with a way to it."""
    ways = {name: [name] for name in sorted(start)}
    queue = list(ways)
    for name in queue:
        for found in sorted(arrows.get(name, set()) - ways.keys()):
            ways[found] = [*ways[name], found]
            queue.append(found)
    return ways


@pytest.mark.parametrize("room", ["rollout", "training", "evaluation", "pipeline"])
def test_what_makes_a_run_reaches_nothing_that_shows_or_plans_it(room: str) -> None:
    """Not through another room either, and not by an import inside a function."""
    ways = reached({module_name(file) for file in FILES if room_of(file) == room}, graph())
    assert [" -> ".join(way) for name, way in ways.items() if name.startswith(SHOWS)] == []


def test_a_way_through_another_room_is_found() -> None:
    arrows = {"dunwu.pipeline.run": {"dunwu.runs"}, "dunwu.runs": {"dunwu.planning.plan"}}
    assert reached({"dunwu.pipeline.run"}, arrows)["dunwu.planning.plan"][1] == "dunwu.runs"


def test_nothing_below_the_commands_reaches_the_command_line() -> None:
    order = tiers()
    below = {module_name(file) for file in FILES if order.get(room_of(file), order["commands"]) < order["commands"]}
    assert [" -> ".join(way) for name, way in reached(below, graph()).items() if name.startswith("dunwu.cli")] == []


SCREENS = frozenset({"ConsoleProgress", "NotebookProgress", "JsonProgress", "open_monitor"})
OPENERS = SCREENS | {"StopSignal", "Trackers", "Run.create", "Run.resume"}
"""What belongs to the parent of a run: signals, the terminal, the lock of the directory."""


def test_the_parent_alone_opens_signals_terminal_and_lock() -> None:
    """A run gets them handed in, so that it can work in a child process of the one that holds them.

    What Python users call is a parent too, and ``monitoring.monitors`` chooses the screen for it.
    """
    order = tiers()
    found = {
        f"{file.relative_to(PACKAGE)}: {ast.unparse(node.func)}"
        for file in FILES
        if order.get(room_of(file), order["commands"]) < order["commands"]
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in (OPENERS - SCREENS if room_of(file) in ("api", "monitoring") else OPENERS)
    }
    assert found == set()


def test_stages_load_no_terminal() -> None:
    """Stages may run where nobody looks: on a cluster, in a child process."""
    stages = sorted(module_name(file) for file in FILES if file.parent == PACKAGE / "pipeline" / "stages")
    code = f"import sys, importlib\nfor name in {stages!r}: importlib.import_module(name)\nprint('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=_environment(), check=True)
    assert done.stdout.strip() == "False"


def test_pages_are_a_leaf() -> None:
    """What makes a run, and what says how it went, knows no page."""
    users = {
        room_of(file)
        for file in FILES
        for _, module in imports(file)
        if module.startswith("dunwu.observatory") and room_of(file) != "observatory"
    }
    assert users <= {"serve", "api", "commands", "bench", "cli"}


def test_the_sandbox_is_the_standard_library_s() -> None:
    used = {
        module.split(".")[0] if not module.startswith("dunwu.") else ".".join(module.split(".")[:2])
        for file in FILES
        if room_of(file) == "sandbox"
        for _, module in imports(file)
    }
    assert used - set(sys.stdlib_module_names) == {"dunwu.sandbox"}


BUILDERS = frozenset(
    {
        *("build_builtin_engine", "TorchEngine", "EndpointEngine", "PolicyTrainer", "Critic", "SupervisedTrainer"),
        *("build_vllm_engine", "VLLMEngine"),
        *("RewardTrainer", "load_policy", "load_scorer", "open_policy", "open_scorer", "LocalExecutor"),
    }
)
"""What builds engines and trainers, and what loads the models in them."""


def builders(source: str) -> Iterator[str]:
    """The builders that a source calls; not the methods of an executor, which have some of their names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called, owner = node.func, ""
            if isinstance(called, ast.Attribute):
                owner = ast.unparse(called.value)
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in BUILDERS and owner.rpartition(".")[2] != "executor":
                yield name


def test_execution_alone_builds_engines_and_trainers() -> None:
    """Every room may build its own; rooms above execution ask the executor, which is opened in one place."""
    found = {
        f"{file.relative_to(PACKAGE)}: {name}"
        for file in FILES
        if room_of(file) not in ("execution", "rollout", "training", "models", "bench")
        for name in builders(file.read_text(encoding="utf-8"))
    }
    assert found == set()


def test_the_rule_sees_a_builder() -> None:
    source = "engine = build_builtin_engine(policy)\nx = load.load_policy('a')\ny = context.executor.open_policy('b')"
    assert list(builders(source)) == ["build_builtin_engine", "load_policy"]


@pytest.mark.parametrize(
    ("library", "users"),
    [("vllm", {"bench/vllm_worker.py", "rollout/vllm/server.py"}), ("ray", {"workers/ray_actors.py"})],
)
def test_few_files_import_a_cluster_library(library: str, users: set[str]) -> None:
    found = {file for file in FILES if any(module.split(".")[0] == library for _, module in imports(file))}
    assert {str(file.relative_to(PACKAGE)) for file in found} == users


def test_the_server_of_vllm_imports_nothing_of_ours() -> None:
    """It runs where Dunwu is not installed."""
    ours = [module for _, module in imports(PACKAGE / "rollout/vllm/server.py") if module.split(".")[0] == "dunwu"]
    assert ours == []


@pytest.mark.parametrize("room", TORCH_FREE)
def test_torch_free_rooms_import_with_torch_blocked(room: str) -> None:
    """Every module of the room imports in a process where the heavy libraries cannot."""
    modules = [
        ".".join(("dunwu", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        for file in FILES
        if room_of(file) == room
    ]
    assert modules
    code = (
        f"import sys, importlib; sys.modules.update(dict.fromkeys({HEAVY!r}))\n"
        f"for name in {modules!r}: importlib.import_module(name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=_environment(), check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["dunwu", "dunwu.cli", "dunwu.types", "dunwu.config.loader", "dunwu.planning"])
def test_the_way_in_is_light(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({set(HEAVY)!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=_environment(), check=True)
    assert done.stdout.strip() == ""


def test_the_command_s_face() -> None:
    """Names that scripts rely on; a change here is a change of the public interface."""

    command = typer.main.get_command(main)
    commands = getattr(command, "commands")  # noqa: B009  -- typer types the group as a plain command
    face = {name: {flag for parameter in sub.params for flag in parameter.opts} for name, sub in commands.items()}
    assert face == {
        "run": {"recipe", "--set", "--out", "--resume", "--cluster", "--log", "--track"},
        "plan": {"recipe", "--set", "--json"},
        "eval": {
            *("models", "--bench", "--data", "-k", "--problems", "--temperature", "--top-p", "--max-new-tokens"),
            *("--template", "--judge", "--seed", "--set", "--out", "--resume", "--json", "--field"),
        },
        "export": {"model", "--to", "--out", "--type", "--check", "--json"},
        "contamination": {"--train", "--bench", "--data", "--json"},
        "report": {"directory", "--figures", "--out"},
        "ablate": {"directory", "--stage", "--chains", "--samples", "--json"},
        "compare-decoding": {
            *("directory", "--guide", "--problems", "--samples", "--seed", "--on", "--out", "--json"),
        },
        "watch": {"directories", "--port", "--open"},
        "chat": {
            *("model", "--template", "--temperature", "--seed", "--vote", "--budget", "--max-tokens", "--dtype"),
            *("--threads", "--guide"),
        },
        "serve": {
            *("model", "--port", "--name", "--template", "--dtype", "--threads", "--max-sequences", "--queue"),
            *("--memory", "--cache", "--cache-size", "--hints", "--policy", "--review", "--keys", "--patience"),
            *("--safety-model", "--guide"),
        },
        "key": {"name", "--role", "--keys"},
        "reproduce": {"recipe", "--set", "--seeds", "--out", "--resume"},
        "compare": {"variants", "--out"},
        "bench": {"name", "--against", "--data", "--dtype", "--size", "--json"},
        "recipes": {"--json"},
        "init": {"name", "file"},
        "schema": {"field", "--json"},
        "sandbox": set(),
    }
    assert {flag for parameter in commands["sandbox"].commands["check"].params for flag in parameter.opts} == {"--json"}


def _environment() -> dict[str, str]:
    return {"PYTHONPATH": str(PACKAGE.parent), "PATH": ""}
