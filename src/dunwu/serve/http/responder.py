"""From the body of a request to its reply, whichever API has asked.

plan      what is asked, how it is answered, what the cache has of it
begin     an answer that comes whole is checked before it is promised; samples go to the service at once
follow    what comes is written in the form of the API, piece by piece or at the end

A form or tools may take long to compile, so such requests have threads of their own (``FormThreads``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.types import Receive

from dunwu.serve.answering import Answerer, Order
from dunwu.serve.http.bodies import ChatBody
from dunwu.serve.http.desk import Desk
from dunwu.serve.http.errors import Refusal
from dunwu.serve.http.event_stream import EventStream
from dunwu.serve.http.form_threads import FormThreads
from dunwu.serve.http.guard import name_connection
from dunwu.serve.http.news import News
from dunwu.serve.http.outcomes import Events, Form, Heading, Outcome, follow_answer, follow_reply
from dunwu.serve.records import ChatRequest
from dunwu.serve.review.keys import Key
from dunwu.serve.service import GenerationService

CLIENT_LEFT = 499
"""The status that nobody reads, as other servers log it."""


class Responder:
    """See the module.

    Args:
        answerer: who answers.
        news: wakes who follows a reply.
        forms: where requests with a form or tools are read.
    """

    def __init__(self, answerer: Answerer, news: News, forms: FormThreads) -> None:
        self._answerer, self._news, self._forms = answerer, news, forms
        self._desk = Desk(answerer)

    async def respond(self, request: Request, body: ChatBody, make_form: Callable[[Heading], Form]) -> Response:
        """Answer a request.

        Args:
            request: whose headers and connection count.
            body: what it asks.
            make_form: makes what writes the reply, by its heading.

        Returns:
            The reply, or the stream of it.

        Raises:
            UserError: the request cannot be answered, or not now.
            Fault: the service failed.
        """
        model = self._answerer.service.model
        check_model(self._answerer.service, body.model)
        asked, seed = body.read(*model.sampling, name_connection(request))
        order = await self._plan_order(request, body, asked)
        heading = Heading(model=model.name, seed=None if order.stored else seed)
        run = self._forms.run if body.compiles else asyncio.to_thread
        reply = None
        if order.is_sample and not order.stored and not self._answerer.reviewer:
            if order.remembers:
                asked, more = await run(self._answerer.prepare, asked, order)
                heading = replace(heading, more=more)
            reply = await run(self._answerer.service.submit, asked, streams=bool(body.stream))
        elif body.stream or body.compiles:
            await run(self._answerer.check, asked, order)

        def follow(receive: Receive) -> Events:
            if reply is not None:
                return follow_reply(reply, self._news, receive)
            return follow_answer(self._desk.answer(asked, order, receive))

        form = make_form(heading)
        if body.stream:
            choices = len(reply.writers) if reply else 1
            return EventStream(lambda receive: form.stream(follow(receive), choices))
        return await _write_whole(form, follow(request.receive))

    async def _plan_order(self, request: Request, body: ChatBody, asked: ChatRequest) -> Order:
        """Plan how a request is answered, after a look into the cache where it may be read."""
        no_store = "no-store" in request.headers.get("cache-control", "")
        remembers = self._answerer.memory is not None and body.may_be_remembered and not no_store
        key: Key = request.state.key
        return Order(
            votes=body.vote is not None,
            confidence=body.vote_confidence,
            weighted=body.vote_weighted,
            best_of=body.best_of is not None,
            search=body.guided.read() if body.guided else None,
            remembers=remembers,
            stored=await asyncio.to_thread(self._answerer.find_stored, asked) if remembers else None,
            client=key.name,
            webhook=key.webhook,
        )


def check_model(service: GenerationService, name: str) -> None:
    """Check the name of a model; none stands for the one that is here.

    Args:
        service: whose model it has to be.
        name: that a client gave.

    Raises:
        Refusal: another is asked for.
    """
    if name and name != service.model.name:
        text = f"there is no model {name!r:.100} here; there is {service.model.name}"
        raise Refusal(404, text, field="model", code="model_not_found")


async def _write_whole(form: Form, events: Events) -> Response:
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Outcome):
                return JSONResponse(form.write(event))
    raise Refusal(CLIENT_LEFT, "the client has left")
