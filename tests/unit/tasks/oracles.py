"""Answers worked out from the wording alone, by brute force, in English and Chinese: what a careful reader would do.

Nothing here uses the generators. Each oracle takes the question and gives every fact that it read together with the
answer, so that two wordings of one problem can be compared.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import combinations, permutations, product
from typing import Any

Reading = tuple[Any, str]
"""What is asked, in a form that is the same in every language, and the answer."""
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def integers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"-?\d+", text)]


def arithmetic(question: str) -> Reading:
    text = re.split(r"Compute |计算：", question)[1].rstrip(".。").replace("×", "*").replace("÷", "/")
    assert re.fullmatch(r"[-+*/() 0-9]+", text)
    return text, str(eval(re.sub(r"\d+", r"Fraction(\g<0>)", text), {"Fraction": Fraction}))


def equations(question: str) -> Reading:
    sides = [side.split("=") for side in re.findall(r"[-+0-9xy ]+=[-+0-9xy ]+", question)]
    unknowns = "xy" if len(sides) == 2 else "x"

    def gap(side: list[str], **values: int) -> int:
        left, right = side
        code = re.sub(r"(\d)([xy])", r"\1*\2", f"{left.strip()}-({right.strip()})")
        return int(eval(code, {"x": 0, "y": 0, **values}))

    rows = [[gap(side, **{name: 1}) - gap(side) for name in unknowns] for side in sides]
    constants = [-gap(side) for side in sides]
    facts = tuple(sorted("=".join(side).replace(" ", "") for side in sides))
    if len(sides) == 1:
        return facts, str(Fraction(constants[0], rows[0][0]))
    (a, b), (c, d) = rows
    e, f = constants
    return facts, f"({Fraction(e * d - b * f, a * d - b * c)}, {Fraction(a * f - e * c, a * d - b * c)})"


def divisors(question: str) -> Reading:
    numbers = integers(question)
    if "greatest" in question or "公约数" in question:
        answer = max(d for d in range(1, min(numbers) + 1) if all(n % d == 0 for n in numbers))
    else:
        answer = next(m for m in range(max(numbers), 10**8, max(numbers)) if all(m % n == 0 for n in numbers))
    return ("gcd" if answer <= min(numbers) else "lcm", tuple(sorted(numbers))), str(answer)


def bases(question: str) -> Reading:
    match = re.search(r"base-(\d+) number (\w+) in base (\d+)", question) or re.search(
        r"把(\d+)进制数([0-9A-F]+)写成(\d+)进制", question
    )
    assert match
    source, shown, goal = int(match[1]), match[2], int(match[3])
    value, text = int(shown, source), ""
    power = goal ** int(math.log(value, goal) + 1)
    while power:
        digit, value = divmod(value, power)
        text += "0123456789ABCDEF"[digit]
        power //= goal
    return (source, shown, goal), text.lstrip("0")


def ordering(question: str) -> Reading:
    numbers = re.findall(r"-?\d+(?:\.\d+|/\d+)?", question)
    rising = [a for _, a in sorted((Fraction(n), n) for n in numbers)]
    if "second smallest" in question or "第二小" in question:
        return ("second", tuple(rising)), rising[1]
    if "is the largest" in question or "最大" in question:
        return ("largest", tuple(rising)), rising[-1]
    falling = "largest to smallest" in question or "从大到小" in question
    return (falling, tuple(rising)), ", ".join(rising[::-1] if falling else rising)


def game24(question: str) -> Reading:
    numbers = tuple(sorted(integers(re.sub(r"24 game|24点|make 24|得到24", "", question))))
    assert len(numbers) == 4
    return numbers, str(24 in values(tuple(map(Fraction, numbers))))


@lru_cache(maxsize=100_000)
def values(numbers: tuple[Fraction, ...]) -> frozenset[Fraction]:
    """Everything that + - * / make of all the numbers, through fractions and negatives too."""
    if len(numbers) == 1:
        return frozenset(numbers)
    found: set[Fraction] = set()
    for size in range(1, len(numbers)):
        for chosen in combinations(range(len(numbers)), size):
            left = tuple(numbers[i] for i in chosen)
            right = tuple(numbers[i] for i in range(len(numbers)) if i not in chosen)
            for a, b in product(values(left), values(right)):
                found |= {a + b, a - b, a * b} | ({a / b} if b else set())
    return frozenset(found)


def knights(question: str) -> Reading:
    said = re.findall(r'(\w+) says: "(.+?)\."', question) or re.findall(r"(.)说：“(.+?)。”", question)
    names = [name for name, _ in said]
    right = []
    for kinds in product((True, False), repeat=len(names)):
        cast = dict(zip(names, kinds, strict=True))
        if all(claim_holds(claim, cast) == cast[name] for name, claim in said):
            right.append(", ".join(name for name in names if cast[name]))
    assert len(right) == 1
    neutral = [re.sub("[甲乙丙丁戊己]", lambda found: english(found[0]), claim) for _, claim in said]
    return tuple(map(skeleton, neutral)), right[0]


def english(name: str) -> str:
    return dict(zip("甲乙丙丁戊己", ("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn"), strict=True))[name]


def skeleton(claim: str) -> str:
    """Names, kinds and the form of a claim."""
    forms = "same|different|不是同一种|同一种| or |或者| and |而且|Exactly|恰好"
    tokens = re.findall(rf"[A-Z][a-z]+|knight|knave|骑士|无赖|\d|{forms}", claim)
    words = {
        "骑士": "knight",
        "无赖": "knave",
        "同一种": "same",
        "不是同一种": "different",
        "或者": "or",
        "而且": "and",
    }
    plain = [words.get(token, token.strip()) for token in tokens if token not in ("Exactly", "恰好")]
    of_kind = "same" in plain or "different" in plain
    counted = any(token.isdigit() for token in plain)
    return " ".join(t for t in plain if not (of_kind and t == "and") and not (counted and t == "knight"))


def claim_holds(claim: str, cast: dict[str, bool]) -> bool:
    if match := re.search(r"Exactly (\d)|恰好有(\d)个", claim):
        return sum(cast.values()) == int(match[1] or match[2])
    people = re.findall(r"[A-Z][a-z]+|[甲乙丙丁戊己]", claim)
    if "kind" in claim or "同一种" in claim:
        return (cast[people[0]] != cast[people[1]]) == ("different" in claim or "不是" in claim)
    kinds = [kind in ("knight", "骑士") for kind in re.findall("knight|knave|骑士|无赖", claim)]
    parts = [cast[person] == kind for person, kind in zip(people, kinds, strict=True)]
    return any(parts) if " or " in claim or "或者" in claim else all(parts)


ZEBRA_CLUES = {
    "at": r"(?P<a>{item}) lives in house (?P<n>\d)|(?P<a2>{item})住(?P<n2>\d)号房",
    "same": r"(?P<a>{item}) is (?P<b>{item})|(?P<a2>{item})就是(?P<b2>{item})",
    "left": r"(?P<a>{item}) lives directly to the left of (?P<b>{item})|"
    r"(?P<a2>{item})住在(?P<b2>{item})左边紧邻的房子里",
    "beside": r"(?P<a>{item}) lives next to (?P<b>{item})|(?P<a2>{item})和(?P<b2>{item})住在相邻的房子里",
}
ITEM = r"(?:[Tt]he owner of the |[Tt]he drinker of |养|喝)?(?:[A-Za-z]+|.{1,2}?)(?:的人)?"


def zebra(question: str) -> Reading:
    listing, *clues, asked = [part for part in re.split(r"(?<=[.。])\s*", question)[1:] if part]
    rows = [re.split(r", |、", re.split(r": |：", row)[1]) for row in re.split(r"; |；", listing.rstrip(".。"))]
    read = [read_clue(clue.rstrip(".。")) for clue in clues]
    row = rows[
        next(i for i, words in enumerate(("people|出人", "pets|宠物", "drinks|饮料")) if re.search(words, asked))
    ]
    found = [houses for houses in arrangements(rows) if all(fits(clue, houses) for clue in read)]
    assert len(found) == 1
    for spared in range(len(read)):
        rest = read[:spared] + read[spared + 1 :]
        assert sum(all(fits(clue, houses) for clue in rest) for houses in arrangements(rows)) > 1
    number = {name: (c, i) for c, names in enumerate(rows) for i, name in enumerate(names)}
    facts = tuple(sorted((form, str(number[a]), str(number.get(str(b), b))) for form, a, b in read))
    return (len(row), len(rows), facts), ", ".join(sorted(row, key=lambda name: found[0][name]))


def read_clue(clue: str) -> tuple[str, str, str | int]:
    for form, pattern in ZEBRA_CLUES.items():
        if match := re.fullmatch(pattern.replace("{item}", ITEM), clue):
            groups = {name[0]: bare(text) for name, text in match.groupdict().items() if text}
            return form, groups["a"], int(groups["n"]) if form == "at" else groups["b"]
    raise AssertionError(f"cannot be read: {clue}")


def bare(phrase: str) -> str:
    return re.sub(r"^([Tt]he owner of the |[Tt]he drinker of |养|喝)|的人$", "", phrase)


def arrangements(rows: list[list[str]]) -> Iterator[dict[str, int]]:
    for orders in product(*(permutations(row) for row in rows)):
        yield {name: house for order in orders for house, name in enumerate(order, start=1)}


def fits(clue: tuple[str, str, str | int], houses: dict[str, int]) -> bool:
    form, first, second = clue
    here, there = houses[first], second if isinstance(second, int) else houses[second]
    return {"at": here == there, "same": here == there, "left": here == there - 1, "beside": abs(here - there) == 1}[
        form
    ]


def ciphers(question: str) -> Reading:
    words = re.findall(r"\b[A-Z]{2,}\b|[A-Z]{2,}", question)
    shift = integers(question)
    if shift:
        cipher, key = words, ALPHABET[shift[0] :] + ALPHABET[: shift[0]]
    elif "Atbash" in question or "埃特巴什" in question:
        cipher, key = words, ALPHABET[::-1]
    elif words[0] == ALPHABET:
        key, cipher = words[1], words[2:]
    else:
        moved = (ord(words[1][0]) - ord(words[0][0])) % 26
        cipher, key = words[2:], ALPHABET[moved:] + ALPHABET[:moved]
    message = " ".join("".join(ALPHABET[key.index(letter)] for letter in word) for word in cipher)
    return (key, message), message


def probability(question: str) -> Reading:
    numbers = integers(question)
    if len(numbers) == 3:
        color = re.search(r"is it (\w+)|取到(.)球", question)
        assert color
        name = {"红": "red", "蓝": "blue", "绿": "green"}.get(color[2], color[1])
        bag = [c for c, n in zip(("red", "blue", "green"), numbers, strict=True) for _ in range(n)]
        return ("bag", *numbers, name), str(Fraction(bag.count(name), len(bag)))
    if len(numbers) == 5:
        _, a, _, b, wanted = numbers
        least = "at least" in question or "至少" in question
        sums = [x + y for x in range(1, a + 1) for y in range(1, b + 1)]
        return ("dice", a, b, least, wanted), str(
            Fraction(sum(s >= wanted if least else s == wanted for s in sums), len(sums))
        )
    red, blue, drawn, wanted = numbers
    draws = list(combinations([1] * red + [0] * blue, drawn))
    return ("urn", *numbers), str(Fraction(sum(sum(draw) == wanted for draw in draws), len(draws)))


def premise(question: str) -> Reading:
    claim, asked = re.split(r"(?:，|, what is )(?=[^，,]*(?:\?|等于多少))", question, maxsplit=1)
    claims = re.split(r" and |，而且", re.sub(r"^(?:Since|Given that|If|因为|已知|如果) ?", "", claim))
    asked = re.split(r"\?|等于多少", asked)[0]
    facts = tuple(map(neutral, claims))
    refusal = "refuse" if "refuse" in question else "前提错误"
    return (facts, asked), str(eval(asked.replace("×", "*"))) if all(map(claim_is_true, facts)) else refusal


def neutral(claim: str) -> str:
    """A claim in English words."""
    for pattern, english in (
        (r"(\d+)是偶数", r"\1 is even"),
        (r"(\d+)是奇数", r"\1 is odd"),
        (r"(\d+)是质数", r"\1 is prime"),
        (r"(\d+)能被(\d+)整除", r"\1 is divisible by \2"),
    ):
        claim = re.sub(pattern, english, claim)
    return claim


def claim_is_true(claim: str) -> bool:
    first, *others = integers(claim)
    if "divisible" in claim:
        return first in range(0, first + 1, others[0])
    if "prime" in claim:
        return [d for d in range(1, first + 1) if first % d == 0] == [1, first]
    if "even" in claim or "odd" in claim:
        return (claim.split()[0][-1] in "02468") == ("even" in claim)
    return bool(eval(claim.replace("×", "*").replace(" = ", " == ")))


def ranking(question: str) -> Reading:
    names = "Ann Bob Cleo Dan Eve Finn 甲 乙 丙 丁 戊 己".split()  # noqa: SIM905  -- names
    number = {name: place % 6 for place, name in enumerate(names)}
    told = re.findall(r"(\w+) is (taller|shorter) than (\w+)\.|(\w)比(\w)(高|矮)。", question)
    above = set()
    for first, english, second, one, other, chinese in told:
        pair = (number[first or one], number[second or other])
        above.add(pair if (english or chinese) in ("taller", "高") else pair[::-1])
    people = sorted({person for pair in above for person in pair})
    (order,) = (o for o in permutations(people) if all(o.index(a) < o.index(b) for a, b in above))
    place = (
        1 if "second" in question or "第二" in question else 0 if "tallest" in question or "最高" in question else -1
    )
    name = names[order[place] + 6 * ("比" in question)]
    return (order, place), name


def functions(question: str) -> Reading:
    shown = [(int(x), int(y)) for x, y in re.findall(r"f\((\d+)\)=(\d+)", question)]
    lines = [(f"{a}*x+{b}", lambda x, a=a, b=b: a * x + b) for a in range(2, 10) for b in range(21)]
    squares = [(f"x*x+{b}", lambda x, b=b: x * x + b) for b in range(21)]
    (body,) = (body for body, f in lines + squares if all(f(x) == y for x, y in shown))
    return tuple(shown), f"def f(x): return {body}"


ORACLES: dict[str, Callable[[str], Reading]] = {
    "game24": game24,
    "addition": arithmetic,
    "arithmetic": arithmetic,
    "equations": equations,
    "divisors": divisors,
    "bases": bases,
    "ordering": ordering,
    "knights": knights,
    "zebra": zebra,
    "ciphers": ciphers,
    "probability": probability,
    "premise": premise,
    "ranking": ranking,
    "functions": functions,
}
