"""Fenced blocks: where they open and close."""

from __future__ import annotations

import pytest

from dunwu.verifiers.fences import read_blocks


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("", []),
        ("a\nb", []),
        ("a\n```py\nb\n```\nc\n~~~\nd\n\n~~~", [("py", "b"), ("", "d\n")]),
        ("~~~ a`b\n```\n~~~", [("a`b", "```")]),
        ("````\na\n```\nb\n`````\nc", [("", "a\n```\nb")]),
        ("```\na\n~~~\nb\n``` c\n  ``` \r\nd", [("", "a\n~~~\nb\n``` c")]),
        ("1. x\n   ```\n   a\n     b\n c\n   ```", [("", "a\n  b\nc")]),
        ("- ```\n  a\n  ```\nb", [("", "a")]),
        ("```py\na", [("py", "a")]),
        ("```py\n```", [("py", "")]),
        ("a\n```", []),
        ("a ``` b\n```c```\n``d", []),
    ],
)
def test_blocks_are_read_as_markdown_has_them(text: str, blocks: list[tuple[str, str]]) -> None:
    assert list(read_blocks(text)) == blocks
