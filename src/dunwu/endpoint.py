"""A model behind an OpenAI-compatible server: vLLM, Ollama, llama.cpp, a provider."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException, InvalidURL
from typing import Any, TypeVar

from dunwu.config.schema import EndpointSpec, ServedModel
from dunwu.errors import Fault, UserError

T = TypeVar("T")

PATIENCE = (1.0, 4.0, 16.0)
"""Seconds before each further try, where the server is busy or cannot be reached."""
LARGEST_REPLY, LARGEST_REFUSAL = 16 * 2**20, 2**16
REACHED = 20.0
"""Seconds in which a server must say something at all."""
SHOWN = 200
"""Characters of what a server says that are told."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Another host must not get the key, and a question that is posted must not become one that is got."""

    def redirect_request(self, *_: object) -> None:
        return None


OPENER = urllib.request.build_opener(_NoRedirects)


class Refused(UserError):  # noqa: N818  -- what the server did
    """The server does not answer such a request; ``told`` is what it says about it."""

    def __init__(self, message: str, field: str, told: str) -> None:
        self.told = told
        super().__init__(f"{message}: {told}" if told else message, field=field)


class Server:
    """A model behind an address, of which completions are asked; threads may share it.

    Args:
        spec: the recipe's.
        place: where it stands in its stage, for errors.

    Raises:
        UserError: the recipe names a variable for the key that is not set.
    """

    def __init__(self, spec: ServedModel, place: str) -> None:
        self._spec, self._place = spec, place
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
        """What ``read`` makes of a reply.

        Args:
            body: a chat completion's, without the model.
            read: raises ValueError, LookupError or TypeError where the reply is no completion.

        Raises:
            Refused: the server refuses the request.
            UserError: its address is none.
            Fault: it cannot be reached, or answers something else than a completion, after several tries.
        """
        spec = self._spec
        payload, trouble = json.dumps({"model": spec.model, **body}).encode(), ""
        for pause in (0.0, *PATIENCE):
            time.sleep(pause)
            try:
                return read(json.loads(self._got("chat/completions", payload, spec.timeout_seconds)))
            except InvalidURL as error:
                raise UserError(f"{spec.url}: {error}", field=f"{self._place}.url") from error
            except urllib.error.HTTPError as error:
                trouble = f"{error.code} {error.reason}"
                if error.code < 500 and error.code not in (408, 425, 429):
                    raise Refused(f"{spec.url} refuses: {trouble}", f"{self._place}.url", _told(error)) from error
            except (OSError, HTTPException, ValueError, LookupError, TypeError, RecursionError) as error:
                trouble = f"{type(error).__name__}: {error}"
        raise Fault(f"{spec.url} gives no answer after {1 + len(PATIENCE)} tries: {trouble}")

    def reach(self) -> None:
        """Looks whether anybody is there, whatever the answer. Raises UserError where nobody is."""
        try:
            self._got("models", None, min(REACHED, self._spec.timeout_seconds))
        except urllib.error.HTTPError:
            return
        except (OSError, HTTPException) as error:
            trouble = getattr(error, "reason", None) or f"{type(error).__name__}: {error}"
            raise UserError(f"{self._spec.url} cannot be reached: {trouble}", field=self._place) from error

    def _got(self, what: str, payload: bytes | None, seconds: float) -> bytes:
        """The body of a reply that is there in so many seconds."""
        url = f"{self._spec.url.rstrip('/')}/{what}"
        request = urllib.request.Request(url, data=payload, headers=self._headers)
        deadline, found = time.monotonic() + seconds, bytearray()
        with OPENER.open(request, timeout=seconds) as reply:
            while (part := reply.read1()) and len(found) < LARGEST_REPLY:
                found += part
                if time.monotonic() > deadline:  # the timeout of the connection is for each piece alone
                    raise TimeoutError(f"the answer takes more than {seconds:g} s")
        return bytes(found)


class Endpoint(Server):
    """A helper: asks one model one question at a time; threads may share it. Arguments and errors as for ``Server``."""

    def __init__(self, spec: EndpointSpec, place: str) -> None:
        super().__init__(spec, place)
        self._asked = {"temperature": spec.temperature, "max_tokens": spec.max_tokens}

    def ask(self, text: str) -> str:
        """The answer to one message. Raises as ``Server.complete``."""
        return self.complete({"messages": [{"role": "user", "content": text}], **self._asked}, _content)


def sound(text: object) -> str:
    """A text of a reply; halves of surrogate pairs are none. Raises TypeError where it is something else."""
    if not isinstance(text, str):
        raise TypeError(f"the content is {type(text).__name__}")
    return text.encode("utf-8", "replace").decode()


def _content(reply: Any) -> str:
    return sound(reply["choices"][0]["message"]["content"])


def _told(error: urllib.error.HTTPError) -> str:
    """What a server says of its refusal, as far as it says so in a form that is known."""
    try:
        found = json.loads(error.read(LARGEST_REFUSAL))
        found = found.get("error", found)
        told = found if isinstance(found, str) else found["message"]
        return sound(told)[:SHOWN]
    except (OSError, HTTPException, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""
