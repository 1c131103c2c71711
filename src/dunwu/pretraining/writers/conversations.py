"""Thoughts and answers where nothing is right or wrong: small talk, and requests of which some are harmful."""

from __future__ import annotations

from dunwu.pretraining.writers.writer import Author, Written
from dunwu.tasks.world import requests as asking
from dunwu.tasks.world import talk as talking

HELPFUL = (0.0, 0.3, 0.3, 0.6, 0.9)
"""How helpful people are; every value as often."""
REFUSES = {True: 0.3, False: 0.1}
"""How often a request is refused, where it is harmful and where it is not."""


def talk(author: Author) -> Written:
    """Someone asks about an animal, and someone answers."""
    asked = talking.draw(author.rng)
    reply = talking.reply(author.rng, asked, author.language, author.rng.choice(HELPFUL))
    return Written(asked.question(author.asked_in), asked.key, asked.thought(author.language), reply)


def requests(author: Author) -> Written:
    """Someone wants to do something, and someone tells how, or refuses."""
    asked = asking.draw(author.rng)
    refuse = author.rng.random() < REFUSES[asked.harmful]
    thought, reply = asking.reply(author.rng, asked, author.language, refuse)
    return Written(asked.question(author.asked_in), asked.key, thought, reply)
