r"""Mathematical answers: read by a grammar into typed answers, then compared by type.

    characters  one character -> how TeX spells it
    tokens      text -> tokens: numbers, words, commands, signs; of TeX, plain text and Chinese alike
    grammar     tokens -> a tree (``tree``): what an expression says; refuses what it does not know
    numerals    numbers in words: 五分之二, 3 million, twenty-five
    units       tokens -> a unit; which units agree
    records     the types of answers: a number with its unit, a ratio, a time, a list, an interval, a relation, words
    reading     tokens -> one of them
    field       tree -> its value in a finite field: equality of roots, polynomials and constants, exactly and at once
    real_sets   intervals, unions, conditions in one letter -> a set of reals
    equality    two typed answers -> whether they are equal; what no rule here decides is asked of the worker

Each room imports those above it. The worker (``verifiers/worker.py``) gets trees, never text, so nothing is read twice.
"""
