r"""Mathematical answers: read by a grammar into typed answers, then compared by type.

    characters  one character -> how TeX spells it
    commands    what commands of TeX mean
    tokens      text -> tokens: numbers, words, commands, signs; of TeX, plain text and Chinese alike
    brackets    where brackets close; splitting at signs outside of them
    grammar     tokens -> a tree (``tree``): what an expression says; refuses what it does not know (``cursor``: where
                it stands; ``literals``: numbers in digits; ``letters``: letters and names; ``constructs``: what
                commands and named functions say)
    numerals    numbers in words: 五分之二, 3 million, twenty-five
    repairs     plain text's habits as TeX writes them: 3 x 10^8, 145^o, 三比四
    counting    which phrases behind a number leave it what it is: 36 ordered pairs in total
    units       what symbols and words name (``unit_tables``); which units agree; ``unit_phrases``: tokens -> a unit
    records     the types of answers: a number with its unit, a ratio, a time, a list, an interval, a relation, words
    dates       dates and times of the day
    wording     lead-ins (``verifiers/lead_ins.py``), full stops, one spelling for what is words
    quantities  tokens -> a number with its unit
    phrases     what says one thing in other words: no solution, weekdays, numbers in a base
    conditions  what must hold for an answer: k in Z, x > 0; whether two agree
    roundings   rounded values, with the exact ones or without
    lists       lists, systems, tuples and intervals, finite sets
    sets        unions, conditions joined by "or", sets that a condition tells
    relations   equations, inequalities, congruences
    matrices    rows of entries
    repeats     one value said twice: 3/5 (60%)
    parts       several answers under numbers: (1) 3 (2) 5
    reading     tokens -> any of the types
    exact       tree of rational numbers -> its value
    field       tree -> its value in a finite field: equality of roots, polynomials and constants, exactly and at once
    real_sets   intervals, unions, conditions in one letter -> a set of reals
    equations   what an equation says: a name and its value, or nothing but itself
    constants   constants of integration, by other names
    matching    lists and sets held against each other, by names or in any order
    equality    two typed answers -> whether they are equal; what no rule here decides is asked of the worker

Each room imports those above it; a reader of what holds other answers is handed the reader of all. The worker
(``verifiers/math/sympy_worker.py``) gets trees, never text, so nothing is read twice.
"""
