"""Area ``server``: what becomes of a server's reply, and of its refusal."""

from __future__ import annotations

import re
from typing import Any
from unittest.mock import patch

import numpy as np

from dunwu.config.schema import ServedModel
from dunwu.errors import Fault, UserError
from dunwu.rollout.remote import client as asking
from dunwu.rollout.remote.engine import EndpointEngine
from dunwu.rollout.remote.request_fields import OPTIONAL, RENAMED
from dunwu.types import GenerationRequest, Message, Problem, Prompt, Sampling
from dunwu.verifiers.format import extract_summary
from tests.cases.running import Case
from tests.serving import Answer, said, serving

ANSWER = "4"


def check(case: Case) -> bool | None:
    """Whether a reply gives the answer that is expected, and a refused field another way to ask."""
    found = case["input"]
    if "reply" in found:
        answer = answered(lambda body: (200, found["reply"]))
        return answer == ("" if case["expected"] == "no answer" else case["expected"])
    refusals = [(int(name.split()[-1]), words) for name, words in found.items() if name.startswith("server answers")]
    return answered(refusing(*refusals[0])) == ANSWER if refusals else None


def refusing(status: int, words: str) -> Any:
    """A server that says these words as long as a request has a field that they name."""
    named = {*OPTIONAL, *RENAMED} & set(re.findall(r"\w+", words))

    def answer(body: Any) -> Answer:
        return (status, {"error": {"message": words}}) if named & body.keys() else said(ANSWER)

    return answer


def answered(answer: Any) -> str | None:
    """What follows the reasoning of the one completion that is asked for; None where there is no completion."""
    message = Message(role="user", content="2+2?")
    problem = Problem(id="p", task="t", kind="math", level=0, language="en", messages=(message,), gold=ANSWER)
    request = GenerationRequest(prompt=Prompt(problem=problem, token_ids=np.zeros(0, np.int32)), seeds=(1,))
    with serving(answer) as server, patch.object(asking, "PATIENCE", ()):
        engine = EndpointEngine(ServedModel(url=server.url, model="m"), "server")
        try:
            ((_, completion),) = engine.generate([request], Sampling(temperature=0.6, top_p=0.95))
        except (Fault, UserError):
            return None
    return extract_summary(completion.text)
