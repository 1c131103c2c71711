"""Perplexity and bits per character, against sums made by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from jaxtyping import Float32, Int32
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from dunwu.errors import Fault, UserError
from dunwu.evaluation.perplexity import EncodedPassage, encode_passages, measure_perplexity

WORDS = {"<s>": 0, "the": 1, "cat": 2, "sat": 3, "?": 4}


def words(*, begins: bool = False, unknown: str | None = None) -> PreTrainedTokenizerFast:
    """A tokenizer of words, which puts <s> before a text where it ``begins``."""
    tokenizer = Tokenizer(WordLevel(WORDS, unk_token=unknown or "?"))
    tokenizer.pre_tokenizer = Whitespace()
    if begins:
        tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", unk_token=unknown)


def passage(tokens: int, characters: int) -> EncodedPassage:
    return EncodedPassage(token_ids=np.zeros(tokens, np.int32), characters=characters)


def score(*nats: Sequence[float]) -> list[Float32[np.ndarray, " L"]]:
    """Log-probabilities; what stands first is nobody's."""
    return [np.array([99.0, *(-value for value in row)], np.float32) for row in nats]


def test_both_quantities_are_sums_over_all_passages() -> None:
    passages = [passage(3, 8), passage(2, 4)]
    found = measure_perplexity(passages, lambda rows: score((1.0, 2.0), (6.0,)))
    assert found["perplexity"].value == pytest.approx(math.exp(9 / 3))
    assert found["bits_per_character"].value == pytest.approx(9 / math.log(2) / 12)
    # A resample is twice the first, twice the second, or both.
    assert (found["perplexity"].low, found["perplexity"].high) == pytest.approx((math.exp(1.5), math.exp(6)))
    assert found["bits_per_character"].low == pytest.approx(3 / math.log(2) / 8)


def test_the_scorer_gets_the_tokens() -> None:
    seen: list[Int32[np.ndarray, " L"]] = []
    encoded = encode_passages(words(), ["the cat sat", "the cat"])

    def count(rows: Sequence[Int32[np.ndarray, " L"]]) -> list[Float32[np.ndarray, " L"]]:
        seen.extend(rows)
        return [np.full(len(row), -0.5, np.float32) for row in rows]

    assert measure_perplexity(encoded, count)["perplexity"].value == pytest.approx(math.exp(0.5))
    assert [row.tolist() for row in seen] == [[1, 2, 3], [1, 2]]


def test_characters_are_those_of_the_tokens_that_are_predicted() -> None:
    (plain,) = encode_passages(words(), ["the cat sat"])
    assert plain.characters == len(" cat sat")
    (begun,) = encode_passages(words(begins=True), ["the cat sat"])
    assert begun.token_ids.tolist() == [0, 1, 2, 3]
    assert begun.characters == len("the cat sat")


def test_a_tokenizer_that_does_not_know_the_words_is_refused() -> None:
    with pytest.raises(UserError, match="does not know 2 of 3 tokens"):
        encode_passages(words(unknown="?"), ["the dog ran"])


def test_passages_of_one_token_leave_nothing_to_predict() -> None:
    with pytest.raises(UserError, match="nothing is left to predict"):
        encode_passages(words(), ["the", "cat"])


def test_a_model_that_gives_no_numbers_is_a_fault() -> None:
    with pytest.raises(Fault, match="not finite"):
        measure_perplexity([passage(2, 4)], lambda rows: score((math.nan,)))
