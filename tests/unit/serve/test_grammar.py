"""Grammars: whatever is drawn, an answer ends in time and satisfies its schema, and the reasoning is left alone."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from dunwu.bench.json_schemas import QUESTIONS, SCHEMAS
from dunwu.serve.chat_model import ChatModel
from dunwu.serve.endings import LONGEST_ENDING
from dunwu.serve.grammar import MARGIN, Grammar, Grammars
from dunwu.serve.records import ChatRequest, Choice, Format
from dunwu.serve.service import GenerationService
from dunwu.serve.token_masks import (
    drop_tokens,
    find_first,
    find_only,
    has_token,
    is_marked,
    list_tokens,
    mark_tokens,
    read_mask,
    write_mask,
)
from dunwu.tasks.generators import countdown
from dunwu.types import Message

jsonschema = pytest.importorskip("jsonschema")
WIDE = {"type": "object", "properties": {f"key {n}": {"type": "integer"} for n in range(20)}}
"""A part of which is long, and that no answer has to have."""
WIDE_LIST = {"type": "array", "items": {**WIDE, "required": list(WIDE["properties"]), "additionalProperties": False}}


@pytest.fixture(scope="module")
def grammars(model: ChatModel) -> Grammars:
    return Grammars(model.policy.tokenizer, model.policy.eos_ids, model.rows)


def compile_schema(grammars: Grammars, schema: dict[str, Any]) -> Grammar:
    return grammars.compile(Format(kind="json_schema", value=schema))


def write(model: ChatModel, grammar: Grammar, most: int, rng: random.Random, liked: frozenset[int]) -> str | None:
    """Write an answer of tokens drawn blindly, liked ones first; None where it does not end in time."""
    written: list[int] = []
    for left in range(most, 0, -1):
        allowed = list_tokens(grammar.find_allowed(left))
        token_id = rng.choice([one for one in allowed if one in liked] or allowed)
        if token_id in model.policy.eos_ids:
            return decode(model, written)
        written.append(token_id)
        if grammar.advance(token_id):
            return decode(model, written)
    return None


def decode(model: ChatModel, token_ids: list[int]) -> str:
    return str(model.policy.tokenizer.backend_tokenizer.decode(token_ids, skip_special_tokens=False))


@pytest.mark.parametrize("name", [name for name in SCHEMAS if name != "formats"])
@pytest.mark.parametrize("spare", [MARGIN, 30, 150])
def test_blind_answers_end_in_time_and_are_valid(model: ChatModel, grammars: Grammars, name: str, spare: int) -> None:
    grammar = compile_schema(grammars, SCHEMAS[name])
    validator = jsonschema.Draft202012Validator(SCHEMAS[name])
    openers = frozenset(n for n in range(model.rows) if set(decode(model, [n])) & set('{[,"'))
    for seed in range(3):
        for liked in (frozenset[int](), openers, frozenset(range(model.rows)) - openers):
            text = write(model, grammar.copy(), (grammar.shortest or 0) + spare, random.Random(seed), liked)
            assert text is not None
            validator.validate(json.loads(text))


def test_no_part_is_opened_that_there_is_no_room_for(model: ChatModel, grammars: Grammars) -> None:
    grammar = compile_schema(grammars, WIDE_LIST)
    assert grammar.shortest == 2
    openers = frozenset(n for n in range(model.rows) if set(decode(model, [n])) & set("{["))
    found = [write(model, grammar.copy(), most, random.Random(most), openers) for most in (40, 60, 250)]
    lengths = [len(json.loads(text or "")) for text in found]
    assert lengths[:2] == [0, 0]
    assert lengths[2] > 0


def test_lists_in_lists_are_all_closed(model: ChatModel, grammars: Grammars) -> None:
    """The way out of two lists may come in three, too, and does not lead out of them."""
    grammar = compile_schema(grammars, {"type": "array", "items": {"$ref": "#"}})
    opening = frozenset(n for n in range(model.rows) if decode(model, [n]) == "[")
    for most in range(20, 120, 7):
        text = write(model, grammar.copy(), most, random.Random(most), opening)
        json.loads(text or "")


def test_tokens_that_open_several_parts_leave_room_to_close_them() -> None:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<end>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    core.train_from_iterator(['[[[[[[[["', '[{"[{"[{"', '":[{"":[{"'] * 9, trainer)
    texts = [core.decode([token_id], skip_special_tokens=False) for token_id in range(core.get_vocab_size())]
    openers = [token_id for token_id, text in enumerate(texts) if text.count("[") + text.count("{") > 1]
    assert max(text.count("[") for text in texts) >= 4
    grammars = Grammars(SimpleNamespace(backend_tokenizer=core), (0,), len(texts))
    grammar = compile_schema(grammars, {"type": "array", "items": {}})
    for most in range(40, 240, 10):
        written, rng, one = list[int](), random.Random(most), grammar.copy()
        for left in range(most, 0, -1):
            allowed = list_tokens(one.find_allowed(left))
            written.append(rng.choice([token_id for token_id in allowed if token_id in openers] or allowed))
            if one.advance(written[-1]):
                break
        json.loads(core.decode(written))


def test_a_way_that_is_too_long_leaves_the_answer_free(grammars: Grammars) -> None:
    grammar = compile_schema(grammars, {"type": "string", "minLength": 2 * LONGEST_ENDING})
    assert grammar.shortest is None
    assert grammar.find_allowed(20)


@pytest.mark.parametrize("name", ["nested", "tree", "flat"])
def test_one_token_is_refused_where_the_mask_refuses_it(model: ChatModel, grammars: Grammars, name: str) -> None:
    grammar, rng = compile_schema(grammars, SCHEMAS[name]), random.Random(name)
    most, singles = (grammar.shortest or 0) + 40, 0
    for left in range(most, 0, -1):
        allowed = list_tokens(grammar.find_allowed(left))
        for token_id in range(model.rows):
            found = grammar.refuse(token_id, left)
            assert (found is None) == (token_id in allowed)
            if isinstance(found, int):
                assert allowed == [found]
                singles += 1
            elif found is not None:
                assert list_tokens(read_mask(found.tobytes())) == allowed
        if grammar.advance(rng.choice(allowed)):
            break
    assert singles


def test_sets_name_their_tokens() -> None:
    assert (find_first(0), find_only(0), list_tokens(0)) == (None, None, [])
    tokens = read_mask(mark_tokens([30, 8, 9], 40).tobytes())
    assert (find_first(tokens), find_only(tokens), list_tokens(tokens)) == (8, None, [8, 9, 30])
    assert (find_only(1 << 13), find_only(1), find_only(3 << 8)) == (13, 0, None)
    assert (has_token(tokens, 30), has_token(tokens, 31), has_token(tokens, 400)) == (True, False, False)
    assert list_tokens(drop_tokens(tokens, 1 << 9 | 1 << 10)) == [8, 30]
    mask = write_mask(tokens, 6)
    assert (mask.shape, [token_id for token_id in range(48) if is_marked(mask, token_id)]) == ((6,), [8, 9, 30])


def answer(service: GenerationService, question: str, seed: int, form: Format | None, **more: Any) -> Choice:
    message = Message(role="user", content=question)
    reply = service.submit(ChatRequest(messages=(message,), seeds=(seed,), format=form, **more), streams=False)
    reply.join()
    return reply.collect()[0]


def test_the_reasoning_is_the_same_as_without(service: GenerationService) -> None:
    """But for chains that the model never closes: under a grammar the answer has to follow."""
    form = Format(kind="json_schema", value=SCHEMAS["flat"])
    compared = 0
    for seed in range(24):
        question = countdown.draft(random.Random(seed), 3, ("en", "zh")[seed % 2]).question
        free = answer(service, question, seed, None, top_logprobs=0)
        if "</think>" in [one.token for one in free.logprobs]:
            held = answer(service, question, seed, form, top_logprobs=0)
            thought = [one.token for one in free.logprobs[: free.thinking_tokens]]
            assert [one.token for one in held.logprobs[: held.thinking_tokens]] == thought
            compared += 1
    assert compared > 20


def test_chains_and_answers_are_restricted_in_one_step(service: GenerationService) -> None:
    form = Format(kind="json_schema", value=SCHEMAS["flat"])
    replies = [
        service.submit(
            ChatRequest(
                messages=(Message(role="user", content=QUESTIONS[seed]),),
                seeds=(seed,),
                format=form,
                temperature=2.0,
                max_tokens=200,
                max_thinking_tokens=None if seed % 2 else 0,
            )
        )
        for seed in range(16)
    ]
    for reply in replies:
        reply.join()
        json.loads(reply.collect()[0].content)


def test_tags_in_an_answer_under_a_grammar_are_text(service: GenerationService) -> None:
    texts = ["<think>x</think>", "<answer>y"]
    for seed in range(2):
        found = answer(service, QUESTIONS[seed], seed, Format(kind="choice", value=texts), max_thinking_tokens=0)
        assert found.content in texts
        assert found.finish == "stop"
