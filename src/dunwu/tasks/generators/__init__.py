"""The families of generated problems, one file each; Countdown, which the nano base is made for, is one level up."""

from dunwu.tasks.generators.arithmetic import ARITHMETIC
from dunwu.tasks.generators.bases import BASES
from dunwu.tasks.generators.ciphers import CIPHERS
from dunwu.tasks.generators.countdown import COUNTDOWN
from dunwu.tasks.generators.divisors import DIVISORS
from dunwu.tasks.generators.equations import EQUATIONS
from dunwu.tasks.generators.functions import FUNCTIONS
from dunwu.tasks.generators.game24 import GAME24
from dunwu.tasks.generators.knights import KNIGHTS
from dunwu.tasks.generators.ordering import ORDERING
from dunwu.tasks.generators.probability import PROBABILITY
from dunwu.tasks.generators.ranking import RANKING
from dunwu.tasks.generators.zebra import ZEBRA

FAMILIES = (
    COUNTDOWN,
    GAME24,
    ARITHMETIC,
    EQUATIONS,
    DIVISORS,
    BASES,
    ORDERING,
    KNIGHTS,
    ZEBRA,
    CIPHERS,
    PROBABILITY,
    RANKING,
    FUNCTIONS,
)

__all__ = ["FAMILIES"]
