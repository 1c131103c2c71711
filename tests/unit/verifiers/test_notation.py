"""Notation in words: plain formulas, chemistry, commands and tags are none; English that looks like them is."""

from __future__ import annotations

import random
from itertools import product

import pytest

from dunwu.verifiers.language import measure_consistency

PHYSICS = """
由牛顿第二定律 F=ma 得 a=F/m，又 mv=mv0+at，机械能守恒 mgh=mv^2/2。
物体沿斜面下滑，mgsinθ-μmgcosθ=ma，支持力 FN=mgcosθ，动能 Ek=mv²/2，重力势能 Ep=mgh。
由 PV = nRT 得 n = PV/(RT)。洛伦兹力 qvB=mv²/r，周期 T=2πm/qB，电动势 E=BLv，能量 13.6 eV，电流 20 mA。
万有引力提供向心力：GMm/r²=mv²/r，浮力 F浮=ρgV，热量 Q=cmΔt，功 W=Fscos60°。
"""
CHEMISTRY = """
CaCO3、Na2CO3、KMnO4、AgNO3、BaSO4、NH4Cl、MgO 等都是盐或氧化物。
Cu、Fe、Zn、Ag 的活动性顺序是 Zn、Fe、Cu、Ag，而 Na、Mg、Al、Si 同属第三周期。
NaOH + HCl → NaCl + H2O 是中和反应，CH3COOH + C2H5OH ⇌ CH3COOC2H5 + H2O 是酯化反应，溶液的 pH=7。
Ca(OH)₂ 是强碱，H₂SO₄ 是强酸，离子 Na⁺、K⁺、Cl⁻、SO₄²⁻ 可以共存，n(CO2)=0.1 mol，ΔH=-92.4 kJ/mol。
"""
GEOMETRY = """
在 △ABC 中，∠BAD=30°，S△ABC=1/2·absinC，于是 absinC=2S，已知 sinAcosB=1/2，故 AE=CE。
设 α+β=-b/a，αβ=c/a，则 sinαcosβ+cosαsinβ=sin(α+β)。令 x=2cosθ，y=3sint，椭圆为 x²/4+y²/9=1。
直线 ax+by+c=0 与 y=kx+b 平行，棱柱 ABC-A'B'C' 的体积是 abc，而 AB∥CD，⊙O 的半径为 r。
"""
NUMBERS = """
当且仅当 ab=1 时，ab+cd≥2√(abcd)。由 a^2+b^2+c^2-ab-bc-ca≥0，当且仅当 a=b=c 时取等号。
若 p|ab 且 p 为素数，则 p|a 或 p|b。设 n=pq，则 φ(n)=(p-1)(q-1)，gcd(ab,c)=1，ord_p(a)=d。
数列 {an} 的前 n 项和 Sn=n²+2n，则 an=2n+1。求导：dy/dx=2x，∫xdx=x^2/2，∫sinxdx=-cosx+C，(uv)'=u'v+uv'。
因为 2ab≤a²+b²，所以 ab 最大时 xy 也最大。矩阵的秩 rank(A)=2，向量 x∈ℝⁿ，方差 Var(X)=np(1-p)，变量 dp[i]=dp[j]+ans。
当 a＞0 时，f（x）＝ax²＋bx＋c 开口向上；当 ab＜0 时，ac＝bd。
"""
CHAINS = [line for text in (PHYSICS, CHEMISTRY, GEOMETRY, NUMBERS) for line in text.strip().split("\n")]
LATEX = r"""
\rfloor \longleftrightarrow \Longleftrightarrow \frown \not \nleq \bigoplus \bigstar \blacktriangle \checkmark
\phantom{x} \mathop{x} \substack{a} \xrightarrow{f} \cancel{x} \notag \rm \bf \it \color{red} \textcolor{blue}{x}
\ce{H2O} \triangleq \lesssim \vdash \rank \argmax \sgn \operatorname{rank} \mathrm{max} \left( \begin{dcases} \in
""".split()  # noqa: SIM905  -- readable as a block
FORMULAS = ("F=ma", "mgh=mv^2/2", "ab+cd", "sinAcosB", "dy/dx", "E=mc^2", "KMnO4", "{an}", "PV = nRT", "S=1/2absinC")
FRAMES = {
    "zh": "由题意可知{}成立",
    "ja": "したがって{}である",
    "ko": "그러므로 {} 이다",
    "ru": "Значит {} верно",
    "en": "Hence the {} holds here",
    "de": "Daraus folgt {} sofort",
}
ENGLISH = (
    "First we have to look at the two numbers, and then we should add them together.",
    "So the answer is well-known: he/she and/or I am on the x-axis with three cat(s).",
    "Because this does not work, let us try something else with the other side.",
)


@pytest.mark.parametrize("chain", CHAINS)
def test_a_chain_with_plain_formulas_is_in_its_language(chain: str) -> None:
    assert measure_consistency(chain, "zh") == 1.0


@pytest.mark.parametrize(("target", "formula"), list(product(FRAMES, FORMULAS)))
def test_a_formula_is_no_word_in_any_language(target: str, formula: str) -> None:
    assert measure_consistency(FRAMES[target].format(f" {formula} "), target) == 1.0
    assert measure_consistency(formula, "en") == measure_consistency(formula, "zh") == 0.0


@pytest.mark.parametrize("command", LATEX)
def test_a_command_outside_of_dollars_is_no_word(command: str) -> None:
    assert measure_consistency(f"所以 {command} 成立", "zh") == 1.0


@pytest.mark.parametrize("seed", range(30))
def test_products_that_stand_beside_operators_are_no_words(seed: int) -> None:
    draw = random.Random(seed)
    terms = ["".join(draw.sample("abcdmnpqxyz", draw.choice((2, 2, 3)))) for _ in range(4)]
    operators = draw.choices(("+", "=", "≥", " = ", " + ", "·", "^2-", "/"), k=3)
    formula = "".join(term + sign for term, sign in zip(terms, [*operators, "=1"], strict=True))
    assert measure_consistency(f"由 {formula} 可得结论", "zh") == 1.0


@pytest.mark.parametrize("seed", range(30))
def test_mixed_words_still_lower_the_share(seed: int) -> None:
    draw = random.Random(seed)
    chain, english = draw.choice(CHAINS), draw.choice(ENGLISH)
    characters, words = (sum("\u4e00" <= char <= "\u9fff" for char in chain), len(english.split()))
    share = measure_consistency(f"{chain}\n{english}", "zh")
    assert share <= characters / (characters + words - 4)
    assert measure_consistency(f"{chain}\n{english}", "en") == pytest.approx(1 - share)


@pytest.mark.parametrize("sentence", ENGLISH)
def test_english_prose_keeps_its_share(sentence: str) -> None:
    assert measure_consistency(sentence, "en") == 1.0
    assert measure_consistency(f"加 {sentence}", "zh") < 0.1


@pytest.mark.parametrize(
    ("disguise", "words"),
    [
        (r"\the \answer \is \computed \by \adding", 6),
        ("<wait><then><the><sum><must><increase>", 6),
        (r"\operatorname{wait} \mathrm{then} \color{the} \begin{increase}", 4),
        ("wait=then+the=sum", 4),
        ("the/sum/and/product", 4),
        (r"\text{if the sum} \textbf{grows}", 4),
        ("Mr hmm why sky dry", 5),
        ("area=base", 2),
        ("Wir=müssen=rechnen", 2),
    ],
)
def test_words_in_the_place_of_notation_are_words(disguise: str, words: int) -> None:
    assert measure_consistency(f"加 {disguise}", "zh") == pytest.approx(1 / (1 + words))


@pytest.mark.parametrize(
    "code",
    [
        "~~~python\nprint(hello world this is)\n~~~\n",
        "````\nhello\n```\nworld there\n````\n",
        "``a`b hello world``",
        "```print(hello)```",
        '<br/> <span class="wide">',
        "<think> </answer>",
    ],
)
def test_code_and_tags_are_skipped(code: str) -> None:
    assert measure_consistency(f"所以\n{code}正确", "zh") == 1.0


def test_languages_of_one_script_keep_their_words_beside_formulas() -> None:
    pytest.importorskip("py3langid")
    texts = {
        "en": "The force is F=ma and therefore the body moves with v=at until it stops.",
        "de": "Die Kraft ist F=ma und deshalb bewegt sich der Körper mit v=at bis er steht.",
        "fr": "La force est F=ma et donc le corps se déplace avec v=at avant de s'arrêter.",
        "es": "La fuerza es F=ma y por eso el cuerpo se mueve con v=at hasta que se detiene.",
    }
    for target, written in product(texts, texts):
        assert measure_consistency(texts[written], target, tuple(texts)) == (target == written)
