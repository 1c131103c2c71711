"""The pages of the observatory without a browser: what they show, what they refuse, and who may ask."""

from __future__ import annotations

import dataclasses
import re
import socket
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode

import pytest
from starlette.testclient import TestClient
from tests.made_runs import HOSTILE, STAGE
from tests.unit.observatory.watching import PAGES, read

from dunwu.errors import UserError
from dunwu.loopback import listen
from dunwu.observatory.web.app import HEADERS, make_app
from dunwu.observatory.web.watched_runs import WatchedRuns
from dunwu.runs import AnswerRow, RunReader
from dunwu.runs.answer_tables import ROLLOUTS, write_answers


class Reader(HTMLParser):
    """Collects scripts, event handlers and addresses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[str | None] = []
        self.handlers: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "script":
            self.scripts.append(named.get("src"))
        self.handlers += [name for name in named if name.startswith("on")]
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        assert tag != "img"


def hostile_rows(directory: Path) -> list[AnswerRow]:
    """The rows of the first step, with all that a model or a data set writes replaced by an attack."""
    rows = RunReader(directory).stage(STAGE).read_rollouts(16)
    return [
        dataclasses.replace(
            row, completion=f"<think>{HOSTILE}</think>", prompt=HOSTILE, gold=HOSTILE, extracted=HOSTILE, reason=HOSTILE
        )
        for row in rows
    ]


def test_every_page_is_there_and_says_what_it_should(client: TestClient) -> None:
    texts = {address: client.get(address) for address in PAGES}
    assert {address: answer.status_code for address, answer in texts.items()} == dict.fromkeys(PAGES, 200)
    assert "Right answers grew from" in texts["/runs/0"].text
    assert "160 of 160 steps" not in texts["/runs/0"].text
    assert "96 of 160 steps" in texts["/runs/0"].text
    assert "<h2>Is it healthy?</h2>" in texts["/runs/0"].text
    assert "<p>too short to judge; 1 of 8 rules had enough to go by" in texts["/runs/0"].text
    curves = texts[f"/runs/0/curves?stage={STAGE}"].text
    assert "Too few rollouts to look for an aha moment: 6." in curves
    assert curves.count("<figure>") == 18
    assert f"<b>{6 * 128:,}</b> of {6 * 128:,} answers" in texts[f"/runs/0/rollouts?stage={STAGE}"].text
    assert client.get("/", follow_redirects=False).headers["location"] == "/runs/0"


def test_the_overview_shows_red_flags_alone(directory: Path) -> None:
    with RunReader(directory).stage(STAGE).path.joinpath("metrics.jsonl").open("a") as metrics:
        metrics.writelines(f'{{"step": {step}, "entropy": 0.004, "clip_low": 0.0}}\n' for step in range(100, 120))
    text = overview_of(directory)
    assert '<span class="wrong">red flag</span>, entropy: 0.004 nats a token' in text
    assert "clipping" not in text


def overview_of(directory: Path) -> str:
    """The section of the overview that says how healthy the run is."""
    with TestClient(make_app(read(WatchedRuns([directory]))), base_url="http://127.0.0.1:8765") as client:
        return client.get("/runs/0").text.split("Is it healthy?")[1].split("Is it an aha?")[0]


def test_what_a_model_wrote_is_inert_on_every_page(directory: Path) -> None:
    write_answers(directory / "stages" / STAGE / "rollouts" / "step-000016.parquet", hostile_rows(directory), ROLLOUTS)
    watched = WatchedRuns([directory])
    read(watched)
    with TestClient(make_app(watched), base_url="http://localhost") as client:
        for address in (*PAGES, f"/runs/0/rollouts?{urlencode({'stage': STAGE, 'q': HOSTILE[:60], 'task': HOSTILE})}"):
            answer = client.get(address)
            assert answer.status_code == 200
            found = Reader(answer.text)
            assert found.scripts == ["/assets/page.js", "/assets/watch.js"], address
            assert found.handlers == []
            assert all(re.match(r"/|#|\?", to) for to in found.addresses), "no page leads off this server"
            assert "\x1b" not in answer.text
            assert "\u202e" not in answer.text


@pytest.mark.parametrize(
    ("method", "address", "headers", "status"),
    [
        ("GET", "/runs/0", {"host": "evil.example"}, 400),
        ("GET", "/runs/0", {"host": "127.0.0.1.evil.example:8765"}, 400),
        ("GET", "/runs/0", {"host": "127.0.0.1:evil"}, 400),
        ("GET", "/runs/0", {"host": "LOCALHOST:8765"}, 200),
        ("GET", "/runs/0", {"host": "[::1]:8765"}, 200),
        ("POST", "/runs/0", {}, 405),
        ("DELETE", "/runs/0", {"origin": "http://evil.example"}, 405),
        ("HEAD", "/runs/0", {}, 405),
        ("OPTIONS", "/runs/0", {"origin": "http://evil.example", "access-control-request-method": "POST"}, 405),
        ("GET", "/runs/0/change-token", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}, 403),
        (
            "GET",
            "/runs/0",
            {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
            403,
        ),
        (
            "GET",
            "/runs/0",
            {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"},
            200,
        ),
        ("GET", "/runs/0", {"sec-fetch-site": "same-origin"}, 200),
    ],
)
def test_who_may_ask_for_what(
    client: TestClient, method: str, address: str, headers: dict[str, str], status: int
) -> None:
    answer = client.request(method, address, headers=headers)
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize(
    "address",
    [
        "/assets/../../../../etc/passwd",
        "/assets/..%2f..%2fpyproject.toml",
        "/assets/%2e%2e%2freport.css",
        "/runs/1",
        "/runs/-1",
        "/runs/x",
        "/runs/0/rollouts/..%2f..%2f..%2fetc/16/3",
        "/runs/0/rollouts/../16/3",
        f"/runs/0/rollouts/{STAGE}/16/999999",
        f"/runs/0/rollouts/{STAGE}/16/-1",
        f"/runs/0/rollouts/{STAGE}/17/0",
        "/runs/0/curves?stage=../../outside",
        "/runs/0/curves?stage=%2Fetc",
        f"/runs/0/paths?stage={STAGE}&problem=1",
        f"/runs/0/paths?stage={STAGE}&problem=abc",
        f"/runs/0/rollouts?stage={STAGE}&verdict=good",
        f"/runs/0/rollouts?stage={STAGE}&level=high",
        f"/runs/0/rollouts?stage={STAGE}&reward_from=nan",
        f"/runs/0/rollouts?stage={STAGE}&step_from=99999999999999999999999",
        f"/runs/0/rollouts?stage={STAGE}&start=x",
        "/compare?run=7",
        "/compare?run=a",
    ],
)
def test_nothing_outside_of_the_run_is_read_and_wrong_questions_get_one_line(client: TestClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code in (400, 404)
    assert "root:" not in answer.text
    if "/assets" not in address:
        assert "That did not work" in answer.text


def test_a_torn_last_line_of_the_metrics_is_left_out(directory: Path, watched: WatchedRuns) -> None:
    with (directory / "stages" / STAGE / "metrics.jsonl").open("a") as file:
        file.write('{"step": 112, "entro')
    with TestClient(make_app(watched), base_url="http://127.0.0.1") as client:
        assert "96 of 160 steps" in client.get("/runs/0").text


def test_watching_writes_nothing_into_the_stages(directory: Path) -> None:
    def files() -> dict[str, float]:
        return {str(path): path.stat().st_mtime_ns for path in (directory / "stages").rglob("*") if path.is_file()}

    before = files()
    watched = WatchedRuns([directory])
    read(watched)
    with TestClient(make_app(watched), base_url="http://127.0.0.1") as client:
        for address in PAGES:
            client.get(address)
    assert files() == before
    assert {path.name for path in directory.iterdir()} - {"derived"} == {
        "lock", "manifest.json", "recipe.json", "recipe.toml", "stages", "summary.json"
    }  # fmt: skip


def test_it_listens_on_loopback_alone_and_says_when_a_port_is_taken() -> None:
    listener = listen(0, "dunwu watch")
    try:
        host, port = listener.getsockname()
        assert host == "127.0.0.1"
        with pytest.raises(
            UserError, match=r"--port: port [0-9]+ is taken, perhaps by another dunwu watch; try --port 0"
        ):
            listen(port, "dunwu watch")
        with socket.socket() as outside:
            assert outside.connect_ex(("127.0.0.2", port)) != 0, "another address of this machine"
    finally:
        listener.close()
