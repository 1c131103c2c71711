"""A server that is asked for completions, again where that may help."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from http.client import HTTPException, InvalidURL
from typing import Any, TypeVar

from dunwu.config.schema import EndpointSpec, ServedModel
from dunwu.errors import Fault, UserError
from dunwu.rollout.remote.exchange import Reply, exchange
from dunwu.rollout.remote.replies import read_reply
from dunwu.rollout.remote.request_fields import SHOWN, Fields, find_named, read_refusal
from dunwu.runs.server_records import ServerRecord

T = TypeVar("T")

PATIENCE = (1.0, 4.0, 16.0)
"""Seconds before each further try, where the server is busy or cannot be reached."""
REACHED = 20.0
"""Seconds in which a server must say something at all."""
PASSING = (408, 425, 429)
"""Refusals that may pass, as all from 500 on may."""
OF_FIELDS = (400, 422, 500, 501)
"""Refusals that may be of a field; the last two only where they name one."""
SAYS = ("model", "system_fingerprint")
"""What replies say of the server."""


class Refused(UserError):  # noqa: N818  -- what the server did
    """The server does not answer such a request.

    Args:
        message: what was refused.
        field: where the server stands in the recipe.
        reply: its refusal.
    """

    def __init__(self, message: str, field: str, reply: Reply) -> None:
        self.reply = reply
        reason = read_refusal(reply.body)
        super().__init__(f"{message}: {reason}" if reason else message, field=field)


class Server:
    """A model behind an address, of which completions are asked; threads may share it.

    A field that the server refuses is left out or goes by another name from then on, see ``Fields``.

    Args:
        spec: the recipe's.
        place: where it stands in its stage, for errors.

    Raises:
        UserError: the recipe names a variable for the key that is not set.
    """

    def __init__(self, spec: ServedModel, place: str) -> None:
        self._spec, self._place = spec, place
        self._fields, self._says = Fields(spec.url), dict[str, str]()
        self._sent: dict[str, Any] = {}
        self._headers = {"Content-Type": "application/json"}
        if spec.key_variable is not None:
            key = os.environ.get(spec.key_variable)
            if not key or not key.strip():
                raise UserError(f"the environment has no {spec.key_variable}", field=f"{place}.key_variable")
            key = key.strip()
            if not (key.isascii() and key.isprintable()):
                raise UserError(f"{spec.key_variable} holds what no key has", field=f"{place}.key_variable")
            self._headers["Authorization"] = f"Bearer {key}"

    def complete(self, body: Mapping[str, Any], read: Callable[[Any], T]) -> T:
        """Return what ``read`` makes of a reply.

        Args:
            body: a chat completion's, without the model.
            read: raises ValueError, LookupError or TypeError where the reply is no completion.

        Raises:
            Refused: the server refuses the request, whichever fields are left out.
            UserError: its address is none.
            Fault: it cannot be reached, or answers something else than a completion, after several tries.
        """
        while True:
            sent = self._fields.fit(body)
            try:
                found = self._try_to_complete(sent, read)
            except Refused as refused:
                reply = refused.reply
                if reply.status not in OF_FIELDS or not self._fields.learn(body, sent, reply.body):
                    raise
            else:
                self._fields.accepted, self._sent = True, sent
                return found

    @property
    def record(self) -> ServerRecord | None:
        """How it was asked the last time; None before it has answered."""
        if not self._fields.accepted:
            return None
        sent = {name: value for name, value in self._sent.items() if name not in ("messages", "seed")}
        return ServerRecord(
            sent=sent | ({"seed": "of each sample"} if "seed" in self._sent else {}),
            refused=dict(self._fields.refused),
            says=dict(self._says),
        )

    def reach(self) -> None:
        """Look whether anybody is there, whatever the answer.

        Raises:
            UserError: nobody is.
        """
        try:
            self._exchange("models", None, min(REACHED, self._spec.timeout_seconds))
        except (OSError, HTTPException, ValueError) as error:
            failure = getattr(error, "reason", None) or f"{type(error).__name__}: {error}"
            text = f"{self._spec.url} cannot be reached: {str(failure)[:SHOWN]}"
            raise UserError(text, field=self._place) from error

    def _try_to_complete(self, body: Mapping[str, Any], read: Callable[[Any], T]) -> T:
        spec = self._spec
        payload, failure = json.dumps({"model": spec.model, **body}).encode(), ""
        for pause in (0.0, *PATIENCE):
            time.sleep(pause)
            try:
                reply = self._exchange("chat/completions", payload, spec.timeout_seconds)
                if reply.status < 300:
                    return self._read(reply, read)
            except InvalidURL as error:
                raise UserError(f"{spec.url}: {error}", field=f"{self._place}.url") from error
            except (OSError, HTTPException, ValueError, LookupError, TypeError, RecursionError) as error:
                failure = f"{type(error).__name__}: {error}"[:SHOWN]
                continue
            failure = f"{reply.status} {reply.reason[:SHOWN]}"
            if (reply.status < 500 and reply.status not in PASSING) or self._is_of_field(reply, body):
                raise Refused(f"{spec.url} refuses: {failure}", f"{self._place}.url", reply)
        raise Fault(f"{spec.url} gives no answer after {1 + len(PATIENCE)} tries: {failure}")

    @staticmethod
    def _is_of_field(reply: Reply, sent: Mapping[str, Any]) -> bool:
        return reply.status in OF_FIELDS and bool(find_named(sent, reply.body))

    def _read(self, reply: Reply, read: Callable[[Any], T]) -> T:
        found = json.loads(reply.body)
        if (
            isinstance(found, dict) and "choices" not in found and found.get("error")
        ):  # with status 200, as some have it
            raise ValueError(read_refusal(reply.body))
        made = read(found)
        self._says |= {name: found[name][:SHOWN] for name in SAYS if isinstance(found.get(name), str)}
        return made

    def _exchange(self, what: str, payload: bytes | None, seconds: float) -> Reply:
        return exchange(f"{self._spec.url.rstrip('/')}/{what}", payload, self._headers, seconds)


class Endpoint(Server):
    """A helper: asks one model one question at a time; threads may share it. Arguments and errors as for ``Server``."""

    def __init__(self, spec: EndpointSpec, place: str) -> None:
        super().__init__(spec, place)
        self._asked = {"temperature": spec.temperature, "max_tokens": spec.max_tokens}

    def ask(self, text: str) -> str:
        """Return the answer to one message, "" where the reply has none.

        Reasoning that the server gives apart is no part of it; what a model thinks in its answer is.

        Raises:
            UserError: see ``Server.complete``.
            Fault: see ``Server.complete``.
        """
        body = {"messages": [{"role": "user", "content": text}], **self._asked}
        return self.complete(body, lambda reply: read_reply(reply).answer)
