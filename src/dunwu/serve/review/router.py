"""The addresses of the review: pages for reviewers, JSON for programs, and the poll of clients.

/review, /review/sign-in, /review/answers/ID      pages; a cookie, forms of the same origin
/v1/review/waiting, /v1/review/ID/claim|decide    JSON; a reviewer's key
/v1/review/log                                    JSON; an admin's key
/v1/held/ID                                       JSON; the key of the client that asked
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from dunwu.config.schema.base import Strict
from dunwu.errors import Fault, UserError
from dunwu.observatory.web.assets import send_asset
from dunwu.serve.http.errors import Refusal, respond
from dunwu.serve.http.guard import read_body
from dunwu.serve.review import pages
from dunwu.serve.review.access import COOKIE, SESSION_SECONDS, Access, read_form
from dunwu.serve.review.held_queue import HeldQueue
from dunwu.serve.review.keys import Keys
from dunwu.serve.review.records import STATES, Conflict, UnknownAnswer, Verdict
from dunwu.serve.review.settings import validate_settings

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

CODES = {401: "invalid_api_key", 403: "not_allowed"}
"""Words for programs, by the status of who may not do something."""


class DecisionBody(Strict):
    """What a program sends to decide an answer."""

    verdict: Verdict
    text: str = ""
    reason: str = ""


class _Route(APIRoute):
    """Turns errors into replies, so that the router can be mounted anywhere; adds headers to every reply."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                response: Response = await handle(request)
            except (HTTPException, UserError, Fault) as error:
                response = self.show_error(_to_refusal(error))
                response.headers.update(getattr(error, "headers", None) or {})
            response.headers.update(HEADERS)
            return response

        return answer

    def show_error(self, error: Refusal) -> Response:
        """Say what went wrong, as JSON."""
        return respond(error)


class _PageRoute(_Route):
    """Says what went wrong on a page; where somebody should sign in first, leads there."""

    def show_error(self, error: Refusal) -> Response:
        """Say what went wrong, as HTML."""
        if error.status == 401:
            return RedirectResponse("/review/sign-in", 303)
        return HTMLResponse(pages.show_error(str(error), None), error.status)


def _to_refusal(error: HTTPException | UserError | Fault) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, HTTPException):
        return Refusal(error.status_code, str(error.detail), code=CODES.get(error.status_code))
    if isinstance(error, Fault):
        return Refusal(503, "this cannot be kept at the moment, so nothing was done", code="not_kept")
    known = {UnknownAnswer: (404, "no_such_answer"), Conflict: (409, "conflict")}
    status, code = known.get(type(error), (400, "invalid_value"))
    return Refusal(status, error.message, field=error.field, code=code)


def make_review_router(queue: HeldQueue, keys: Keys | None, *, clock: Callable[[], float] = time.time) -> APIRouter:
    """Make the routes of the review.

    Args:
        queue: The held answers.
        keys: Who may do what; None: clients of this machine, and no reviewers.
        clock: Gives seconds of the epoch.

    Returns:
        A router to be included without a prefix.
    """
    access = Access(keys, clock)
    router = APIRouter()
    router.include_router(_make_json_routes(queue, access))
    router.include_router(_make_sign_in_pages(access))
    router.include_router(_make_pages(queue, access, clock))
    return router


def _make_json_routes(queue: HeldQueue, access: Access) -> APIRouter:
    router = APIRouter(prefix="/v1", route_class=_Route)

    @router.get("/held/{held_id}")
    def poll(request: Request, held_id: str) -> Response:
        return JSONResponse(asdict(queue.fetch(held_id, access.find_asker(request).name)))

    @router.get("/review/waiting")
    def list_waiting(request: Request) -> Response:
        access.find_reviewer(request)
        return JSONResponse({"waiting": [asdict(one) for one in queue.list_waiting()], "count": queue.count_waiting()})

    @router.post("/review/{held_id}/claim")
    def claim(request: Request, held_id: str) -> Response:
        queue.claim(held_id, access.find_reviewer(request).name)
        return JSONResponse(asdict(queue.find(held_id)))

    @router.post("/review/{held_id}/decide")
    async def decide(request: Request, held_id: str) -> Response:
        reviewer = access.find_reviewer(request).name
        body = validate_settings(await read_body(request), DecisionBody)
        await run_in_threadpool(queue.decide, held_id, reviewer, body.verdict, body.text, body.reason)
        return JSONResponse({"id": held_id, "state": STATES[body.verdict]})

    @router.get("/review/log")
    def check_log(request: Request) -> Response:
        access.find_reviewer(request, admin=True)
        broken = queue.verify_log()
        return JSONResponse({"head": asdict(queue.read_head()), "broken": None if broken is None else asdict(broken)})

    return router


def _make_sign_in_pages(access: Access) -> APIRouter:
    router = APIRouter(prefix="/review", route_class=_PageRoute)

    @router.get("/sign-in")
    def ask_for_key() -> Response:
        return HTMLResponse(pages.show_sign_in())

    @router.post("/sign-in")
    async def sign_in(request: Request) -> Response:
        token = access.sign_in((await read_form(request)).get("key", "").strip())
        if token is None:
            return HTMLResponse(pages.show_sign_in(failed=True), 403)
        response = RedirectResponse("/review", 303)
        secure = request.url.scheme == "https"
        response.set_cookie(
            COOKIE, token, SESSION_SECONDS, path="/review", httponly=True, samesite="strict", secure=secure
        )
        return response

    @router.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        await read_form(request)
        access.sign_out(request)
        return RedirectResponse("/review/sign-in", 303)

    router.get("/assets/{name}")(send_asset)
    return router


def _make_pages(queue: HeldQueue, access: Access, clock: Callable[[], float]) -> APIRouter:
    router = APIRouter(prefix="/review", route_class=_PageRoute)

    @router.get("")
    def show_list(request: Request, decided: str = "") -> Response:
        key = access.need_session(request)
        return HTMLResponse(pages.show_list(key, queue.list_waiting(), queue.count_waiting(), decided, clock()))

    @router.get("/answers/{held_id}")
    def show_answer(request: Request, held_id: str) -> Response:
        key = access.need_session(request)
        return HTMLResponse(pages.show_answer(key, queue.find(held_id), clock()))

    @router.post("/answers/{held_id}/claim")
    async def claim(request: Request, held_id: str) -> Response:
        await read_form(request)
        await run_in_threadpool(queue.claim, held_id, access.need_session(request).name)
        return RedirectResponse(f"/review/answers/{held_id}#verdict", 303)

    @router.post("/answers/{held_id}/{verdict}")
    async def decide(request: Request, held_id: str, verdict: Verdict) -> Response:
        form = await read_form(request)
        reviewer = access.need_session(request).name
        await run_in_threadpool(queue.decide, held_id, reviewer, verdict, form.get("text", ""), form.get("reason", ""))
        return RedirectResponse(f"/review?decided={STATES[verdict]}", 303)

    return router
