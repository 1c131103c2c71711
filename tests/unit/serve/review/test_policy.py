"""Policy files: those that come with Dunwu, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from dunwu.errors import UserError
from dunwu.serve.review.policy import read_policy

GOOD = 'name = "p"\ndefault = "answer"\n[topics.a]\naction = "hold"\nkeywords = ["x"]\n'


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
    ],
)
def test_what_is_wrong_is_one_line_with_file_and_field(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as raised:
        read_policy(file)
    assert str(raised.value).startswith(f"{file}: {message}")
    assert "\n" not in str(raised.value)


def test_a_missing_file_names_policies_of_dunwu() -> None:
    with pytest.raises(UserError, match=r"^medicin: no such file; did you mean medicine\?$"):
        read_policy("medicin")
    with pytest.raises(UserError, match=r"no such file; policies of Dunwu: finance, medicine, safety$"):
        read_policy("qqq.toml")
