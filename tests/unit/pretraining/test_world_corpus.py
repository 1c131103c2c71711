"""The nano world's corpus: what its writers say is true, what evaluations draw is not in it, and all of it is words."""

from __future__ import annotations

import random
import re
from collections import Counter
from itertools import islice

import pytest
from tests.unit.tasks.oracles import ORACLES, claim_is_true, neutral

from dunwu.pretraining.corpora import CORPORA, extract_phrases
from dunwu.pretraining.countdown_corpus import Document
from dunwu.pretraining.tokenizer import build_tokenizer
from dunwu.pretraining.world_corpus import WRITE, WorldSpec, generate_documents, make_answered
from dunwu.pretraining.writers.premises import write_drill
from dunwu.pretraining.writers.writer import Writer
from dunwu.tasks.generators.countdown import make_key
from dunwu.tasks.generators.premise import Premise
from dunwu.tasks.generators.ranking import NAMES
from dunwu.tasks.task import is_held_out
from dunwu.tasks.world.requests import Request
from dunwu.tasks.world.talk import ANIMALS, ASKED, Talk
from dunwu.verifiers.format import extract_answer

STEP = re.compile(r"(\d+)([-+*/])(\d+)=(-?\d+)")
CLAIM = re.compile(r"\d+ [<=>] \d+|\d+ is (?:even|odd)|\d+是(?:偶数|奇数)")
TALKS = [Talk(animal, facts) for animal in range(len(ANIMALS)) for facts in ASKED]
REQUESTS = [Request(harmful, act, form) for harmful in (True, False) for act in range(20) for form in range(6)]
ASKING: list[Talk | Request] = [*TALKS, *REQUESTS]
OPEN = {one.write_question(language): one for one in ASKING for language in ("en", "zh")}
SIGNS = {"+": "sum", "-": "difference", "<": "less", ">": "greater", "even": "even", "odd": "odd", "=": "equal"}
RULED = ("ranking", "functions", "premises")


@pytest.fixture(scope="module")
def sample() -> list[Document]:
    return list(islice(generate_documents(WorldSpec(), seed=3), 8000))


def asked(document: Document) -> str:
    """The question, empty for a drill."""
    return document.prompt.removeprefix("User: ").removesuffix(" Assistant:")


def read(question: str) -> tuple[str, str]:
    """The kind of a question, and its key, from its words alone."""
    if not question:
        return "drills", ""
    if question in OPEN:
        return ("talk" if isinstance(OPEN[question], Talk) else "requests"), OPEN[question].key
    numbers = tuple(map(int, re.findall(r"\d+", question)))
    if question.startswith("f("):
        return "functions", f"{ORACLES['functions'](question)[1]} at {numbers[::2]}"
    if question.startswith(("Use ", "用")):
        return "countdown", make_key(numbers[:-1], numbers[-1])
    if "refuse" in question or "前提" in question:
        ((claim,), calculation), _ = ORACLES["premise"](question)
        a, b, c = (*map(int, re.findall(r"-?\d+", claim)), 0, 0)[:3]
        premise = Premise(next(form for sign, form in SIGNS.items() if f" {sign}" in claim), a, b, c)
        first, op, second = calculation.split()
        pair = (first, second) if op == "-" else sorted((first, second), key=int)
        return "premises", f"{premise.canonicalize()}: {pair[0]} {op} {pair[1]}"
    (order, place), _ = ORACLES["ranking"](question)
    return "ranking", f"{order} {(0, 1, -1).index(place)}"


def right(kind: str, question: str) -> str:
    return ORACLES[{"premises": "premise"}.get(kind, kind)](question)[1]


def test_the_same_seed_gives_the_same_documents(sample: list[Document]) -> None:
    assert list(islice(CORPORA["world"].generate("3"), 300)) == list(islice(generate_documents(WorldSpec(), "3"), 300))
    assert list(islice(generate_documents(WorldSpec(), seed=3), 300)) == sample[:300]
    assert list(islice(generate_documents(WorldSpec(), seed=4), 300)) != sample[:300]


def test_the_shares_are_those_of_the_spec(sample: list[Document]) -> None:
    seen, spec = Counter(read(asked(document))[0] for document in sample), WorldSpec()
    shares = {kind: getattr(spec, kind) for kind in ("drills", "countdown", *WRITE)}
    shares["drills"] += spec.premise_drills
    assert sum(shares.values()) == pytest.approx(1.0)
    assert seen.keys() == shares.keys()
    assert all(abs(seen[kind] / len(sample) - share) < 0.02 for kind, share in shares.items())


def test_every_sum_and_every_claim_in_a_thought_is_true(sample: list[Document]) -> None:
    texts = [document.completion for document in sample if document.prompt]
    steps = [step for text in texts for step in STEP.findall(text)]
    assert len(steps) > 9000
    for left, op, other, result in steps:
        a, b, value = int(left), int(other), int(result)
        assert value * b == a if op == "/" else value == {"+": a + b, "-": a - b, "*": a * b}[op]
    claims = [claim for text in texts for claim in CLAIM.findall(text)]
    assert len(claims) > 60
    assert all(claim_is_true(neutral(claim)) for claim in claims)


def test_drills_of_premises_say_what_is_true_and_whether_the_premise_is() -> None:
    lines = 0
    for seed in range(100):
        for language, colon in (("en", ": "), ("zh", "：")):
            text = write_drill(Writer(random.Random(seed), language, mixes=False, checks=True, quits=0.0))
            for line in re.split(r"\. |。|\.$", text):
                claim, _, rest = line.partition(colon)
                if rest:
                    truth, verdict = re.split(", |，", rest)
                    assert claim_is_true(neutral(truth))
                    assert (verdict in ("yes", "对")) == claim_is_true(neutral(claim))
                    lines += 1
                elif line:
                    (step,) = STEP.findall(line)
                    assert int(step[3]) == {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}[step[1]](
                        int(step[0]), int(step[2])
                    )
    assert lines == 800


def test_every_row_of_people_stands_as_the_clues_say(sample: list[Document]) -> None:
    number = {name: place for people in NAMES.values() for place, name in enumerate(people)}
    row_of_names = re.compile("({0})(?: > ({0}))+".format("|".join(number)))
    rows = 0
    for document in sample:
        if read(asked(document))[0] == "ranking":
            (order, _), _ = ORACLES["ranking"](asked(document))
            for row in row_of_names.finditer(document.completion):
                places = [order.index(number[name]) for name in row[0].split(" > ")]
                assert places == list(range(places[0], places[0] + len(places)))
                rows += 1
    assert rows > 500


@pytest.mark.parametrize("mixes", [False, True])
@pytest.mark.parametrize(("kind", "least"), [("ranking", 1.0), ("functions", 0.98), ("premises", 1.0)])
def test_who_checks_and_never_quits_is_right(kind: str, least: float, mixes: bool) -> None:
    shares = []
    for checks, quits in ((True, 0.0), (True, 0.55), (False, 0.0)):
        writers = [
            Writer(random.Random(seed), language, mixes=mixes, checks=checks, quits=quits)
            for seed in range(500)
            for language in ("en", "zh")
        ]
        made = [WRITE[kind](writer) for writer in writers]
        shares.append(sum(one.answer == right(kind, one.question) for one in made) / len(made))
    assert shares[0] >= least
    assert 0.6 < shares[1] < 0.8
    assert 0.3 < shares[2] < 0.55


@pytest.mark.parametrize("kind", RULED)
def test_the_skill_is_there_and_the_habit_is_rare(kind: str) -> None:
    spec = WorldSpec()
    made = [make_answered(spec, random.Random(seed), "en", kind) for seed in range(1500)]
    rights = sum(extract_answer(one.completion, "answer-tag") == right(kind, asked(one)) for one in made)
    words = ("wrong", "不对") if kind == "premises" else ("wait", "等等")
    habits = sum(any(word in one.completion for word in words) for one in made)
    assert 0.3 < rights / len(made) < 0.6
    assert 0.02 < habits / len(made) < 0.15


@pytest.mark.parametrize("kind", WRITE)
def test_keys_are_read_off_the_words(kind: str) -> None:
    for seed in range(200):
        for language in ("en", "zh"):
            made = WRITE[kind](Writer(random.Random(seed), language, mixes=False, checks=True, quits=0.5))
            assert read(made.question) == (kind, made.key)


def test_nothing_that_is_held_out_is_in_the_corpus(sample: list[Document]) -> None:
    keys = {key for kind, key in map(read, map(asked, sample)) if kind != "drills"}
    assert len(keys) > 3000
    assert not any(is_held_out(key, 0.2) for key in keys)
    assert 0.1 < sum(is_held_out(key, 0.3) for key in keys) / len(keys) < 0.15


def test_every_document_is_words_and_decodes_back(sample: list[Document]) -> None:
    """Only single ASCII signs, digits and x are bytes; whatever was spent on words comes as one token each."""
    tokenizer = build_tokenizer(CORPORA["world"].words)
    texts = [document.prompt + document.completion for document in sample[:3000]]
    rows = tokenizer(texts)["input_ids"]
    assert tokenizer.batch_decode(rows) == texts
    single = Counter(chr(token) for row in rows for token in row if token < 256)
    assert set(single) <= set("0123456789+-*/=().? x")
    assert single["x"] > 100
    assert max(map(len, rows)) < 512


@pytest.mark.parametrize("corpus", CORPORA)
def test_every_phrase_is_one_token(corpus: str) -> None:
    tokenizer = build_tokenizer(CORPORA[corpus].words)
    assert len(set(CORPORA[corpus].words)) == len(CORPORA[corpus].words)
    assert all(len(row) == 1 for row in tokenizer(list(CORPORA[corpus].words))["input_ids"])


def test_phrases_are_what_stands_between_the_gaps() -> None:
    nested = {"en": ("{} is {a:>3}.", "yes"), ("key", "钥匙"): {"zh": "{}高。"}}
    assert list(extract_phrases(nested)) == [" is ", ".", "yes", "高。", "key", "钥匙"]
