"""The page of ``dunwu serve`` as a program sees it: who may have it, what it says, and what it learns of a chain."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi.responses import Response
from fastapi.testclient import TestClient

from dunwu.analysis.reasoning.highlights import HIGHLIGHTS
from dunwu.serve.answering import Answerer
from dunwu.serve.guides import RULES, Guide, RuleGuide
from dunwu.serve.http.app import make_app
from dunwu.serve.http.bodies import ChatBody
from dunwu.serve.http.guard import Guard
from dunwu.serve.review.keys import Keys, load_keys, make_key

CHAIN = "12-4=8, 8*3=24, too small. wait, 12*4=48, 48+3=51, yes."
ELSEWHERE = {"sec-fetch-site": "cross-site"}
LINK = {**ELSEWHERE, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


def open_client(*, keys: Keys | None = None, guide: Guide | None = None, **changes: Any) -> TestClient:
    """A client of an application whose model cannot generate."""
    model = {"name": "demo", "takes_turns": False, "positions": 1024, "sampling": (0.6, 0.95), "template": "nano"}
    service = SimpleNamespace(model=SimpleNamespace(**(model | changes)))
    answerer = cast("Answerer", SimpleNamespace(service=service, reviewer=None, memory=None, guide=guide))
    return TestClient(make_app(answerer, keys), base_url="http://127.0.0.1:8000")


def test_the_page_says_what_the_model_is_and_loads_nothing_but_its_own() -> None:
    answer = open_client().get("/")
    assert answer.status_code == 200
    assert "<h1>Talk to demo</h1>" in answer.text
    assert 'data-takes-turns="false" data-wants-key="false"' in answer.text
    assert 'value="0.6"' in answer.text
    assert 'value="0.95"' in answer.text
    assert "it gets each question alone" in answer.text
    assert "script-src 'self'; style-src 'self'; connect-src 'self'" in answer.headers["content-security-policy"]
    assert re.findall(r"<script(?![^>]* src=\"/assets/)", answer.text) == [], "no script stands inline"
    assert not re.search(r" style=| on[a-z]+=", answer.text)
    assert ">Shortcuts</button>" in answer.text, "keys are what clients hold, too"
    assert all(label in answer.text for label in HIGHLIGHTS.values())


def test_with_a_guide_there_is_a_choice_of_how_to_answer() -> None:
    text = open_client(guide=RuleGuide(RULES)).get("/").text
    options = [html.unescape(value) for value in re.findall(r'<option value="([^"]+)">', text)]
    bodies = [json.loads(value) for value in options]
    assert len(bodies) == 16
    assert bodies[0] == {"vote": 4}
    assert {"vote": 8, "vote_weighted": True} in bodies
    assert {"best_of": 32} in bodies
    assert {"guided": {"width": 16}} in bodies
    messages = [{"role": "user", "content": "?"}]
    assert all(ChatBody.model_validate({"messages": messages, **body}) for body in bodies)
    assert 'name="vote"' not in text
    assert 'name="way"' not in open_client().get("/").text


def test_a_model_that_takes_turns_has_no_such_note_and_no_examples_of_another() -> None:
    text = open_client(takes_turns=True, template="chat").get("/").text
    assert 'data-takes-turns="true" data-wants-key="false"' in text
    assert "each question alone" not in text
    assert "It was trained on" not in text


def test_the_name_of_a_model_stays_text() -> None:
    text = open_client(name='"><script>alert(1)</script>').get("/").text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_every_asset_that_the_page_names_is_there_and_no_other_file() -> None:
    client = open_client()
    names = re.findall(r"/assets/([\w.]+)", client.get("/").text)
    assert {"icon.svg", "report.css", "watch.css", "page.js", "chat.css", "chat.js"} == set(names)
    script = client.get("/assets/chat.js").text
    names += re.findall(r'from "\./([\w.]+)"', script)
    assert {"chat_turn.js", "chat_server.js"} <= set(names)
    for name in names:
        answer = client.get(f"/assets/{name}")
        assert answer.status_code == 200, name
        assert answer.headers["content-type"].startswith(("text/css", "text/javascript", "image/svg+xml"))
    assert client.get("/assets/english.txt").status_code == 404
    assert client.get("/assets/..%2f..%2fversion.py").status_code == 404


def test_a_chain_comes_back_in_pieces_that_say_what_they_do() -> None:
    answer = open_client().post("/page/highlights", json={"text": f"{CHAIN}\x1b\u202e"})
    segments = answer.json()["segments"]
    assert "".join(one["text"] for one in segments) == f"{CHAIN}\ufffd\ufffd"
    kinds = {one["text"]: one["kinds"] for one in segments}
    assert kinds["wait, "] == ["reflection", "backtracking"]
    assert kinds["yes"] == ["verification"]
    assert {kind for one in segments for kind in one["kinds"]} <= HIGHLIGHTS.keys()


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({"text": "a" * 100_001}, "text", "string should have at most 100000 characters"),
        ({"text": "", "more": 1}, "more", "no such field"),
        ({}, "text", "field required"),
    ],
)
def test_a_wrong_body_is_refused_in_a_line(body: dict[str, Any], field: str, message: str) -> None:
    answer = open_client().post("/page/highlights", json=body)
    assert answer.status_code == 400
    assert (answer.json()["error"]["param"], message in answer.json()["error"]["message"]) == (field, True), answer.text


def test_another_site_can_link_to_the_page_and_read_nothing() -> None:
    client = open_client()
    assert client.get("/", headers=LINK).status_code == 200
    assert client.get("/", headers=ELSEWHERE).status_code == 403
    assert client.get("/v1/models", headers=LINK).status_code == 403
    assert client.post("/page/highlights", json={"text": ""}, headers=ELSEWHERE).status_code == 403
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    assert client.post("/", headers=LINK).status_code == 405


def test_headers_of_a_page_stand_once_and_its_own_are_kept() -> None:
    own = Response(headers={"Referrer-Policy": "same-origin"})  # without it, forms of the review have no origin
    headers = TestClient(Guard(own, None), base_url="http://127.0.0.1").get("/").headers
    assert headers.get_list("referrer-policy") == ["same-origin"]
    assert headers.get_list("cache-control") == ["no-store"]


def test_keys_guard_the_work_and_not_the_page(tmp_path: Path) -> None:
    key, lines = make_key("ann", "client")
    (tmp_path / "keys.toml").write_text(lines)
    client = open_client(keys=load_keys(tmp_path / "keys.toml"))
    assert 'data-wants-key="true"' in client.get("/").text
    assert client.get("/assets/chat.js").status_code == 200
    assert client.post("/page/highlights", json={"text": CHAIN}).status_code == 401
    given = client.post("/page/highlights", json={"text": CHAIN}, headers={"authorization": f"Bearer {key}"})
    assert given.status_code == 200
