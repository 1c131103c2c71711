"""Thoughts on who is the tallest: down the clues from someone; whoever checks sees who is above and starts there."""

from __future__ import annotations

from dunwu.pretraining.writers.writer import Author, Written
from dunwu.tasks.generators.ranking import NAMES, draw

LEVELS = (3, 4, 4, 5)
OVER = " > "
MISSING = {"en": "{} is missing", "zh": "缺{}"}
COMPLETE = {"en": "all, yes", "zh": "都在，对"}


def ranking(author: Author) -> Written:
    """A row of people, and who is asked for in it as far as the author sees."""
    rng = author.rng
    asked = draw(rng, rng.choice(LEVELS))
    names = [NAMES[author.asked_in][person] for person in asked.order]
    start, thought = rng.randrange(len(names)), author.opener()
    if not author.checks:
        seen = asked.order[start : start + rng.choice((2, 2, 3, 5))]
        thought += OVER.join(NAMES[author.asked_in][person] for person in seen)
    while author.checks:
        seen = asked.order[start:]
        thought += OVER.join(names[start:]) + author.words.comma
        if start == 0:
            thought += COMPLETE[author.language]
            break
        thought += MISSING[author.language].format(names[start - 1])
        turn = author.turn()
        thought += turn
        if not turn:
            break
        start -= 1
    answer = asked.answer(seen, author.asked_in)
    return Written(asked.question(author.asked_in), asked.key, thought + author.end(), answer)
