"""``dunwu plan``: what a recipe would do, and what stands in its way; every other command looks here first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dunwu.config.loader import load_recipe, validate_recipe
from dunwu.config.overrides import write_overrides
from dunwu.config.packaged import find_recipe_file
from dunwu.errors import UserError
from dunwu.planning import Plan, make_plan
from dunwu.planning.preview import GLANCE

if TYPE_CHECKING:
    from dunwu.config.schema import DataSpec, Recipe, StageSpec, TaskSpec
    from dunwu.planning.preview import Previewed


def plan(recipe: str | Path | Mapping[str, Any], overrides: Mapping[str, Any] | Sequence[str] = ()) -> Plan:
    """Say what a recipe would do: batches, memory, hours, dollars. Nothing runs, and no model is loaded.

    Args:
        recipe: A TOML file, a recipe that comes with Dunwu (``nano/r1-zero``), or the tables of one.
        overrides: Values by path, ``{"stages.zero.steps": 32}``, or ``PATH=VALUE`` as for ``--set``.

    Returns:
        The plan; its ``problems`` say what stands in the way.

    Raises:
        UserError: The recipe cannot be read, or is not valid.
    """
    overrides = write_overrides(overrides)
    file, checked = open_recipe(recipe, overrides)
    return plan_recipe(checked, Path("runs") / checked.name, file=file, overrides=overrides, generated=GLANCE)


def open_recipe(
    recipe: str | Path | Mapping[str, Any], overrides: Sequence[str], begun: dict[str, Any] | None = None
) -> tuple[Path | None, Recipe]:
    """Read a recipe from wherever it comes.

    Args:
        recipe: A TOML file, a recipe that comes with Dunwu, or the tables of one.
        overrides: ``PATH=VALUE``, as for ``--set``.
        begun: The recipe of a run that is to go on with this one.

    Returns:
        Its file, None for tables, and the recipe with the overrides applied.

    Raises:
        UserError: The recipe cannot be read, or is not valid.
    """
    if isinstance(recipe, Mapping):
        return None, validate_recipe(deepcopy(dict(recipe)), overrides, begun=begun)
    file = find_recipe_file(str(recipe))
    return file, load_recipe(file, overrides, begun)


def plan_recipe(
    recipe: Recipe, out: Path, *, file: Path | None = None, overrides: Sequence[str] = (), generated: int | None = None
) -> Plan:
    """Plan a recipe, opening tasks and files of conversations as the run will.

    Unknown names, levels that do not exist and unreadable rows show here.

    Args:
        recipe: Validated, overrides applied.
        out: The run directory.
        file: Where the recipe stands; None: a command made it.
        overrides: What was set on the command line, for error lines.
        generated: Held-out problems that are drawn of an endless task, at most; None: as many as the recipe measures.

    Returns:
        The plan; its ``problems`` say what stands in the way.
    """
    from dunwu import tasks
    from dunwu.tasks.datasets.conversations import check_first_rows

    def open_task(spec: TaskSpec, held_out: int) -> None:
        task = tasks.build_task(spec, recipe.seed)
        wanted = held_out if task.size is not None or generated is None else min(held_out, generated)
        _ = task.get_held_out(wanted) if wanted else task.get_problem(0)

    def preview_template(folder: Path, name: str, stage: StageSpec, files: Sequence[DataSpec]) -> Previewed:
        from dunwu.commands.template_preview import preview  # it takes seconds to import, and most recipes need none

        return preview(folder, name, stage, files)

    return make_plan(
        recipe,
        file=file,
        overrides=overrides,
        out=out,
        probe=open_task,
        look=check_first_rows,
        preview=preview_template,
    )


def refuse(planned: Plan) -> None:
    """Raise what stands in the way of a recipe as one error.

    Raises:
        UserError: The first problem, and how many more there are.
    """
    if planned.problems:
        first, more = planned.problems[0], len(planned.problems) - 1
        message = first.message + (f" (and {more} more; dunwu plan lists them)" if more else "")
        raise UserError(message, file=first.file, field=first.field)


@contextmanager
def suggest_resume(run: Path | None) -> Iterator[None]:
    """Add to an error about a recipe the command that resumes a run by the recipe that it keeps.

    That one has every override, and is read whatever version of Dunwu wrote it.

    Args:
        run: The directory that is to go on; None: there is none.
    """
    try:
        yield
    except UserError as error:
        if run is None or not (run / "recipe.json").is_file() or error.file == str(run / "recipe.json"):
            raise
        from dunwu.runs import format_resume_command

        message = f"{error.message}; the run that is there goes on with: {format_resume_command(run)}"
        raise UserError(message, file=error.file, field=error.field) from error


def list_seconds(planned: Plan) -> dict[str, float | None]:
    """Return the seconds that a plan gives each stage, for comparison with the run's pace; None: not known."""
    return {stage.name: None if stage.device_hours is None else 3600 * stage.device_hours for stage in planned.stages}
