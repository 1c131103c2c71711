"""Chinese problems in an English report say what they ask: every generated wording has a gloss, with its numbers."""

from __future__ import annotations

import random
import re

import pytest
from tests.unit.tasks.known import GENERATORS

from dunwu.analysis.glosses import gloss

GENERATED = [name for name in GENERATORS if name not in ("talk", "harmful", "harmless")]
NUMBERS_MATTER = ("countdown", "game24", "divisors", "bases", "ordering", "equations", "arithmetic", "functions")


@pytest.mark.parametrize("name", GENERATED)
def test_every_generated_problem_has_a_gloss(name: str) -> None:
    generator = GENERATORS[name]
    for level in generator.levels:
        for seed in range(20):
            question = generator.draft(random.Random(seed), level, "zh").question
            found = gloss(question)
            assert found, question
            assert not re.search("[\u3000-\u9fff\uff00-\uffef]", found), found
            if name in NUMBERS_MATTER:
                asked = re.findall(r"\d+", question)
                assert [number for number in asked if number not in re.findall(r"\d+", found)] == [], question
            assert gloss(f"请想一想。\n{question}\n") == found, "what stands around it does not count"


def test_countdown_reads_as_its_own_english_wording() -> None:
    assert gloss("用3、5和7各一次，加减乘除，得到36。") == "Use 3, 5 and 7 once each with + - * / to make 36."


@pytest.mark.parametrize("text", ["", "Use 3 and 5 to make 8.", "小明有3个苹果。", "用3、5和7各一次，得到36。", "{0}"])
def test_other_texts_have_none(text: str) -> None:
    assert gloss(text) == ""
