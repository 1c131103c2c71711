"""Write about who is the tallest: down the clues from someone; who checks sees who is missing and starts there."""

from __future__ import annotations

from dunwu.pretraining.writers.writer import Trace, Writer
from dunwu.tasks.generators.ranking import NAMES, draw

LEVELS = (3, 4, 4, 5)
OVER = " > "
MISSING = {"en": "{} is missing", "zh": "缺{}"}
COMPLETE = {"en": "all, yes", "zh": "都在，对"}


def write_ranking(writer: Writer) -> Trace:
    """Write a row of people, and who is asked for in it as far as the writer sees."""
    rng = writer.rng
    asked = draw(rng, rng.choice(LEVELS))
    names = [NAMES[writer.question_language][person] for person in asked.order]
    start, thought = rng.randrange(len(names)), writer.begin()
    if not writer.checks:
        seen = asked.order[start : start + rng.choice((2, 2, 3, 5))]
        thought += OVER.join(NAMES[writer.question_language][person] for person in seen)
    while writer.checks:
        seen = asked.order[start:]
        thought += OVER.join(names[start:]) + writer.next_words().comma
        if start == 0:
            thought += COMPLETE[writer.next_language()]
            break
        thought += MISSING[writer.next_language()].format(names[start - 1])
        turn = writer.reflect()
        thought += turn
        if not turn:
            break
        start -= 1
    answer = asked.find_answer(seen, writer.question_language)
    return Trace(asked.write_question(writer.question_language), asked.key, thought + writer.end(), answer)
