"""Commands of TeX: which decorate, which part what stands beside them, and which sign or command they mean."""

from __future__ import annotations

ROMAN = frozenset(
    """
    text textbf textrm textit textnormal textsf texttt textsc textup textmd mbox hbox mathrm mathsf mathtt operatorname
    emph
    """.split()  # noqa: SIM905  -- a page of words, not of quotes
)
TRANSPARENT = frozenset(
    [
        "boxed",
        "fbox",
        "framebox",
        "ensuremath",
        "bm",
        "boldsymbol",
        "pmb",
        "mathbf",
        "mathit",
        "mathcal",
        "mathfrak",
        "mathscr",
        "underline",
        "mathstrut",
    ]
)
INLINE = frozenset({"mathbin", "mathrel", "mathop", "mathord", "mathopen", "mathclose", "mathpunct"})
DROPPED = frozenset(
    """
    left right middle big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr displaystyle textstyle scriptstyle
    scriptscriptstyle limits nolimits allowbreak tiny scriptsize footnotesize small normalsize large Large LARGE huge
    Huge bf it rm sf tt cal bfseries itshape rmfamily noindent nonumber hfill displaylimits
    """.split()  # noqa: SIM905
)
WITH_ARGUMENT = frozenset(
    {"color", "textcolor", "colorbox", "hspace", "vspace", "phantom", "hphantom", "vphantom", "tag"}
)
"""They go with their first argument; what follows stays."""
THIN = frozenset(
    {",", ":", ";", ">", " ", "enspace", "thinspace", "medspace", "thickspace", "nobreakspace", "enskip", "space"}
)
WIDE = frozenset({"quad", "qquad", "newline", "par"})
SIGN_COMMANDS = {
    "le": "<=", "leq": "<=", "leqslant": "<=", "leqq": "<=", "ge": ">=", "geq": ">=", "geqslant": ">=", "geqq": ">=",
    "ne": "!=", "neq": "!=", "lt": "<", "gt": ">", "approx": "~=", "thickapprox": "~=", "simeq": "~=", "equiv": "===",
    "in": "in", "sim": "~", "thicksim": "~", "cup": "cup", "bigcup": "cup", "cap": "cap", "bigcap": "cap",
    "setminus": "setminus", "smallsetminus": "setminus", "backslash": "setminus", "times": "×", "cdot": "*", "ast": "*",
    "bullet": "*", "div": "/", "pm": "pm", "mp": "mp", "colon": ":", "mid": "|", "vert": "|", "lvert": "|",
    "rvert": "|", "lbrace": "\\{", "rbrace": "\\}", "lbrack": "[", "rbrack": "]", "lparen": "(", "rparen": ")",
    "lor": "∨", "vee": "∨", "land": "∧", "wedge": "∧", "to": "->", "rightarrow": "->", "longrightarrow": "->",
    "implies": "=>", "Rightarrow": "=>", "Longrightarrow": "=>", "%": "%", "$": "$", "pounds": "£", "euro": "€",
    "yen": "¥", "textyen": "¥", "textdollar": "$", "degree": "°", "textdegree": "°", "prime": "'", "cr": "\\\\",
    "tabularnewline": "\\\\", "{": "\\{", "}": "\\}", "|": "‖", "Vert": "‖", "\\": "\\\\", "&": "\\&", "#": "#",
    "_": "\\_", "surd": "√", "langle": "⟨", "rangle": "⟩", "circ": "°", "over": "over", "choose": "choose",
    "iff": "<=>", "Leftrightarrow": "<=>", "leftrightarrow": "<=>", "cong": "cong", "notin": "notin",
}  # fmt: skip
RENAMED = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "nicefrac": "frac", "sfrac": "frac", "dbinom": "binom",
    "tbinom": "binom", "varnothing": "emptyset", "infinity": "infty", "dots": "ldots", "cdots": "ldots",
    "dotsc": "ldots", "dotsb": "ldots", "dotsm": "ldots", "dotsi": "ldots", "vdots": "ldots", "varepsilon": "epsilon",
    "phi": "varphi", "vartheta": "theta", "varrho": "rho", "arcctg": "arccot", "tg": "tan", "ctg": "cot",
    "overrightarrow": "vec", "dif": "d", "differentialD": "d", "bar": "overline",
    "R": "mathbbR", "Z": "mathbbZ", "N": "mathbbN", "Q": "mathbbQ", "Re": "re", "Im": "im",
}  # fmt: skip
