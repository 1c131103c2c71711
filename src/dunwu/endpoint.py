"""A model behind an OpenAI-compatible server: vLLM, Ollama, llama.cpp, a provider."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from http.client import HTTPException, InvalidURL

from dunwu.config.schema import EndpointSpec
from dunwu.errors import Fault, UserError

PATIENCE = (1.0, 4.0, 16.0)
"""Seconds before each further try, where the server is busy or cannot be reached."""
LARGEST_REPLY = 16 * 2**20


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Another host must not get the key, and a question that is posted must not become one that is got."""

    def redirect_request(self, *_: object) -> None:
        return None


OPENER = urllib.request.build_opener(_NoRedirects)


class Endpoint:
    """Asks one model one question at a time; threads may share it.

    Args:
        spec: the recipe's.
        place: where it stands in its stage, for errors.

    Raises:
        UserError: the recipe names a variable for the key that is not set.
    """

    def __init__(self, spec: EndpointSpec, place: str) -> None:
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

    def ask(self, text: str) -> str:
        """The answer to one message.

        Raises:
            UserError: the server refuses the request.
            Fault: it cannot be reached, or answers something else than a completion, after several tries.
        """
        spec = self._spec
        body = {"model": spec.model, "messages": [{"role": "user", "content": text}], "temperature": spec.temperature}
        payload = json.dumps(body | {"max_tokens": spec.max_tokens}).encode()
        trouble = ""
        for pause in (0.0, *PATIENCE):
            time.sleep(pause)
            try:
                return self._post(payload)
            except InvalidURL as error:
                raise UserError(f"{spec.url}: {error}", field=f"{self._place}.url") from error
            except urllib.error.HTTPError as error:
                trouble = f"{error.code} {error.reason}"
                if error.code < 500 and error.code not in (408, 425, 429):
                    raise UserError(f"{spec.url} refuses: {trouble}", field=f"{self._place}.url") from error
            except (OSError, HTTPException, ValueError, LookupError, TypeError, RecursionError) as error:
                trouble = f"{type(error).__name__}: {error}"
        raise Fault(f"{spec.url} gives no answer after {1 + len(PATIENCE)} tries: {trouble}")

    def _post(self, payload: bytes) -> str:
        url = f"{self._spec.url.rstrip('/')}/chat/completions"
        request = urllib.request.Request(url, data=payload, headers=self._headers)
        deadline, found = time.monotonic() + self._spec.timeout_seconds, bytearray()
        with OPENER.open(request, timeout=self._spec.timeout_seconds) as reply:
            while (part := reply.read1()) and len(found) < LARGEST_REPLY:
                found += part
                if time.monotonic() > deadline:  # the timeout of the connection is for each piece alone
                    raise TimeoutError(f"the answer takes more than {self._spec.timeout_seconds:g} s")
        content = json.loads(found)["choices"][0]["message"]["content"]
        if not isinstance(content, str):
            raise TypeError(f"the content is {type(content).__name__}")
        return content.encode("utf-8", "replace").decode()  # halves of surrogate pairs are no text
