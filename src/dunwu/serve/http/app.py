"""The addresses of ``dunwu serve``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.types import Receive

from dunwu.errors import Fault, UserError
from dunwu.serve.ballot import Vote
from dunwu.serve.http.bodies import ChatBody, list_fields
from dunwu.serve.http.completions import Heading, stream_reply, stream_vote, write_completion, write_voted
from dunwu.serve.http.errors import Refusal, explain_body, respond
from dunwu.serve.http.event_stream import EventStream
from dunwu.serve.http.guard import Guard, name_client, read_body
from dunwu.serve.http.metrics import write_metrics
from dunwu.serve.http.news import News
from dunwu.serve.http.votes import VotingBooth
from dunwu.serve.records import ChatRequest
from dunwu.serve.service import GenerationService
from dunwu.serve.voting import Voted


def make_app(service: GenerationService, keys: Sequence[str] = ()) -> FastAPI:
    """Make the application.

    Args:
        service: what generates.
        keys: of whom one is wanted with each request; none: anybody on this machine may ask.
    """

    @asynccontextmanager
    async def live(app: FastAPI) -> AsyncIterator[None]:
        app.state.news = News(service, asyncio.get_running_loop())
        yield

    booth = VotingBooth(service)
    app = FastAPI(title="Dunwu", docs_url=None, redoc_url=None, openapi_url=None, lifespan=live)
    for kind in (UserError, Fault, Exception):
        app.exception_handler(kind)(_refuse)
    app.exception_handler(HTTPException)(_refuse_path)
    app.add_middleware(Guard, keys=tuple(keys))

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

    @app.post("/v1/chat/completions")
    async def chat_completions(request: Request) -> Response:
        body = _parse(await read_body(request))
        _check_model(service, body.model)
        asked, seed = body.read(*service.model.sampling, name_client(request))
        heading = Heading(model=service.model.name, seed=seed)
        usage = bool(body.stream_options and body.stream_options.include_usage)
        if body.vote:
            return await answer_vote(request, body, asked, heading, usage)
        reply = await asyncio.to_thread(service.submit, asked, streams=bool(body.stream))
        news: News = request.app.state.news
        if body.stream:
            return EventStream(lambda receive: stream_reply(heading, reply, news, receive, includes_usage=usage))
        async for _ in news.listen(reply, request.receive):
            pass
        return JSONResponse(write_completion(heading, reply))

    async def answer_vote(
        request: Request, body: ChatBody, asked: ChatRequest, heading: Heading, usage: bool
    ) -> Response:
        def hold(receive: Receive) -> AsyncGenerator[Vote | Voted]:
            return booth.hold(asked, body.vote_confidence, receive)

        if body.stream:
            return EventStream(lambda receive: stream_vote(heading, hold(receive), includes_usage=usage))
        async for found in hold(request.receive):
            if isinstance(found, Voted):
                return JSONResponse(write_voted(heading, found))
        raise Fault("the vote ended without a result")

    return app


def _parse(content: bytes) -> ChatBody:
    try:
        return ChatBody.model_validate_json(content)
    except ValidationError as error:
        raise explain_body(error, list_fields(ChatBody)) from None


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
