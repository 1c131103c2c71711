"""Dates and times of the day, in English and Chinese and by digits."""

from __future__ import annotations

import re

from dunwu.verifiers.math.numerals import read_numeral
from dunwu.verifiers.math.records import Date, Ratio, Time
from dunwu.verifiers.math.tree import Number

MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
MONTH = "|".join(f"{name}|{name[:3]}\\.?" for name in MONTHS) + "|sept\\.?"
ORDINAL = r"(?P<day>\d{1,2})(?: ?(?:st|nd|rd|th))?"
DATE_PATTERNS = (
    re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"),
    re.compile(r"(?P<year>\d{4})/(?P<month>\d{1,2})/(?P<day>\d{1,2})"),
    re.compile(r"(?P<year>\d{4})\.(?P<month>\d{2})\.(?P<day>\d{2})"),
    re.compile(r"(?:(?P<year>\d{4}) ?年 ?)?(?P<month>\d{1,2}) ?月 ?(?P<day>\d{1,2}) ?[日号]"),
    re.compile(rf"(?P<name>{MONTH}) ?{ORDINAL}(?:,? ?(?P<year>\d{{4}}))?", re.I),
    re.compile(rf"(?:the )?{ORDINAL}(?: of)? ?(?P<name>{MONTH})(?:,? ?(?P<year>\d{{4}}))?", re.I),
)
SLASHED = re.compile(r"\d{1,2}/\d{1,2}/\d{4}")
"""Day and month in an order that nobody can know: equal to the same signs alone, and no quotient."""
NOUNS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
PAST = re.compile(rf"(?P<part>half|(?:a )?quarter) (?P<sign>past|to) (?P<name>\d{{1,2}}|{'|'.join(NOUNS)})", re.I)
DAWN = re.compile(r"(?P<hour>0\d):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?")
"""A clock of 24 hours: 08:40 is no afternoon."""
HALF_OF_DAY = r"(?P<half>[ap])\.? ?m\.?"
TIME_PATTERNS = (
    re.compile(rf"(?P<hour>\d{{1,2}})(?: ?: ?(?P<minute>[0-5]\d)(?: ?: ?(?P<second>[0-5]\d))?)? ?{HALF_OF_DAY}", re.I),
    re.compile(r"(?P<hour>\d{1,2})(?::(?P<minute>00))? ?o ?' ?clock", re.I),
    re.compile(r"(?P<word>上午|下午|凌晨|早上|晚上|中午)? ?(?P<hour>\d{1,2}) ?[点时](?P<thirty>半)"),
    re.compile(
        r"(?P<word>上午|下午|凌晨|早上|晚上|中午)? ?(?P<hour>\d{1,2}) ?(?:[点时]|:) ?(?:整|(?P<minute>[0-5]?\d) ?分?)?"
        r"(?<![:时\d])|(?P<word2>上午|下午|凌晨|早上|晚上|中午) ?(?P<hour2>\d{1,2}):(?P<minute2>[0-5]\d)"
    ),
)
SPOKEN_TIMES = {
    **dict.fromkeys(("noon", "12 noon", "12:00 noon"), Time((12, 0), "pm")),
    **dict.fromkeys(("midnight", "12 midnight"), Time((12, 0), "am")),
}
AFTERNOON = ("下午", "晚上")


def read_date(text: str) -> Date | None:
    """Return the date that ``text`` is; None where it is none."""
    for pattern in DATE_PATTERNS:
        match = pattern.fullmatch(text)
        if match:
            found = match.groupdict()
            month = int(found["month"]) if found.get("month") else find_month(found["name"])
            year = int(found["year"]) if found.get("year") else None
            day = int(found["day"])
            return Date(year, month, day) if 1 <= month <= 12 and 1 <= day <= 31 else None
    return None


def find_month(name: str) -> int:
    """Return the number of a month, by its name or the first letters of it."""
    return 1 + next(place for place, month in enumerate(MONTHS) if month.startswith(name.lower()[:3]))


def read_time(text: str) -> Time | None:
    """Return the time of the day that ``text`` says to be one; None for 3:30 alone, which may be a ratio."""
    if text.lower() in SPOKEN_TIMES:
        return SPOKEN_TIMES[text.lower()]
    text = re.sub(
        "[一二两三四五六七八九十]+(?=[点时分])", lambda digits: str(read_numeral(digits[0]) or digits[0]), text
    )
    text = re.sub(r"^(上午|下午|凌晨|早上|晚上|中午) ?(\d{1,2})时", r"\1\2点", text)
    if match := PAST.fullmatch(text):
        return _read_past(match)
    if match := DAWN.fullmatch(text):
        return Time(tuple(int(part) for part in match.groups() if part), "am")
    for pattern in TIME_PATTERNS:
        match = pattern.fullmatch(text)
        if match:
            found = {name: value for name, value in match.groupdict().items() if value}
            hour = int(found.get("hour") or found["hour2"])
            minute = 30 if found.get("thirty") else int(found.get("minute") or found.get("minute2") or 0)
            word = found.get("word") or found.get("word2")
            half = f"{found['half'].lower()}m" if "half" in found else ""
            if word:
                half = "pm" if word in AFTERNOON else "am"
            clock = (hour, minute, int(found["second"])) if "second" in found else (hour, minute)
            return Time(clock, half) if hour <= 24 else None  # type: ignore[arg-type]
    return None


def _read_past(match: re.Match[str]) -> Time | None:
    """Read "half past eight" and "quarter to nine"."""
    name = match["name"].lower()
    hour = int(name) if name.isdigit() else NOUNS.index(name) + 1
    minutes = 30 if match["part"].lower() == "half" else 15
    if match["sign"].lower() == "to":
        hour, minutes = hour - 1 or 12, 60 - minutes
    return Time((hour, minutes)) if 1 <= hour <= 12 else None


def looks_like_a_time(ratio: Ratio) -> bool:
    """Return whether a ratio is written as times are, with two digits behind each colon: 4:60."""
    return all(isinstance(part, Number) and 10 <= part.value < 100 for part in ratio.parts[1:])


def same_time(gold: Time, answer: Time) -> bool:
    """Return whether both are one time of the day; which half of it may be left open by one of the two."""
    clocks = []
    for one in (gold, answer):
        hour, *rest = one.clock
        rest = rest if any(rest[1:]) else rest[:1]
        afternoon = one.half == "pm" and hour < 12
        clocks.append((hour + 12 if afternoon else 0 if one.half == "am" and hour == 12 else hour, *rest))
    if gold.half and answer.half:
        return clocks[0] == clocks[1]
    return clocks[0] == clocks[1] or (gold.clock[0] == answer.clock[0] and clocks[0][1:] == clocks[1][1:])
