"""Tokenizers in the header of a GGUF file: nano ones as longest matches, byte-level BPE by its cut, others refused."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tests.chat_templates import byte_tokenizer, spaced_tokenizer
from tests.exported_models import make_tokenizer
from tokenizers import AddedToken, Tokenizer
from transformers import PreTrainedTokenizerFast

from dunwu.errors import UserError
from dunwu.exporting.check_texts import list_texts
from dunwu.models.gguf.tokenizer import CONTROL, UNUSED, USER_DEFINED
from dunwu.models.gguf.vocabulary import Vocabulary, build_vocabulary, find_largest_number
from dunwu.models.load import load_tokenizer

LONG = re.compile(r"\d{2,}")


def unescape(token: str) -> bytes:
    """Bytes of a token, as RWKV's vocabularies write them."""
    pieces = re.findall(r"\\x([0-9a-f]{2})|([^\\]+)", token)
    return b"".join(bytes.fromhex(code) if code else text.encode() for code, text in pieces)


def match_longest(vocabulary: Vocabulary, text: str) -> list[int]:
    """Cut a text as llama.cpp does: user-defined tokens are found first, the rest is cut at the longest matches."""
    whole = {token: at for at, token in enumerate(vocabulary.tokens) if vocabulary.types[at] == USER_DEFINED}
    tokens = {unescape(token): at for at, token in enumerate(vocabulary.tokens) if vocabulary.types[at] != UNUSED}
    found: list[int] = []
    for part in re.split("(" + "|".join(map(re.escape, whole)) + ")", text):
        rest = b"" if part in whole else part.encode()
        found += [whole[part]] if part in whole else []
        while rest:
            size = next(size for size in range(len(rest), 0, -1) if rest[:size] in tokens)
            found.append(tokens[rest[:size]])
            rest = rest[size:]
    return found


def spell(text: str, largest: int) -> str:
    """Spell numbers that are no token digit by digit."""
    known = {str(number) for number in range(largest + 1)}
    return LONG.sub(lambda hit: hit[0] if hit[0] in known else "".join(f"\\x3{digit}" for digit in hit[0]), text)


@pytest.mark.parametrize("name", ["nano-base", "nano-world"])
def test_longest_matches_cut_texts_as_a_nano_tokenizer_does(name: str) -> None:
    tokenizer = load_tokenizer(name)
    vocabulary = build_vocabulary(tokenizer, len(tokenizer))
    assert (vocabulary.model, vocabulary.largest_number, find_largest_number(tokenizer)) == ("rwkv", 255, 255)
    for text in list_texts()[:400]:
        assert match_longest(vocabulary, spell(text, 255)) == tokenizer.encode(text), text
    assert match_longest(vocabulary, "7 and 256") != tokenizer.encode("7 and 256")  # what spelling is for


def test_special_tokens_control_and_rows_without_a_token_are_unused() -> None:
    tokenizer = load_tokenizer("nano-base")
    vocabulary = build_vocabulary(tokenizer, len(tokenizer) + 2)
    assert vocabulary.types[tokenizer.eos_token_id] == CONTROL
    assert vocabulary.tokens[tokenizer.eos_token_id] == "<|endoftext|>"
    assert vocabulary.types[-2:] == (UNUSED, UNUSED)
    assert len(set(vocabulary.tokens)) == len(tokenizer) + 2


@pytest.mark.parametrize(("family", "pre", "begins"), [("llama", "llama-bpe", True), ("qwen3", "qwen2", False)])
def test_byte_level_bpe_is_known_by_its_cut(family: str, pre: str, begins: bool) -> None:
    tokenizer = make_tokenizer(family)
    vocabulary = build_vocabulary(tokenizer, 640)
    assert (vocabulary.model, vocabulary.pre, vocabulary.largest_number) == ("gpt2", pre, None)
    assert vocabulary.begin == (tokenizer.bos_token_id if begins else None)
    assert [vocabulary.tokens[number] for number in tokenizer.encode("and 7", add_special_tokens=False)] == (
        tokenizer.tokenize("and 7")
    )
    first = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"][0]
    assert vocabulary.merges[0] == " ".join(first)
    if family == "qwen3":
        assert vocabulary.types[tokenizer.convert_tokens_to_ids("<think>")] == USER_DEFINED


def change(tokenizer: Any, **parts: Any) -> Any:
    """The same tokenizer with other parts."""
    core = json.loads(tokenizer.backend_tokenizer.to_str())
    model = parts.pop("model", {})
    changed = Tokenizer.from_str(json.dumps({**core, **parts, "model": core["model"] | model}))
    return PreTrainedTokenizerFast(tokenizer_object=changed, eos_token=tokenizer.eos_token)


def test_words_that_are_not_whole_have_another_name_for_the_same_cut() -> None:
    tokenizer = change(make_tokenizer("llama"), model={"ignore_merges": False}, post_processor=None)
    assert build_vocabulary(tokenizer, 640).pre == "smaug-bpe"


def test_what_llama_cpp_would_cut_otherwise_is_refused() -> None:
    qwen, nano = make_tokenizer("qwen3"), load_tokenizer("nano-base")
    cut = {"type": "Split", "pattern": {"Regex": r"\w+|."}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    steps = {"type": "Sequence", "pretokenizers": [cut, level]}
    cases = {
        r"cuts texts by \{'Regex'": change(qwen, pre_tokenizer=steps),
        "changes texts before it cuts them .Lowercase": change(qwen, normalizer={"type": "Lowercase"}),
        "has no merges, and does not cut": change(nano, pre_tokenizer=steps),
        "has no merges": byte_tokenizer(eos_token="!"),
        "has no merges, and does": spaced_tokenizer(eos_token="!"),
    }
    for message, tokenizer in cases.items():
        with pytest.raises(UserError, match=message):
            build_vocabulary(tokenizer, 640)
    greedy = make_tokenizer("qwen2")
    greedy.backend_tokenizer.add_special_tokens([AddedToken("<|mask|>", lstrip=True, special=True)])
    with pytest.raises(UserError, match="takes white space with it"):
        build_vocabulary(greedy, 640)
