"""Every public name is on the page of Python, or among the records."""

from __future__ import annotations

import re

import dunwu
from dunwu import register, types
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs/reference/python.md").read_text(encoding="utf-8")


def test_every_public_name_is_in_the_reference() -> None:
    described = set(re.findall(r"heading: dunwu\.(\w+)", PAGE))
    records = {name for name in dunwu.__all__ if getattr(dunwu, name) is getattr(types, name, None)}
    assert described == set(dunwu.__all__) - records - {"__version__", "register"}
    assert len(records) == 6


def test_every_decorator_is_named() -> None:
    (section,) = re.findall(r"## Names of your own\n(.*?)\n## ", PAGE, re.DOTALL)
    assert set(register.__all__) <= set(re.findall(r"`(\w+)`", section))
