"""Who may do what: keys by role, kept as hashes.

A key has 256 random bits, so a plain SHA-256 of it can be neither guessed nor looked up; salt and a slow hash are for
passwords. Without a keys file whoever is on this machine is a client, and nobody is a reviewer: otherwise the program
that was refused an answer could release it to itself.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from dunwu.config.schema.base import Name, Strict
from dunwu.errors import UserError
from dunwu.runs.atomic import atomic_write
from dunwu.serve.review.policy import Policy
from dunwu.serve.review.settings import read_settings
from dunwu.serve.review.webhooks import split_address

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
"""What ``Name`` takes: a client's key, and what reviewers read."""
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

    Args:
        path: A TOML file, a table for each name.

    Returns:
        The keys.

    Raises:
        UserError: Something in it is wrong, two names look alike, or two have the same key.
    """
    return Keys(_read_specs(path))


def _read_specs(path: Path) -> dict[str, KeySpec]:
    specs = read_settings(path, KeysFile).keys
    holders, looks = dict[str, str](), dict[str, str]()
    for name, spec in specs.items():
        if other := holders.get(spec.hash):
            raise UserError(f"is the key of {other} too", file=path, field=f"keys.{name}.hash")
        if other := looks.get(_read_as(name)):
            raise UserError(f"looks like {other}: reviewers could not tell them apart", file=path, field=f"keys.{name}")
        if name == LOCAL.name:
            raise UserError("is what those are called who ask without keys", file=path, field=f"keys.{name}")
        holders[spec.hash] = looks[_read_as(name)] = name
    return specs


def _read_as(name: str) -> str:
    """Return what a name looks like: case, dashes, and the letters that look like digits make no difference."""
    return name.lower().translate(str.maketrans("_oil", "-011"))


def check_name(name: str, file: Path | None = None) -> None:
    """Make sure that a key can have a name.

    Args:
        name: Of its holder.
        file: The keys file that the key is for, if it is known; it may be missing yet.

    Raises:
        UserError: No keys file takes the name, or this one has it, or one that looks like it.
    """
    if not NAME.fullmatch(name) or name == LOCAL.name:
        text = f"{name!r:.60} is no name for a key: up to 100 letters, digits, - and _, beginning with one of the first"
        raise UserError(f"{text}, and not {LOCAL.name}", field="NAME")
    if file is None or not file.exists():
        return
    alike = next((known for known in _read_specs(file) if _read_as(known) == _read_as(name)), None)
    if alike is not None:
        text = "has a key already" if alike == name else f"looks like {alike}, which has a key already"
        raise UserError(f"{name} {text}: choose another name", file=file)


def make_key(name: str, role: Role) -> tuple[str, str]:
    """Make a key.

    Args:
        name: Of its holder.
        role: What they may do.

    Returns:
        The key, which is kept nowhere, and the lines for the keys file.

    Raises:
        UserError: See ``check_name``.
    """
    check_name(name)
    key = f"dunwu-{secrets.token_urlsafe(32)}"
    return key, f'[keys.{name}]\nrole = "{role}"\nhash = "{_hash(key)}"\n'


def add_key(file: Path, name: str, role: Role) -> str:
    """Make a key, and add its lines to a keys file, which is made where it is missing.

    Args:
        file: The keys file.
        name: Of the key's holder.
        role: What they may do.

    Returns:
        The key, which is kept nowhere.

    Raises:
        UserError: See ``check_name``; or the file is no keys file.
        Fault: The file system refuses; the file is as it was.
    """
    check_name(name, file)
    key, lines = make_key(name, role)
    before = file.read_text(encoding="utf-8-sig").rstrip() + "\n\n" if file.exists() else ""
    atomic_write(file, (before + lines).encode())
    return key


def check_reviewers(policy: Policy, keys: Keys | None) -> None:
    """Make sure that answers which a policy holds have somebody who can decide them.

    Args:
        policy: What may hold answers.
        keys: Who may decide; None: there is no keys file.

    Raises:
        UserError: There is nobody.
    """
    if policy.needs_reviewer and (keys is None or not keys.has_reviewer):
        how = "dunwu key NAME --role reviewer --keys FILE makes one; then --keys FILE"
        raise UserError(f"policy {policy.name} holds answers, and there is no reviewer: {how}", field="keys")


def _hash(key: str) -> str:
    return f"sha256:{hashlib.sha256(key.encode(errors='replace')).hexdigest()}"
