"""The policy file: topics, the rules by which a text is about one, and what is done then."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from dunwu.config.schema.base import Name, Share, Strict
from dunwu.errors import UserError, did_you_mean
from dunwu.serve.review.matching import compile_keyword, compile_pattern
from dunwu.serve.review.settings import read_settings

Action = Literal["answer", "verify", "hold", "refuse"]
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
"""From the mildest to the strictest."""
Place = Literal["question", "reasoning", "answer"]


def _keyword(keyword: str) -> str:
    try:
        compile_keyword(keyword)
    except ValueError as error:
        raise PydanticCustomError("keyword", "{reason}", {"reason": str(error)}) from None
    return keyword


def _pattern(pattern: str) -> str:
    try:
        compile_pattern(pattern)
    except ValueError as error:
        raise PydanticCustomError("pattern", "{reason}", {"reason": str(error)}) from None
    return pattern


def _duration(text: str) -> str:
    if re.fullmatch(r"[1-9]\d{0,3} (hours?|days?)", text) is None:
        raise PydanticCustomError("duration", "must be hours or days, such as '36 hours' or '7 days'")
    return text


Pattern = Annotated[str, Field(max_length=1000), AfterValidator(_pattern)]
"""A regular expression, tried on normalized text: small letters of one width."""


class ModelRule(Strict):
    """When a safety model says that a text is about the topic."""

    threshold: Share
    """The lowest score that counts; scores go from 0, harmless, to 1."""


class Topic(Strict):
    """What answers may be about, and what is done with those."""

    action: Action
    """What is done: ``answer``; ``verify``, answer after a second verification; ``hold`` for a person; ``refuse``."""
    keywords: tuple[Annotated[str, Field(max_length=200), AfterValidator(_keyword)], ...] = ()
    """Words and phrases, in any case and width, also spaced out."""
    patterns: tuple[Pattern, ...] = ()
    """Regular expressions."""
    model: ModelRule | None = None
    """Also asks the safety model."""
    applies_to: Annotated[tuple[Place, ...], Field(min_length=1)] = ("question", "reasoning", "answer")
    """Where the rules look."""
    refusal: str | None = None
    """What is answered instead: of a refused answer; while one is held; of one that a reviewer rejects without a text.
    None: the policy's for a refused one, nothing while it is held, a standard line where it is rejected."""

    @model_validator(mode="after")
    def _has_a_rule(self) -> Self:
        if not (self.keywords or self.patterns or self.model):
            raise PydanticCustomError("rules", "needs keywords, patterns or model")
        return self


class VerificationSpec(Strict):
    """Who verifies an answer a second time; all that are named must agree."""

    vote: Annotated[int, Field(ge=2, le=128)] | None = None
    """Fresh samples of the same model, of which more than half must mean the answer."""
    model: Annotated[str, Field(min_length=1)] | None = None
    """Another model, which answers the question itself; named as on the command line."""
    tool: Literal["arithmetic"] | None = None
    """``arithmetic``: what the chain calculates is calculated again, and must lead to the answer."""
    must_match: tuple[Pattern, ...] = ()
    """Regular expressions that the final answer must match, each somewhere."""
    must_not_match: tuple[Pattern, ...] = ()
    """Regular expressions of which it may match none."""

    @model_validator(mode="after")
    def _names_a_check(self) -> Self:
        if not (self.vote or self.model or self.tool or self.must_match or self.must_not_match):
            raise PydanticCustomError("checks", "needs vote, model, tool, must_match or must_not_match")
        return self


class Policy(Strict):
    """Topics, and what is done with an answer that is about none of them."""

    name: Name
    """What the policy is called in the log."""
    default: Action
    """What is done where no topic matches."""
    refusal: str = "I cannot help with this. 这个问题我无法回答。"
    """What is answered instead of a refused answer."""
    expire_after: Annotated[str, AfterValidator(_duration)] = "7 days"
    """How long an answer may wait for a person: hours or days."""
    verification: VerificationSpec = VerificationSpec(vote=8)
    """What ``verify`` does."""
    topics: Annotated[dict[Name, Topic], Field(min_length=1)]
    """Topics by name; where several match, the strictest action wins."""

    @model_validator(mode="after")
    def _verifies_something(self) -> Self:
        if "verification" in self.model_fields_set and not self.verifies:
            raise PydanticCustomError("verification", "names a verification, and no topic has the action verify")
        return self

    @property
    def expire_seconds(self) -> float:
        """Seconds that an answer may wait for a person."""
        count, unit = self.expire_after.split()
        return int(count) * (3600.0 if unit.startswith("hour") else 86400.0)

    @property
    def refusals(self) -> dict[str, str]:
        """By topic: what is answered instead, where a topic says it."""
        return {name: topic.refusal for name, topic in self.topics.items() if topic.refusal}

    @property
    def verifies(self) -> bool:
        """Whether answers may be verified a second time."""
        return "verify" in self._actions

    @property
    def needs_model(self) -> bool:
        """Whether a topic asks the safety model."""
        return any(topic.model for topic in self.topics.values())

    @property
    def needs_reviewer(self) -> bool:
        """Whether answers may wait for a person."""
        return not self._actions.isdisjoint(("verify", "hold"))

    @property
    def _actions(self) -> set[Action]:
        return {self.default, *(topic.action for topic in self.topics.values())}


def read_policy(source: Path | str) -> Policy:
    """Read a policy.

    Args:
        source: A TOML file, or the name of a policy that comes with Dunwu.

    Returns:
        The policy.

    Raises:
        UserError: There is no such policy, or something in it is wrong; the line names file and field.
    """
    folder = resources.files("dunwu") / "assets" / "policies"
    packaged = {file.name.removesuffix(".toml"): file for file in folder.iterdir()}
    path = Path(source)
    if not path.exists() and str(source) in packaged:
        with resources.as_file(packaged[str(source)]) as file:
            return read_settings(file, Policy)
    if not path.exists():
        hint = did_you_mean(str(source), packaged) or f"; policies of Dunwu: {', '.join(sorted(packaged))}"
        raise UserError(f"no such file{hint}", file=path)
    return read_settings(path, Policy)
