"""Policy files: those that come with Dunwu, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from dunwu.errors import UserError
from dunwu.serve.review.policy import read_policy

GOOD = 'name = "p"\ndefault = "answer"\n[topics.a]\naction = "hold"\nkeywords = ["x"]\n'

VERIFIES = GOOD.replace('"hold"', '"verify"') + "[verification]\n"


@pytest.mark.parametrize("name", ["safety", "medicine", "finance"])
def test_policies_of_dunwu_can_be_read_and_hold_something(name: str) -> None:
    policy = read_policy(name)
    assert policy.name == name
    assert policy.needs_reviewer
    assert not policy.needs_model
    assert len(policy.topics) >= 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("keywords", "keyword"), "topics.a.keyword: unknown field; did you mean keywords?"),
        (GOOD.replace("default", "defalt"), "defalt: unknown field; did you mean default? (and 1 more)"),
        (
            GOOD.replace('"hold"', '"holt"'),
            "topics.a.action: must be 'answer', 'verify', 'hold' or 'refuse', not 'holt'; did you mean hold?",
        ),
        (GOOD.replace('keywords = ["x"]', ""), "topics.a: needs keywords, patterns or model"),
        (GOOD.replace('["x"]', '["\\u200b "]'), "topics.a.keywords.0: a keyword shows nothing"),
        (GOOD + 'patterns = ["(a"]', "topics.a.patterns.0: is no regular expression: missing ) at position 2"),
        (GOOD + "model = { threshold = 2 }", "topics.a.model.threshold: must be less than or equal to 1"),
        (
            GOOD + "model = { treshold = 0.5 }",
            "topics.a.model.treshold: unknown field; did you mean threshold? (and 1 more)",
        ),
        (GOOD + "applies_to = []", "topics.a.applies_to: Tuple should have at least 1 item"),
        ('default = "answer"\n[topics]\n', "topics: Dictionary should have at least 1 item"),
        (GOOD.replace('name = "p"\n', ""), "name: is missing"),
        (GOOD.replace('name = "p"', "name ="), "line 1, column 7: broken TOML: Invalid value"),
        ('expire_after = "7 weeks"\n' + GOOD, "expire_after: must be hours or days, such as '36 hours' or '7 days'"),
        ('expire_after = "0 days"\n' + GOOD, "expire_after: must be hours or days"),
        ("expire_after = 7\n" + GOOD, "expire_after: must be a valid string"),
        (VERIFIES + "vote = 1", "verification.vote: must be greater than or equal to 2"),
        (VERIFIES + "votes = 8", "verification.votes: unknown field; did you mean vote?"),
        (VERIFIES, "verification: needs vote, model, tool, must_match or must_not_match"),
        (VERIFIES + 'tool = "python"', "verification.tool: must be 'arithmetic', not 'python'"),
        (VERIFIES + 'must_match = ["(a"]', "verification.must_match.0: is no regular expression: missing )"),
        (GOOD + "[verification]\nvote = 8", "names a verification, and no topic has the action verify"),
    ],
)
def test_what_is_wrong_is_one_line_with_file_and_field(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as raised:
        read_policy(file)
    assert str(raised.value).startswith(f"{file}: {message}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1 hour", 3600), ("36 hours", 129_600), ("1 day", 86_400), ("7 days", 604_800)]
)
def test_answers_wait_for_hours_or_days(text: str, seconds: float, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(f'expire_after = "{text}"\n' + GOOD)
    assert read_policy(tmp_path / "p.toml").expire_seconds == seconds


def test_without_more_a_vote_of_eight_verifies_and_answers_wait_for_a_week(tmp_path: Path) -> None:
    policy = read_policy("medicine")
    assert (policy.verification.vote, policy.verification.model, policy.verifies) == (8, None, True)
    assert policy.expire_seconds == 604_800
    (tmp_path / "p.toml").write_text(VERIFIES + 'tool = "arithmetic"')
    assert read_policy(tmp_path / "p.toml").verification.vote is None, "what is named, and nothing else"


def test_topics_say_what_is_answered_instead() -> None:
    refusals = read_policy("safety").refusals
    assert list(refusals) == ["self-harm"]
    assert refusals["self-harm"].startswith("Please talk to someone you trust")
    assert read_policy("medicine").refusals == {}


def test_a_missing_file_names_policies_of_dunwu() -> None:
    with pytest.raises(UserError, match=r"^medicin: no such file; did you mean medicine\?$"):
        read_policy("medicin")
    with pytest.raises(UserError, match=r"no such file; policies of Dunwu: finance, medicine, safety$"):
        read_policy("qqq.toml")
