"""The nano tokenizer: one token for a number, any text round-trips, tags are text and not special."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from dunwu.pretraining.countdown_corpus import CountdownSpec, generate_documents
from dunwu.pretraining.tokenizer import END, LARGEST_NUMBER, PAD, build_tokenizer

TOKENIZER = build_tokenizer()


def pieces(text: str) -> list[str]:
    return [TOKENIZER.decode([i]) for i in TOKENIZER(text).input_ids]


def test_a_number_is_one_token_and_a_larger_one_its_digits() -> None:
    assert all(len(TOKENIZER(str(n)).input_ids) == 1 for n in range(LARGEST_NUMBER + 1))
    assert pieces("1234-7") == ["1", "2", "3", "4", "-", "7"]


def test_the_answer_is_its_symbols() -> None:
    assert pieces(" <answer>(3+5)*7</answer>") == [" <answer>", "(", "3", "+", "5", ")", "*", "7", "</answer>"]
    assert pieces("56, too big. wait, ") == ["56", ", ", "too big", ". ", "wait", ", "]
    assert pieces("56，太大。等等，") == ["56", "，", "太大", "。", "等等", "，"]


def test_questions_are_short() -> None:
    assert len(pieces("User: Use 3, 5 and 7 once each with + - * / to make 36. Assistant:")) <= 20
    assert len(pieces("User: 用3、5和7各一次，加减乘除，得到36。 Assistant:")) <= 20


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60).filter(lambda text: "<|" not in text))
def test_any_text_comes_back(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER(text).input_ids) == text


def test_the_corpus_comes_back_without_bytes_of_chinese() -> None:
    for document in islice(generate_documents(CountdownSpec(), seed=5), 500):
        text = document.prompt + document.completion
        ids = TOKENIZER(text).input_ids
        assert TOKENIZER.decode(ids, skip_special_tokens=True) == text
        assert all(i < 128 or i >= 256 for i in ids)


def test_special_tokens() -> None:
    assert (TOKENIZER.eos_token, TOKENIZER.pad_token) == (END, PAD)
    assert TOKENIZER.decode(TOKENIZER("<think>").input_ids, skip_special_tokens=True) == "<think>"


def test_saved_and_loaded_it_is_the_same(tmp_path: pytest.TempPathFactory) -> None:
    TOKENIZER.save_pretrained(str(tmp_path))
    loaded = PreTrainedTokenizerFast.from_pretrained(str(tmp_path))
    text = "User: 用3、5和7各一次，加减乘除，得到36。 Assistant: <think>7*5=35，等等，"
    assert loaded(text).input_ids == TOKENIZER(text).input_ids
