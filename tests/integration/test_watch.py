"""The observatory in a real browser: Debian's or any other Chromium, driven by Playwright, checked by axe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dunwu.runs import BASE, TRAINED
from dunwu.runs.answer_tables import ROLLOUTS, write_answers
from tests.browsing import NEEDS_CHROMIUM, PATIENCE
from tests.made_runs import PER_ROLLOUT, STAGE, begin, evaluate, finished_run, group, train
from tests.unit.observatory.test_pages import hostile_rows

PAGES = (
    "/runs/0",
    f"/runs/0/curves?stage={STAGE}",
    f"/runs/0/rollouts?stage={STAGE}",
    f"/runs/0/rollouts/{STAGE}/16/3",
    f"/runs/0/paths?stage={STAGE}",
    "/compare",
    "/",
)

pytestmark = NEEDS_CHROMIUM
playwright = pytest.importorskip("playwright.sync_api", reason="the extra 'dev' is not installed")


class Watch:
    """``dunwu watch`` as a user starts it, and a page of a browser that looks at it."""

    def __init__(self, directories: list[Path], browser: Any) -> None:
        command = [
            sys.executable,
            "-c",
            "from dunwu.cli import main; main()",
            "watch",
            *map(str, directories),
            "--no-open",
            "--port",
            "0",
        ]
        self.server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.server.stdout is not None
        self.address = self.server.stdout.readline().split()[2].rstrip(";")
        self.page = browser.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.errors: list[str] = []
        self.page.on(
            "console", lambda told: self.errors.append(told.text) if told.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", self._dialog)

    def _dialog(self, dialog: Any) -> None:
        self.errors.append(dialog.message)
        dialog.dismiss()

    def open(self, path: str) -> Any:
        """The page at a path, with everything read that is stored."""
        self.page.goto(self.address + path)
        while self.page.locator("[role=status]").count():
            self.page.wait_for_timeout(200)
            self.page.goto(self.address + path)
        return self.page

    def end(self) -> None:
        """As Ctrl-C does."""
        self.page.close()
        self.server.send_signal(signal.SIGINT)
        self.server.wait(30)
        assert self.server.stdout is not None
        self.server.stdout.close()


@pytest.fixture
def watch(tmp_path: Path, browser: Any) -> Iterator[Watch]:
    directories = [finished_run(tmp_path / name, rollouts=rollouts) for name, rollouts in (("one", 10), ("two", 6))]
    path = directories[0] / "stages" / STAGE / "rollouts" / "step-000016.parquet"
    write_answers(path, hostile_rows(directories[0]), ROLLOUTS)
    found = Watch(directories, browser)
    yield found
    found.end()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_loads_without_an_error_and_axe_finds_nothing(watch: Watch, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the extra 'dev' is not installed").Axe()
    watch.page.emulate_media(color_scheme=theme)
    for path in PAGES:
        page = watch.open(path)
        assert page.locator("main h1").count() == 1
        for summary in page.locator("main details > summary").all()[:3]:
            summary.click()
        violations = axe.run(page).response["violations"]
        told = "".join(f"{found['id']}: {found['nodes'][0]['html'][:200]}\n" for found in violations)
        assert not told, f"{path} ({theme}):\n{told}"
    assert watch.errors == [], "console, dialogs, uncaught errors"


def test_filters_as_one_types_and_opens_a_rollout_with_its_group(watch: Watch) -> None:
    page = watch.open(f"/runs/0/rollouts?stage={STAGE}")
    note = page.locator("#results .note b")
    playwright.expect(note).to_have_text("1,280")
    page.select_option("[name=verdict]", "wrong")
    playwright.expect(note).not_to_have_text("1,280")
    wrong = int(note.inner_text().replace(",", ""))
    assert 0 < wrong < 1280
    page.check("[name=shows][value=backtracking]")
    playwright.expect(note).not_to_have_text(f"{wrong:,}")
    page.fill("[name=q]", "make 77")
    playwright.expect(page.locator("#results .note")).to_contain_text("looked through")
    assert page.locator("[name=order]").is_disabled(), "a search goes from the newest on"
    assert "verdict=wrong" in page.url
    assert "q=make+77" in page.url
    page.reload()
    assert page.input_value("[name=q]") == "make 77", "the address is the filter"
    assert page.locator("[name=order]").is_disabled()
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.locator("tr.here").count() == 1
    second = page.locator("tbody tr").nth(1).locator("a").inner_text()
    page.keyboard.press("Enter")
    page.wait_for_url("**/rollouts/zero/**")
    question, answer = second.split(".")
    assert f"Answer {answer} to question {question} of step" in page.locator("h1").inner_text()
    assert page.locator("article mark.backtracking").count() > 0
    assert "The other 7 answers of its group" in page.inner_text("main")
    first = page.url
    page.keyboard.press("]")
    page.wait_for_url(lambda url: url != first)
    page.keyboard.press("[")
    page.wait_for_url(first)
    page.keyboard.press("3")
    page.wait_for_url("**/runs/0/rollouts")
    assert watch.errors == []


def test_what_a_model_wrote_stays_text(watch: Watch) -> None:
    page = watch.open(f"/runs/0/rollouts/{STAGE}/16/0")
    assert '<script>alert("x")</script>' in page.locator("article pre").inner_text()
    assert page.locator("main script, main img").count() == 0
    watch.open(f"/runs/0/paths?stage={STAGE}")
    assert '<script>alert("x")</script>' in watch.page.inner_text("main")
    assert watch.errors == []


def test_two_runs_beside_each_other_keys_and_themes(watch: Watch) -> None:
    page = watch.open("/compare")
    lines = page.locator("figure").first.locator("polyline.line")
    assert lines.count() == 2
    page.uncheck("[name=run][value='1']")
    playwright.expect(lines).to_have_count(1)
    page.keyboard.press("?")
    assert page.locator("dialog#help").is_visible()
    page.keyboard.press("Escape")
    grounds = set()
    for theme in ("light", "dark", "system"):
        page.keyboard.press("t")
        assert page.inner_text("#theme") == f"Theme: {theme}"
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2
    assert watch.errors == []


def test_it_follows_a_run_that_is_being_written_and_its_end_touches_nothing(tmp_path: Path, browser: Any) -> None:
    with begin(tmp_path) as run:
        stage = run.stage(STAGE)
        evaluate(stage, BASE, "countdown", 0.0, 4, 1)
        train(stage, rollouts=2, questions=2)
        watch = Watch([tmp_path], browser)
        page = watch.open(f"/runs/0/curves?stage={STAGE}")
        points = page.locator("figure").first.locator("circle.training")
        playwright.expect(points).to_have_count(2)
        random = np.random.default_rng(5)
        for rollout in (2, 3):
            step = (rollout + 1) * PER_ROLLOUT
            stage.append(step, {"reward": 1.0, "entropy": 0.3}, {"rollout": 1.0})
            stage.write_rollouts(step, [group(number, 0.9, rollout * PER_ROLLOUT, random) for number in range(2)])
            playwright.expect(points).to_have_count(rollout + 1)
        evaluate(stage, TRAINED, "countdown", 1.0, 4, 1)
        playwright.expect(page.locator("main")).to_contain_text("trained")
        assert watch.errors == []
        os.kill(watch.server.pid, signal.SIGKILL)
        watch.server.wait(30)
        stage.write_rollouts(5 * PER_ROLLOUT, [group(0, 0.9, 64, random)])  # the run goes on
        page.wait_for_selector("html.lost", state="attached")
        page.close()
        assert watch.server.stdout is not None
        watch.server.stdout.close()
    assert stage.list_rollout_steps() == [16, 32, 48, 64, 80]
