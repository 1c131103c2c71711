"""The page on which people talk to the model, and what it asks for beside chat completions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import Field

from dunwu.analysis.reasoning.highlights import LONGEST_SHOWN, highlight
from dunwu.observatory.rendering import render
from dunwu.observatory.web.assets import send_asset
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.http.bodies import parse_body
from dunwu.serve.http.guard import read_body
from dunwu.serve.http.messages import Body

VOTES: Final = (4, 8, 16, 32)
WAYS: Final = (
    ("Vote", "vote of", '{"vote": N}'),
    ("Vote weighted by the guide", "weighted vote of", '{"vote": N, "vote_weighted": true}'),
    ("Best of, by the guide", "best of", '{"best_of": N}'),
    ("Steps chosen by the guide", "steps out of", '{"guided": {"width": N}}'),
)
"""To answer where there is a guide: what heads them, how one is called, its fields in a body."""
KEYS: Final = (
    ("Enter", "send the question"),
    ("Shift+Enter", "begin a new line"),
    ("Esc", "stop the answer; else leave the field"),
    ("/", "to the question"),
    ("n", "new conversation"),
    ("t", "light, dark, or as the system has it"),
    ("?", "these shortcuts"),
)
EXAMPLES: Final[Mapping[str, Sequence[str]]] = {
    "nano": (
        "Use 3, 12 and 4 once each with + - * / to make 51.",
        "Use 3, 6 and 5 once each with + - * / to make 23.",
        "用2、6和4各一次，加减乘除，得到14。",
    )
}
"""By template: questions in the words that its models were trained on, because they know no others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatPage:
    """What ``chat.html`` shows.

    Attributes:
        model: what clients call it.
        takes_turns: whether it can be asked with what was said before.
        positions: tokens of a prompt and its answer, at most.
        temperature: that it is asked with where the reader names none.
        top_p: likewise.
        wants_key: whether requests give one.
        has_guide: whether a guide can choose its answers.
        examples: questions to begin with.
        votes: how many samples can be voted over, or chosen from.
        ways: to answer where there is a guide, see ``WAYS``.
        keys: the keys, and what each does.
    """

    model: str
    takes_turns: bool
    positions: int
    temperature: float
    top_p: float
    wants_key: bool
    has_guide: bool
    examples: Sequence[str]
    votes: Sequence[int] = VOTES
    ways: Sequence[tuple[str, str, str]] = WAYS
    keys: Sequence[tuple[str, str]] = KEYS


class HighlightBody(Body):
    """A chain of thought whose behaviours are to be found."""

    text: Annotated[str, Field(max_length=LONGEST_SHOWN)]


def add_page(app: FastAPI, model: ChatModel, *, wants_key: bool, has_guide: bool) -> None:
    """Add the page, its assets, and ``/page/highlights``.

    Args:
        app: the application.
        model: that it serves.
        wants_key: whether requests give one.
        has_guide: see ``ChatPage``.
    """
    temperature, top_p = model.sampling
    record = ChatPage(
        model=model.name,
        takes_turns=model.takes_turns,
        positions=model.positions,
        temperature=temperature,
        top_p=top_p,
        wants_key=wants_key,
        has_guide=has_guide,
        examples=EXAMPLES.get(model.template, ()),
    )

    @app.get("/")
    def page() -> Response:
        return HTMLResponse(render("chat.html", page=record))

    app.get("/assets/{name}")(send_asset)

    @app.post("/page/highlights")
    async def highlights(request: Request) -> Response:
        body = parse_body(HighlightBody, await read_body(request))
        found = await asyncio.to_thread(highlight, body.text)
        return JSONResponse({"segments": [{"text": text, "kinds": kinds} for text, kinds in found.segments]})
