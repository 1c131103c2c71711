"""Area ``data``: what becomes of a row, or of a file, of a data set."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from dunwu.commands.evaluate import make_task
from dunwu.config.schema import DataSpec, PromptSpec, TaskSpec
from dunwu.errors import UserError
from dunwu.models.templates import Template
from dunwu.tasks.datasets.conversations import read_examples
from dunwu.tasks.datasets.files import FileTask
from dunwu.types import REASONING_FIELDS
from tests.cases.running import Case
from tests.chat_templates import FAMILIES
from tests.published import FILES, write


def check(case: Case) -> bool | None:
    """Whether the kind's own check finds what the case expects; None for other kinds."""
    decide = KINDS.get(case["kind"])
    return None if decide is None else decide(case)


def published_row(case: Case) -> bool:
    """A row as a data set has it is read, or refused where the case says so."""
    bench, row = case["input"]["bench"], case["input"]["row"]
    with tempfile.TemporaryDirectory() as folder:
        return (_golds(bench, write(Path(folder) / "rows.jsonl", [row])) is not None) is (case["expected"] == "read")


def published_file(case: Case) -> bool | None:
    """A file of the form that its name says has the problems that its rows have as JSON lines; None where no rows of
    the benchmark, or no way to write the form, are known here."""
    known, name = FILES.get(case["input"]["bench"], ()), case["input"]["file"]
    form = next((form for form in FORMS if name.endswith(form)), None)
    if not known or form is None:
        return None
    rows = [one.row for one in known]
    with tempfile.TemporaryDirectory() as folder:
        lines, file = write(Path(folder) / "rows.jsonl", rows), Path(folder) / name
        file.write_bytes(FORMS[form](rows))
        found = _golds(case["input"]["bench"], file)
        return found is not None and found == _golds(case["input"]["bench"], lines)


def _golds(bench: str, path: Path) -> list[str] | None:
    """Every gold of a file; None where it is refused."""
    spec = TaskSpec.model_validate({**make_task(bench, path), "held_out": 0.0, "max_bad_rows": 0.0})
    try:
        return [problem.gold for problem in FileTask(spec, 0).training_problems]
    except UserError:
        return None


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    file = io.StringIO()
    table = csv.DictWriter(file, dict.fromkeys(name for row in rows for name in row), restval="")
    table.writeheader()
    table.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return file.getvalue().encode()


def _cell(value: Any) -> Any:
    """What is no single value as JSON, which is the text that readers know for it."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    file, names = io.BytesIO(), dict.fromkeys(name for row in rows for name in row)
    columns = {name: _column([row.get(name) for row in rows]) for name in names}
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


def _column(values: Sequence[Any]) -> pyarrow.Array:
    """A column; one whose values are of several types as ``datasets`` writes it, JSON under ``arrow.json``."""
    try:
        return pyarrow.array(values)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError):
        texts = [None if value is None else json.dumps(value) for value in values]
        return pyarrow.ExtensionArray.from_storage(pyarrow.json_(), pyarrow.array(texts, pyarrow.string()))


FORMS: Mapping[str, Callable[[Sequence[Mapping[str, Any]]], bytes]] = {
    ".csv": _csv,
    ".csv.gz": lambda rows: gzip.compress(_csv(rows)),
    ".json": lambda rows: json.dumps(rows).encode(),
    ".parquet": _parquet,
}


def reasoning_is_learnt(case: Case) -> bool:
    """Every family of templates learns what an answer says apart from its content, or the row is refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "talk.jsonl"
        path.write_text(json.dumps(case["input"], ensure_ascii=False) + "\n", encoding="utf-8")
        try:
            (example,) = read_examples(DataSpec(path=path))
        except UserError as refused:
            return "line 1" in str(refused)
    answer = case["input"]["messages"][-1]
    thoughts = [_bare(answer[name]) for name in REASONING_FIELDS if answer.get(name)]
    said = re.sub(r"\A\s*<think>\s*</think>", "", answer["content"]).strip()
    for family in FAMILIES.values():
        reader = family.tokenizer()
        try:
            *_, lesson = Template(PromptSpec(template="chat"), reader).tokenize_example(example)
        except UserError as refused:  # by the template: some know no system role
            if example.id in str(refused):
                continue
            return False
        learnt = reader.decode(lesson.token_ids[lesson.loss_mask])
        if not all(thought in learnt for thought in thoughts) or said not in learnt:
            return False
    return bool(thoughts)


def _bare(thought: str) -> str:
    """A thought without the tags in which some write it there too."""
    return thought.strip().removeprefix("<think>").removesuffix("</think>").strip()


KINDS: Mapping[str, Callable[[Case], bool | None]] = {
    "D1": reasoning_is_learnt,
    "F1": published_row,
    "F4": published_file,
}
