"""Who does what no rule can: functions of the user's, and models behind endpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from dunwu.config.schema.base import Samples, Strict, Temperature, Tokens


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port beyond 65535, half an IPv6 address
        usable = False
    if not usable:
        raise PydanticCustomError("url", "is no address of a server")
    return url


class ServerSpec(Strict):
    """How a model behind a server is asked."""

    key_variable: str | None = None
    """The environment variable that holds the key, where the server wants one; the key itself stands in no recipe."""
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 120.0
    """Seconds that one question may take before it is asked again."""
    concurrency: Annotated[int, Field(gt=0, le=1024)] = 8
    """Questions that wait for their answers at the same time."""


class ServedModel(ServerSpec):
    """A model behind an OpenAI-compatible server."""

    url: Annotated[str, Field(pattern=r"^https?://\S+$"), AfterValidator(_address)]
    """Address of the server up to the version: http://127.0.0.1:8000/v1."""
    model: str
    """Name of the model on the server."""


class EndpointSpec(ServedModel):
    """A model behind a server that helps: judges, rewrites."""

    temperature: Temperature = 0.6
    """Sampling temperature of the helping model; 0 takes the likeliest token each time."""
    max_tokens: Tokens = 8192
    """Longest reply, in tokens."""


class HelperSpec(Strict):
    """Who does what no rule can: a function of the user's, or a model behind an endpoint."""

    file: Path | None = None
    """For ``custom``: a Python file, relative to the recipe's, that runs with your rights; ``function`` may say
    both, as ``file.py:function``."""
    endpoint: EndpointSpec | None = None
    """For ``endpoint``: the server and the model that are asked."""
    instruction: str | None = None
    """The instruction to the endpoint's model, with placeholders in braces; None: ours."""

    @property
    def concurrency(self) -> int:
        """Questions at the same time: a function of the user's gets one after the other."""
        return 1 if self.endpoint is None else self.endpoint.concurrency


class TruthJudgeSpec(HelperSpec):
    """Says whether an answer agrees with the known one, where rules cannot tell.

    Placeholders of the instruction: question, gold, answer.
    """

    by: Literal["custom", "endpoint"]
    """A Python function of yours (``custom``: needs ``file``), or a model behind a server."""
    function: str = "judge"
    """Name of the function in ``file``: ``judge(question, gold, answer) -> bool``."""
    tasks: tuple[str, ...] = ()
    """Tasks whose answers it judges in place of rules; empty: all of them."""


class RewriteSpec(HelperSpec):
    """Who brings kept answers into R1's format, a chain in the first person, then a summary.

    Placeholders of the instruction: question, answer.
    """

    by: Literal["rules", "custom", "endpoint"] = "rules"
    """Our rules, a Python function of yours (``custom``: needs ``file``), or a model behind a server."""
    function: str = "rewrite"
    """Name of the function in ``file``: ``rewrite(problem, text) -> str``."""


class PairJudgeSpec(HelperSpec):
    """Who says which of two answers is better, where a file does not: asked several times, in random order.

    Placeholders of the instruction: question, first, second.
    """

    by: Literal["custom", "endpoint"]
    """A Python function of yours (``custom``: needs ``file``), or a model behind a server."""
    function: str = "judge"
    """Name of the function in ``file``: ``judge(question, first, second) -> (score, score)``."""
    judgements: Samples = 4
    """How often each pair is judged, in random order; the scores are averaged (R1, section 3.1: 4)."""
