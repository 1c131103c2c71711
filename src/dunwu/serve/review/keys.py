"""Who may do what: keys by role, kept as hashes.

A key has 256 random bits, so a plain SHA-256 of it can be neither guessed nor looked up; salt and a slow hash are for
passwords. Without a keys file whoever is on this machine is a client, and nobody is a reviewer: otherwise the program
that was refused an answer could release it to itself.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from dunwu.config.schema.base import Name, Strict
from dunwu.errors import UserError
from dunwu.serve.review.policy import Policy
from dunwu.serve.review.settings import read_settings
from dunwu.serve.review.webhooks import split_address

Role = Literal["client", "reviewer", "admin"]
"""A client asks and polls, a reviewer decides, an admin decides and reads the state of the log."""


def _address(url: str) -> str:
    try:
        split_address(url)
    except UserError as error:
        raise PydanticCustomError("webhook", "{reason}", {"reason": str(error)}) from None
    return url


class KeySpec(Strict):
    """One key."""

    role: Role
    """What its holder may do."""
    hash: Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")]
    """Of the key, as ``make_key`` writes it."""
    webhook: Annotated[str, AfterValidator(_address)] | None = None
    """For a client: an address on this machine that hears when an answer is decided."""


class KeysFile(Strict):
    """All keys by the names of their holders."""

    keys: Annotated[dict[Name, KeySpec], Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Who holds a key, and what they may do."""

    name: str
    role: Role
    webhook: str | None = None

    @property
    def reviews(self) -> bool:
        """Whether its holder may decide."""
        return self.role in ("reviewer", "admin")


LOCAL: Final = Key(name="local", role="client")
"""Whoever asks from this machine where there is no keys file."""


class Keys:
    """The keys of a service.

    Args:
        specs: By the names of their holders.
    """

    def __init__(self, specs: dict[str, KeySpec]) -> None:
        self._keys = [
            (spec.hash.encode(), Key(name=name, role=spec.role, webhook=spec.webhook)) for name, spec in specs.items()
        ]

    def find(self, presented: str) -> Key | None:
        """Find who holds a key; every hash is compared, each in constant time."""
        digest = _hash(presented).encode()
        found = [key for known, key in self._keys if hmac.compare_digest(known, digest)]
        return found[0] if found else None

    def find_bearer(self, headers: Mapping[str, str]) -> Key | None:
        """Find who holds the key that a request's headers present."""
        scheme, _, presented = headers.get("authorization", "").partition(" ")
        return self.find(presented.strip()) if scheme.lower() == "bearer" else None

    @property
    def has_reviewer(self) -> bool:
        """Whether somebody may decide."""
        return any(key.reviews for _, key in self._keys)


def load_keys(path: Path) -> Keys:
    """Read a keys file.

    Raises:
        UserError: Something in it is wrong, or two names have the same key.
    """
    specs = read_settings(path, KeysFile).keys
    holders: dict[str, str] = {}
    for name, spec in specs.items():
        if other := holders.get(spec.hash):
            raise UserError(f"is the key of {other} too", file=path, field=f"keys.{name}.hash")
        holders[spec.hash] = name
    return Keys(specs)


def make_key(name: str, role: Role) -> tuple[str, str]:
    """Make a key.

    Args:
        name: Of its holder.
        role: What they may do.

    Returns:
        The key, which is kept nowhere, and the lines for the keys file.
    """
    key = f"dunwu-{secrets.token_urlsafe(32)}"
    return key, f'[keys.{name}]\nrole = "{role}"\nhash = "{_hash(key)}"\n'


def check_reviewers(policy: Policy, keys: Keys | None) -> None:
    """Make sure that answers which a policy holds have somebody who can decide them.

    Raises:
        UserError: There is nobody.
    """
    if policy.needs_reviewer and (keys is None or not keys.has_reviewer):
        raise UserError(f"policy {policy.name} holds answers, and nobody may decide them: add a reviewer", field="keys")


def _hash(key: str) -> str:
    return f"sha256:{hashlib.sha256(key.encode(errors='replace')).hexdigest()}"
