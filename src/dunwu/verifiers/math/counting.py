"""English phrases behind a number that leave it what it is: 3 bolts, 36 ordered pairs, 36 apples in total.

A word behind a number may change it (5 doubled, 5 or so, 12 pairs), and no list of such words is ever complete. So a
phrase is free only where it has the form of what is counted: up to two describing words, then a plural. No word of
``NUMBER_CHANGERS`` may stand in it, and what belongs to no such form (5 doubled, 5 short) stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dunwu.verifiers.math.numerals import UNITS_AND_TENS
from dunwu.verifiers.math.tokens import Token

NUMBER_CHANGERS = frozenset(
    """
    times fold twice thrice double doubles doubled triple triples tripled quadruple quadrupled half halves halved
    hundred hundreds thousand thousands million millions billion billions trillion trillions dozen dozens score scores
    gross couple couples decade decades century centuries percent percents percentage percentages thirds quarters
    fourths fifths sixths sevenths eighths ninths tenths hundredths thousandths squared squares cubed cubes powers
    factorial more less fewer greater larger bigger smaller least most above below over under beyond plus minus extra
    additional than nearly almost about approximately around roughly circa some odd something ish not non never without
    except nor neither wrong wrongs error incorrect false per every each mod modulo base remainder remainders through
    between up down
    until since before after ago later earlier early late past next previous short off divided multiplied added
    subtracted increased decreased reduced raised by among into with for from out at and but or if when as like
    that which who whose where is are was were be been has have had does do did can could would will should may might
    twos threes fours fives sixes sevens eights nines tens twenties thirties ones zeroth first second third fourth
    fifth sixth seventh eighth ninth tenth basis twins triplets quadruplets trios duos quartets unity
    ratio ratios logs roots lakh lakhs crore crores myriad myriads googol googols elevens twelves teens always sometimes
    perhaps alas afterwards besides fails misses exceeds differs rejects rejected reject inverses inverse reciprocals
    reciprocal opposites opposite negatives negative invalid extraneous fake impossible nothing none other others
    """.split()  # noqa: SIM905  -- a page of words, not of quotes
)
"""Words that may make another number of a phrase, in any place of it, or say that it is none."""
AMBIGUOUS_PLURALS = frozenset(
    {"pairs", "sets", "groups", "points", "degrees", "sums", "differences", "products", "means", "cents"}
)
"""Plurals that count several things each, or measure; with a describing word (ordered pairs) they are counted."""
NO_PLURAL = re.compile("(?:ss|us|is|[dfntx]ths|ghths|illions|wards)$")
ENDINGS = ("in total", "in all", "total", "altogether", "overall", "left", "remaining", "each", "left over")
DETERMINERS = ("the", "a", "an", "his", "her", "their", "its", "all", "these", "those", "them", "our", "my", "your")
MOST_DESCRIBING = 2
LONGEST_OF = 4
"""Words behind "of"."""


def counts(words: Sequence[str]) -> bool:
    """Return whether words behind a number say what is counted, and nothing else.

    Args:
        words: In lower case.
    """
    if any(
        word in NUMBER_CHANGERS or word in UNITS_AND_TENS or not word.isalpha() or not word.isascii() for word in words
    ):
        return False
    *describing, noun = words
    if len(describing) > MOST_DESCRIBING or any(len(word) < 3 or word.endswith("ly") for word in describing):
        return False
    plural = len(noun) > 3 and noun.endswith("s") and not NO_PLURAL.search(noun)
    return plural and (bool(describing) or noun not in AMBIGUOUS_PLURALS)


def split_ending(tokens: Sequence[Token]) -> tuple[list[Token], str]:
    """Return tokens without "in total", "left" and the like behind them, or "of the pizza", and what it is made of."""
    spoken = [token.text.lower() if token.kind == "word" else "" for token in tokens]
    for ending in ENDINGS:
        words = ending.split()
        if len(tokens) > len(words) and spoken[-len(words) :] == words:
            return list(tokens[: -len(words)]), ""
    if "of" in spoken[1:-1]:
        place = spoken.index("of", 1)
        whole = [word for word in spoken[place + 1 :] if word not in DETERMINERS]
        if len(spoken) - place - 1 <= LONGEST_OF and not any(map(_changes_number, whole)):
            return list(tokens[:place]), " ".join(whole)
    return list(tokens), ""


def _changes_number(word: str) -> bool:
    return len(word) < 3 or word in NUMBER_CHANGERS or word in UNITS_AND_TENS
