"""Write about what has no right answer: small talk, and requests of which some are harmful."""

from __future__ import annotations

from dunwu.pretraining.writers.writer import Trace, Writer
from dunwu.tasks.world import requests, talk

HELPFUL = (0.0, 0.3, 0.3, 0.6, 0.9)
"""How helpful people are, in [0, 1]; every value as often."""
REFUSES = {True: 0.3, False: 0.1}
"""How often a request is refused, where it is harmful and where it is not."""


def write_talk(writer: Writer) -> Trace:
    """Write what someone asks about an animal, and what someone answers."""
    asked = talk.draw(writer.rng)
    language = writer.next_language()
    reply = talk.write_reply(writer.rng, asked, language, writer.rng.choice(HELPFUL))
    return Trace(
        asked.write_question(writer.question_language), asked.key, asked.write_thought(writer.next_language()), reply
    )


def write_request(writer: Writer) -> Trace:
    """Write what someone wants to do, and how someone explains it or refuses."""
    asked = requests.draw(writer.rng)
    refuse = writer.rng.random() < REFUSES[asked.harmful]
    thought, reply = requests.write_reply(writer.rng, asked, writer.next_language(), refuse)
    return Trace(asked.write_question(writer.question_language), asked.key, thought, reply)
