"""The addresses of ``dunwu serve``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import Receive

from dunwu.errors import Fault, UserError
from dunwu.serve.answering import Answerer, Order
from dunwu.serve.http.bodies import ChatBody, parse_body
from dunwu.serve.http.completions import ChatForm
from dunwu.serve.http.desk import Desk
from dunwu.serve.http.errors import Refusal, respond
from dunwu.serve.http.event_stream import EventStream
from dunwu.serve.http.guard import Guard, name_connection, read_body
from dunwu.serve.http.metrics import write_metrics
from dunwu.serve.http.news import News
from dunwu.serve.http.outcomes import Events, Form, Heading, Outcome, follow_answer, follow_reply
from dunwu.serve.http.page import add_page
from dunwu.serve.http.request_counts import RequestCounter, RequestCounts
from dunwu.serve.http.responses import ResponseForm
from dunwu.serve.http.responses_body import ResponsesBody, renamed_fields
from dunwu.serve.review.keys import Key, Keys
from dunwu.serve.review.router import make_review_router
from dunwu.serve.service import GenerationService

CLIENT_LEFT = 499
"""The status that nobody reads, as other servers log it."""


def make_app(answerer: Answerer, keys: Keys | None = None) -> FastAPI:
    """Make the application.

    Args:
        answerer: who answers; where it has a reviewer, there are the addresses of the review, too.
        keys: of whom one is wanted with each request; None: anybody on this machine may ask.
    """
    service, desk = answerer.service, Desk(answerer)

    @asynccontextmanager
    async def live(app: FastAPI) -> AsyncIterator[None]:
        app.state.news = News(service, asyncio.get_running_loop())
        yield

    app = FastAPI(title="Dunwu", docs_url=None, redoc_url=None, openapi_url=None, lifespan=live)
    for kind in (UserError, Fault, Exception):
        app.exception_handler(kind)(_refuse)
    app.exception_handler(HTTPException)(_refuse_path)
    counts = RequestCounts()
    app.add_middleware(RequestCounter, counts=counts)
    app.add_middleware(Guard, keys=keys)
    if answerer.reviewer is not None:
        app.include_router(make_review_router(answerer.reviewer.queue, keys))
    add_page(app, service.model, wants_key=keys is not None, has_guide=answerer.guide is not None)
    _add_facts(app, service, counts)

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
        _check_model(service, body.model)
        asked, seed = body.read(*service.model.sampling, name_connection(request))
        no_store = "no-store" in request.headers.get("cache-control", "")
        remembers = answerer.memory is not None and body.may_be_remembered and not no_store
        key: Key = request.state.key
        order = Order(
            votes=body.vote is not None,
            confidence=body.vote_confidence,
            weighted=body.vote_weighted,
            best_of=body.best_of is not None,
            search=body.guided.read() if body.guided else None,
            remembers=remembers,
            stored=await asyncio.to_thread(answerer.find_stored, asked) if remembers else None,
            client=key.name,
            webhook=key.webhook,
        )
        heading = Heading(model=service.model.name, seed=None if order.stored else seed)
        is_whole = bool(not order.is_sample or order.stored or answerer.reviewer)
        if is_whole and body.stream:
            await asyncio.to_thread(answerer.check, asked, order)
        elif remembers and not is_whole:
            asked, more = await asyncio.to_thread(answerer.prepare, asked, order)
            heading = replace(heading, more=more)
        reply = None if is_whole else await asyncio.to_thread(service.submit, asked, streams=bool(body.stream))
        news: News = request.app.state.news

        def follow(receive: Receive) -> Events:
            return follow_reply(reply, news, receive) if reply else follow_answer(desk.answer(asked, order, receive))

        form = make_form(heading)
        if body.stream:
            choices = len(reply.writers) if reply else 1
            return EventStream(lambda receive: form.stream(follow(receive), choices))
        async with aclosing(follow(request.receive)) as events:
            async for event in events:
                if isinstance(event, Outcome):
                    return JSONResponse(form.write(event))
        raise Refusal(CLIENT_LEFT, "the client has left")

    return app


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
        _check_model(service, name)
        return JSONResponse(_describe_model(service))


def _check_model(service: GenerationService, name: str) -> None:
    if name and name != service.model.name:
        text = f"there is no model {name!r:.100} here; there is {service.model.name}"
        raise Refusal(404, text, field="model", code="model_not_found")


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
    return respond(Refusal(error.status_code, str(error.detail).lower(), code="no_such_address"))
