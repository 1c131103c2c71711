"""``dunwu eval``: models on benchmarks.

It makes a recipe of evaluation stages, one for each form of answer, which is run like any other.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dunwu.api.model_sources import CHAT, Source, source_of
from dunwu.api.policy import Policy
from dunwu.api.run import Run
from dunwu.commands.plan import list_seconds, plan_recipe, refuse
from dunwu.commands.run import execute
from dunwu.config.loader import validate_recipe
from dunwu.config.overrides import apply_override, parse_override, write_overrides
from dunwu.config.schema import COLUMNS, AnswerIn, Recipe, TaskSpec, display_names, is_server
from dunwu.config.toml import dump_toml
from dunwu.errors import Fault, Interrupted, UserError, counted, did_you_mean, refuse_stream
from dunwu.evaluation.benchmarks import BENCHMARKS, GENERATED, AnswerForm
from dunwu.monitoring.monitors import Log, open_monitor
from dunwu.monitoring.progress import Monitor, Progress
from dunwu.registry import GENERATORS, tasks
from dunwu.tasks.datasets.files import FileTask
from dunwu.user_code import is_reference, split_reference

NEW_TOKENS, PROMPT_TOKENS = 32768, 4096
"""The paper's limit on an answer; ours on a question."""
GENERATED_SAMPLES, GENERATED_PROBLEMS = 4, 500
COMPARISON_SECONDS = 10.0
"""For one comparison of two mathematical answers: ten times a reward's, so that a busy machine changes no result."""
WITH_JUDGE = ("alpaca", "arena", "safety")
"""Benchmarks whose answers a model grades, for ``--judge``."""

Tree = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRequest:
    """What is measured, and how; see :func:`evaluate`. None: what the benchmarks and models say."""

    models: Sequence[str]
    benchmarks: Sequence[str]
    files: Sequence[Path]
    samples: int | None = None
    problems: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_new_tokens: int | None = None
    template: str | None = None
    judge: str | None = None
    fields: Sequence[str] = ()
    seed: int = 0


Model = Policy | Run | Path | str


def evaluate(
    models: Model | Sequence[Model],
    benchmarks: str | Sequence[str],
    *,
    path: Path | str | Sequence[Path | str] = (),
    fields: Sequence[str] = (),
    samples: int | None = None,
    problems: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    max_new_tokens: int | None = None,
    template: str | None = None,
    judge: str | None = None,
    seed: int = 0,
    out: Path | str | None = None,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    resume: bool = False,
    log: Log = "rich",
    monitor: Monitor | None = None,
) -> Run:
    """Measure models on benchmarks: pass@1, pass@k, cons@k, with 95 % intervals.

    Args:
        models: One or several; see ``dunwu.load``. A text may also be a server's, ``http://host:port/v1#name``.
        benchmarks: Names of benchmarks or generated tasks: ``gsm8k``, ``countdown``.
        path: The files of those that are read from a file, in their order.
        fields: Columns of a file of your own, ``problem=question``.
        samples: Answers to each problem; None: what the benchmark is measured with.
        problems: Problems of each benchmark, at most; None: all.
        temperature: Of sampling; None: 0.6.
        top_p: The share of probability that is drawn from; None: 0.95.
        max_new_tokens: Longest answer, in tokens; None: 32,768, or what fits.
        template: The prompt template; None: as each model was trained.
        judge: Who judges alpaca, arena and safety: a reward model, or a server's model.
        seed: The same seed gives the same files.
        out: The run directory; None: runs/eval-MODEL-BENCHMARK.
        overrides: Values by path, or ``PATH=VALUE``, of the recipe that this makes.
        resume: Go on where the run in the directory stopped.
        log: What is printed: rows for people, a few lines, or a JSON object a line.
        monitor: Takes what the run says, in the place of what ``log`` names.

    Returns:
        The run; ``results()`` has the numbers, ``held_out_answers()`` every answer.

    Raises:
        UserError: A model, a benchmark, a file or an option cannot be used.
        Interrupted: SIGTERM, SIGINT or SIGHUP; what was done is saved.
        Fault: Nothing could be graded, a server gives no answer, or the disk is full.
    """
    if not isinstance(models, Model | Sequence):
        raise UserError(f"is {type(models).__name__}; a model is a policy, a run, a folder or a name", field="models")
    overrides, monitor = write_overrides(overrides), monitor or open_monitor(log)
    request = EvaluationRequest(
        models=[_name_model(one) for one in ([models] if isinstance(models, Model) else models)],
        benchmarks=[benchmarks] if isinstance(benchmarks, str) else benchmarks,
        files=[Path(one) for one in ([path] if isinstance(path, Path | str) else path)],
        fields=fields,
        samples=samples,
        problems=problems,
        temperature=temperature,
        top_p=top_p,
        max_new_tokens=max_new_tokens,
        template=template,
        judge=judge,
        seed=seed,
    )
    with closing(monitor):
        monitor.show_activity("looking at models and benchmarks")
        recipe = build_recipe(request, overrides, monitor)
        folder = Path("runs") / recipe.name if out is None else Path(out)
        planned = plan_recipe(recipe, folder, overrides=overrides)
        refuse(planned)
    try:
        seconds = list_seconds(planned)
        return execute(recipe, folder, resume=resume, text=dump_toml(recipe), monitor=monitor, planned_seconds=seconds)
    except (Interrupted, Fault) as error:
        again = shlex.join(["--out", str(folder), "--resume"])
        raise type(error)(f"{error}; the same command with {again} goes on") from error


def _name_model(model: Model) -> str:
    if isinstance(model, Policy):
        return model.source
    return str(model.directory) if isinstance(model, Run) else str(model)


def build_recipe(request: EvaluationRequest, overrides: Sequence[str], progress: Progress) -> Recipe:
    """Build the recipe that measures what is asked for.

    Args:
        request: The models, the benchmarks, and how they are measured.
        overrides: ``PATH=VALUE`` of the recipe, as for ``--set``.
        progress: Hears where a file has fewer problems than are asked for.

    Raises:
        UserError: A model, a benchmark, a file or an option cannot be used.
    """
    sources = [source_of(model) for model in request.models]
    columns = _parse_columns(request)
    template = _choose_template(request, sources)
    prompt_tokens, new_tokens = _choose_lengths(request.max_new_tokens, sources)
    common: Tree = {
        "kind": "eval",
        "models": [source.source for source in sources],
        "prompt": {"template": template, "max_tokens": prompt_tokens},
        "long_prompts": "cut",
        "max_new_tokens": new_tokens,
    }
    common |= {name: value for name in ("temperature", "top_p") if (value := getattr(request, name)) is not None}
    if stop := list(dict.fromkeys(text for source in sources for text in source.stop)):
        common["stop"] = stop
    stages: Tree = {}
    for name, path in match_files(request.benchmarks, request.files):
        form, chosen = _make_set(name, path, request, template)
        if columns and "fields" in chosen["task"]:
            chosen["task"]["fields"] |= columns
        stage = stages.setdefault(
            form.answer_in, deepcopy(common) | {"grading": _make_grading(form.answer_in), "sets": []}
        )
        stage["sets"].append(chosen)
    if request.judge is not None:
        _add_judges(request.judge, stages)
    names = display_names([source.source for source in sources])
    sets = [chosen["name"] for stage in stages.values() for chosen in stage["sets"]]
    title = re.sub(r"[^A-Za-z0-9_]+", "-", "-".join(("eval", *names, *dict.fromkeys(sets))))[:100]
    tree: Tree = {"name": title.rstrip("-"), "seed": request.seed, "stages": stages}
    for override in overrides:
        apply_override(tree, parse_override(override))
    for stage in stages.values():
        if isinstance(stage, dict) and isinstance(stage["sets"], list):  # else an override's, refused below
            for chosen in stage["sets"]:
                _count_problems(chosen, progress)
    return validate_recipe(tree, overrides)


def _parse_columns(request: EvaluationRequest) -> Tree:
    """Read which columns of the user's own files are what."""
    columns = {}
    for text in request.fields:
        name, equals, column = text.partition("=")
        if not (name and equals and column):
            raise UserError("is NAME=COLUMN, e.g. problem=question", field=f"--field {text}")
        if name not in COLUMNS:
            raise UserError(
                f"no field {name!r:.60}; there are {', '.join(COLUMNS)}{did_you_mean(name, COLUMNS)}", field="--field"
            )
        columns[name] = column
    own = [name for name, benchmark in BENCHMARKS.items() if benchmark.fields]
    if columns and not set(own) & set(request.benchmarks):
        raise UserError(f"names columns of a file of one's own: --bench {', '.join(own)}", field="--field")
    return columns


def _choose_template(request: EvaluationRequest, sources: Sequence[Source]) -> str:
    """Choose the template of the models in this process; servers have their own."""
    names = display_names([source.source for source in sources])
    # A base beside what was trained from it is asked in the same way: else the two could not be compared.
    bases = {source.stage.get("from"): source.template for source in sources if source.stage is not None}
    wanted = {name: bases.get(one.source) or one.template for name, one in zip(names, sources, strict=True)}
    local = {name: template for name, template in wanted.items() if template is not None}
    if request.template is not None:
        if not local:
            raise UserError("servers apply a chat template of their own", field="--template")
        return request.template
    if len(set(local.values())) > 1:
        ways = ", ".join(f"{name} {template!r:.40}" for name, template in local.items())
        raise UserError(f"the models are asked in different ways ({ways}): say which with --template")
    return next(iter(local.values()), CHAT)


def _choose_lengths(wanted: int | None, sources: Sequence[Source]) -> tuple[int, int]:
    """Choose the most tokens of a prompt and of an answer: every model in this process has positions for both."""
    known = [source.positions for source in sources if source.positions]
    if not known:
        return PROMPT_TOKENS, NEW_TOKENS if wanted is None else wanted
    positions = min(known)
    if wanted is None:
        prompt = min(PROMPT_TOKENS, 3 * positions // 4)
        return prompt, min(NEW_TOKENS, positions - prompt)
    if wanted >= positions:
        raise UserError(
            f"{wanted} leave no room for a question: a model has {positions} positions", field="--max-new-tokens"
        )
    return min(PROMPT_TOKENS, positions - wanted), wanted


def match_files(benchmarks: Sequence[str], files: Sequence[Path]) -> Iterator[tuple[str, Path | None]]:
    """Yield every benchmark with its file: files belong, in their order, to the benchmarks that read one.

    Raises:
        UserError: No benchmark; one is unknown, or has no file; a file is not there, or one too many.
    """
    known, left = (*BENCHMARKS, *GENERATORS), list(files)
    if not benchmarks:
        raise UserError(f"say what to measure; there are {', '.join(known)}", field="--bench")
    for name in benchmarks:
        if name not in known and not _is_custom(name):
            text = f"no benchmark is called {name!r:.60}; there are {', '.join(known)}{did_you_mean(name, known)}"
            raise UserError(text, field="--bench")
        path = left.pop(0) if name in BENCHMARKS and left else None
        if path is not None and not path.exists():
            raise UserError("no such file", file=path, field="--data")
        if path is not None:
            refuse_stream(path, "--data")
        if path is None and name in BENCHMARKS and BENCHMARKS[name].hub is None:
            raise UserError(f"{name} is read from a file: say which, in the order of the benchmarks", field="--data")
        yield name, path
    if left:
        raise UserError("belongs to no benchmark that is read from a file", file=left[0], field="--data")


def _is_custom(name: str) -> bool:
    """Return whether a benchmark is a task of the user's that generates its problems."""
    return is_reference(name) or name in set(tasks.names()) - set(tasks.builtin)


def make_task(name: str, path: Path | None) -> Tree:
    """Write the task that reads a benchmark's file, or its data set by name, as a recipe does."""
    found = BENCHMARKS[name]
    task: Tree = {"task": found.task, "held_out": 1.0}
    if path is not None:
        task["path"] = str(path.resolve())
    elif found.hub is not None:
        task |= {key: value for key, value in zip(("hub", "hub_config", "split"), found.hub, strict=True) if value}
    if found.fields:
        task |= {"kind": found.kind, "fields": dict(found.fields)}
    if name != found.task:
        task["display_name"] = name
    return task


@contextmanager
def blame_options(*, columns: bool) -> Iterator[None]:
    """Name the option that mends a benchmark's data in an error, where a recipe would name its field.

    Args:
        columns: Whether the command takes ``--field``.
    """
    try:
        yield
    except UserError as error:
        if error.field == "hub":
            text = f"{error.message}, or give --data FILE"
            raise UserError(text, file=error.file, field="--bench") from error
        _, column, role = (error.field or "").partition("fields.")
        if not (column and columns):
            raise
        text = f"name the column with --field {role}=COLUMN: {error.message}"
        raise UserError(text, file=error.file, field="--field") from None


def _make_set(name: str, path: Path | None, request: EvaluationRequest, template: str) -> tuple[AnswerForm, Tree]:
    """Write a set as a recipe does; return the form of its answers, and the set."""
    chosen: Tree = {"name": split_reference(name)[1] if is_reference(name) else name}
    chosen |= {} if request.problems is None else {"problems": request.problems}
    if name in GENERATORS or _is_custom(name):
        instruction = GENERATED.instruction if template == CHAT else None  # other templates say it, or need not
        fewer = 1 if request.temperature == 0 else GENERATED_SAMPLES
        chosen |= {
            "task": {"task": name},
            "samples": fewer if request.samples is None else request.samples,
            "problems": GENERATED_PROBLEMS if request.problems is None else request.problems,
        }
        return GENERATED, chosen | ({"instruction": instruction} if instruction else {})
    found, task = BENCHMARKS[name], make_task(name, path)
    if found.fields and path is not None:
        chosen["name"] = re.sub(r"[^A-Za-z0-9_-]+", "-", path.name.partition(".")[0]).strip("-_") or name
    default = 1 if request.temperature == 0 else found.samples
    chosen |= {"task": task, "samples": default if request.samples is None else request.samples}
    return found.form, chosen | ({"instruction": found.form.instruction} if found.form.instruction else {})


def _make_grading(answer_in: AnswerIn) -> Tree:
    rule = "think-answer" if answer_in == "answer-tag" else "think-summary"
    return {"answer_in": answer_in, "format_rule": rule, "timeout_seconds": COMPARISON_SECONDS}


def _add_judges(judge: str, stages: Mapping[str, Tree]) -> None:
    """Add a server's model or a reward model, in place, to the sets that a judge can say something about."""
    every = ((stage, chosen) for stage in stages.values() for chosen in stage["sets"])
    gradable = [(stage, chosen) for stage, chosen in every if chosen["task"]["task"] in WITH_JUDGE]
    if not gradable:
        raise UserError(
            f"judges are asked about {', '.join(WITH_JUDGE)}, and none of them is measured", field="--judge"
        )
    found = source_of(judge, scores=True)
    for stage, chosen in gradable:
        if is_server(found.source):
            url, _, model = found.source.partition("#")
            stage["benchmark_judge"] = {"url": url, "model": model, "temperature": 0.0}
            continue
        safety = chosen["task"]["task"] == "safety"
        name, made = ("safe" if safety else "helpful"), found.stage or {}
        spec = {
            "name": name,
            "from": found.source,
            "input": made.get("input", "all" if safety else "summary"),
            "output": "probability" if safety else "score",
            "prompt": {"template": found.template},
        }
        stage.setdefault("judges", [])
        stage["judges"] += [] if spec in stage["judges"] else [spec]
        chosen["judges"] = [name]


def _count_problems(chosen: Tree, progress: Progress) -> None:
    """Set how many problems of a file are measured, in place: all where no number is said, or more than there are."""
    try:
        task = TaskSpec.model_validate(chosen["task"])
    except (ValidationError, TypeError):  # an override's; whoever reads the whole recipe says what is wrong
        return
    if not task.reads_file:
        return
    with blame_options(columns=True):
        there, wanted = FileTask(task, 0).held_out_size, chosen.get("problems")
    if isinstance(wanted, int) and wanted > there:
        progress.log_message(
            f"{chosen['name']}: the file has {counted(there, 'problem')}, fewer than {wanted:,}: all of them"
        )
        wanted = None
    chosen["problems"] = there if wanted is None else wanted
