"""Keys: kept as hashes, found by their holders alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from dunwu.errors import UserError
from dunwu.serve.review.keys import add_key, check_reviewers, load_keys, make_key
from dunwu.serve.review.policy import Policy, read_policy


def test_a_key_that_was_made_opens_and_the_file_does_not_hold_it(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    made = {"ward": make_key("ward", "client"), "ann": make_key("ann", "reviewer"), "eve": make_key("eve", "admin")}
    file.write_text("\n".join(lines for _, lines in made.values()), encoding="utf-8")
    keys = load_keys(file)
    assert len({key for key, _ in made.values()}) == 3
    for name, (key, _) in made.items():
        found = keys.find(key)
        assert found is not None
        assert found.name == name
        assert key not in file.read_text()
        assert len(key) > 40
        assert keys.find(key[:-1]) is None
        assert found.reviews is (name != "ward")
    assert keys.find("") is None
    assert keys.find("\ud800é") is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("reviewer", "reviever"),
            "keys.ann.role: must be 'client', 'reviewer' or 'admin', not 'reviever'; did you me",
        ),
        (("sha256:", "md5:"), "keys.ann.hash: does not have the right form: 'md5:"),
        (("role", "rolle"), "keys.ann.rolle: unknown field; did you mean role? (and 1 more)"),
        (("[keys.ann]", "[key.ann]"), "key: unknown field; did you mean keys? (and 1 more)"),
        (("role", 'webhook = "ftp://x"\nrole'), "keys.ann.webhook: must be http://HOST:PORT/PATH, not 'ftp://x'"),
    ],
)
def test_a_wrong_file_is_one_line(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(make_key("ann", "reviewer")[1].replace(*change), encoding="utf-8")
    with pytest.raises(UserError) as raised:
        load_keys(file)
    assert str(raised.value).startswith(f"{file}: {message}")


@pytest.mark.parametrize(
    "name",
    ["", " ", " ann", "ann ", "a b", "a.b", "a\nb", "a\x1bb", "-ann", "änn", "a\u200bb", '"x"', "x" * 101, "local"],
)
def test_names_that_no_file_takes_or_that_confuse_get_no_key(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^NAME: .* is no name for a key: up to 100 letters, digits, - and _"):
        make_key(name, "client")
    with pytest.raises(UserError, match="is no name for a key"):
        add_key(tmp_path / "keys.toml", name, "client")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("bill-2", "bill-2 has a key already: choose another name"),
        ("Bill-2", "Bill-2 looks like bill-2, which has a key already: choose another name"),
        ("bi11_2", "bi11_2 looks like bill-2, which has a key already"),
        ("BIIl-2", "BIIl-2 looks like bill-2, which has a key already"),
    ],
)
def test_names_that_look_alike_get_one_key(other: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    first = add_key(file, "bill-2", "client")
    second = add_key(file, "bill-3", "reviewer")
    before = file.read_bytes()
    with pytest.raises(UserError) as raised:
        add_key(file, other, "admin")
    assert str(raised.value).startswith(f"{file}: {message}")
    assert file.read_bytes() == before
    keys = load_keys(file)
    assert [key and key.name for key in (keys.find(first), keys.find(second))] == ["bill-2", "bill-3"]
    file.write_text(file.read_text() + make_key(other, "client")[1])
    with pytest.raises(UserError, match="broken TOML: Cannot declare" if other == "bill-2" else "looks like bill-2"):
        load_keys(file)


def test_two_names_do_not_share_a_key(tmp_path: Path) -> None:
    file, lines = tmp_path / "keys.toml", make_key("ann", "client")[1]
    file.write_text(lines + lines.replace("ann", "bob"), encoding="utf-8")
    with pytest.raises(UserError, match=r"keys\.bob\.hash: is the key of ann too"):
        load_keys(file)


def test_a_policy_that_holds_needs_somebody_who_decides(tmp_path: Path) -> None:
    file, policy = tmp_path / "keys.toml", read_policy("safety")
    file.write_text(make_key("ward", "client")[1], encoding="utf-8")
    for keys in (None, load_keys(file)):
        with pytest.raises(UserError, match="policy safety holds answers, and there is no reviewer: dunwu key"):
            check_reviewers(policy, keys)
    file.write_text(make_key("ann", "reviewer")[1], encoding="utf-8")
    check_reviewers(policy, load_keys(file))
    strict = {"name": "p", "default": "answer", "topics": {"a": {"action": "refuse", "keywords": ("x",)}}}
    check_reviewers(Policy.model_validate(strict), None)
