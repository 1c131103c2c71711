"""The review over HTTP: who may do what, forms of the same origin, and hostile text that stays text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from dunwu.serve.http.guard import LIMITS
from dunwu.serve.review.access import SESSION_SECONDS
from dunwu.serve.review.held_queue import DECLINED, HeldQueue
from dunwu.serve.review.keys import Keys, KeySpec, Role, make_key
from dunwu.serve.review.records import UnknownAnswer
from dunwu.serve.review.router import make_review_router

ROLES: dict[str, Role] = {"ward": "client", "lab": "client", "ann": "reviewer", "bob": "reviewer", "eve": "admin"}
MADE = {name: make_key(name, role) for name, role in ROLES.items()}
HOSTILE = "<script>alert(1)</script></pre></textarea>\"'><img src=x onerror=alert(2)> {{ 7*7 }} \u202eevil\x1b[2J"
FORM = {"origin": "http://testserver"}


class World:
    """A service with one held answer, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.queue = HeldQueue(folder, lambda: self.now)
        hashes = {name: re.findall(r"sha256:\w+", lines)[0] for name, (_, lines) in MADE.items()}
        keys = Keys({name: KeySpec(role=role, hash=hashes[name]) for name, role in ROLES.items()})
        app = FastAPI()
        app.include_router(make_review_router(self.queue, keys, clock=lambda: self.now))
        self.app = app
        self.held = self.queue.hold("ward", HOSTILE, HOSTILE, HOSTILE, topics=("dose",), reasons=(HOSTILE,))

    def client(self) -> TestClient:
        return TestClient(self.app, follow_redirects=False)

    def signed_in(self, name: str) -> TestClient:
        client = self.client()
        assert client.post("/review/sign-in", data={"key": MADE[name][0]}, headers=FORM).status_code == 303
        return client


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path)
    yield found
    found.queue.close()


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {MADE[name][0]}"}


def say(response: Any) -> str:
    """What an error says."""
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}, "as everywhere"
    assert "\n" not in error["message"]
    return str(error["message"])


def test_a_client_polls_until_a_reviewer_has_decided(world: World) -> None:
    client = world.client()
    poll = f"/v1/held/{world.held}"
    assert client.get(poll, headers=bearer("ward")).json() == {
        "id": world.held, "state": "held", "verdict": None, "text": "",
    }  # fmt: skip
    waiting = client.get("/v1/review/waiting", headers=bearer("ann")).json()
    assert (waiting["count"], waiting["waiting"][0]["answer"]) == (1, HOSTILE)
    claimed = client.post(f"/v1/review/{world.held}/claim", headers=bearer("ann"))
    assert (claimed.status_code, claimed.json()["claimed_by"]) == (200, "ann")
    assert client.post(f"/v1/review/{world.held}/claim", headers=bearer("bob")).status_code == 409
    body = {"verdict": "edit", "text": "4 mg", "reason": "too much"}
    decided = client.post(f"/v1/review/{world.held}/decide", headers=bearer("ann"), json=body)
    assert decided.json() == {"id": world.held, "state": "edited"}
    again = client.post(f"/v1/review/{world.held}/decide", headers=bearer("ann"), json=body)
    assert (again.status_code, say(again)) == (409, "the answer is edited already")
    for _ in range(2):
        assert client.get(poll, headers=bearer("ward")).json() == {
            "id": world.held, "state": "released", "verdict": "edit", "text": "4 mg",
        }  # fmt: skip
    log = client.get("/v1/review/log", headers=bearer("eve")).json()
    assert (log["broken"], log["head"]["lines"]) == (None, 4)


def test_errors_have_the_shape_of_all_others(world: World) -> None:
    client, poll = world.client(), f"/v1/held/{world.held}"
    assert client.get("/v1/held/0", headers=bearer("ward")).json()["error"] == {
        "message": str(UnknownAnswer()), "type": "invalid_request_error", "param": None, "code": "no_such_answer",
    }  # fmt: skip
    found = {
        client.get(poll): (401, None, "invalid_api_key"),
        client.get("/v1/review/waiting", headers=bearer("ward")): (403, None, "not_allowed"),
        client.post(f"/v1/review/{world.held}/decide", headers=bearer("ann"), json={"verdict": "x"}): (
            400, "verdict", "invalid_value",
        ),
    }  # fmt: skip
    for response, expected in found.items():
        assert say(response)
        error = response.json()["error"]
        assert (response.status_code, error["param"], error["code"]) == expected


@pytest.mark.parametrize("asker", ["ward", "ann", "eve"])
def test_whoever_asked_polls(world: World, asker: str) -> None:
    held = world.queue.hold(asker, "q", "", "a")
    for name in ROLES:
        got = world.client().get(f"/v1/held/{held}", headers=bearer(name))
        assert got.status_code == (200 if name == asker else 404), name


def test_a_form_is_a_form(world: World) -> None:
    got = world.client().post("/review/sign-in", content=b"key=x", headers=FORM | {"Content-Type": "text/plain"})
    assert (got.status_code, "application/x-www-form-urlencoded is wanted" in got.text) == (415, True)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/held/{id}", {"ward": 200, "lab": 404, "ann": 404, "bob": 404, "eve": 404}),
        ("GET", "/v1/review/waiting", {"ann": 200, "bob": 200, "eve": 200}),
        ("POST", "/v1/review/{id}/claim", {"ann": 200, "bob": 409, "eve": 409}),
        ("POST", "/v1/review/{id}/decide", {"ann": 400, "bob": 400, "eve": 400}),
        ("GET", "/v1/review/log", {"eve": 200}),
    ],
)
def test_each_role_may_do_its_own_alone(world: World, method: str, path: str, allowed: dict[str, int]) -> None:
    client = world.client()
    address = path.format(id=world.held)
    got = {name: client.request(method, address, headers=bearer(name)).status_code for name in ROLES}
    assert got == {name: allowed.get(name, 403) for name in ROLES}
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": MADE["ann"][0]}):
        refused = client.request(method, address, headers=headers)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    signed_in = world.signed_in("eve")
    assert signed_in.request(method, address).status_code == 401, "a cookie is no key"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "Invalid JSON: EOF while parsing"),
        (b"[]", "must be a table"),
        (b'{"verdict": "acept"}', "verdict: must be 'accept', 'edit' or 'reject', not 'acept'; did you mean accept?"),
        (b'{"verdict": "accept", "txt": ""}', "txt: unknown field; did you mean text?"),
        (b'{"verdict": "reject"}', "reason: say why"),
        (b'{"verdict": "reject", "reason": "' + b"x" * 2001 + b'"}', "reason: has 2,001 characters"),
        (b"x" * (LIMITS.bytes + 1), "the body has more than 4 MiB"),
    ],
)
def test_wrong_json_is_one_line(world: World, body: bytes, message: str) -> None:
    world.queue.claim(world.held, "ann")
    got = world.client().post(f"/v1/review/{world.held}/decide", headers=bearer("ann"), content=body)
    assert got.status_code in (400, 413)
    assert message in say(got)
    assert world.queue.find(world.held).state == "held"


def test_pages_want_a_reviewer_s_session_that_ends(world: World) -> None:
    client = world.client()
    for path in ("/review", f"/review/answers/{world.held}"):
        assert client.get(path).headers["location"] == "/review/sign-in"
    for key in (MADE["ward"][0], "", "x"):
        assert client.post("/review/sign-in", data={"key": key}, headers=FORM).status_code == 403
    client = world.signed_in("ann")
    assert client.get("/review").status_code == 200
    world.now += SESSION_SECONDS
    assert client.get("/review").status_code == 303
    client = world.signed_in("ann")
    copy = dict(client.cookies)
    assert client.post("/review/sign-out", headers=FORM).status_code == 303
    client.cookies.update(copy)
    assert client.get("/review").status_code == 303, "the service has forgotten the session"


def test_the_cookie_is_kept_from_scripts_and_other_sites(world: World) -> None:
    got = world.client().post("/review/sign-in", data={"key": MADE["ann"][0]}, headers=FORM)
    cookie = got.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/review" in cookie
    assert MADE["ann"][0].lower() not in cookie


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site", "origin": "http://testserver"}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "http://testserver:81"}, 403),
        ({"sec-fetch-site": "same-origin"}, 303),
        ({"origin": "http://testserver"}, 303),
    ],
)
def test_forms_of_other_sites_do_nothing(world: World, headers: dict[str, str], status: int) -> None:
    client = world.signed_in("ann")
    for path in ("claim", "accept"):
        got = client.post(f"/review/answers/{world.held}/{path}", data={}, headers=headers)
        assert got.status_code == status
    assert client.post("/review/sign-out", headers=headers, data={}).status_code == status
    assert world.queue.find(world.held).state == ("accepted" if status == 303 else "held")


def test_a_reviewer_decides_on_the_page(world: World) -> None:
    client = world.signed_in("ann")
    assert world.held in client.get("/review").text
    page = f"/review/answers/{world.held}"
    assert "Accept the answer" not in client.get(page).text, "claim it first"
    assert client.post(f"{page}/claim", headers=FORM, data={}).headers["location"] == f"{page}#verdict"
    assert "Accept the answer" in client.get(page).text
    assert "ann, until" in world.signed_in("bob").get(page).text
    refused = client.post(f"{page}/edit", headers=FORM, data={"text": "4 mg", "reason": ""})
    assert (refused.status_code, "reason: say why" in refused.text) == (400, True)
    done = client.post(f"{page}/edit", headers=FORM, data={"text": "4\r\nmg", "reason": "too much"})
    assert done.headers["location"] == "/review?decided=edited"
    after = client.get("/review?decided=edited").text
    assert "The answer is edited." in after
    assert "0 answers wait" in after
    assert world.queue.fetch(world.held, "ward").text == "4\nmg"
    assert "<b>" not in client.get("/review?decided=<b>").text


def test_a_rejected_answer_is_not_what_the_client_reads(world: World) -> None:
    client = world.signed_in("ann")
    page = f"/review/answers/{world.held}"
    client.post(f"{page}/claim", headers=FORM, data={})
    client.post(f"{page}/reject", headers=FORM, data={"text": "Ask your doctor.", "reason": "dangerous"})
    delivery = world.queue.fetch(world.held, "ward")
    assert (delivery.verdict, delivery.text) == ("reject", "Ask your doctor.")


def test_a_reviewer_reads_what_the_client_would_where_they_write_nothing(world: World) -> None:
    client = world.signed_in("ann")
    page = f"/review/answers/{world.held}"
    client.post(f"{page}/claim", headers=FORM, data={})
    assert DECLINED in client.get(page).text
    client.post(f"{page}/reject", headers=FORM, data={"text": "", "reason": "dangerous"})
    assert world.queue.fetch(world.held, "ward").text == DECLINED


def test_what_a_model_wrote_stays_text(world: World) -> None:
    world.queue.claim(world.held, "ann")
    client = world.signed_in("ann")
    for path in ("/review", f"/review/answers/{world.held}"):
        text = client.get(path).text
        assert "<script" not in text
        assert "<img" not in text
        assert "\u202e" not in text
        assert "\x1b" not in text
        assert "&lt;script&gt;alert(1)" in text
        assert "{{ 7*7 }}" in text
    assert text.count("</textarea>") == 5
    assert text.count("</pre>") == 3


def test_every_reply_says_what_it_may_load(world: World) -> None:
    client = world.signed_in("ann")
    for path, status in (
        ("/review", 200), ("/review/answers/x", 404), ("/review/assets/review.css", 200), ("/review/assets/x", 404),
        (f"/v1/held/{world.held}", 401), ("/v1/review/waiting", 401),
    ):  # fmt: skip
        got = client.get(path)
        assert got.status_code == status, path
        policy = got.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert got.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in got.headers
    for name in ("report.css", "watch.css", "review.css", "icon.svg"):
        assert client.get(f"/review/assets/{name}").status_code == 200


def test_without_keys_this_machine_asks_and_nobody_reviews(world: World) -> None:
    app = FastAPI()
    app.include_router(make_review_router(world.queue, None))
    held = world.queue.hold("local", "q", "", "a")
    here = TestClient(app, client=("127.0.0.1", 5000), follow_redirects=False)
    assert here.get(f"/v1/held/{held}").json()["state"] == "held"
    assert here.get(f"/v1/held/{world.held}").status_code == 404
    for client in (TestClient(app, client=("192.0.2.1", 5000)), TestClient(app)):
        assert client.get(f"/v1/held/{held}").status_code == 403
    assert say(here.get("/v1/review/waiting")) == "nobody can review: the service has no keys file"
    assert here.post(f"/v1/review/{held}/claim").status_code == 403
    assert here.post("/review/sign-in", data={"key": "x"}, headers=FORM).status_code == 403
    assert here.get("/review").status_code == 303


def test_when_nothing_can_be_kept_nothing_is_given_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    world.queue.claim(world.held, "ann")
    world.queue.decide(world.held, "ann", "accept")
    monkeypatch.setattr("os.pwrite", refuse)
    got = world.client().get(f"/v1/held/{world.held}", headers=bearer("ward"))
    assert (got.status_code, HOSTILE in got.text) == (503, False)
    assert "/" not in say(got), "no path of this machine"
