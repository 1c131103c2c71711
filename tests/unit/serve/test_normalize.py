"""Keys of questions: two that an answer could tell apart never share one."""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.serve.near_pairs import differing_pairs, same_pairs, spelled_pairs

from dunwu.serve.path_cache.normalize import LONGEST, normalize_conversation, normalize_question

DATA = Path(__file__).parents[4] / "shared" / "data"
SETS = {"gsm8k_test": "question", "cmath": "question", "math500": "problem"}
UNITS = (
    "kg",
    "km",
    "dollars",
    "cents",
    "hours",
    "minutes",
    "days",
    "weeks",
    "miles",
    "feet",
    "$",
    "%",
    *"元角米克吨岁里",
)


def key(text: str) -> str:
    return normalize_question(text).exact


def read_questions(name: str) -> list[str]:
    path = DATA / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(f"{path.name} is not in ../shared/data")
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return list(dict.fromkeys(row[SETS[name]] for row in rows))


def edit(text: str, chance: random.Random) -> Iterator[tuple[str, str]]:
    """One edit of each kind that the text allows, each of which may change the answer."""
    digits = [place for place, char in enumerate(text) if char.isdigit()]
    if digits:
        place = chance.choice(digits)
        yield "digit", text[:place] + chance.choice([d for d in "0123456789" if d != text[place]]) + text[place + 1 :]
        yield "digit more", text[:place] + chance.choice("123456789") + text[place:]
        yield "sign", text[:place] + "-" + text[place:]
        yield "percent", text[: place + 1] + "%" + text[place + 1 :]
        yield "point", text[:place] + "." + text[place:]
        yield "comma", text[:place] + "," + text[place:]
    units = [unit for unit in UNITS if unit in text]
    if units:
        unit = chance.choice(units)
        yield "unit", text.replace(unit, chance.choice([other for other in UNITS if other != unit]))
    words = list(re.finditer(r"[A-Za-z]+|[\u4e00-\u9fff]", text))
    if words:
        word = chance.choice(words)
        yield "negation", text[: word.start()] + ("not " if word[0].isascii() else "不") + text[word.start() :]
    visible = [place for place, char in enumerate(text[:-1]) if not char.isspace()]
    place = chance.choice(visible)
    yield "less", text[:place] + text[place + 1 :]
    cased = [
        place for place, char in enumerate(text) if place and char != char.swapcase() and len(char.swapcase()) == 1
    ]
    if cased:
        place = chance.choice(cased)
        yield "case", text[:place] + text[place].swapcase() + text[place + 1 :]


def test_no_near_pair_shares_a_key() -> None:
    pairs = list(differing_pairs())
    assert len(set(pairs)) >= 250
    assert all(one != other for _, (one, other) in pairs)
    assert [(kind, pair) for kind, pair in pairs if key(pair[0]) == key(pair[1])] == []


def test_pairs_of_both_languages_are_in_the_battery() -> None:
    chinese = sum(bool(re.search("[\u4e00-\u9fff]", one)) for _, (one, _) in differing_pairs())
    assert chinese >= 80


def test_pairs_that_are_the_same_share_a_key() -> None:
    assert [(kind, pair) for kind, pair in same_pairs() if key(pair[0]) != key(pair[1])] == []


def test_what_people_take_for_the_same_may_be_missed_and_is_known() -> None:
    assert [kind for kind, pair in spelled_pairs() if key(pair[0]) == key(pair[1])] == []


@pytest.mark.parametrize("name", SETS)
def test_real_questions_have_keys_of_their_own(name: str) -> None:
    questions = read_questions(name)
    by_key = defaultdict(list)
    for question in questions:
        by_key[key(question)].append(question)
    assert len(questions) >= 500
    assert [same for same in by_key.values() if len(same) > 1] == []


@pytest.mark.parametrize("name", SETS)
def test_no_edit_of_a_real_question_has_its_key(name: str) -> None:
    chance = random.Random(18)
    edits, same = 0, list[tuple[str, str]]()
    for question in read_questions(name):
        own = key(question)
        for kind, edited in edit(question, chance):
            edits += edited != question
            same += [(kind, question)] if edited != question and key(edited) == own else []
    assert edits >= 3000
    assert same == []


def test_the_key_covers_every_message() -> None:
    user: dict[str, object] = {"role": "user", "content": "What is 3 + 4?"}
    system: dict[str, object] = {"role": "system", "content": "Count in base 10."}
    earlier: list[dict[str, object]] = [
        {"role": "user", "content": "Is 7 odd?"},
        {"role": "assistant", "content": "Yes."},
    ]
    conversations: list[list[dict[str, object]]] = [
        [user],
        [system, user],
        [{**system, "content": "Count in base 8."}, user],
        [{**user, "role": "system"}],
        [*earlier, user],
        [earlier[0], {**earlier[1], "content": "yes."}, user],
        [{**user, "name": "ann"}],
        [user, user],
        [{"role": "user", "content": json.dumps([user])}],
        [{"role": "user", "content": [{"type": "text", "text": "What is 3 + 4?"}]}],
    ]
    keys = {normalize_conversation(messages).exact for messages in conversations}
    assert len(keys) == len(conversations)
    assert normalize_conversation([user]) == normalize_question("what is 3 + 4")


def test_a_template_differs_by_words_and_not_by_numbers() -> None:
    one, other = (
        normalize_question("Tom has 3 plums. How many?"),
        normalize_question("Tom has 1,250.5 plums. How many?"),
    )
    assert one.template == other.template
    assert one.exact != other.exact
    assert (one.numbers, other.numbers) == (("3",), ("1,250.5",))
    assert normalize_question("Tom has 3% plums. How many?").template != one.template
    assert normalize_question("Ann has 3 plums. How many?").template != one.template
    assert normalize_conversation([{"role": "system", "content": "4"}, {"role": "user", "content": "5"}]).numbers == (
        "5",
    )


def test_half_a_surrogate_pair_and_long_questions_have_keys() -> None:
    assert key("\ud800 3") != key("\udfff 3")
    long = normalize_question("3 " * LONGEST)
    assert long.numbers == ()
    assert long.template == long.exact


@pytest.mark.parametrize(
    "text", ["1\u3000" + "\u3000" * 40_000 + "1", "1" + " " * 40_000 + "1", "一又" * 20_000, "how many " * 5_000 + "."]
)
def test_hostile_questions_cost_no_time_to_speak_of(text: str) -> None:
    """Patterns that look again from each character would need minutes."""
    assert normalize_question(text).exact
