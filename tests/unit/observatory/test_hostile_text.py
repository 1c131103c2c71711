"""A run in which every text that somebody else wrote is an attack: each is shown as text, and none does anything."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.made_runs import HOSTILE, STAGE, begin, evaluate, train
from tests.unit.observatory.watching import PAGES, read

from dunwu.analysis.labels import sanitize
from dunwu.errors import Fault
from dunwu.observatory.report.report import write_report
from dunwu.observatory.web.app import make_app
from dunwu.observatory.web.watched_runs import WatchedRuns
from dunwu.runs import BASE, TRAINED, AccuracyCurve, Comparison, PairedTest, RunReader, write_comparison
from dunwu.runs.answer_tables import ROLLOUTS, write_answers
from dunwu.runs.server_records import ServerRecord, write_server_record
from dunwu.types import Estimate, Example, Message

ESTIMATE = Estimate(value=0.5, low=0.4, high=0.6)
STEPS = (16, 32)


def attack(place: str) -> str:
    """A text that leaves whatever it stands in, where that does not hold."""
    closing = "\"'></pre></title></style></textarea></option></svg></li></mark></dd></td>"
    return (
        f"{place}:{closing}<script>alert({place!r})</script><img src=x onerror=alert(1)>&lt;b {{{{ 7 * 7 }}}}\x1b\u202e"
    )


def file_attack(place: str) -> str:
    """An attack that can be the name of a file."""
    return attack(place).replace("/", "\\").replace("\x1b", "")[:120]


class Page(HTMLParser):
    """What a browser makes of a page: its text, its attributes, and whatever could do something."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self.acts: list[str] = []
        self.scripts: list[str | None] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "script":
            self.scripts.append(named.get("src"))
        if tag in ("img", "iframe", "object", "embed", "base", "b") and named:
            self.acts.append(tag)
        self.acts += [name for name in named if name.startswith("on") or name == "srcdoc"]
        self.acts += [value or "" for name, value in attrs if name in ("href", "src") and not is_own(value or "")]
        self.text += " ".join(value or "" for name, value in attrs if name in ("title", "aria-label", "value"))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:  # void elements have no end
            pass

    def handle_data(self, data: str) -> None:
        self.text += data


def is_own(address: str) -> bool:
    """Whether an address leads nowhere else."""
    return re.match(r"[/#?]", address) is not None and not address.startswith("//")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run, which failed."""
    folder = tmp_path_factory.mktemp("runs") / "hostile"
    with pytest.raises(Fault):
        write_run(folder)
    spoil_rollouts(folder)
    spoil_evaluations(folder)
    spoil_records(folder)
    return folder


def write_run(folder: Path) -> None:
    """Write what the face of ``runs`` takes; what it would refuse is spoilt on disk."""
    with begin(folder) as run:
        stage = run.stage(STAGE)
        train(stage, rollouts=2, questions=2)
        for checkpoint in (BASE, TRAINED):
            evaluate(stage, checkpoint, "countdown", 0.5, problems=2, samples=1)
        stage.append(48, {attack("metric"): 1.0}, {attack("timing"): 1.0})
        write_server_record(
            stage.path,
            attack("server model"),
            ServerRecord(
                sent={attack("field"): attack("field value")},
                refused={attack("refused"): attack("refusal")},
                says={"model": attack("server name")},
            ),
        )
        pair = PairedTest(
            set=attack("pair set"), model=attack("pair model"), against=attack("rival"), problems=2,
            difference=ESTIMATE, p=0.5,
        )  # fmt: skip
        curve = AccuracyCurve(
            of="votes", set=attack("curve set"), model=attack("curve model"), points=((1.0, ESTIMATE),)
        )
        write_comparison(stage.path, Comparison(pairs=(pair,), curves=(curve,)))
        messages = (Message(role="user", content=attack("asked")), Message(role="assistant", content=attack("kept")))
        example = Example(id="1", category=attack("category"), language="en", messages=messages)
        counts = {"questions": 1.0, "answers": 2.0, "kept": 1.0, "tokens": 9.0, attack("dropped"): 1.0}
        stage.generated.write_chunk(0, [example], {attack("counted"): counts})
        stage.generated.join_chunks()
        raise Fault(attack("failure"))


def spoil_rollouts(folder: Path) -> None:
    stage = RunReader(folder).stage(STAGE)
    for step in STEPS:
        rows = [
            dataclasses.replace(
                row,
                prompt=attack("prompt"),
                completion=f"<think>{attack('completion')}</think>",
                gold=attack("gold"),
                extracted=attack("extracted"),
                reason=attack("reason"),
                task=attack("task"),
                language=attack("language"),
                status=attack("status"),  # type: ignore[arg-type]  # what a damaged file may hold
                parts={attack("part"): 1.0},
            )
            for row in stage.read_rollouts(step)
        ]
        write_answers(stage.path / "rollouts" / f"step-{step:06}.parquet", rows, ROLLOUTS)


def spoil_evaluations(folder: Path) -> None:
    evaluations = folder / "stages" / STAGE / "evaluations"
    for file in list(evaluations.rglob("countdown.*")):
        if file.suffix == ".json":
            results = json.loads(file.read_text())
            file.write_text(json.dumps(results | {attack("result"): results["pass@1"]}))
        file.rename(file.with_name(file_attack("set") + file.suffix))


def spoil_records(folder: Path) -> None:
    recipe = json.loads((folder / "recipe.json").read_text())
    recipe["name"] = attack("recipe")
    recipe["stages"][STAGE]["tasks"][0] |= {"task": attack("recipe task"), "languages": [attack("recipe language")]}
    recipe["stages"][attack("stage to come")] = {"kind": attack("kind"), "from": STAGE}
    (folder / "recipe.json").write_text(json.dumps(recipe))
    (folder / "recipe.toml").write_text(attack("recipe.toml"))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["versions"] = {attack("library"): attack("version")}
    manifest["machine"] = {"processor": attack("processor"), "accelerators": [attack("accelerator")]}
    (folder / "manifest.json").write_text(json.dumps(manifest))


REPORTED = (
    *("recipe", "recipe.toml", "library", "version", "processor", "accelerator", "failure"),
    *("metric", "timing", "set", "result", "part"),
    *("server model", "field", "field value", "refused", "refusal", "server name"),
    *("pair set", "pair model", "rival", "curve set", "curve model", "category", "asked", "kept", "dropped", "counted"),
)
"""What the report shows of others."""
WATCHED = (
    *("recipe", "processor", "accelerator", "failure", "stage to come", "kind", "metric", "set", "result", "part"),
    *("prompt", "completion", "gold", "extracted", "reason", "task", "language", "status"),
)
"""What the live pages show of others."""


def test_the_report_shows_every_attack_as_text(hostile: Path, tmp_path: Path) -> None:
    html = write_report(hostile, tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert (page.scripts, page.acts) == ([], [])
    assert page.open == []
    assert missing(page.text, REPORTED) == []
    assert page.text.count(sanitize(HOSTILE)) >= 2, "question and answer of an evaluation"
    assert not {"\x1b", "\u202e"} & set(html)
    assert "49" not in page.text.split("recipe.toml:")[1][:200], "no template is made of what others wrote"


def test_the_live_pages_show_every_attack_as_text(hostile: Path) -> None:
    runs = read(WatchedRuns([hostile, hostile]))
    addresses = ["/", *PAGES, f"/runs/0/rollouts?stage={STAGE}&q=%22%3E%3Cscript%3E", f"/runs/0/rollouts/{STAGE}/32/1"]
    text = ""
    with TestClient(make_app(runs), base_url="http://127.0.0.1") as client:
        for address in addresses:
            answer = client.get(address)
            assert answer.status_code == 200, address
            page = Page(answer.text)
            assert (page.scripts, page.acts) == (["/assets/page.js", "/assets/watch.js"], []), address
            assert page.open == [], address
            assert not {"\x1b", "\u202e"} & set(answer.text), address
            text += page.text
    assert missing(text, WATCHED) == []


@pytest.mark.parametrize("address", ["/runs/0/curves?stage=%3Cimg+src%3Dx%3E", "/compare?run=%3Cimg+src%3Dx%3E"])
def test_an_error_shows_what_was_asked_as_text(hostile: Path, address: str) -> None:
    with TestClient(make_app(WatchedRuns([hostile])), base_url="http://127.0.0.1") as client:
        page = Page(client.get(address).text)
    assert page.acts == []
    assert "That did not work" in page.text


def missing(text: str, places: tuple[str, ...]) -> list[str]:
    """The places whose attack is not there as it was written."""
    return [place for place in places if f"{place}:\"'>" not in text]
