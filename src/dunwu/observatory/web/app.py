"""The pages by their addresses. GET alone: nothing here can be made to change anything.

A request must name this machine's own loopback as its host, so that a foreign name that has been pointed here (DNS
rebinding) reads nothing; no answer allows another origin to read it; what a page may load is the page's own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from dunwu.errors import UserError
from dunwu.loopback import is_followed_link, is_own_host, is_own_site
from dunwu.observatory.web import pages
from dunwu.observatory.web.assets import POLICY, send_asset
from dunwu.observatory.web.comparison import show_comparison
from dunwu.observatory.web.rollout_filter import RolloutFilter
from dunwu.observatory.web.watched_runs import WatchedRuns

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
Field = Annotated[str, Query()]


def make_app(runs: WatchedRuns) -> FastAPI:
    """Make the application.

    Args:
        runs: The runs that it shows.

    Returns:
        The application, which answers GET alone.
    """
    app = FastAPI(title="Dunwu", docs_url=None, redoc_url=None, openapi_url=None)
    app.middleware("http")(_guard)
    app.exception_handler(UserError)(_user_error)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(RequestValidationError)(_malformed)

    @app.get("/")
    def start(order: Field = "") -> Response:
        if len(runs.runs) == 1:
            return RedirectResponse("/runs/0")
        return HTMLResponse(pages.show_run_list(runs, order))

    @app.get("/change-token")
    def change_token_of_all() -> Response:
        return JSONResponse({"change_token": runs.make_change_token()})

    @app.get("/runs/{place}")
    def overview(place: int) -> Response:
        return HTMLResponse(pages.show_overview(runs, place))

    @app.get("/runs/{place}/change-token")
    def change_token(place: int) -> Response:
        return JSONResponse({"change_token": runs[place].make_change_token()})

    @app.get("/runs/{place}/curves")
    def curves(place: int, stage: Field = "") -> Response:
        return HTMLResponse(pages.show_curves(runs, place, stage))

    @app.get("/runs/{place}/rollouts")
    def rollouts(request: Request, place: int, stage: Field = "", start: int = 0) -> Response:
        chosen = RolloutFilter.parse(parse_qs(request.url.query))
        return HTMLResponse(pages.show_rollouts(runs, place, stage, chosen, start))

    @app.get("/runs/{place}/rollouts/{stage}/{step}/{row}")
    def rollout(place: int, stage: str, step: int, row: int) -> Response:
        return HTMLResponse(pages.show_rollout(runs, place, stage, step, row))

    @app.get("/runs/{place}/paths")
    def paths(place: int, stage: Field = "", problem: Field = "") -> Response:
        return HTMLResponse(pages.show_history(runs, place, stage, problem))

    @app.get("/compare")
    def compare(request: Request) -> Response:
        return HTMLResponse(show_comparison(runs, parse_qs(request.url.query).get("run", [])))

    app.get("/assets/{name}")(send_asset)
    return app


async def _guard(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    """Refuse what does not come from a page of ours in a browser on this machine."""
    if not is_own_host(request.headers):
        response: Response = _plain(400, "this address answers to the names of this machine's loopback only")
    elif request.method != "GET":
        response = _plain(405, "nothing here can be changed: GET only")
    elif not is_own_site(request.headers) and not is_followed_link(request.headers):
        response = _plain(403, "another site may not read this")
    else:
        response = await answer(request)
    response.headers.update(HEADERS)
    return response


def _user_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, UserError)
    return HTMLResponse(pages.show_error(str(error)), status_code=400 if error.file is None else 404)


def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return HTMLResponse(pages.show_error(str(error.detail)), status_code=error.status_code)


def _malformed(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    lines = "; ".join(f"{found['loc'][-1]}: {found['msg']}" for found in error.errors())
    return HTMLResponse(pages.show_error(lines), status_code=400)


def _plain(status: int, text: str) -> Response:
    return Response(text + "\n", status_code=status, media_type="text/plain")
