"""Requests with a form or tools: what takes long to compile keeps nobody else waiting."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from dunwu.serve.answering import Answerer
from dunwu.serve.grammar import Grammar, Grammars
from dunwu.serve.guides import Draft
from dunwu.serve.http import app
from dunwu.serve.http.bodies import parse_body
from dunwu.serve.http.form_threads import THREADS, FormThreads
from dunwu.serve.records import Busy, Format, Stopped
from dunwu.serve.service import GenerationService

from .conftest import run_server

PATH = "/v1/chat/completions"
BODY = {"messages": [{"role": "user", "content": "Use 3, 5, 7 once each with + - * / to make 22."}], "max_tokens": 40}
FORMS = 80
"""More than the threads that an event loop has by default on any machine."""


class LastGuide:
    """Likes the last draft best."""

    def score(self, _: object, drafts: list[Draft]) -> list[float]:
        """See ``Guide``."""
        return [float(number) for number, _ in enumerate(drafts)]


@pytest.mark.parametrize("way", [{}, {"stream": True}, {"best_of": 2}])
def test_a_request_without_a_form_waits_for_none(
    service: GenerationService, monkeypatch: pytest.MonkeyPatch, way: dict[str, Any]
) -> None:
    may_compile, read, compile_form = threading.Event(), threading.Semaphore(0), Grammars.compile

    def wait_and_compile(grammars: Grammars, form: Format) -> Grammar:
        assert may_compile.wait(60)
        return compile_form(grammars, form)

    def count_and_parse(*args: Any) -> Any:
        read.release()
        return parse_body(*args)

    monkeypatch.setattr(Grammars, "compile", wait_and_compile)
    monkeypatch.setattr(app, "parse_body", count_and_parse)
    guide: Any = LastGuide()
    with run_server(Answerer(service, guide=guide)) as address, ThreadPoolExecutor(FORMS) as threads:
        formed = {**BODY, **way, "structured_outputs": {"regex": "a|b"}}
        url = f"{address.url}{PATH}"
        try:
            asked = [threads.submit(httpx.post, url, json=formed, timeout=120) for _ in range(FORMS)]
            assert all(read.acquire(timeout=60) for _ in range(FORMS)), "all forms are there"
            plain = httpx.post(url, json={**BODY, **way}, timeout=20)
            assert plain.status_code == 200
            assert not any(one.done() and one.result().status_code == 200 for one in asked)
        finally:
            may_compile.set()
        statuses = [one.result().status_code for one in asked]
    assert set(statuses) <= {200, 429}, "the queue has room for 64"
    assert statuses.count(200) >= 8


def test_more_than_may_be_there_are_refused() -> None:
    may_go = threading.Event()

    async def ask() -> list[int]:
        forms = FormThreads(THREADS + 1)
        asked = [asyncio.create_task(forms.run(may_go.wait, timeout=60)) for _ in range(THREADS + 1)]
        await asyncio.sleep(0)  # all have begun
        with pytest.raises(Busy, match=f"{THREADS + 1} forms wait or are read, and {THREADS + 1} may: ask again later"):
            await forms.run(may_go.wait)
        may_go.set()
        assert all(await asyncio.gather(*asked))
        found = [await forms.run(int, "7"), await forms.run(int, "1f", base=16)]
        forms.close()
        return found

    assert asyncio.run(ask()) == [7, 31]


def test_whoever_waits_when_the_server_ends_reads_why() -> None:
    may_go, begun = threading.Event(), threading.Semaphore(0)

    def work() -> str:
        begun.release()
        may_go.wait(60)
        return "done"

    async def ask() -> list[Any]:
        forms = FormThreads(THREADS + 2)
        asked = [asyncio.create_task(forms.run(work)) for _ in range(THREADS + 1)]
        await asyncio.to_thread(lambda: [begun.acquire(timeout=60) for _ in range(THREADS)])
        forms.close()
        may_go.set()
        return await asyncio.gather(*asked, forms.run(work), return_exceptions=True)

    *read, waited, late = asyncio.run(ask())
    assert read == ["done"] * THREADS
    assert (type(waited), type(late)) == (Stopped, Stopped)


def test_whoever_is_cancelled_at_the_end_of_the_patience_reads_why() -> None:
    may_go = threading.Event()

    async def ask() -> list[Any]:
        forms = FormThreads(THREADS + 1)
        asked = [asyncio.create_task(forms.run(may_go.wait, timeout=60)) for _ in range(THREADS + 1)]
        await asyncio.sleep(0)  # all have begun
        for one in asked:  # as uvicorn does
            one.cancel()
        found = await asyncio.gather(*asked, return_exceptions=True)
        may_go.set()
        forms.close()
        return found

    assert [type(one) for one in asyncio.run(ask())] == [Stopped] * (THREADS + 1)
