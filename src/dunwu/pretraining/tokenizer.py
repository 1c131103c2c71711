"""The nano tokenizer: one token for an integer, a word or a fixed phrase; bytes for everything else.

A byte-level BPE without merges. The pre-tokenizer cuts text at the vocabulary's own words (longest first) and at
integers; a piece that is in the vocabulary is one token, any other piece falls to its bytes. So every text encodes, and
decoding gives it back byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

END: Final = "<|endoftext|>"
PAD: Final = "<|pad|>"
LARGEST_NUMBER: Final = 255

WORDS: Final = (
    # the conversation and its tags
    *("User: ", " Assistant:", "Assistant:", " <think>", "<think>", "</think>", " <answer>", "<answer>", "</answer>"),
    # the question
    *("Use ", " and ", " once", " each", " with", " + - * /", "to", " to", " make ", ", ", ". ", ": "),
    *("用", "、", "和", "各一次", "，", "加减乘除", "得到", "。", "："),
    # the writer's own words
    *("too big", "too small", "yes", "so ", "or ", "maybe ", "try ", "done", "good", "let me "),
    *("太大", "太小", "对", "所以", "或者", "也许", "试", "好了", "先"),
    *("wait", "however", "but ", "wrong", "mistake", "error", "retry", "check", "verify", "evaluate"),
    *("等等", "不对", "但是", "错误", "再试", "检查", "验证", "重新"),
)


def build_tokenizer(words: Sequence[str] = WORDS) -> PreTrainedTokenizerFast:
    """Build the tokenizer in which each of these words is one token; its length is a multiple of 64."""
    table = _byte_table()
    vocabulary = {table[value]: value for value in range(256)}
    pieces = [str(n) for n in range(10, LARGEST_NUMBER + 1)] + [w for w in words if len(w.encode()) > 1]
    for piece in pieces:
        vocabulary.setdefault("".join(table[b] for b in piece.encode()), len(vocabulary))
    spare = -(len(vocabulary) + 2) % 64
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    alternatives = "|".join(re.escape(w) for w in sorted(words, key=len, reverse=True))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(rf"{alternatives}|\d+|."), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([END, PAD, *(f"<|spare-{i}|>" for i in range(spare))])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token=END, pad_token=PAD, clean_up_tokenization_spaces=False, model_max_length=1024
    )


def _byte_table() -> dict[int, str]:
    """Return the printable character for each byte, as byte-level BPE writes bytes (GPT-2's table)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [b for b in range(256) if b not in set(printable)]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}
