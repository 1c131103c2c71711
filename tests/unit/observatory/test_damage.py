"""Files of a run that a crash, a disk or an editor has damaged: named, and no more is lost than what they held."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.made_runs import STAGE, begin, finished_run, train

from dunwu.analysis.missing_files import find_missing_evaluations, find_missing_rollouts
from dunwu.errors import UserError
from dunwu.observatory.report.figure_files import write_figures
from dunwu.observatory.report.report import write_report
from dunwu.runs import RunReader, StageReader

Change = Callable[[Path], object]

WAYS: dict[str, Change] = {
    "cut": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "empty": lambda file: file.write_bytes(b""),
    "nul": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "text": lambda file: file.write_text("[" * 100_000 + "\n"),
    "gone": Path.unlink,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which nothing is damaged."""
    return finished_run(tmp_path_factory.mktemp("whole") / "run", rollouts=4, problems=4)


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """One that a test may damage."""
    return Path(shutil.copytree(whole, tmp_path / "run"))


def files(whole: Path) -> list[Path]:
    """One of each kind that a stage has, the oldest."""
    stage = whole / "stages" / STAGE
    kinds = {(file.parent.name, file.suffix, file.stem[:4]): file for file in sorted(stage.rglob("*"), reverse=True)}
    return [file.relative_to(whole) for file in kinds.values() if file.is_file()]


@pytest.mark.parametrize("way", WAYS)
def test_a_stage_whose_files_are_all_damaged_has_a_report(whole: Path, copy: Path, way: str) -> None:
    found = [file for file in (copy / "stages" / STAGE).rglob("*") if file.is_file()]
    assert {file.name for file in found} >= {"metrics.jsonl", "timings.jsonl", "step-000016.parquet", "countdown.json"}
    for file in found:
        WAYS[way](file)
    page = write_report(copy).read_text(encoding="utf-8")
    assert "How to reproduce this" in page


def test_no_damaged_file_of_a_stage_costs_what_others_hold(whole: Path, tmp_path: Path) -> None:
    for number, file in enumerate(files(whole)):
        run = Path(shutil.copytree(whole, tmp_path / str(number)))
        WAYS["nul"](run / file)
        page = write_report(run).read_text(encoding="utf-8")
        shown = {"Where the time went": "timings.jsonl", "Distance from the reference": "metrics.jsonl"}
        assert {text: text in page for text in shown} == {text: file.name != name for text, name in shown.items()}


def told(run: Path, caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the report names, on its page too."""
    caplog.clear()
    page = write_report(run).read_text(encoding="utf-8")
    for line in caplog.messages:
        assert line.partition(": ")[0].rpartition("/")[2] in page
    return [line.replace(str(run / "stages" / STAGE) + "/", "") for line in caplog.messages]


def change_column(file: Path, name: str, values: object) -> None:
    """Writes a table again with another column of this name."""
    table = pq.read_table(file)
    pq.write_table(table.set_column(table.column_names.index(name), name, values), file)


def test_a_damaged_old_rollout_is_named_and_the_others_are_shown(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = copy / "stages" / STAGE / "rollouts" / "step-000032.parquet"
    WAYS["nul"](file)
    (line,) = told(copy, caplog)
    assert line.startswith("rollouts/step-000032.parquet: is not a readable Parquet file")
    assert "3 of 4 rollouts shown" in (copy / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("value", lambda n: [float("nan")] + [1.0] * (n - 1), "column value, row 1: holds no finite number"),
        ("value", lambda n: [1.0] * (n - 1) + [float("inf")], "column value, row {n}: holds no finite number"),
        ("value", lambda n: ["1.0"] * n, "column value: holds values of type string"),
        ("tokens", lambda n: [None] + [1] * (n - 1), "column tokens, row 1: holds nothing"),
        ("tokens", lambda n: [2**40] * n, "holds numbers that are too large"),
        ("completion", lambda n: [7] * n, "column completion: holds values of type int64"),
        ("part.format", lambda n: [True] * n, "column part.format: holds values of type bool"),
    ],
)
def test_broken_numbers_of_rollouts_name_their_place(
    copy: Path, caplog: pytest.LogCaptureFixture, name: str, values: Callable[[int], list[object]], message: str
) -> None:
    file = copy / "stages" / STAGE / "rollouts" / "step-000016.parquet"
    rows = pq.read_metadata(file).num_rows
    change_column(file, name, pa.array(values(rows)))
    (line,) = told(copy, caplog)
    assert line.startswith("rollouts/step-000016.parquet: " + message.format(n=rows))


@pytest.mark.parametrize(
    ("value", "shown"),
    [("NaN", "nan"), ("-Infinity", "-inf"), ("1e999", "inf"), ('"0.5"', "'0.5'"), ("true", "True"), ("[1]", "[1]")],
)
def test_broken_numbers_of_metrics_name_their_line(
    copy: Path, caplog: pytest.LogCaptureFixture, value: str, shown: str
) -> None:
    file = copy / "stages" / STAGE / "metrics.jsonl"
    lines = file.read_text().splitlines()
    lines[1] = lines[1].replace('"kl": ' + json.dumps(json.loads(lines[1])["kl"]), f'"kl": {value}')
    file.write_text("\n".join(lines) + "\n")
    assert told(copy, caplog) == [f"metrics.jsonl: line 2: kl is {shown}, no number: was it edited?"]


def test_a_number_of_more_digits_than_a_float_has_is_none(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = copy / "stages" / STAGE / "metrics.jsonl"
    file.write_text(f'{{"step": 16, "kl": 1{"0" * 400}}}\n')
    assert told(copy, caplog)[0].startswith("metrics.jsonl: line 1: kl is 1000")


@pytest.mark.parametrize("end", ["", "\n"])
def test_lost_bytes_of_metrics_are_told(copy: Path, caplog: pytest.LogCaptureFixture, end: str) -> None:
    file = copy / "stages" / STAGE / "metrics.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:2]) + "\0" * 200 + end)
    assert told(copy, caplog) == [
        "metrics.jsonl: line 3: holds NUL bytes: a crash of the machine or of its disk has taken what stood here"
    ]


def test_metrics_that_vanished_are_told(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = copy / "stages" / STAGE / "metrics.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text(lines[0] + lines[3])
    assert told(copy, caplog) == ["metrics.jsonl: has no line for 2 of 4 stored rollouts, steps 32 to 48"]
    file.unlink()
    assert told(copy, caplog) == ["metrics.jsonl: has no line for 4 of 4 stored rollouts, steps 16 to 64"]


def test_a_whole_run_has_nothing_to_tell(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert told(copy, caplog) == []


def test_resuming_tells_what_it_cannot_make_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with begin(tmp_path) as run:
        stage = run.stage(STAGE)
        train(stage, rollouts=2)
        stage.save_checkpoint(32, lambda folder: None, {})
        stage.rewind(32)
        assert caplog.messages == []
        (stage.path / "metrics.jsonl").unlink()
        stage.rewind(32)
        assert "has no line for 2 of 2 stored rollouts, steps 16 to 32; they cannot be made again" in caplog.text


def test_a_checkpoint_without_the_rows_before_it_is_told(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        stage = run.stage(STAGE)
        stage.append(1, {"loss": 1.0}, {})
        stage.save_checkpoint(3, lambda folder: None, {})
        lost = StageReader(stage.path).find_lost_metrics()
        assert lost == f"{stage.path / 'metrics.jsonl'}: ends at step 1, before the checkpoint of step 3"


@pytest.mark.parametrize("value", ['"0.5"', "NaN", "1e999", "null", "true", "1" + "0" * 400])
def test_an_evaluation_holds_finite_numbers(copy: Path, value: str) -> None:
    file = copy / "stages" / STAGE / "evaluations" / "base" / "countdown.json"
    file.write_text(f'{{"pass@1": {{"value": {value}, "low": 0, "high": 1}}}}')
    with pytest.raises(UserError, match=r"countdown\.json: holds no results of an evaluation"):
        RunReader(copy).stage(STAGE).read_evaluations()


def test_a_report_goes_where_it_is_asked_to_and_leaves_the_run_alone(copy: Path, tmp_path: Path) -> None:
    def kept() -> set[Path]:
        return {file for file in copy.rglob("*") if "derived" not in file.parts}

    (copy / "report.html").unlink(missing_ok=True)
    before = kept()
    path = write_report(copy, tmp_path / "other.html")
    assert path == tmp_path / "other.html"
    assert write_figures(copy, tmp_path / "drawn")[0].parent == tmp_path / "drawn"
    assert kept() == before


@pytest.mark.parametrize(
    ("gone", "line"),
    [
        ("rollouts/step-000032.parquet", "rollouts: 1 of 4 are gone: of step 32"),
        ("rollouts/*", "rollouts: 4 of 4 are gone: of step 16, 32, 48 and 1 more"),
        ("evaluations/trained/countdown.json", "evaluations: 1 of 4 are gone: trained/countdown.json"),
        ("evaluations/base/*", "evaluations: 2 of 4 are gone: base/countdown.json, base/harder.json"),
    ],
)
def test_files_that_are_gone_are_told(copy: Path, caplog: pytest.LogCaptureFixture, gone: str, line: str) -> None:
    for file in (copy / "stages" / STAGE).glob(gone):
        file.unlink()
    assert told(copy, caplog) == [line]
    page = (copy / "report.html").read_text(encoding="utf-8")
    shown = {"rollouts/step-000032.parquet": "3 of 4 rollouts shown", "rollouts/*": "4 of 4 are gone"}
    assert shown.get(gone, "Other evaluations of it are gone from its folder.") in page


def test_where_all_evaluations_are_gone_nothing_is_claimed(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.rmtree(copy / "stages" / STAGE / "evaluations")
    (line,) = told(copy, caplog)
    assert line.startswith("evaluations: 4 of 4 are gone: base/countdown.json, ")
    page = (copy / "report.html").read_text(encoding="utf-8")
    assert "No held-out evaluation is left, so there is nothing to claim." in page


def test_evaluations_on_the_way_are_looked_for_too(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        run.recipe["stages"][STAGE]["evaluation"]["every"] = 32
        stage = run.stage(STAGE)
        train(stage, rollouts=5)
        found = find_missing_evaluations(run, STAGE)
        assert found is not None
        assert found.endswith(
            "4 of 4 are gone: base/countdown.json, base/harder.json, step-000032/countdown.json and 1 more"
        )
        (stage.path / "rollouts" / "step-000080.parquet").unlink()
        assert find_missing_rollouts(run, STAGE) is None, "the newest may be on its way"
        stage.finish()
        assert str(find_missing_rollouts(run, STAGE)).endswith("1 of 5 are gone: of step 80")
        assert "6 of 6 are gone" in str(find_missing_evaluations(run, STAGE))


@pytest.mark.parametrize(("way", "says"), [("nul", "cannot be read"), ("cut", "cannot be read"), ("gone", "is gone")])
def test_a_damaged_summary_is_told(copy: Path, caplog: pytest.LogCaptureFixture, way: str, says: str) -> None:
    WAYS[way](copy / "summary.json")
    (line,) = told(copy, caplog)
    assert line.startswith(f"{copy / 'summary.json'}: {says}")


def test_a_stage_whose_folder_is_gone_is_told(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.rmtree(copy / "stages" / STAGE)
    write_report(copy)
    assert caplog.messages == [f"{copy / 'stages' / STAGE}: is gone"]


def test_what_is_no_file_is_not_waited_for(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In the place of a pipe, of which a reader would wait for a writer, something that gives an end of file."""
    stage = copy / "stages" / STAGE
    for name, says in {
        "metrics.jsonl": "metrics.jsonl: cannot be read: is no file",
        "timings.jsonl": "timings.jsonl: cannot be read: is no file",
        "rollouts/step-000032.parquet": "has no rollout of step 32",
        "evaluations/base/countdown.json": "countdown.json: holds no results of an evaluation: [Errno 22] is no file",
    }.items():
        (stage / name).unlink()
        (stage / name).symlink_to("/dev/null")
        assert any(says in line for line in told(copy, caplog))
