"""The addresses of ``dunwu serve``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import Receive

from dunwu.errors import Fault, UserError
from dunwu.serve.answering import Answer, Answerer, Order
from dunwu.serve.ballot import Vote
from dunwu.serve.http.bodies import ChatBody, parse_body
from dunwu.serve.http.completions import Heading, stream_answer, stream_reply, write_answer, write_completion
from dunwu.serve.http.desk import Desk
from dunwu.serve.http.errors import Refusal, respond
from dunwu.serve.http.event_stream import EventStream
from dunwu.serve.http.guard import Guard, name_connection, read_body
from dunwu.serve.http.metrics import write_metrics
from dunwu.serve.http.news import News
from dunwu.serve.http.page import add_page
from dunwu.serve.records import ChatRequest
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
    app.add_middleware(Guard, keys=keys)
    if answerer.reviewer is not None:
        app.include_router(make_review_router(answerer.reviewer.queue, keys))
    add_page(app, service.model, wants_key=keys is not None, has_guide=answerer.guide is not None)
    _add_facts(app, service)

    @app.post("/v1/chat/completions")
    async def chat_completions(request: Request) -> Response:
        body = parse_body(ChatBody, await read_body(request))
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
        heading = Heading(model=service.model.name, seed=seed)
        if not order.is_sample or order.stored or answerer.reviewer:
            return await answer_whole(request, body, asked, order, heading)
        if remembers:
            asked, more = await asyncio.to_thread(answerer.prepare, asked, order)
            heading = replace(heading, more=more)
        return await answer_in_pieces(request, body, asked, heading)

    async def answer_whole(
        request: Request, body: ChatBody, asked: ChatRequest, order: Order, heading: Heading
    ) -> Response:
        def find(receive: Receive) -> AsyncGenerator[Vote | Answer]:
            return desk.answer(asked, order, receive)

        if body.stream:
            await asyncio.to_thread(answerer.check, asked, order)
            return EventStream(
                lambda receive: stream_answer(heading, find(receive), includes_usage=body.includes_usage)
            )
        async for found in find(request.receive):
            if isinstance(found, Answer):
                return JSONResponse(write_answer(heading, found))
        raise Fault("the answer did not come")

    async def answer_in_pieces(request: Request, body: ChatBody, asked: ChatRequest, heading: Heading) -> Response:
        reply = await asyncio.to_thread(service.submit, asked, streams=bool(body.stream))
        news: News = request.app.state.news
        if body.stream:
            return EventStream(
                lambda receive: stream_reply(heading, reply, news, receive, includes_usage=body.includes_usage)
            )
        async for _ in news.listen(reply, request.receive):
            pass
        if reply.is_cancelled:
            raise Refusal(CLIENT_LEFT, "the client has left")
        return JSONResponse(write_completion(heading, reply))

    return app


def _add_facts(app: FastAPI, service: GenerationService) -> None:
    """Add what tells of the server and its model."""

    @app.get("/health")
    def health() -> Response:
        return JSONResponse({"status": "ok", "model": service.model.name})

    @app.get("/metrics")
    def metrics() -> Response:
        return PlainTextResponse(write_metrics(service), media_type="text/plain; version=0.0.4")

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
