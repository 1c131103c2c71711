"""Language consistency: what a word is, whose it is, and what is no word."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from itertools import permutations
from types import ModuleType, SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dunwu.errors import UserError
from dunwu.verifiers import language, words
from dunwu.verifiers.language import LANGUAGES, measure_consistency

SENTENCES = {
    "zh": "首先把两个数相加，得到和，再算差。所以合计十二个。",
    "en": "First we add both numbers; don't forget the rest. So it's twelve.",
    "ja": "まず二つの数を足します。次に差を計算して、答えは十二です。",
    "ko": "먼저 두 수를 더합니다. 그러면 답은 열둘입니다.",
    "ru": "Сначала сложим два числа и вычтем остаток. Ответ: двенадцать.",
    "ar": "أولاً نجمع العددين ثم نحسب الفرق. الجواب هو اثنا عشر.",
}
FRENCH = "Calculons d'abord la somme des deux nombres. Ensuite nous vérifions le résultat avec soin."
ENGLISH = "Let us first compute the sum of both numbers. Then we verify the result with care."


@pytest.mark.parametrize("target", SENTENCES)
@pytest.mark.parametrize("written", SENTENCES)
def test_each_language_is_itself_and_no_other(target: str, written: str) -> None:
    assert measure_consistency(SENTENCES[written], target) == (target == written)


@pytest.mark.parametrize(
    ("text", "target", "share"),
    [
        ("我们先算 then we add", "zh", 4 / 7),
        ("我们先算 then we add", "en", 3 / 7),
        ("we use 加法 here", "en", 3 / 5),
        ("答えは twelve です。", "ja", 3 / 4),
        ("答案は十二。答案是十二。", "ja", 5 / 10),
        ("答案は十二。答案是十二。", "zh", 5 / 10),
        ("답은 twelve", "ko", 1 / 2),
        ("ответ twelve", "ru", 1 / 2),
        ("la somme καὶ the sum", "en", 4 / 5),
        ("e\u0301cole d'été", "en", 1.0),
        ("Ｈｅｌｌｏ 你", "en", 1 / 2),
    ],
)
def test_shares_of_mixed_texts(text: str, target: str, share: float) -> None:
    assert measure_consistency(text, target) == pytest.approx(share)


@pytest.mark.parametrize(
    "symbols",
    [
        "12 + 3.5 = 15.5 ≤ 20",
        "$x = \\text{sum of both}$",
        "$$\\sum_{i} apples_i$$",
        "\\(total = five\\) \\[ total \\]",
        "\\begin{aligned} \\frac{1}{2} \\end{aligned} \\boxed{42}",
        "`print(total)` ```python\nfor item in items:\n    use(item)\n```",
        "https://example.org/page?q=word www.example.org/path",
        "x, y, n, A, α, I",
        "x1 v_2 a_max 3rd 5cm 1200kWh",
        "\\alpha \\leq \\infty \\text{} \\Rightarrow \\ldots",
        "ABCD DNA GCD",
        "sin cos log gcd 5 km 3 kg",
        "𝐱𝐲 ² ½ ① Ⅷ √ ∑",
    ],
)
def test_what_every_language_writes_alike_is_no_word(symbols: str) -> None:
    assert measure_consistency(symbols, "en") == measure_consistency(symbols, "zh") == 0.0
    assert measure_consistency(f"所以 {symbols} 成立", "zh") == 1.0
    assert measure_consistency(f"hence {symbols} holds 吗", "en") == pytest.approx(2 / 3)


STEALTHY = ["wait", "then", "compute", "their", "total", "since", "adding", "everything", "failed", "again"]


@pytest.mark.parametrize(
    "disguise",
    [
        "_".join(STEALTHY),
        " ".join(word + "1" for word in STEALTHY),
        " ".join("_" + word for word in STEALTHY),
        " ".join("\\" + word for word in STEALTHY),
        " ".join(f"\\begin{{{word}}}" for word in STEALTHY),
    ],
)
def test_a_disguised_word_is_a_word(disguise: str) -> None:
    assert measure_consistency(f"加 {disguise}", "zh") == pytest.approx(1 / (1 + len(STEALTHY)))


WORDS_IN_CAPITALS = """
    WAIT LETS THEN WE TRY ADD SUM IS IT SO NOW THE TWO GIVE TEN AND ONE MORE THAT MUST BE TRUE FOR ALL OF THEM SEE HOW
    THIS GOES NOT BAD FROM HERE WITH SOME LUCK MAKE SURE EACH STEP HAS BEEN DONE OK TAKE NINE USE FIVE LEFT SIDE OVER
    """.split()  # noqa: SIM905  -- readable as a block


@pytest.mark.parametrize("points", ["ABCDO", "ABCDEF", "ABCDEFGHMN", "PQRST", "KLMN", "XYZW", "ABCDEI", "OABMN"])
def test_names_of_points_are_no_words_however_many_there_are(points: str) -> None:
    names = ["".join(name) for size in (2, 3) for name in permutations(points, size)]
    draw = random.Random(points)
    for count in (5, words.NAMES, words.NAMES + 1, 20, 30):
        chosen = draw.sample(names, min(count, len(names)))
        assert measure_consistency("由" + "，".join(chosen) + "得", "zh") == 1.0
        assert measure_consistency("hence " + ", ".join(chosen), "zh") == 0.0


def test_a_figure_with_many_segments_is_told_in_its_language() -> None:
    text = (
        "在 Rt△ABC 中，∠C=90°，D 是 AB 的中点，过 D 作 DE⊥AC 于 E，DF⊥BC 于 F，连 CD、EF。则 AE=EC，"
        "BF=FC，四边形 CEDF 是矩形，EF=CD=AD=BD，sinA=BC/AB，cosB=BF/BD，tanA=DE/AE，lnx 递增。"
        "平移得 △A'B'C'，棱柱 ABC-A'B'C'，长方体 ABCD-A1B1C1D1。"
        "延长 ED 到 G，GH∥AC 交 BC 于 H，五边形 ABCDE，六边形 ABCDEF。"
    )
    assert measure_consistency(text, "zh") == 1.0


def test_many_different_words_in_capitals_are_words() -> None:
    few, many = (" ".join(WORDS_IN_CAPITALS[:count]) for count in (words.NAMES, 40))
    assert measure_consistency(f"加 {few}", "zh") == 1.0
    assert measure_consistency(f"加 {many}", "zh") == pytest.approx(1 / 41)
    assert measure_consistency("加" * 160 + many, "zh") == 1.0
    draw = random.Random(0)
    for _ in range(100):
        some = " ".join(draw.sample(WORDS_IN_CAPITALS, 20))
        assert measure_consistency(f"加 {some}", "zh") == pytest.approx(1 / 21)
    assert measure_consistency("ABCDEFG 加 CABBAGE", "zh") == 1 / 2
    assert measure_consistency("A'B'C' 加 DON'T", "zh") == 1 / 2
    assert measure_consistency("sinA lnx 加 cost since", "zh") == 1 / 3


@pytest.mark.parametrize("text", ["it costs $5 and the rest is $6 too", "it costs \\$five and\\$ two", "an `open tick"])
def test_prices_and_open_marks_hide_nothing(text: str) -> None:
    words = sum(len(word.strip("$\\`56")) > 1 for word in text.split())
    assert measure_consistency(f"{text} 中", "en") == pytest.approx(words / (words + 1))


def test_an_open_fence_or_formula_hides_nothing() -> None:
    assert measure_consistency("中文 ``` hidden words here", "zh") == pytest.approx(2 / 5)
    assert measure_consistency("中文 \\[ hidden words here", "zh") == pytest.approx(2 / 5)


@pytest.mark.parametrize("opening", ["```", "```python", "  ```py"])
def test_a_fence_on_a_line_of_its_own_that_never_closes_runs_to_the_end(opening: str) -> None:
    code = "for item in items:\n    print(item)"
    assert measure_consistency(f"先数一数。\n{opening}\n{code}", "zh") == 1.0
    assert measure_consistency(f"{opening}\n{code}", "en") == 0.0
    assert measure_consistency(f"先数。\n{opening}\n{code}\n```\nthen words", "zh") == pytest.approx(2 / 4)


@pytest.mark.parametrize("text", ["", " \n", "12 = 12", "$x$", "\u200b", "\ud800\0"])
def test_no_words_earn_nothing(text: str) -> None:
    assert measure_consistency(text, "zh") == measure_consistency(text, "en") == 0.0


def test_unknown_languages_are_named() -> None:
    with pytest.raises(UserError, match="no language is called 'english'; there are zh, ja"):
        measure_consistency("text", "english")
    with pytest.raises(UserError, match="no language is called 'xx'"):
        measure_consistency("text", "en", ("zh", "xx"))


def identifies_by_a_word(name: str) -> ModuleType:
    """A stand-in for py3langid: French where the word "la" or "nous" stands."""

    def rank(text: str) -> list[tuple[str, float]]:
        own, other = ("fr", "en") if {"la", "nous"} & set(text.split()) else ("en", "fr")
        return [(own, 0.0), (other, -100.0)]

    module = ModuleType(name)
    identifier = SimpleNamespace(set_languages=lambda languages: None, rank=rank)
    module.__dict__["MODEL_FILE"] = "model"
    module.__dict__["LanguageIdentifier"] = SimpleNamespace(from_model_file=lambda file: identifier)
    return module


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    language._load_identifier.cache_clear()
    monkeypatch.setitem(sys.modules, "py3langid", ModuleType("py3langid"))
    monkeypatch.setitem(sys.modules, "py3langid.langid", identifies_by_a_word("py3langid.langid"))
    yield
    language._load_identifier.cache_clear()


@pytest.mark.usefixtures("stand_in")
def test_languages_of_one_script_are_told_apart_by_sentence() -> None:
    assert measure_consistency(FRENCH, "fr", ("en",)) == 1.0
    assert measure_consistency(FRENCH, "en", ("fr",)) == 0.0
    assert measure_consistency(f"{FRENCH} {ENGLISH}", "fr", ("en",)) == pytest.approx(14 / 30)
    assert measure_consistency(f"{FRENCH} {ENGLISH}", "en", ("fr",)) == pytest.approx(16 / 30)
    assert measure_consistency(f"{FRENCH} 所以", "fr", ("en", "zh")) == pytest.approx(14 / 16)


@pytest.mark.usefixtures("stand_in")
def test_short_sentences_go_with_the_next() -> None:
    assert measure_consistency("Attends. Bon. Nous la calculons. Donc nous comptons la somme.", "fr", ("en",)) == 1.0
    assert measure_consistency("Nous comptons la somme.", "fr", ("en",)) == 1.0
    assert measure_consistency(". \n" * 1000 + "the sum", "en", ("fr",)) == 1.0


def test_without_py3langid_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    language._load_identifier.cache_clear()
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    with pytest.raises(
        UserError, match=r"which tells fr and en apart, is not installed: pip install 'dunwu\[language\]'"
    ):
        measure_consistency(FRENCH, "fr", ("en",))
    assert measure_consistency(FRENCH, "fr", ("zh", "ru", "fr")) == 1.0


@pytest.mark.usefixtures("stand_in")
def test_disguised_words_are_identified_too() -> None:
    text = FRENCH.replace(" ", "_")
    assert measure_consistency(f"{text} la", "fr", ("en",)) == measure_consistency(f"{text} la", "fr") == 1.0


def test_the_real_py3langid_knows_french_from_english() -> None:
    pytest.importorskip("py3langid")
    language._load_identifier.cache_clear()
    assert measure_consistency(FRENCH, "fr", ("en",)) == 1.0
    assert measure_consistency(ENGLISH, "fr", ("en",)) == 0.0


@pytest.mark.parametrize("rivals", [("de",), ("fr",), ("fr", "de"), ("zh", "it", "de", "es")])
def test_what_cannot_be_told_apart_is_taken_for_the_target_whatever_the_rivals(rivals: tuple[str, ...]) -> None:
    pytest.importorskip("py3langid")
    language._load_identifier.cache_clear()
    for target in ("en", *rivals):
        if LANGUAGES[target] == "latin":
            for text in ("No.", "OK, hm."):
                assert measure_consistency(text, target, ("en", *rivals)) == 1.0
    assert measure_consistency(FRENCH, "en", (*rivals, "fr")) == 0.0
    assert measure_consistency(f"{FRENCH} No. {ENGLISH}", "en", (*rivals, "fr")) == pytest.approx(17 / 31)


ODD = st.text(st.characters(exclude_categories=()) | st.sampled_from("\0\ud800$`\\[]中のпа가"), max_size=60)


@settings(deadline=None)  # the machine may be busy
@given(
    st.lists(ODD | st.sampled_from(list(SENTENCES.values())), max_size=4).map("".join), st.sampled_from([*LANGUAGES])
)
def test_any_text_has_a_share(text: str, target: str) -> None:
    assert 0.0 <= measure_consistency(text, target) <= 1.0


@settings(deadline=None)  # the machine may be busy
@given(ODD)
def test_shares_of_different_scripts_sum_to_one_at_most(text: str) -> None:
    assert sum(measure_consistency(text, target) for target in SENTENCES) <= 1 + 1e-9


@pytest.mark.usefixtures("stand_in")
@settings(deadline=None)  # the machine may be busy
@given(st.lists(ODD | st.sampled_from([FRENCH, ENGLISH]), max_size=4).map("".join))
def test_rivals_share_what_there_is(text: str) -> None:
    french, english = measure_consistency(text, "fr", ("en",)), measure_consistency(text, "en", ("fr",))
    assert french + english == pytest.approx(measure_consistency(text, "en"))


@pytest.mark.parametrize(
    "unit",
    [
        "(",
        "<think>",
        "\\[",
        "\\(",
        "$a",
        "`",
        "中の",
        "a'",
        ". ",
        "\\a ",
        "\\begin{",
        "AB ",
        "a_",
        "\\",
        "1",
        "1a",
        "sinABCD",
        "NaCl",
        "<a ",
        "\n```\n",
        "ab-",
        "a=",
    ],
)
def test_megabytes_are_no_matter(unit: str) -> None:
    text = unit * (2_000_000 // len(unit))
    assert measure_consistency(text, "ja") in (0.0, 1.0)
