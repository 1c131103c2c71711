"""The page of ``dunwu serve`` in a real browser: with answers of the nano base, and with replies that tests write."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browsing import NEEDS_CHROMIUM, PATIENCE

COMPLETIONS = "**/v1/chat/completions"
PUZZLE = "Use 11, 3 and 11 once each with + - * / to make 3."
CHAIN = "12-4=8, 8*3=24, too small. wait, 12*4=48, 48+3=51, yes."
HOSTILE = '<img src=x onerror="alert(1)"><script>alert(2)</script></p>\n\u202ereversed\x1b[31m'
SHOWN = '<img src=x onerror="alert(1)"><script>alert(2)</script></p>\n\ufffdreversed\ufffd[31m'
LONG_WORD = "0123456789" * 30
STREAM = """
window.bodies = [];
window.left = false;
const server = window.fetch;
window.fetch = (path, request) => {
  if (!path.startsWith("/v1/")) return server(path, request);
  window.bodies.push(JSON.parse(request.body));
  const body = new ReadableStream({ start: (feed) => {
    window.push = (text) => feed.enqueue(new TextEncoder().encode(text));
    request.signal.addEventListener("abort", () => {
      window.left = true;
      feed.error(new DOMException("left", "AbortError"));
    });
  } });
  return Promise.resolve(new Response(body));
};
"""
"""Lets a test write a reply piece by piece."""

pytestmark = NEEDS_CHROMIUM
playwright = pytest.importorskip("playwright.sync_api", reason="the extra 'dev' is not installed")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where the nano base is served; one answer is written at a time, so that a vote can be stopped."""
    yield from run_server("--max-sequences", "1")


@pytest.fixture(scope="module")
def guided_address() -> Iterator[str]:
    """Where it is served with a guide."""
    yield from run_server("--guide", "rules")


def run_server(*options: str) -> Iterator[str]:
    """Run ``dunwu serve nano-base`` on a port of its own; yields its address."""
    command = [sys.executable, "-m", "dunwu", "serve", "nano-base", "--port", "0", *options]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    yield server.stdout.readline().split()[2].removesuffix("/v1;")
    server.terminate()
    server.wait(60)
    server.stdout.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The page, just opened; a dialog, an uncaught error or a broken policy fails the test."""
    yield from open_page(browser, address)


@pytest.fixture
def guided_page(browser: Any, guided_address: str) -> Iterator[Any]:
    """The page of the server with a guide."""
    yield from open_page(browser, guided_address)


def open_page(browser: Any, address: str) -> Iterator[Any]:
    """Open a page; see ``page``."""
    opened = browser.new_page()
    opened.set_default_timeout(PATIENCE)
    errors: list[str] = []

    def fail(dialog: Any) -> None:
        errors.append(dialog.message)
        dialog.dismiss()

    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("dialog", fail)
    opened.on("console", lambda line: errors.append(line.text) if "Content Security Policy" in line.text else None)
    opened.goto(address)
    yield opened
    opened.close()
    assert errors == []


def write(*choices: dict[str, Any], done: bool = True, seed: int | None = 7, **more: Any) -> str:
    """A reply: the deltas of one answer, and fields beside them in a last event."""
    events: list[dict[str, Any]] = [{"seed": seed, "choices": [{"delta": delta}]} for delta in choices]
    events.append({"seed": seed, "choices": [{"delta": {}, "finish_reason": "stop"}], **more})
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    return "".join(lines) + ("data: [DONE]\n\n" if done else "")


def answer_with(page: Any, body: str, status: int = 200) -> list[Any]:
    """Answer every question with a body; returns where the requests will be."""
    asked: list[Any] = []

    def fulfil(route: Any) -> None:
        asked.append(route.request)
        route.fulfill(status=status, body=body, content_type="text/event-stream")

    page.route(COMPLETIONS, fulfil)
    return asked


def refuse_with(page: Any, status: int, message: str) -> None:
    answer_with(page, json.dumps({"error": {"message": message}}), status)


def ask(page: Any, text: str) -> Any:
    """Ask with Enter; returns the turn once its answer has ended."""
    count = page.locator(".turn").count()
    page.fill("#question", text)
    page.press("#question", "Enter")
    turn = page.locator(".turn").nth(count)
    playwright.expect(turn.locator(".foot")).to_be_visible()
    return turn


def set_field(page: Any, name: str, value: str) -> None:
    page.evaluate("document.getElementById('settings').open = true")
    field = page.locator(f"#settings [name={name}]")
    field.select_option(value) if name in ("vote", "way") else field.fill(value)


def count_running(address: str) -> int:
    """Answers that the server writes, and those that wait."""
    with urllib.request.urlopen(f"{address}/metrics") as answer:
        found = re.findall(r"^dunwu_samples_(?:running|waiting) (\d+)", answer.read().decode(), re.MULTILINE)
    assert len(found) == 2
    return sum(map(int, found))


def test_a_question_gets_a_chain_that_is_folded_and_coloured_and_an_answer(page: Any) -> None:
    assert page.evaluate("document.activeElement.id") == "question"
    set_field(page, "temperature", "0")
    turn = ask(page, PUZZLE)
    assert turn.locator("h2").inner_text() == PUZZLE
    assert turn.locator(".reply").inner_text() == "(11*3)/11"
    assert turn.locator(".chain").get_attribute("open") is None
    assert re.fullmatch(r"Thought for [\d.]+ s · \d+ tokens", turn.locator("summary").first.inner_text())
    turn.locator(".chain > summary").click()
    assert turn.locator(".thought").inner_text() == "11*3=33, 33/11=3, yes."
    playwright.expect(turn.locator(".thought mark.verification")).to_have_text("yes")
    assert turn.locator(".thought mark").get_attribute("title") == "checks a result"
    assert turn.locator(".key li").all_inner_texts() == ["checks a result ×1"]
    assert page.inner_text("#live") == "Answer: (11*3)/11"
    assert page.input_value("#question") == ""


def test_again_asks_with_the_same_seed(page: Any) -> None:
    set_field(page, "temperature", "1.5")
    first = ask(page, PUZZLE)
    seed = re.match(r"seed \d+", first.locator(".foot span").inner_text())
    first.locator(".again").click()
    second = page.locator(".turn").nth(1)
    playwright.expect(second.locator(".foot")).to_be_visible()
    assert seed
    assert second.locator(".foot span").inner_text().startswith(seed[0])
    assert [turn.locator(".reply").inner_text() for turn in (first, second)] == [
        first.locator(".reply").inner_text()
    ] * 2


def test_a_vote_shows_what_it_came_to(page: Any) -> None:
    set_field(page, "vote", "4")
    set_field(page, "temperature", "0")
    assert page.inner_text("#changed") == ": temperature 0, vote of 4"
    turn = ask(page, PUZZLE)
    assert turn.locator(".count").inner_text() == (
        "3 of 3 agree. The other 1 could not have changed it, and were not asked."
    )
    assert turn.locator(".vote > .groups li").all_inner_texts() == ["(11*3)/11\n3 votes"]
    assert turn.locator(".reply").inner_text() == "(11*3)/11"
    assert turn.locator(".others").is_hidden()


def test_where_there_is_a_guide_the_reader_chooses_how_to_answer(guided_page: Any) -> None:
    page = guided_page
    set_field(page, "temperature", "1")
    set_field(page, "seed", "3")
    took = r"score [\d.]+, \d+ % of the tokens dropped"
    for way, changed, said in (
        ('{"best_of": 4}', "best of 4", rf"The guide took the best answer: {took}"),
        ('{"guided": {"width": 4}}', "steps out of 4", rf"The guide chose \d+ times?: {took}"),
    ):
        set_field(page, "way", way)
        assert page.inner_text("#changed") == f": temperature 1, {changed}, seed 3"
        turn = ask(page, PUZZLE)
        assert re.fullmatch(said, turn.locator(".sources").inner_text())
        assert turn.locator(".reply").inner_text()
        assert turn.locator(".vote").is_hidden()
    set_field(page, "way", '{"vote": 4, "vote_weighted": true}')
    turn = ask(page, PUZZLE)
    assert "weight" in turn.locator(".count").inner_text()
    page.reload()
    assert page.inner_text("#changed") == ": temperature 1, weighted vote of 4, seed 3"
    assert page.locator(".sources").first.inner_text().startswith("The guide took the best answer")
    asked = answer_with(page, write({"content": "51"}))
    page.locator(".again").first.click()
    playwright.expect(page.locator(".foot")).to_have_count(4)
    assert json.loads(asked[0].post_data)["best_of"] == 4
    page.evaluate("document.getElementById('settings').open = true")
    page.focus("#settings [name=way]")
    page.keyboard.press("Home")
    assert page.inner_text("#changed") == ": temperature 1, seed 3", "the keyboard chooses, too"


def test_a_vote_by_weight_in_words(page: Any) -> None:
    groups = [{"answer": "51", "votes": 1, "weight": 0.9}, {"answer": "50", "votes": 3, "weight": 0.3}]
    vote = {"samples": 4, "wanted": 4, "tied": False, "weighted": True, "groups": groups}
    answer_with(page, write({"content": "51"}, vote=vote))
    turn = ask(page, PUZZLE)
    assert turn.locator(".count").inner_text() == "1 of 4 agree, and have 75 % of the weight that the guide gave."
    turn.locator(".others summary").click()
    assert turn.locator(".groups li").all_inner_texts() == ["51\n75 %, 1 vote", "50\n25 %, 3 votes"]
    widths = [bar.get_attribute("style") for bar in turn.locator(".track span").all()]
    assert [round(float(re.findall(r"[\d.]+", str(width))[0]), 6) for width in widths] == [75, 25]


def test_escape_stops_the_answer_and_the_servers_work(page: Any, address: str) -> None:
    set_field(page, "vote", "32")
    set_field(page, "temperature", "2")
    page.fill("#question", PUZZLE)
    page.press("#question", "Enter")
    playwright.expect(page.locator(".count")).to_contain_text("Voting: ")
    page.keyboard.press("Escape")
    playwright.expect(page.locator(".outcome")).to_have_text("Stopped by you.")
    assert page.locator("#send").is_visible()
    assert page.inner_text("#alert") == ""
    while count_running(address):
        page.wait_for_timeout(50)
    set_field(page, "vote", "")
    set_field(page, "temperature", "0")
    assert ask(page, PUZZLE).locator(".reply").inner_text() == "(11*3)/11"


def test_the_chain_is_open_while_it_is_written_and_folds_unless_the_reader_opened_it(page: Any) -> None:
    page.add_init_script(STREAM)
    page.reload()

    def push(**delta: str) -> None:
        page.evaluate("text => push(text)", f"data: {json.dumps({'seed': 7, 'choices': [{'delta': delta}]})}\n\n")

    for reader_opens in (False, True):
        page.fill("#question", PUZZLE)
        page.press("#question", "Enter")
        turn = page.locator(".turn").last
        push(reasoning="12*4=48, ")
        playwright.expect(turn.locator(".thought")).to_have_text("12*4=48, ")
        assert page.locator("#stop").is_visible()
        assert page.inner_text("#live") == "Thinking", "a token is not announced"
        assert turn.locator(".chain").get_attribute("open") == ""
        if reader_opens:
            turn.locator(".chain > summary").click()
            turn.locator(".chain > summary").click()
        push(content="(12*4)+3")
        playwright.expect(turn.locator(".reply")).to_have_text("(12*4)+3")
        assert turn.locator(".chain").get_attribute("open") == ("" if reader_opens else None)
        assert page.inner_text("#live") == "Thinking"
        page.evaluate("text => push(text)", "data: [DONE]\n\n")
        playwright.expect(page.locator("#live")).to_have_text("Answer: (12*4)+3")
    page.fill("#question", "and this?")
    page.press("#question", "Enter")
    page.click("#stop")
    assert page.evaluate("left"), "the connection is closed"
    assert page.evaluate("document.activeElement.id") == "question"
    assert page.input_value("#question") == "and this?", "nothing came, so the question is given back"
    assert page.locator(".turn").count() == 2


@pytest.mark.parametrize("takes_turns", [False, True])
def test_earlier_turns_go_along_where_the_model_takes_them(page: Any, takes_turns: bool) -> None:
    def serve(route: Any) -> None:
        shown = route.fetch()
        route.fulfill(response=shown, body=shown.text().replace('turns="false"', f'turns="{str(takes_turns).lower()}"'))

    page.route(re.compile(r":\d+/$"), serve)
    asked = answer_with(page, write({"reasoning": CHAIN}, {"content": "51"}))
    page.reload()
    set_field(page, "max_thinking_tokens", "100")
    for text in ("one", "two"):
        ask(page, text)
    bodies = [json.loads(request.post_data) for request in asked]
    one, two = ({"role": "user", "content": text} for text in ("one", "two"))
    answered = [one, {"role": "assistant", "content": "51"}, two]
    assert [body["messages"] for body in bodies] == [[one], answered if takes_turns else [two]]
    assert bodies[0]["max_thinking_tokens"] == 100
    assert bodies[0].keys() & {"seed", "vote"} == set(), "what is empty is not sent"


def test_votes_in_words_and_where_an_answer_comes_from(page: Any) -> None:
    groups = [{"answer": name, "votes": votes, "weight": votes} for name, votes in (("51", 5), ("50", 5), ("7", 1))]
    vote = {"samples": 12, "wanted": 12, "tied": True, "groups": groups}
    cache = {"hit": "exact", "age_seconds": 190, "provenance": {"kind": "voted", "by": "x", "votes": 12, "samples": 16}}
    usage = {"completion_tokens": 0}
    asked = answer_with(page, write({"content": "51"}, seed=None, vote=vote, cache=cache, usage=usage))
    set_field(page, "seed", "5")
    turn = ask(page, PUZZLE)
    said = turn.locator(".count").inner_text()
    assert said == "A tie: 51 and 50 have 5 of 12 each. The one that came first is shown. 1 had no answer."
    assert turn.locator(".others summary").inner_text() == "Other answers (2)"
    turn.locator(".others summary").click()
    assert turn.locator(".others li").all_inner_texts() == ["50\n5 votes", "7\n1 vote"]
    assert turn.locator(".sources").inner_text() == "Answered before (12 of 16 samples voted for it)"
    assert turn.locator(".foot > span").inner_text() == "from the cache, 3 min old"
    turn.locator(".again").click()
    playwright.expect(page.locator(".foot")).to_have_count(2)
    assert [json.loads(request.post_data)["seed"] for request in asked] == [5, 5]


def test_a_held_answer_appears_when_a_person_has_decided(page: Any) -> None:
    states = [("held", None, ""), ("held", None, ""), ("released", "edit", "50")]
    deliveries = iter([{"state": state, "verdict": verdict, "text": text} for state, verdict, text in states])
    page.route("**/v1/held/h1", lambda route: route.fulfill(json=next(deliveries)))
    review = {"action": "hold", "topics": ["medicine"], "id": "h1", "poll": "/v1/held/h1"}
    answer_with(page, write({"content": ""}, review=review))
    turn = ask(page, PUZZLE)
    playwright.expect(turn.locator(".outcome")).to_contain_text("A person looks at this answer first.")
    page.reload()
    turn = page.locator(".turn")
    playwright.expect(turn.locator(".reply")).to_have_text("50")
    assert turn.locator(".sources li").all_inner_texts() == [
        "A person has edited the model's answer",
        "Topics of the policy: medicine",
    ]
    assert turn.locator(".outcome").is_hidden()
    assert page.inner_text("#live") == "Answer: 50"


def test_what_a_model_wrote_stays_text(page: Any) -> None:
    groups = [{"answer": HOSTILE, "votes": 1, "weight": 1}]
    vote = {"samples": 1, "wanted": 2, "tied": False, "groups": groups}
    cache = {"hit": "path", "age_seconds": 5, "provenance": {"kind": "verified", "by": HOSTILE}}
    answer_with(page, write({"reasoning": HOSTILE, "content": HOSTILE}, vote=vote, cache=cache))
    turn = ask(page, HOSTILE.replace("\n", " "))
    turn.locator(".chain > summary").click()
    assert turn.locator(".reply").inner_text() == SHOWN
    assert turn.locator(".thought").inner_text() == SHOWN
    assert turn.locator(".answer-text").text_content() == SHOWN
    assert turn.locator(".sources").text_content() == (
        f"With the path of a similar question as a hint, 5 s ago (verified by {SHOWN})"
    )
    assert page.locator("#turns :is(img, script)").count() == 0
    page.reload()
    assert page.locator(".reply").inner_text() == SHOWN
    assert page.locator("#turns :is(img, script)").count() == 0


def test_errors_of_the_server_are_shown_and_the_question_is_kept(page: Any) -> None:
    for status, message, shown in (
        (429, "the queue is full", "the queue is full. Try again in a moment."),
        (400, "top_p: wrong", "top_p: wrong"),
    ):
        refuse_with(page, status, message)
        page.fill("#question", PUZZLE)
        page.press("#question", "Enter")
        playwright.expect(page.locator("#alert")).to_have_text(shown)
        assert page.input_value("#question") == PUZZLE
        assert page.locator(".turn").count() == 0
        page.unroute(COMPLETIONS)
    page.fill("#question", "12 " * 2000)
    page.press("#question", "Enter")
    playwright.expect(page.locator("#alert")).to_contain_text("tokens, and the model has 1,024 positions")
    answer_with(page, write({"content": "51"}))
    ask(page, PUZZLE)
    assert page.inner_text("#alert") == ""


def test_a_lost_connection_is_said(page: Any) -> None:
    answer_with(page, write({"content": "5"}, done=False))
    turn = ask(page, PUZZLE)
    assert turn.locator(".outcome").inner_text() == "The connection was lost here."
    assert "connection to the server was lost" in page.inner_text("#alert")
    page.unroute(COMPLETIONS)
    page.route(COMPLETIONS, lambda route: route.abort())
    page.fill("#question", PUZZLE)
    page.press("#question", "Enter")
    playwright.expect(page.locator("#question")).to_have_value(PUZZLE)
    assert "connection to the server was lost" in page.inner_text("#alert")


def test_a_key_is_asked_for_where_one_is_wanted(page: Any) -> None:
    assert page.locator("#key").is_hidden()
    refuse_with(page, 401, "a key is wanted")
    page.fill("#question", PUZZLE)
    page.press("#question", "Enter")
    playwright.expect(page.locator("#key")).to_be_focused()
    assert page.inner_text("#alert") == "a key is wanted"
    page.keyboard.type("secret")
    page.unroute(COMPLETIONS)
    asked = answer_with(page, write({"content": "51"}))
    page.keyboard.press("Enter")
    playwright.expect(page.locator(".reply")).to_have_text("51")
    assert asked[0].headers["authorization"] == "Bearer secret"
    assert page.locator("#key").is_hidden()
    assert page.evaluate("JSON.stringify(localStorage)") == "{}"


def test_a_reload_keeps_the_conversation_and_a_new_one_begins_empty(page: Any) -> None:
    answer_with(page, write({"reasoning": CHAIN}, {"content": "line one\nline two"}))
    set_field(page, "seed", "5")
    ask(page, PUZZLE)
    playwright.expect(page.locator(".key")).to_be_hidden()
    page.reload()
    assert page.locator(".reply").inner_text() == "line one\nline two"
    assert page.locator(".chain").get_attribute("open") is None
    page.click(".chain > summary")
    playwright.expect(page.locator(".thought mark.reflection")).to_have_text("wait,")
    assert page.inner_text("#changed") == ": seed 5"
    page.click("#new")
    assert page.locator(".turn").count() == 0
    page.reload()
    assert page.locator(".turn").count() == 0
    assert page.locator("#welcome").is_visible()
    page.click("#settings > summary")
    page.click("#defaults")
    assert page.inner_text("#changed") == ""
    set_field(page, "temperature", "3")
    page.fill("#question", PUZZLE)
    page.press("#question", "Enter")
    assert page.evaluate("document.activeElement.name") == "temperature", "what cannot be sent is shown"
    assert page.locator(".turn").count() == 0


def test_with_the_keyboard_alone(page: Any) -> None:
    asked = answer_with(page, write({"reasoning": CHAIN}, {"content": "51"}))
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    page.keyboard.press("Enter")
    playwright.expect(page.locator(".foot")).to_be_visible()
    assert json.loads(asked[0].post_data)["messages"][-1]["content"] == "one\ntwo"
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.className") == "again"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    assert page.locator(".thought").is_visible()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("?")
    assert page.locator("dialog#help").is_visible()
    page.keyboard.press("Escape")
    grounds = set()
    for _ in range(3):
        page.keyboard.press("t")
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "question"
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    assert page.locator(".turn").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_where_there_is_a_guide(guided_page: Any, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the extra 'dev' is not installed").Axe()
    page = guided_page
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    page.set_viewport_size({"width": 320, "height": 640})
    groups = [{"answer": f"{name}{LONG_WORD}", "votes": 128, "weight": 0.123456} for name in (51, 50)]
    vote = {"samples": 128, "wanted": 128, "tied": True, "weighted": True, "groups": groups}
    guidance = {"method": "guided", "score": 0.987654, "share": 0.75, "choices": 1234567}
    answer_with(page, write({"content": "51"}, vote=vote, guidance=guidance))
    set_field(page, "way", '{"vote": 32, "vote_weighted": true}')
    turn = ask(page, PUZZLE)
    turn.locator(".others summary").click()
    for width in (320, 1280):
        page.set_viewport_size({"width": width, "height": 640})
        violations = axe.run(page).response["violations"]
        assert [(found["id"], found["nodes"][0]["html"][:200]) for found in violations] == []
        assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_finds_nothing_and_a_small_phone_does_not_scroll_sideways(page: Any, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the extra 'dev' is not installed").Axe()
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    page.set_viewport_size({"width": 320, "height": 640})

    def check(what: str) -> None:
        violations = axe.run(page).response["violations"]
        assert [(found["id"], found["nodes"][0]["html"][:200]) for found in violations] == [], what
        assert page.evaluate("document.documentElement.scrollWidth") == 320, what

    check("before anything is asked")
    groups = [{"answer": f"{name}{LONG_WORD}", "votes": 1, "weight": 1} for name in (51, 50)]
    vote = {"samples": 3, "wanted": 4, "tied": False, "groups": groups}
    cache = {"hit": "path", "age_seconds": 5, "provenance": {"kind": "verified", "by": LONG_WORD}}
    answer_with(page, write({"reasoning": f"{CHAIN} {LONG_WORD}"}, {"content": LONG_WORD}, vote=vote, cache=cache))
    turn = ask(page, f"{PUZZLE} {LONG_WORD}")
    for summary in turn.locator("summary").all():
        summary.click()
    playwright.expect(turn.locator(".key")).to_be_visible()
    page.unroute(COMPLETIONS)
    refuse_with(page, 401, LONG_WORD)
    page.fill("#question", LONG_WORD)
    page.press("#question", "Enter")
    playwright.expect(page.locator("#key")).to_be_focused()
    set_field(page, "vote", "16")
    check("with everything shown")
    page.set_viewport_size({"width": 1280, "height": 800})
    assert axe.run(page).response["violations"] == []
