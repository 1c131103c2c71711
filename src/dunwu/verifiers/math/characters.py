"""Single characters: how TeX, or plain ASCII, spells them, and which must not be read as another."""

from __future__ import annotations

import unicodedata

PLAIN_SPELLINGS = {
    "−": "-", "–": "-", "‐": "-", "‑": "-", "﹣": "-", "×": "\\times ",
    "∗": "*", "⋆": "*", "·": "*", "⋅": "*", "•": "*",
    "∙": "*", "・": "*", "÷": "/", "∕": "/", "⁄": "/", "：": ":", "∶": ":", "；": ";", "。": ". ", "、": "，",
    "，": "，", "（": "(", "）": ")", "％": "%", "￥": "¥", "º": "°", "˚": "°", "′": "'", "’": "'", "‘": "'", "″": "''",
    "“": '"', "【": "(", "】": ")",
    "”": '"', "﹤": "<", "﹥": ">", "∣": "|", "｜": "|", "‖": "\\|", "Ω": "Ω", "µ": "μ", "∘": "°",
    "√": "\\sqrt ", "∛": "\\sqrt[3] ", "∜": "\\sqrt[4] ", "∞": "\\infty ", "≤": "\\le ", "⩽": "\\le ", "≦": "\\le ",
    "≥": "\\ge ", "⩾": "\\ge ", "≧": "\\ge ", "≠": "\\ne ", "≈": "\\approx ", "≡": "\\equiv ", "≅": "\\cong ",
    "∼": "\\sim ", "∪": "\\cup ", "∩": "\\cap ", "∈": "\\in ", "∉": "\\notin ", "±": "\\pm ", "∓": "\\mp ",
    "⟂": "\\perp ",
    "∖": "\\setminus ", "∅": "\\emptyset ", "…": "\\ldots ", "⋯": "\\ldots ", "→": "\\to ", "⇒": "\\implies ",
    "∨": "\\lor ", "∧": "\\land ", "∑": "\\sum ", "∏": "\\prod ", "∫": "\\int ", "∂": "\\partial ", "∠": "\\angle ",
    "△": "\\triangle ", "⊥": "\\perp ", "∥": "\\parallel ", "ℝ": "\\mathbb{R}", "ℤ": "\\mathbb{Z}", "ℕ": "\\mathbb{N}",
    "ℚ": "\\mathbb{Q}", "ℂ": "\\mathbb{C}", "⟨": "\\langle ", "⟩": "\\rangle ", "〈": "\\langle ", "〉": "\\rangle ",
    "⌊": "\\lfloor ", "⌋": "\\rfloor ", "⌈": "\\lceil ", "⌉": "\\rceil ", "ℓ": "l", "ℏ": "\\hbar ",
    "ϵ": "\\epsilon ", "ϕ": "\\varphi ",
    "φ": "\\varphi ", "ϑ": "\\theta ", "℃": "°C", "℉": "°F", "㎡": "m^2", "㎝": "cm", "㎞": "km", "㎏": "kg",
}  # fmt: skip
GREEK_SPELLINGS = {
    unicodedata.lookup(f"GREEK {size} LETTER {name.upper()}"): f"\\{name if size == 'SMALL' else name.capitalize()} "
    for name in [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "zeta",
        "eta",
        "theta",
        "iota",
        "kappa",
        "lamda",
        "mu",
        "nu",
        "xi",
        "pi",
        "rho",
        "sigma",
        "tau",
        "upsilon",
        "chi",
        "psi",
        "omega",
    ]
    for size in ("SMALL", "CAPITAL")
}
THIN_SPACES = "\u2005\u2006\u2008\u2009\u200a\u202f\u00a0"
"""Spaces that part thousands between groups of digits."""
SAME_SIGN = ("<wide>", "<narrow>", "<font>", "<noBreak>")
"""Compatibility forms that read as their plain sign."""


def spell(char: str) -> str:
    """Return ``char`` as TeX or ASCII writes it; what has no such spelling as it is."""
    if " " <= char < "\x7f":
        return char
    if char in PLAIN_SPELLINGS:
        return PLAIN_SPELLINGS[char]
    if char in GREEK_SPELLINGS:
        return GREEK_SPELLINGS[char].replace("lamda", "lambda")
    if char in THIN_SPACES:
        return "\\,"
    if encloses_digits(char):
        return char
    form, _, _ = unicodedata.decomposition(char).partition(" ")
    plain = unicodedata.normalize("NFKC", char)
    if form == "<fraction>":
        above, _, below = plain.partition("⁄")
        return rf"\frac{{{above}}}{{{below}}}" if above and below else char
    if form in ("<super>", "<sub>"):
        return ("^" if form == "<super>" else "_") + f"{{{plain}}}"
    return " " if plain.isspace() or char < " " else plain if len(plain) == 1 and plain not in PLAIN_SPELLINGS else char


def reads_as_another(char: str) -> bool:
    """Return whether this is a compatibility form whose plain form is another sign: of 1² and ① it is a number."""
    form = unicodedata.decomposition(char).partition(" ")[0]
    return form.startswith("<") and form not in SAME_SIGN


def encloses_digits(char: str) -> bool:
    """Return whether this is a digit in a circle, in parentheses, or with a full stop, or several in one sign.

    5⑥ is not 56.
    """
    plain = unicodedata.normalize("NFKC", char)
    spelled = unicodedata.decomposition(char).startswith(("<fraction>", "<super>", "<sub>"))
    return reads_as_another(char) and not spelled and any(map(str.isdigit, plain))
