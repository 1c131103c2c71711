"""The tokenizer that the header of a GGUF file describes, as one of transformers'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from dunwu.errors import UserError
from dunwu.models.gguf.header import Header

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""What the type of a token in the header says of it."""
SPACE: Final = "\u2581"
"""How sentencepiece writes a space."""
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN, _LLAMA3 = _WORDS + r"\p{N}" + _REST, _WORDS + r"\p{N}{1,3}" + _REST
SPLITS: Final[Mapping[str, str | None]] = {
    "gpt-2": None,
    "smollm": None,
    "qwen2": _QWEN,
    "deepseek-r1-qwen": _QWEN,
    "llama-bpe": _LLAMA3,
}
"""How texts are cut before merges, by the name of a cut in the header, as the tokenizer.json of each model says; None:
as GPT-2 cuts. Behind another cut a vocabulary gives other tokens, numbers above all, so no other name is read."""
SINGLE_DIGITS: Final = ("smollm",)
"""Whose digits stand alone."""
COMPOSED: Final = ("qwen2", "deepseek-r1-qwen")
"""Whose texts are composed first (NFC)."""
WHOLE_WORDS: Final = ("llama-bpe",)
"""Whose words are one token where the vocabulary has them, whatever the merges say. They begin with BOS by default."""
SPECIAL: Final = {
    "bos_token": "tokenizer.ggml.bos_token_id",
    "eos_token": "tokenizer.ggml.eos_token_id",
    "unk_token": "tokenizer.ggml.unknown_token_id",
    "pad_token": "tokenizer.ggml.padding_token_id",
}


def build_tokenizer(header: Header) -> Any:
    """Build the tokenizer of the model in a GGUF file.

    Returns:
        A fast tokenizer of transformers, with special tokens and chat template.

    Raises:
        UserError: It is of a kind that is not read, or its parts do not fit together.
    """
    # Here, because it takes a second to import, and most who ask the cache need no new tokenizer.
    from transformers import PreTrainedTokenizerFast

    kind, tokens, types = header.metadata.get("tokenizer.ggml.model"), *_read_vocabulary(header)
    build = {"gpt2": _build_byte_level, "llama": _build_sentencepiece}.get(str(kind))
    if build is None:
        raise header.refuse(f"is {kind!r:.40}; gpt2 and llama are read", "tokenizer.ggml.model")
    special = {name: tokens[token_id] for name, token_id in _read_special(header, len(tokens)).items()}
    if "eos_token" not in special:
        raise header.refuse("is missing: completions could never end", SPECIAL["eos_token"])
    try:
        core = build(header, tokens, types, special.get("unk_token"))
    except UserError:
        raise
    except Exception as error:  # the tokenizers library raises plain Exceptions
        raise header.refuse(f"has a vocabulary that does not fit its merges: {error!s:.100}") from error
    _add_whole(core, tokens, types)
    _add_ends(header, core, special)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, clean_up_tokenization_spaces=False, **special)
    tokenizer.chat_template = header.chat_template
    return tokenizer


def list_ends(header: Header) -> list[int]:
    """List the tokens that end an answer: EOS, and where it is another one the end of a turn."""
    keys = ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id")
    return list(dict.fromkeys(header.integer(key) for key in keys if key in header.metadata))


def _read_vocabulary(header: Header) -> tuple[list[str], list[int]]:
    """Read each token with its type."""
    tokens = _read_list(header, "tokenizer.ggml.tokens", str)
    types = [NORMAL] * len(tokens)
    if "tokenizer.ggml.token_type" in header.metadata:
        types = _read_list(header, "tokenizer.ggml.token_type", int)
    if len(types) != len(tokens):
        raise header.refuse(f"has {len(types):,} entries for {len(tokens):,} tokens", "tokenizer.ggml.token_type")
    return tokens, types


def _read_list(header: Header, key: str, kind: type[Any]) -> list[Any]:
    found = header.metadata.get(key)
    if not isinstance(found, list) or not all(isinstance(entry, kind) for entry in found):
        raise header.refuse("is missing" if found is None else f"is no list of {kind.__name__}", key)
    return found


def _read_special(header: Header, count: int) -> dict[str, int]:
    """Read the special tokens that the file names."""
    found = {name: header.integer(key) for name, key in SPECIAL.items() if key in header.metadata}
    for name, token_id in found.items():
        if token_id >= count:
            raise header.refuse(f"is {token_id}, no token of the {count:,} that there are", SPECIAL[name])
    return found


def _build_byte_level(header: Header, tokens: Sequence[str], types: Sequence[int], unknown: str | None) -> Tokenizer:
    """Build byte-level BPE, as GPT-2 and nearly all models since have it."""
    cut = header.metadata.get("tokenizer.ggml.pre")
    if not isinstance(cut, str) or cut not in SPLITS:
        text = f"is {cut!r:.40}; tokenizers that cut texts like {', '.join(SPLITS)} are read"
        raise header.refuse(text, "tokenizer.ggml.pre")
    merges = [tuple(merge.split(" ")) for merge in _read_list(header, "tokenizer.ggml.merges", str)]
    vocabulary = {token: index for index, token in enumerate(tokens) if types[index] != UNUSED}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=cut in WHOLE_WORDS))
    if cut in COMPOSED:
        core.normalizer = normalizers.NFC()
    split = SPLITS[cut]
    steps: list[Any] = [pre_tokenizers.Digits(individual_digits=True)] if cut in SINGLE_DIGITS else []
    steps += [pre_tokenizers.Split(Regex(split), "isolated")] if split else []
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=split is None))
    core.pre_tokenizer = pre_tokenizers.Sequence(steps)
    core.decoder = decoders.ByteLevel()
    return core


def _build_sentencepiece(header: Header, tokens: Sequence[str], types: Sequence[int], unknown: str | None) -> Tokenizer:
    """Build sentencepiece's BPE, as Llama 1 and 2 have it: spaces are letters, and unknown characters are bytes."""
    scores = [float(score) for score in _read_list(header, "tokenizer.ggml.scores", float)]
    if len(scores) != len(tokens):
        raise header.refuse(f"has {len(scores):,} entries for {len(tokens):,} tokens", "tokenizer.ggml.scores")
    vocabulary = {token: index for index, token in enumerate(tokens) if types[index] != UNUSED}
    pieces = {token: index for token, index in vocabulary.items() if types[index] in (NORMAL, USER_DEFINED)}
    model = models.BPE(
        vocab=vocabulary,
        merges=_derive_merges(pieces, scores),
        unk_token=unknown,
        fuse_unk=True,
        byte_fallback=BYTE in types,
    )
    core = Tokenizer(model)
    spaced = bool(header.metadata.get("tokenizer.ggml.add_space_prefix", True))
    core.normalizer = normalizers.Sequence(
        [*([normalizers.Prepend(SPACE)] if spaced else []), normalizers.Replace(" ", SPACE)]
    )
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    core.decoder = decoders.Sequence([*steps, *([decoders.Strip(" ", 1, 0)] if spaced else [])])
    return core


def _derive_merges(pieces: Mapping[str, int], scores: Sequence[float]) -> list[tuple[str, str]]:
    """Derive the merges that a vocabulary with scores implies: sentencepiece joins what makes the best piece first."""
    found = []
    for piece, index in pieces.items():
        halves = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        known = [(left, right) for left, right in halves if left in pieces and right in pieces]
        known.sort(key=lambda pair: (pieces[pair[0]], pieces[pair[1]]))
        found += [(scores[index], left, right) for left, right in known]
    found.sort(key=lambda entry: -entry[0])
    return [(left, right) for _, left, right in found]


def _add_whole(core: Tokenizer, tokens: Sequence[str], types: Sequence[int]) -> None:
    """Have tokens that the file marks found whole in a text: those that control, and those that users defined."""
    core.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            for token, kind in zip(tokens, types, strict=True)
            if kind in (CONTROL, UNKNOWN)
        ]
    )
    core.add_tokens(
        [
            AddedToken(token, special=False, normalized=False)
            for token, kind in zip(tokens, types, strict=True)
            if kind == USER_DEFINED and SPACE not in token
        ]
    )


def _add_ends(header: Header, core: Tokenizer, special: Mapping[str, str]) -> None:
    """Put BOS before a text, and EOS after it, where the file says so or where models of its kind have it."""
    begins_by_default = (
        header.metadata["tokenizer.ggml.model"] == "llama" or header.metadata.get("tokenizer.ggml.pre") in WHOLE_WORDS
    )
    begins = bool(header.metadata.get("tokenizer.ggml.add_bos_token", begins_by_default)) and "bos_token" in special
    ends = bool(header.metadata.get("tokenizer.ggml.add_eos_token", False))
    names = [*(["bos_token"] if begins else []), *(["eos_token"] if ends else [])]
    if names:
        core.post_processor = processors.TemplateProcessing(
            single=[*(["bos_token"] if begins else []), "$A", *(["eos_token"] if ends else [])],
            pair=None,
            special_tokens=[
                {"id": name, "ids": [header.integer(SPECIAL[name])], "tokens": [special[name]]} for name in names
            ],
        )
