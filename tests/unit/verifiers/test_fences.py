"""Fenced blocks: where they open and close."""

from __future__ import annotations

import pytest

from dunwu.verifiers.fences import split_blocks


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", [(None, "")]),
        ("a\nb", [(None, "a\nb")]),
        ("a\n```py\nb\n```\nc", [(None, "a"), ("py", "b"), (None, "c")]),
        ("~~~\nb\n~~~", [(None, ""), ("", "b")]),
        ("~~~ a`b\n```\n~~~", [(None, ""), ("a`b", "```")]),
        ("````\na\n```\nb\n`````\nc", [(None, ""), ("", "a\n```\nb"), (None, "c")]),
        ("```\na\n~~~\nb\n``` c\n```", [(None, ""), ("", "a\n~~~\nb\n``` c")]),
        ("1. x\n   ```\n   a\n     b\n   ```", [(None, "1. x"), ("", "a\n  b")]),
        ("- ```\n  a\n  ```\nb", [(None, ""), ("", "a"), (None, "b")]),
        ("```py\na", [(None, ""), ("py", "a")]),
        ("a\n```", [(None, "a")]),
        ("a ``` b\n```c```\n``d", [(None, "a ``` b\n```c```\n``d")]),
    ],
)
def test_a_text_is_split_at_its_blocks(text: str, parts: list[tuple[str | None, str]]) -> None:
    assert list(split_blocks(text)) == parts
