"""The report: whole, harmless, honest, and made at any moment of a run."""

from __future__ import annotations

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.made_runs import HOSTILE, STAGE, begin, evaluate, finished_run, train

from dunwu.analysis.headline import write_headline
from dunwu.analysis.labels import format_interval, format_number
from dunwu.analysis.next_steps import suggest_next_steps
from dunwu.analysis.run_description import describe_run
from dunwu.errors import Fault, Interrupted, UserError
from dunwu.observatory.report.report import write_report
from dunwu.runs import BASE, TRAINED, AnswerRow, RunReader, RunWriter
from dunwu.types import Estimate, Example, Message


class Reader(HTMLParser):
    """Collects the page's tags, text, and whatever could load or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.dangerous: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.dangerous += [name for name, _ in attrs if name.startswith("on") or name in ("src", "href", "action")]

    def handle_data(self, data: str) -> None:
        if not (data.isspace() and "\n" in data):  # what stands between the lines of a template
            self.text.append(data)


def read(path: Path) -> tuple[Reader, str]:
    """The parsed page, and its text."""
    reader = Reader()
    reader.feed(path.read_text())
    return reader, "".join(reader.text).replace("\N{NO-BREAK SPACE}", " ")


def two_ends(directory: Path, before: Estimate, after: Estimate) -> RunWriter:
    """A run with nothing but one evaluation at both ends."""
    run = begin(directory)
    row = AnswerRow(
        problem_id="h",
        level=1,
        language="en",
        group=0,
        index=0,
        parts={"accuracy": 1.0},
        tokens=1,
        reflections=0,
        prompt="",
        gold="",
        completion="",
        extracted=None,
    )
    for checkpoint, estimate in ((BASE, before), (TRAINED, after)):
        run.stage(STAGE).write_evaluation(checkpoint, "countdown", [row], {"pass@1": estimate})
    return run


def test_a_finished_run(tmp_path: Path) -> None:
    path = write_report(finished_run(tmp_path))
    assert path == tmp_path / "report.html"
    page, text = read(path)
    run = RunReader(tmp_path)
    first = [e for e in run.stage(STAGE).read_evaluations() if e.set == "countdown"]
    ends = [first[place].results["pass@1"] for place in (0, -1)]
    before, after = (f"{format_number('pass@1', end.value)} ({format_interval('pass@1', end)})" for end in ends)
    assert f"Right answers grew from {before} to {after}" in text
    assert "on 60 problems that training never drew" in text
    for told in (
        "Right answers",
        "Reward and its parts",
        "Length of a response",
        "Words of reflection",
        "How undecided",
    ):
        assert told in text
    assert "wait 0." in text.split("Words a response of the base on held-out problems:")[1][:60]
    assert "Held-out: harder" in text
    assert "60 problems, 4 samples each, that training never drew" in text
    assert "Wrong before, right after: " in text
    assert "were waited for in 2.00 % of it" in text
    assert "torch2.13.0" in text
    assert "seed = 3" in text
    assert f"dunwu run {tmp_path}/recipe.json --out" in text
    assert page.tags.count("svg") == 19
    assert "mark" in page.tags


def test_health_stands_in_the_report(tmp_path: Path) -> None:
    _, text = read(write_report(finished_run(tmp_path)))
    section = text.split("Is it healthy?")[1].split("Is it an aha?")[0]
    assert section.startswith("Healthy: none of 4 flags is red.")
    for shown in ("entropyhealthy0.51 nats a token, 0.72 at the beginning", "clippinghealthy2.47 % of the tokens"):
        assert shown in section
    assert "red flag" not in section.split("Rules of thumb")[0]


def test_a_red_flag_stands_with_figure_and_remedy(tmp_path: Path) -> None:
    run = begin(tmp_path)
    train(run.stage(STAGE), 10)
    for step in range(200, 300, 10):
        run.stage(STAGE).append(step, {"entropy": 0.004, "uniform_groups": 1.0}, {})
    _, text = read(write_report(tmp_path))
    section = text.split("Is it healthy?")[1].split("Is it an aha?")[0]
    assert section.startswith("2 of 3 flags are red.")
    assert "entropyred flag0.004 nats a token, 0.68 at the beginningThe policy has stopped to explore" in section
    assert "groups with a gradientred flag0 % of the groupsNearly all answers" in section


def test_what_models_wrote_is_text(tmp_path: Path) -> None:
    path = write_report(finished_run(tmp_path, rollouts=1, problems=4))
    page, text = read(path)
    assert HOSTILE.replace("\x1b", "\N{REPLACEMENT CHARACTER}").replace("\u202e", "\N{REPLACEMENT CHARACTER}") in text
    assert not {"script", "img", "iframe", "link", "object"} & set(page.tags)
    assert page.dangerous == []
    assert page.tags.count("pre") == path.read_text().count("</pre>")
    assert "default-src 'none'" in path.read_text()
    assert "http" not in path.read_text().replace("http-equiv", "")


def test_every_moment_of_a_run_has_a_report(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        _, text = read(write_report(tmp_path))
        assert "No held-out evaluation yet" in text
        stage = run.stage(STAGE)
        _, text = read(write_report(tmp_path))
        assert "No held-out evaluation yet, so there is nothing to claim." in text
        assert "stateStage zero is running, step 0 of 160." in text
        evaluate(stage, BASE, "countdown", 0.0, problems=10, samples=2)
        train(stage, rollouts=2, questions=2)
        _, text = read(write_report(tmp_path))
        assert "Base on 10 held-out problems (countdown): " in text
        assert "stateStage zero is running, step 32 of 160." in text
        assert "time left" in text
        assert "10 problems, 2 samples each, that training never drew" in text
        evaluate(stage, "step-000032", "countdown", 0.5, problems=4, samples=1)
        _, text = read(write_report(tmp_path))
        assert "After 32 updates on 4 held-out problems (countdown): " in text
        assert "step-000032 (4 x 1)" in text
        assert "From the first and the last rollout" in text
        assert "after 0 updates: " in text
        assert "after 16 updates: " in text
        assert "2 of 2 rollouts shown" in text


def test_a_run_without_evaluations_claims_nothing(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        train(run.stage(STAGE), rollouts=2, questions=2)
    recipe = json.loads((tmp_path / "recipe.json").read_text())
    recipe["stages"][STAGE]["evaluation"]["sets"] = []
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    page, text = read(write_report(tmp_path))
    assert (
        "The recipe has no held-out evaluation, so there is nothing to claim: stages.zero.evaluation.sets adds one."
        in text
    )
    assert "first rollout" in text
    assert "table" not in page.tags


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ((0.2, 0.1, 0.3), (0.5, 0.4, 0.6), "grew from 20 % (10–30 %) to 50 % (40–60 %) on 1 problems"),
        ((0.5, 0.4, 0.6), (0.2, 0.1, 0.3), "fell from 50 %"),
        ((0.3, 0.2, 0.4), (0.5, 0.4, 0.6), "no change that the intervals can tell"),
    ],
)
def test_the_headline_claims_what_the_intervals_show(
    tmp_path: Path, before: tuple[float, float, float], after: tuple[float, float, float], told: str
) -> None:
    ends = [Estimate(value=value, low=low, high=high) for value, low, high in (before, after)]
    with two_ends(tmp_path, *ends) as run:
        assert told in write_headline(run)


def test_a_damaged_rollout_costs_no_report_and_is_told_of(tmp_path: Path) -> None:
    run = finished_run(tmp_path, rollouts=4, problems=4, samples=1)
    folder = run / "stages" / STAGE / "rollouts"
    for step, content in ((16, b"torn"), (48, b"")):
        (folder / f"step-0000{step}.parquet").write_bytes(content)
    _, text = read(write_report(run))
    assert "2 rollouts are left out, as no figure can be made of them:" in text
    for step in (16, 48):
        assert f"step-0000{step}.parquet: is not a readable Parquet file" in text
    assert "2 of 4 rollouts shown" in text
    for path in folder.iterdir():
        path.write_bytes(b"torn")
    _, text = read(write_report(run))
    assert "4 rollouts are left out" in text
    assert "Held-out: harder" in text, "the evaluations are whole"


def test_a_report_begins_with_three_sentences(tmp_path: Path) -> None:
    with begin(tmp_path) as run:
        sentences = " ".join(describe_run(run.recipe))
        _, text = read(write_report(tmp_path))
        assert sentences in text
        recipe = json.loads((tmp_path / "recipe.json").read_text())
        del recipe["stages"][STAGE]["rollout"]
        (tmp_path / "recipe.json").write_text(json.dumps(recipe))
        _, text = read(write_report(tmp_path))
    assert "recipe.json: 'rollout': is not described in sentences: a field is missing" in text


@pytest.mark.parametrize(
    ("error", "state", "first"),
    [
        (Interrupted("asked to stop"), "Stage zero stopped at step 0 of 160: asked to stop.", "go on where it stands"),
        (
            Fault("NaN in the loss"),
            "Stage zero failed at step 0 of 160: NaN in the loss.",
            "when that is mended, go on",
        ),
    ],
)
def test_a_run_that_ended_early_says_so_and_how_to_go_on(
    tmp_path: Path, error: BaseException, state: str, first: str
) -> None:
    def fail() -> None:
        with begin(tmp_path) as run:
            run.stage(STAGE)
            raise error

    with pytest.raises(type(error)):
        fail()
    _, text = read(write_report(tmp_path))
    assert f"state{state}" in text
    assert "time left" not in text
    advice = next(suggest_next_steps(RunReader(tmp_path)))
    assert advice.purpose.startswith(first)
    assert advice.command.endswith("--resume")
    assert advice.command in text


def test_a_chinese_problem_says_what_it_asks_and_english_ones_come_first(tmp_path: Path) -> None:
    asked = [
        ("zh", "用3和5各一次，加减乘除，得到8。", 10),
        ("en", "Use 3 and 5 to make 8.", 50),
        ("zh", "三加五？", 10),
    ]

    def answers(right: int) -> list[AnswerRow]:
        return [
            AnswerRow(
                problem_id=f"h{number}", level=1, language=language, group=number, index=0,
                parts={"accuracy": float(right)}, tokens=tokens,
                reflections=0, prompt=prompt, gold="3+5", completion="3+5", extracted=None,
            )
            for number, (language, prompt, tokens) in enumerate(asked)
        ]  # fmt: skip

    with begin(tmp_path) as run:
        for checkpoint, right in ((BASE, 0), (TRAINED, 1)):
            estimate = Estimate(value=right, low=right, high=right)
            run.stage(STAGE).write_evaluation(checkpoint, "countdown", answers(right), {"pass@1": estimate})
    _, text = read(write_report(tmp_path))
    shown = text.split("Wrong before, right after")[1]
    assert shown.index("Use 3 and 5 to make 8.") < shown.index("用3和5各一次")
    assert "得到8。 In English: Use 3 and 5 once each with + - * / to make 8. A right answer: 3+5" in shown
    assert shown.count("In English") == 1, "of an unknown wording nothing is made up"


@pytest.mark.parametrize(
    ("measures", "kind", "told"),
    [
        (["short", "accuracy"], None, "Short grew from 0.20 (0.10 to 0.30) to 0.60 (0.50 to 0.70) on 60 problems"),
        (["accuracy", "short"], None, "Right answers grew from"),
        ([], None, "Right answers grew from"),
        ([], "pass@1", "Short grew from 0.20 (0.10 to 0.30) to 0.60 (0.50 to 0.70) on 60 problems"),
    ],
    ids=["a function first", "accuracy first", "nothing said", "nothing is right"],
)
def test_the_headline_follows_the_recipe_s_first_measure(
    tmp_path: Path, measures: list[str], kind: str | None, told: str
) -> None:
    directory = finished_run(tmp_path)
    recipe = json.loads((directory / "recipe.json").read_text())
    recipe["stages"][STAGE]["evaluation"]["measures"] = measures
    (directory / "recipe.json").write_text(json.dumps(recipe))
    for checkpoint, value in ((BASE, 0.2), (TRAINED, 0.6)):
        file = directory / "stages" / STAGE / "evaluations" / checkpoint / "countdown.json"
        results = json.loads(file.read_text()) | {"short": {"value": value, "low": value - 0.1, "high": value + 0.1}}
        file.write_text(json.dumps({name: result for name, result in results.items() if name != kind}))
    assert told in write_headline(RunReader(directory))
    _, text = read(write_report(directory))
    assert ("0.20 → 0.60short" in text) == told.startswith("Short"), "the first measure has a tile"


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no run directory"):
        write_report(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        write_report(tmp_path / "missing")


def test_the_room_imports_no_torch() -> None:
    script = "import sys, dunwu.observatory.report.report, dunwu.monitoring.console; print('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )


def test_a_stage_that_keeps_answers_shows_what_went_and_two_of_them(tmp_path: Path) -> None:
    numbers = {"questions": 4.0, "answers": 16.0, "kept": 3.0, "tokens": 60.0, "wrong": 5.0, "spare": 8.0}
    asked = Message(role="user", content="2 + 3?")
    rows = [
        Example(id=str(n), category="sums", language="en", messages=(asked, Message(role="assistant", content=HOSTILE)))
        for n in range(3)
    ]
    with begin(tmp_path) as run:
        stage = run.stage(STAGE)
        stage.generated.write_chunk(
            0, rows, {"sums": numbers, "none": {"questions": 1.0, "answers": 4.0, "wrong": 4.0}}
        )
        stage.generated.join_chunks()
    html = write_report(tmp_path).read_text(encoding="utf-8")
    assert '<th scope="col">mean tokens</th><th scope="col">wrong</th><th scope="col">spare</th>' in html
    assert "<td>sums</td><td>4</td><td>16</td><td>3</td><td>20</td><td>5</td><td>8</td>" in html
    assert "<td>none</td><td>1</td><td>4</td><td>0</td><td>–</td><td>4</td><td>0</td>" in html
    assert html.count("2 + 3?</header>") == 2
    assert "<script>alert" not in html
