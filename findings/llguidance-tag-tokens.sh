#!/usr/bin/env bash
# llguidance 1.9.1 with tokenizers 0.23.3: a mask lets a token come that is refused when it has come.
#
# Guess before running: a token of compute_bitmask() or compute_ff_tokens() can be consumed; and an added token with
# special=False is a token like any other.
# Seen: where a grammar's literal is the text of a special token, mask and fast-forward name that token, and
# consume_token() then fails: "doesn't satisfy the grammar". Spelled in smaller tokens the same text passes. And an added
# token that looks like a tag, <tag> or <|tag|>, counts as special whatever its flag says; [tag] does not.
# So a choice of "<tag>" ends every answer with an error, because fast-forward and a mask of one token leave no other way.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "llguidance==1.9.1" "tokenizers==0.23.3"
"$folder/venv/bin/python" - <<'PY'
import re
from importlib.metadata import version

from llguidance import LLMatcher, LLTokenizer
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers


def look(tag, special):
    letters = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE({**letters, "<eos>": len(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<eos>", special=True)])
    tokenizer.add_tokens([AddedToken(tag, special=special, normalized=False)])
    number, size = tokenizer.token_to_id(tag), tokenizer.get_vocab_size()
    known = LLTokenizer(tokenizer.to_str(), n_vocab=size, eos_token=tokenizer.token_to_id("<eos>"))
    matcher = LLMatcher(known, LLMatcher.grammar_from_regex(re.escape(tag)), log_level=0)
    allowed = bool(matcher.compute_bitmask()[number // 8] >> number % 8 & 1)
    forced = matcher.deep_copy().compute_ff_tokens() == [number]
    whole, spelled = matcher.deep_copy(), matcher.deep_copy()
    taken = whole.consume_token(number)
    letters_taken = all(spelled.consume_token(tokenizer.token_to_id(letter)) for letter in tag)
    print(f"{tag:8} special={special!s:5} -> special to llguidance: {known.is_special_token(number)!s:5}", end="  ")
    print(f"in the mask: {allowed}  fast-forward: {forced}  consumed: {taken!s:5}  spelled: {letters_taken}")
    if not taken:
        print(f"         {whole.get_error().splitlines()[0]}")
    return known.is_special_token(number), allowed, forced, taken, letters_taken


print("llguidance", version("llguidance"), "tokenizers", version("tokenizers"))
for tag in ("<tag>", "<|tag|>", "[tag]", "tag"):
    for special in (True, False):
        strange = special or tag.startswith("<")
        assert look(tag, special) == (strange, True, True, not strange, True), "the behaviour has changed"
PY
