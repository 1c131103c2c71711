"""Errors as OpenAI's clients know them: a status, and one JSON object with a message, a type and a field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import ValidationError

from dunwu.errors import Fault, UserError, did_you_mean
from dunwu.serve.records import Busy, Stopped

RETRY_SECONDS = "1"


class Refusal(UserError):  # noqa: N818 -- what a client gets
    """A request that is refused with a status of its own.

    Args:
        status: of HTTP.
        message: one line.
        field: of the request.
        code: a word for programs.
    """

    def __init__(self, status: int, message: str, *, field: str | None = None, code: str | None = None) -> None:
        self.status, self.code = status, code
        super().__init__(message, field=field)


def explain_body(error: ValidationError, known: Mapping[str, Any]) -> Refusal:
    """Make one line of what is wrong with a body: the first field, and why.

    Args:
        error: of pydantic.
        known: the fields that there are.

    Returns:
        What the client gets.
    """
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = [str(part) for part in first["loc"] if part != "str" and not str(part).endswith("]")]  # no union's members
    field = ".".join(place)[:200]
    if first["type"] == "extra_forbidden":
        return Refusal(400, f"no such field{did_you_mean(place[-1], known)}", field=field, code="unknown_field")
    if first["type"] == "json_invalid":
        return Refusal(400, f"the body is no JSON: {first['msg'].partition(': ')[2]}", code="invalid_json")
    text = first["msg"].removeprefix("Value error, ")
    return Refusal(400, f"{text[:1].lower()}{text[1:]}"[:300], field=field or None, code="invalid_value")


def render_error(error: Exception) -> tuple[int, dict[str, Any]]:
    """Return the status and the object of an error."""
    status, code, kind = 500, None, "server_error"
    if isinstance(error, Refusal):
        status, code = error.status, error.code
    elif isinstance(error, Busy):
        status, code = 429, "busy"
    elif isinstance(error, Stopped):
        status, code = 503, "stopping"
    elif isinstance(error, UserError):
        status, code = 400, "invalid_value"
    if status < 500:
        kind = "rate_limit_error" if status == 429 else "invalid_request_error"
    message = str(error) if isinstance(error, UserError | Fault) else "the server failed; its log says why"
    field = error.field if isinstance(error, UserError) else None
    return status, {"error": {"message": message, "type": kind, "param": field, "code": code}}


def respond(error: Exception) -> JSONResponse:
    """Make the response of an error."""
    status, body = render_error(error)
    headers = {"Retry-After": RETRY_SECONDS} if status in (429, 503) else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body, status_code=status, headers=headers)
