"""``dunwu eval`` as a user runs it: every benchmark, models of every kind, what it prints, how it is resumed."""

from __future__ import annotations

import json
import multiprocessing
import re
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from dunwu.cli import main
from dunwu.commands.evaluate import make_task
from dunwu.config.schema import TaskSpec
from dunwu.errors import UserError
from dunwu.evaluation.benchmarks import BENCHMARKS
from dunwu.runs import RunReader, read_server_records
from dunwu.runs.answer_log import AnswerLog, LoggedAnswer
from dunwu.tasks.datasets.files import FileTask
from tests.integration.evaluating import asking, run
from tests.integration.runs import exit_code, fingerprints
from tests.published import FILES, write
from tests.serving import Answer, question, said, serving

pytestmark = pytest.mark.usefixtures("impatient")
ADD = 'def add(a, b):\n    """The sum."""\n'
ROWS: dict[str, list[dict[str, Any]]] = {
    "aime": [{"problem": "One and one?", "answer": "2"}, {"problem": "Seven and 196?", "answer": "203"}],
    "math500": [
        {"problem": "Half?", "answer": r"\frac{1}{2}", "level": 1, "subject": "Algebra"},
        {"problem": "A root?", "answer": r"\sqrt{2}", "level": 5, "subject": "Geometry"},
        {"problem": "A pair?", "answer": "(1, 2)", "level": 5, "subject": "Algebra"},
    ],
    "gsm8k": [{"question": "How many eggs?", "answer": "6 + 6 = 12\n#### 12"}],
    "amc": [{"problem": "The largest digit?", "answer": 9.0}],
    "cmath": [{"question": "一共有多少个？", "answer": "18", "grade": 3}],
    "humaneval": [
        {
            "prompt": ADD,
            "canonical_solution": "    return a + b\n",
            "test": "def check(candidate):\n    assert candidate(2, 3) == 5\n    assert candidate(-1, 1) == 0\n",
            "entry_point": "add",
        }
    ],
    "mbpp": [
        {
            "text": "Write a function to triple a number.",
            "code": "def triple(n):\n    return 3 * n",
            "test_list": ["assert triple(2) == 6", "assert triple(-1) == -3"],
            "test_setup_code": "",
        }
    ],
    "file": [{"problem": "Two times two?", "answer": "4"}],
    "choices": [{"problem": "Which is even? A) 3 B) 4", "answer": "B"}],
    "programs": [{"problem": "Double the number.", "tests": [{"stdin": "2", "stdout": "4"}]}],
}
SOURCES = {
    "humaneval": f"{ADD}    return a + b",
    "mbpp": "def triple(n):\n    return n + n + n",
    "programs": "print(2 * int(input()))",
}
CONTESTS = {"ratings": [1000, 1400, 1800], "solved": [0, 1, 2]}


def golds(name: str, path: Path) -> dict[str, str]:
    """By question the right answer, as it is written after the reasoning."""
    problems = FileTask(TaskSpec.model_validate({**make_task(name, path), "held_out": 0.0}), 0).training_problems
    if name in FILES:
        return {one.messages[-1].content: known.right for one, known in zip(problems, FILES[name], strict=True)}
    if name in SOURCES:
        return {one.messages[-1].content: f"```python\n{SOURCES[name]}\n```" for one in problems}
    return {one.messages[-1].content: rf"It is $\boxed{{{one.gold}}}$." for one in problems}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small file of every benchmark."""
    folder = tmp_path_factory.mktemp("data")
    rows = ROWS | {name: [known.row for known in FILES[name]] for name in FILES}
    rows["codeforces"] = [row | CONTESTS for row in rows["codeforces"]]
    assert rows.keys() == BENCHMARKS.keys()
    return {name: write(folder / f"{name}.jsonl", rows[name]) for name in BENCHMARKS}


@pytest.fixture(scope="module")
def answers(files: dict[str, Path]) -> dict[str, str]:
    """Of every question."""
    return {asked: right for name, path in files.items() for asked, right in golds(name, path).items()}


def gold_server(answers: dict[str, str]) -> Callable[[Any], tuple[int, Any]]:
    def answer(body: Any) -> tuple[int, Any]:
        asked = question(body)
        return said(next(right for known, right in answers.items() if asked.startswith(known)), reasoning_content="So.")

    return answer


def test_golds_are_right_and_nothing_is_not_on_every_benchmark(
    tmp_path: Path, files: dict[str, Path], answers: dict[str, str]
) -> None:
    options = ["-k", "2", "--json", "--max-new-tokens", "100", *asking(files, *files)]
    found = {}
    for out, answer in (("gold", gold_server(answers)), ("empty", lambda body: said(""))):
        with serving(answer) as server:
            done = run(f"{server.url}#me/{out}:1", *options, "--out", tmp_path / out)
        assert done.exit_code == 0, done.output
        found[out] = {name: told for name, told in json.loads(done.stdout)["results"].items() if "pass@1" in told}
    closed = {f"gold-1/{name}" for name in files} - {"gold-1/alpaca", "gold-1/arena", "gold-1/aime"} | {"gold-1"}
    assert found["gold"].keys() == closed
    assert {name: told["pass@1"]["value"] for name, told in found["gold"].items()} == dict.fromkeys(closed, 1.0)
    assert {told["pass@1"]["value"] for told in found["empty"].values()} == {0.0}
    assert all(told["pass@2"]["value"] == told["cons@2"]["value"] == 1.0 for told in found["gold"].values())
    following = found["gold"]["gold-1/ifeval"]
    assert [following[name]["value"] for name in ("loose", "instructions", "instructions_loose")] == [1.0] * 3
    assert found["gold"]["gold-1/safety"]["refused"]["value"] == pytest.approx(1 / 3)
    assert found["gold"]["gold-1/math500"]["pass@1 | subject Geometry"]["value"] == 1.0
    # Two contests of one problem. Whoever solves it shares the second and third of four places: the middle, where the
    # rating is the middle one's.
    right, wrong = (found[out][f"{out}-1/codeforces"]["rating"]["value"] for out in ("gold", "empty"))
    assert right == pytest.approx(1400)
    assert wrong < 1250
    text = (tmp_path / "gold" / "report.html").read_text()
    assert "level 5" in text
    assert "Accuracy against thinking: math500" in text


def test_json_is_one_object_and_nothing_else(tmp_path: Path, files: dict[str, Path], answers: dict[str, str]) -> None:
    with serving(gold_server(answers)) as server:
        done = run(f"{server.url}#m", *asking(files, "math500"), "--json", "--out", tmp_path / "out", "--problems", "9")
    assert done.exit_code == 0, done.output
    assert done.stdout.count("\n") == 1
    told = json.loads(done.stdout)
    assert told == RunReader(tmp_path / "out").read_summary()
    assert list(told) == ["seed", "seconds", "results"]
    assert told["results"]["m"]["cons@16"] == {"value": 1.0, "low": pytest.approx(0.4385, abs=1e-4), "high": 1.0}
    assert "math500: the file has 3 problems, fewer than 9: all of them" in done.stderr
    rows = pyarrow.parquet.read_table(tmp_path / "out/stages/boxed/evaluations/m/math500.parquet").to_pylist()
    assert len(rows) == 48
    assert {row["text"] for row in rows} == {
        rf"<think>So.</think>It is $\boxed{{{gold}}}$." for gold in (r"\frac{1}{2}", r"\sqrt{2}", "(1, 2)")
    }


NANO = (
    "nano-base",
    "--bench",
    "countdown",
    "--bench",
    "ordering",
    "-k",
    "4",
    "--problems",
    "12",
    "--max-new-tokens",
    "64",
)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("eval") / "straight"
    done = run(*NANO, "--out", out)
    assert done.exit_code == 0, done.output
    return out


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(straight: Path, tmp_path: Path) -> None:
    for out, seed in (("again", "0"), ("other", "1")):
        assert run(*NANO, "--seed", seed, "--out", tmp_path / out).exit_code == 0
    assert fingerprints(tmp_path / "again") == fingerprints(straight)
    where = "stages/answer-tag/evaluations/nano-base/countdown.parquet"
    assert (tmp_path / "other" / where).read_bytes() != (straight / where).read_bytes()


def test_its_recipe_is_one_that_run_takes(straight: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["run", str(straight / "recipe.toml"), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert fingerprints(tmp_path / "out/stages") == fingerprints(straight / "stages")


def _evaluate(out: Path) -> None:
    main(["eval", *NANO, "--out", str(out), *(["--resume"] if (out / "manifest.json").exists() else [])])


def test_killed_and_resumed_equals_undisturbed(straight: Path, tmp_path: Path) -> None:
    """Killed when the first of two sets is measured."""
    context, out = multiprocessing.get_context("forkserver"), tmp_path / "killed"
    context.set_forkserver_preload(["dunwu.pipeline.run", "dunwu.pipeline.stages.rl", "transformers.models.qwen3"])
    process = context.Process(target=_evaluate, args=(out,))
    process.start()
    while process.is_alive() and not list(out.rglob("evaluations/*/*.json")):
        process.join(timeout=0.002)
    process.kill()
    process.join()
    assert exit_code(process) == -9
    assert run(*NANO, "--out", out, "--resume").exit_code == 0
    assert fingerprints(out) == fingerprints(straight)


def test_a_server_that_dies_leaves_what_was_measured(
    tmp_path: Path, files: dict[str, Path], answers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two sets it answers the first one and a question of the second, and then no more: its refusals, which end the
    run, come when the last answer is kept. Several threads ask it."""
    numbers, kept, keep = count(1), count(1), AnswerLog.append
    last_is_kept = threading.Event()

    def answer(body: Any) -> Answer:
        return gold(body) if next(numbers) <= 7 else (503, {}) if last_is_kept.wait(60) else b""

    def keep_and_say_so(file: AnswerLog, seed: int, given: LoggedAnswer) -> None:
        keep(file, seed, given)
        if next(kept) == 7:
            last_is_kept.set()

    monkeypatch.setattr(AnswerLog, "append", keep_and_say_so)
    command: list[str | Path] = ["-k", "2", *asking(files, "math500", "aime"), "--out", tmp_path / "out"]
    with serving(gold_server(answers)) as server:
        gold = server.answer
        server.answer = answer
        died = run(f"{server.url}#m", *command)
        assert died.exit_code == 1
        for thread in threading.enumerate():
            if thread.name == "endpoint":  # what was under way is not waited for, and would be counted below
                thread.join(60)
        last = died.stderr.splitlines()[-1]
        assert re.fullmatch(
            r"fault: http://127.* gives no answer after 2 tries: 503 Service Unavailable; the same command .* goes on",
            last,
        )
        folder = tmp_path / "out/stages/boxed/evaluations/m"
        assert {path.name for path in folder.iterdir()} == {"aime.jsonl", "math500.json", "math500.parquet"}
        assert len((folder / "aime.jsonl").read_text().splitlines()) == 1
        server.answer, before = gold, len(server.asked)
        assert run(f"{server.url}#m", *command, "--resume").exit_code == 0
        assert len(server.asked) == before + 3
        assert run(f"{server.url}#m", *command[:-1], tmp_path / "whole").exit_code == 0
    assert fingerprints(tmp_path / "out") == fingerprints(tmp_path / "whole")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nano-base", "--bench", "amie"), "--bench: no benchmark is called 'amie'; there are .*; did you mean aime?"),
        (("nano-base", "--bench", "aime", "--data", "gone.jsonl"), "gone.jsonl: --data: no such file"),
        (("nano-base", "--bench", "amc"), "--data: amc is read from a file: say which, .*"),
        (("nano-base",), "--bench: say what to measure; there are aime, .*"),
        (("nano-bse", "--bench", "countdown"), "nano-bse: no model: .*; did you mean nano-base?"),
        (("nano-base", "--bench", "countdown", "-k", "0"), "Invalid value for '-k': .*"),
        (("nano-base", "--bench", "countdown", "--data", "."), r"\.: --data: belongs to no benchmark .*"),
        (("http://127.0.0.1:9/v1", "--bench", "countdown"), ".*: says no model: write http://127.0.0.1:9/v1#NAME, .*"),
        (("http://127.0.0.1:9/v1#m", "--bench", "countdown"), ".*http://127.0.0.1:9/v1 cannot be reached: .*"),
        (("http://127.0.0.1:9/v1#m", "--bench", "countdown", "--template", "nano"), "--template: servers apply .*"),
        (("nano-base", "--bench", "countdown", "--max-new-tokens", "1024"), "--max-new-tokens: 1024 leave no room .*"),
        (("nano-base", "--bench", "countdown", "--judge", "nano-base"), "--judge: judges are asked about alpaca, .*"),
        (
            ("nano-base", "--bench", "countdown", "--set", "stages.x.max_sequences=3"),
            "--set .*: there is no stage 'x'; .*",
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*arguments, "--json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert re.fullmatch(f"error: {told.replace('?', '[?]')}", done.stderr.splitlines()[-1]), done.stderr
    assert not list(tmp_path.rglob("manifest.json"))


def test_contamination_of_a_training_file(tmp_path: Path, files: dict[str, Path]) -> None:
    story = "A farmer has three fields and in every field there stand seven trees with nine apples each."
    train = write(
        tmp_path / "train.jsonl",
        [
            {"messages": [{"role": "user", "content": f"Well: {story}"}, {"role": "assistant", "content": "189"}]},
            {"question": "Another one entirely?", "answer": "Nothing that is known."},
            {"question": story.replace("nine", "some"), "answer": "?"},
            {"n": 1},
        ],
    )
    bench = write(tmp_path / "bench.jsonl", [{"problem": story, "answer": "189"}, {"problem": "Two?", "answer": "2"}])
    command = ["contamination", "--train", str(train), "--bench", "aime", "--data", str(bench)]
    done = CliRunner().invoke(main, [*command, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["texts"], told["unreadable"], told["words"]) == (3, 1, 10)
    found = told["benchmarks"]["aime"]
    assert [found["runs"][name] for name in ("texts", "problems", "share_of_problems")] == [2, 1, 0.5]
    assert [example["text"] for example in found["runs"]["examples"]] == ["line 1", "line 3"]
    assert found["near"]["texts"] >= 1
    shown = CliRunner().invoke(main, command)
    assert "aime, runs: 2 of 3 texts share 10 words in a row, with 1 of 2 problems (50.0%)" in shown.stdout
    assert "not looked at: 1 row without text, or unreadable" in shown.stdout
    assert shown.stderr == f"reading {train}: 2 benchmark problems to look for\n"
    wrong = CliRunner().invoke(main, ["contamination", "--train", str(train), "--bench", "countdown"])
    assert wrong.exit_code == 2
    other = CliRunner().invoke(main, [*command[:4], "gsm8k", *command[5:]])
    assert other.exit_code == 2
    assert re.search(r"bench\.jsonl: .*every row lacks the column: line 1: no field 'question'", other.stderr)


def test_a_server_with_a_will_of_its_own_is_measured_and_its_sampling_recorded(
    tmp_path: Path, files: dict[str, Path], answers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """It takes no temperature, calls the limit otherwise, and its second answers are all reasoning."""
    gold, replies = gold_server(answers), iter(range(1000))

    def answer(body: Any) -> Answer:
        for name in ("max_tokens", "temperature", "top_k"):
            if name in body:
                return 400, {"error": {"message": f"Unsupported parameter: '{name}' is <b>not</b> known."}}
        if next(replies) % 2:
            return 200, {"choices": [{"message": {"reasoning": "Hmm 12"}, "finish_reason": "length"}]}
        return 200, {**gold(body)[1], "system_fingerprint": "b1234"}

    options = [*asking(files, "aime"), "-k", "2", "--set", "stages.boxed.server.concurrency=1"]
    with serving(answer) as server:
        done = run(f"{server.url}#m", *options, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    refused = {"max_tokens": "with max_completion_tokens", "temperature": "without it", "top_k": "without it"}
    words = "Unsupported parameter: '{}' is <b>not</b> known."
    assert sorted(caplog.messages) == [
        f"{server.url} refuses {name}, and is asked {way}: {words.format(name)}" for name, way in refused.items()
    ]
    stage = RunReader(tmp_path / "out").stage("boxed")
    (evaluation,) = stage.read_evaluations()
    assert {row.completion for row in evaluation.rows if not row.right} == {"<think>Hmm 12"}
    assert evaluation.results["pass@1"].value == 0.5
    record = read_server_records(stage.path)["m"]
    assert record.refused.keys() == refused.keys()
    assert (record.sent["top_p"], record.sent["max_completion_tokens"], record.sent["min_p"]) == (0.95, 32768, 0.0)
    assert record.says == {"system_fingerprint": "b1234"}
    report = (tmp_path / "out" / "report.html").read_text()
    assert "top_p 0.95, min_p 0.0, repetition_penalty 1.0" in report
    assert "is &lt;b&gt;not&lt;/b&gt; known." in report
    (stage.path / "servers.json").write_text("{")
    with pytest.raises(UserError, match=r"servers\.json: does not say how servers were asked"):
        read_server_records(stage.path)
