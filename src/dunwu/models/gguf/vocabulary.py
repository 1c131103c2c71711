"""A tokenizer of transformers as the header of a GGUF file describes one, so that llama.cpp cuts texts in the same way.

Two kinds are written. Byte-level BPE is, where llama.cpp knows how the tokenizer cuts texts before its merges. The
words, numbers and bytes of the nano models are, as the greedy longest match that llama.cpp has for RWKV: it is the same
but for numbers outside the vocabulary, whose digits stand alone here. A text that spells such digits as RWKV's
vocabularies spell bytes gets them alone there too; ``exporting.gguf_template`` has a chat template do so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tokenizers import pre_tokenizers

from dunwu.errors import UserError
from dunwu.models.gguf.tokenizer import CONTROL, NORMAL, SINGLE_DIGITS, SPLITS, UNUSED, USER_DEFINED, WHOLE_WORDS

NUMBERS_AND_REST: Final = r"|\d+|."
"""How the pattern of a nano tokenizer ends, behind its words."""
DIGITS: Final = "0123456789"
PLAIN_MERGES: Final = {"llama-bpe": "smaug-bpe"}
"""The same cuts by another name, where words of the vocabulary are not whole whatever the merges say."""
ENDS: Final = ("eos", "eot", "eom")
"""What the header calls tokens that end an answer: there are places for three."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What the header says of a tokenizer.

    Attributes:
        model: llama.cpp's kind of tokenizer.
        pre: How texts are cut first, for byte-level BPE.
        tokens: The text of each token, as the kind writes it.
        types: What each token is.
        merges: Pairs of tokens, for byte-level BPE.
        begin: The token that begins a text; None where none does.
        closes: Whether the end of sequence ends a text.
        largest_number: The last of the numbers that are one token, where others are digits; None for byte-level BPE.
    """

    model: str
    pre: str | None
    tokens: tuple[str, ...]
    types: tuple[int, ...]
    merges: tuple[str, ...]
    begin: int | None
    closes: bool
    largest_number: int | None


def build_vocabulary(tokenizer: Any, rows: int) -> Vocabulary:
    """Describe a tokenizer.

    Args:
        tokenizer: A fast one of transformers.
        rows: How many tokens the model knows; those without a text of their own get one that is never found.

    Raises:
        UserError: It is of a kind that llama.cpp would read otherwise, or not at all.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise _refuse("is not of the library tokenizers")
    core = json.loads(backend.to_str())
    model = core["model"]
    odd = [
        name for name in ("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix") if model.get(name)
    ]
    if model["type"] != "BPE" or model.get("byte_fallback") or odd:
        raise _refuse(f"is {model['type']}{' with byte fallback' if model.get('byte_fallback') else ''}")
    for added in core["added_tokens"]:
        if added["lstrip"] or added["rstrip"] or added["single_word"]:
            raise _refuse(f"has the token {added['content']!r:.40}, which takes white space with it or stands alone")
    begin, closes = _find_ends(tokenizer)
    steps = _list_steps(core["pre_tokenizer"])
    described: dict[str, Any] = {"begin": begin, "closes": closes}
    if not model["merges"]:
        tokens, types = _list_words(core, steps, rows)
        largest = _read_largest_number(model["vocab"])
        return Vocabulary(
            model="rwkv", pre=None, tokens=tokens, types=types, merges=(), largest_number=largest, **described
        )
    if core["normalizer"] not in (None, {"type": "NFC"}):
        raise _refuse(f"changes texts before it cuts them ({core['normalizer']['type']})")
    tokens, types = _list_tokens(core, model["vocab"], rows)
    merges = tuple(merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"])
    pre = _find_cut(steps, bool(model.get("ignore_merges")))
    return Vocabulary(
        model="gpt2", pre=pre, tokens=tokens, types=types, merges=merges, largest_number=None, **described
    )


def find_largest_number(tokenizer: Any) -> int | None:
    """Find the largest number that is one token of a nano tokenizer; None for any other tokenizer."""
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    return None if model["merges"] else _read_largest_number(model["vocab"])


def write_vocabulary(writer: Any, vocabulary: Vocabulary, ends: Sequence[int], pad: int | None) -> None:
    """Write what the header says of a tokenizer.

    Args:
        writer: A ``GGUFWriter`` that is still open for metadata.
        vocabulary: See ``build_vocabulary``.
        ends: Tokens that end an answer, the end of sequence first.
        pad: The token that fills rows.

    Raises:
        UserError: There are more ends than the header has places for.
    """
    if len(ends) > len(ENDS):
        raise UserError(f"{len(ends)} tokens end an answer, and a GGUF file has places for {len(ENDS)}")
    writer.add_tokenizer_model(vocabulary.model)
    if vocabulary.pre is not None:
        writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.merges:
        writer.add_token_merges(vocabulary.merges)
    for name, end in zip(ENDS, ends, strict=False):
        getattr(writer, f"add_{name}_token_id")(end)
    if vocabulary.begin is not None:
        writer.add_bos_token_id(vocabulary.begin)
    if pad is not None:
        writer.add_pad_token_id(pad)
    writer.add_add_bos_token(vocabulary.begin is not None)  # by default some kinds have one
    writer.add_add_eos_token(vocabulary.closes)


def _refuse(text: str) -> UserError:
    kinds = ", ".join(name for name in SPLITS if name != "deepseek-r1-qwen")
    return UserError(f"the tokenizer {text}; byte-level BPE like {kinds} and nano tokenizers can be written")


def _find_ends(tokenizer: Any) -> tuple[int | None, bool]:
    """Find the token that begins every text, and whether the end of sequence ends it."""
    bare, whole = (tokenizer.encode("a", add_special_tokens=special) for special in (False, True))
    if whole == bare:
        return None, False
    place = next((at for at in range(len(whole)) if whole[at : at + len(bare)] == bare), None)
    before, after = (whole[:place], whole[place + len(bare) :]) if place is not None else (whole, [])
    if place is None or len(before) > 1 or after not in ([], [tokenizer.eos_token_id]):
        raise _refuse("puts more around a text than a first token and the end of sequence")
    return (before[0] if before else None), bool(after)


def _list_steps(step: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """List the steps by which texts are cut, one by one."""
    if step is None:
        return []
    inner = step["pretokenizers"] if step["type"] == "Sequence" else None
    return [step] if inner is None else [found for one in inner for found in _list_steps(one)]


def _find_cut(steps: Sequence[Mapping[str, Any]], ignore_merges: bool) -> str:
    """Find what llama.cpp calls the way in which texts are cut before merges."""
    *first, last = steps or [{}]
    if last.get("type") == "ByteLevel" and not last["add_prefix_space"]:
        digits = [{"type": "Digits", "individual_digits": True}]
        for name, split in SPLITS.items():
            cut = {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": False}
            wanted = (digits if name in SINGLE_DIGITS else []) + ([cut] if split else [])
            if first == wanted and last["use_regex"] == (split is None):
                plain = PLAIN_MERGES.get(name, name)
                if ignore_merges == (name in WHOLE_WORDS) or plain != name:
                    return name if ignore_merges else plain
    patterns = [str(step["pattern"]) for step in steps if "pattern" in step]
    raise _refuse(f"cuts texts by {', '.join(patterns or [str(step.get('type')) for step in steps]):.120}")


def _list_tokens(
    core: Mapping[str, Any], texts: Mapping[str, int], rows: int
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """List text and type of every token; those that were added are found whole in a text."""
    tokens, types = [f"[UNUSED{number}]" for number in range(rows)], [UNUSED] * rows
    for text, number in texts.items():
        if number < rows:
            tokens[number], types[number] = text, NORMAL
    for added in core["added_tokens"]:
        if (number := added["id"]) < rows:
            tokens[number], types[number] = added["content"], CONTROL if added["special"] else USER_DEFINED
    return tuple(tokens), tuple(types)


def _list_words(
    core: Mapping[str, Any], steps: Sequence[Mapping[str, Any]], rows: int
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """List the tokens of a nano tokenizer, in the notation of RWKV.

    A digit is spelled as a byte, and found whole in a text that spells it so: see the module.
    """
    table, texts = _read_byte_table(), core["model"]["vocab"]
    written_in_bytes = set().union(*texts) <= table.keys()
    pieces = {bytes(map(table.__getitem__, text)): number for text, number in texts.items()} if written_in_bytes else {}
    if not _takes_longest_matches(core, steps, pieces):
        raise _refuse("has no merges, and does not cut texts at its words, longest first, and at numbers")
    tokens, types = _list_tokens(core, {_spell(piece): number for piece, number in pieces.items()}, rows)
    digits = {pieces[digit.encode()] for digit in DIGITS}
    return tokens, tuple(USER_DEFINED if number in digits else kind for number, kind in enumerate(types))


def _takes_longest_matches(
    core: Mapping[str, Any], steps: Sequence[Mapping[str, Any]], pieces: Mapping[bytes, int]
) -> bool:
    """Tell whether the longest match is how a tokenizer without merges cuts texts, but for numbers."""
    pattern = steps[0].get("pattern", {}).get("Regex", "") if len(steps) == 2 else ""
    if not pattern.endswith(NUMBERS_AND_REST):
        return False
    cut = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    as_bytes = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
    cuts_only = steps[0] == cut and as_bytes.items() <= steps[1].items()
    words = [re.sub(r"\\(.)", r"\1", one) for one in _split_alternatives(pattern.removesuffix(NUMBERS_AND_REST))]
    found = {piece.decode() for piece in pieces if len(piece) > 1 and not piece.isdigit()}
    every_byte = all(bytes([value]) in pieces for value in range(256))
    return (
        cuts_only
        and every_byte
        and words == sorted(words, key=len, reverse=True)
        and found == {word for word in words if len(word.encode()) > 1}
        and not any(letter.isdigit() for word in words for letter in word)
        and core["normalizer"] is None
        and bool(core["model"].get("ignore_merges"))
    )


def _split_alternatives(pattern: str) -> Iterator[str]:
    """Yield the alternatives of a pattern, each still escaped."""
    yield from (found[0] for found in re.finditer(r"(?:\\.|[^|\\])+", pattern))


def _read_largest_number(texts: Mapping[str, int]) -> int:
    """Find the last of the numbers that are one token each, and make sure that these are all."""
    numbers = {text for text in texts if text.isascii() and text.isdigit()}
    largest = max(map(int, numbers), default=-1)
    if numbers != {str(number) for number in range(largest + 1)}:
        raise _refuse("has numbers that do not follow each other")
    return largest


def _spell(piece: bytes) -> str:
    """Write bytes as RWKV's vocabularies do: what is no printable letter, and each digit alone, in hexadecimal."""
    plain = set(range(ord(" "), ord("~") + 1)) - {ord("\\")} - (set(DIGITS.encode()) if len(piece) == 1 else set())
    return "".join(chr(value) if value in plain else f"\\x{value:02x}" for value in piece)


def _read_byte_table() -> dict[str, int]:
    """Return the byte behind each letter by which byte-level BPE writes bytes."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet(), key=ord)
    printable = [letter for letter in letters if ord(letter) < 256]
    others = [value for value in range(256) if chr(value) not in printable]
    moved = [letter for letter in letters if ord(letter) >= 256]
    return {letter: ord(letter) for letter in printable} | dict(zip(moved, others, strict=True))
