"""The addresses of ``dunwu serve``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

from dunwu.errors import Fault, UserError
from dunwu.serve.answering import Answerer
from dunwu.serve.http.bodies import ChatBody, parse_body
from dunwu.serve.http.completions import ChatForm
from dunwu.serve.http.errors import Refusal, respond
from dunwu.serve.http.form_threads import FormThreads
from dunwu.serve.http.guard import Guard, read_body
from dunwu.serve.http.metrics import write_metrics
from dunwu.serve.http.news import News
from dunwu.serve.http.outcomes import Form, Heading
from dunwu.serve.http.page import add_page
from dunwu.serve.http.request_counts import RequestCounter, RequestCounts
from dunwu.serve.http.responder import Responder, check_model
from dunwu.serve.http.responses import ResponseForm
from dunwu.serve.http.responses_body import ResponsesBody, renamed_fields
from dunwu.serve.review.keys import Keys
from dunwu.serve.review.router import make_review_router
from dunwu.serve.service import GenerationService


def make_app(answerer: Answerer, keys: Keys | None = None) -> FastAPI:
    """Make the application.

    Args:
        answerer: who answers; where it has a reviewer, there are the addresses of the review, too.
        keys: of whom one is wanted with each request; None: anybody on this machine may ask.

    Returns:
        The application; it answers once its lifespan has begun.
    """
    service, counts = answerer.service, RequestCounts()

    @asynccontextmanager
    async def live(app: FastAPI) -> AsyncIterator[None]:
        with closing(FormThreads(service.limits.queue)) as forms:
            app.state.responder = Responder(answerer, News(service, asyncio.get_running_loop()), forms)
            yield

    app = FastAPI(title="Dunwu", docs_url=None, redoc_url=None, openapi_url=None, lifespan=live)
    for kind in (UserError, Fault, Exception):
        app.exception_handler(kind)(_refuse)
    app.exception_handler(HTTPException)(_refuse_path)
    app.add_middleware(RequestCounter, counts=counts)
    app.add_middleware(Guard, keys=keys)
    if answerer.reviewer is not None:
        app.include_router(make_review_router(answerer.reviewer.queue, keys))
    add_page(app, service.model, wants_key=keys is not None, has_guide=answerer.guide is not None)
    _add_facts(app, service, counts)
    _add_answers(app)
    return app


def _add_answers(app: FastAPI) -> None:
    """Add what has the model answer."""

    @app.post("/v1/chat/completions")
    async def chat_completions(request: Request) -> Response:
        body = parse_body(ChatBody, await read_body(request))
        return await answer(request, body, partial(ChatForm, includes_usage=body.includes_usage))

    @app.post("/v1/responses")
    async def responses(request: Request) -> Response:
        body = parse_body(ResponsesBody, await read_body(request))
        chat = body.read()
        with renamed_fields():
            return await answer(request, chat, partial(ResponseForm, body=body, chat=chat))

    async def answer(request: Request, body: ChatBody, make_form: Callable[[Heading], Form]) -> Response:
        responder: Responder = request.app.state.responder
        return await responder.respond(request, body, make_form)


def _add_facts(app: FastAPI, service: GenerationService, counts: RequestCounts) -> None:
    """Add what tells of the server and its model."""

    @app.get("/health")
    def health() -> Response:
        return JSONResponse({"status": "ok", "model": service.model.name})

    @app.get("/metrics")
    def metrics() -> Response:
        return PlainTextResponse(write_metrics(service, counts), media_type="text/plain; version=0.0.4")

    @app.get("/v1/models")
    def models() -> Response:
        return JSONResponse({"object": "list", "data": [_describe_model(service)]})

    @app.get("/v1/models/{name:path}")
    def model(name: str) -> Response:
        check_model(service, name)
        return JSONResponse(_describe_model(service))


def _describe_model(service: GenerationService) -> dict[str, Any]:
    return {
        "id": service.model.name,
        "object": "model",
        "created": service.started,
        "owned_by": "dunwu",
        "max_model_len": service.model.positions,
    }


async def _refuse(_: Request, error: Exception) -> Response:
    return respond(error)


async def _refuse_path(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = "method_not_allowed" if error.status_code == 405 else "no_such_address"
    return respond(Refusal(error.status_code, str(error.detail).lower(), code=code))
