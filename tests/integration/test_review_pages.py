"""The pages of reviewers in a real browser: Chromium, driven by Playwright, checked by axe."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from dunwu.serve.review.held_queue import HeldQueue
from dunwu.serve.review.keys import Keys, KeySpec, make_key
from dunwu.serve.review.router import make_review_router
from tests.browsing import NEEDS_CHROMIUM, PATIENCE

HOSTILE = "<script>alert(1)</script></textarea></pre><img src=x onerror=alert(2)>" + "w" * 300

pytestmark = NEEDS_CHROMIUM
playwright = pytest.importorskip("playwright.sync_api", reason="the extra 'dev' is not installed")


class Service:
    """The review behind a server, and a page of a browser that looks at it."""

    def __init__(self, folder: Path, browser: Any) -> None:
        self.queue = HeldQueue(folder)
        self.key, lines = make_key("ann", "reviewer")
        keys = Keys({"ann": KeySpec(role="reviewer", hash=re.findall(r"sha256:\w+", lines)[0])})
        app = FastAPI()
        app.include_router(make_review_router(self.queue, keys))
        listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listener]})
        self.thread.start()
        self.page = browser.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.errors: list[str] = []
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", self._dialog)
        reasons = ("dose: 'mg' stands in the answer", f"dose: {HOSTILE}")
        self.dose = self.queue.hold(
            "ward", "How much for 20 kg?", "15 x 20.", "300 mg", topics=["dose"], reasons=reasons
        )
        self.hostile = self.queue.hold("ward", HOSTILE, HOSTILE, HOSTILE, topics=["dose"], reasons=reasons)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def _dialog(self, dialog: Any) -> None:
        self.errors.append(dialog.message)
        dialog.dismiss()

    def open(self, path: str) -> Any:
        self.page.goto(self.address + path)
        return self.page

    def sign_in(self) -> None:
        page = self.open("/review")
        playwright.expect(page.locator("#key")).to_be_focused()
        page.keyboard.type(self.key)
        page.keyboard.press("Enter")
        playwright.expect(page.locator("h1")).to_contain_text("wait")

    def end(self) -> None:
        self.page.close()
        self.server.should_exit = True
        self.thread.join()
        self.queue.close()


@pytest.fixture
def service(tmp_path: Path, browser: Any) -> Iterator[Service]:
    found = Service(tmp_path, browser)
    yield found
    found.end()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_no_page_is_wider_than_a_phone(service: Service, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the extra 'dev' is not installed").Axe()
    page = service.page
    page.emulate_media(color_scheme=theme)
    service.open("/review/sign-in")
    pages = ["/review/sign-in", "/review", f"/review/answers/{service.dose}", f"/review/answers/{service.hostile}"]
    service.sign_in()
    service.queue.claim(service.hostile, "ann")
    for path in (*pages, "/review/answers/nothing"):
        for width in (1100, 375):
            page.set_viewport_size({"width": width, "height": 800})
            service.open(path)
            for summary in page.locator("summary").all():
                summary.click()
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            violations = axe.run(page).response["violations"]
            found = "".join(f"{one['id']}: {one['nodes'][0]['html'][:200]}\n" for one in violations)
            assert not found, f"{path} ({theme}, {width}):\n{found}"
    errors = [error for error in service.errors if "404" not in error]
    assert errors == [], "console, dialogs, uncaught errors"


def test_an_answer_is_reviewed_with_the_keyboard_alone(service: Service) -> None:
    service.sign_in()
    page = service.page
    page.locator(".waiting a").first.focus()
    page.keyboard.press("Enter")
    playwright.expect(page.locator("pre.code").nth(1)).to_have_text("300 mg")
    playwright.expect(page.get_by_role("button", name="Claim it, to decide")).to_be_focused()
    page.keyboard.press("Enter")  # on "Claim it", which has the focus
    page.wait_for_url("**/*#verdict")
    edited = page.get_by_label("Answer for the client")
    edited.focus()
    playwright.expect(edited).to_be_focused()
    page.keyboard.press("Control+A")
    page.keyboard.type("200 mg")
    page.keyboard.press("Tab")
    page.keyboard.type("over the limit")
    page.keyboard.press("Enter")  # in a text of several lines, sends nothing
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    playwright.expect(page.locator("[role=status]")).to_have_text("The answer is edited.")
    playwright.expect(page.locator("h1")).to_have_text("1 answer waits")
    found = service.queue.fetch(service.dose, "ward")
    assert (found.verdict, found.text) == ("edit", "200 mg")
    page.get_by_role("button", name="Sign out ann").click()
    service.open("/review")
    assert page.url.endswith("/review/sign-in")


def test_an_edited_answer_comes_back_as_it_was_shown(service: Service) -> None:
    held = service.queue.hold("ward", "q", "", "\n\n  two lines first\n\tand a tab\n")
    service.queue.claim(held, "ann")
    service.sign_in()
    page = service.open(f"/review/answers/{held}")
    page.locator("#edit-reason").fill("nothing is changed")
    page.get_by_role("button", name="Send the edited answer").click()
    playwright.expect(page.locator("[role=status]")).to_be_visible()
    assert service.queue.fetch(held, "ward").text == "\n\n  two lines first\n\tand a tab\n"
