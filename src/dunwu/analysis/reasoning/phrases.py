"""The words by which chains of thought are read: an alternative a line, patterns of ``re`` in any case.

English lines are whole words; Chinese ones, which have no spaces, are taken as they stand. What the lines leave out
shows as recall in docs/reference/measures.md.
"""

from __future__ import annotations

import re
from typing import NamedTuple

HAN = "\u3400-\u9fff"
"""Chinese characters, as a range of ``re``."""


class Phrases(NamedTuple):
    """Alternatives by the script in which they are written."""

    english: tuple[str, ...]
    chinese: tuple[str, ...]


def split_lines(lines: str) -> Phrases:
    """Split lines into alternatives."""
    phrases = [line.strip() for line in lines.strip().splitlines()]
    chinese = tuple(phrase for phrase in phrases if re.search(f"[{HAN}]", phrase))
    return Phrases(tuple(phrase for phrase in phrases if phrase not in chinese), chinese)


RECHECK = split_lines(
    r"(?:let me|let's|let us|I'll|I will|I should|I can|I want to|we can|we should|just to)(?: now| quickly| just)? "
    r"(?:double[- ]?|re-?)?(?:check|verify|confirm|test|recompute|recount|plug|substitute)"
    r"""
    (?:to|and|by) (?:double[- ]?|re-?)?(?:check|verify|confirm|checking|verifying) (?:this|that|it|the|my|whether|if)
    let me make sure
    double[- ]check(?:ing)?
    (?:sanity |quick |quickly )?check:
    verify:
    verification:
    (?:plugging|substituting|putting|plug|put|substitute)[^.\n]{0,40} (?:back|in|into)
    going the other way
    once more and slowly
    (?:add|added|adding) (?:it |them )?(?:all )?up again
    验算
    检验一?下?
    验证一?下?
    检查一[下遍]
    再[算数查]一[遍次]
    核对
    代入
    代回
    回代
    带回
    倒回去[看算]
    反过来[算看]
    """
)
"""Announce a check."""
GIVE_UP = split_lines(
    r"""
    start(?:ing)? (?:over|again|afresh|from scratch)
    from the (?:top|start)(?= with|[.,]| again)
    clean sheet
    (?:go|going) back to
    back to (?:the (?:start|beginning)|square one)
    dead end
    leads? (?:me |us )?nowhere
    get(?:s|ting)? (?:me |us )?nowhere
    (?:scrap|drop|forget|leave|discard) (?:that|this|it|the \w+)(?=[.,;])
    throw (?:that|this|it) (?:out|away)
    (?:I|we) abandon
    give up on
    (?:away|off) with (?:it|that|this)
    none of the above counts
    not (?:going to|gonna) work
    (?:does|did|can|will|would)(?:n't| not) (?:work|lead|help|be right|hold up)
    (?:is|are|be) no good
    contradict\w*
    that (?:can't|cannot|can not) be(?: right| true)?
    行不通
    走不通
    走不下去
    不走了
    死路
    不可能
    矛盾
    推翻
    作废
    放弃
    丢开
    重新(?:来|开始|考虑|算|想|列|数)
    回到(?:开头|最初|题目|起点|原)
    从头
    此路
    """
)
"""Abandon a line of work."""
ANOTHER = split_lines(
    r"""
    alternatively
    (?:another|a different|a second|the other) (?:way|approach|method|idea|option|route|road|try)
    (?:second|third|other) (?:method|approach|way|road)
    instead
    what if
    (?:or )?maybe
    perhaps
    (?:let me|let's|I) try
    try(?:ing)? (?=[\dA-Za-z]+ ?=|\d|with)
    suppose
    or(?= \d)
    另一种
    另外一种
    另一条路
    换一?[个种条]
    换成
    也许
    或者
    要不
    不如
    再试
    试试
    假如
    假设
    第二种
    也可以[想算看]
    """
)
"""Bring in another attempt."""
HYPOTHESIS = split_lines(
    r"""
    (?:or )?maybe
    perhaps
    or
    instead
    suppose
    what if
    (?:let me|let's|I) try
    try(?:ing)?
    也许
    或者
    假如
    假设
    试试
    再试
    换成
    要不
    不如
    """
)
"""Of those the ones that bring in another attempt only where one stood before."""
PLAN = split_lines(
    r"first(?:ly)?,? (?:let me |let's |I |I'll |we )?(?:need to |must |should |have to )?"
    r"(?:find|compute|calculate|work out|figure out|determine|solve|count)"
    r"""
    step (?:1|one)
    (?:break|split|cut) (?:this|it|\d+|the \w+)(?: up| down)?(?: in| into| along)
    to (?:get|find|know) [^.,\n]{1,40},? (?:I|we) (?:first )?need
    before I can [^.,\n]{1,60} I (?:have to|need to|must)
    for [^.,\n]{1,40} I need
    sub-?goals?
    two parts
    in parts
    separately
    首先[求算找把看要得]
    先[求算找][^，。]{0,12}
    第一步
    分成
    分[两三]步
    拆[成开]
    分别[求算计]
    """
)
"""Set a part to be solved for later use."""
FAILS = split_lines(
    r"""
    (?:way )?(?:too|more than) (?:small|big|large|high|low|much|many|few|long|short|what is asked)
    wrong
    incorrect
    mistake[sn]?
    mismatch
    (?:does|do|did)(?:n't| not) (?:match|equal|fit|agree|satisfy|add up|check out)
    (?:is|are|was|that's|it's)(?:n't| not) (?:right|correct|equal|enough|quite|the same|-?\d+)
    not (?:right|correct|equal|enough|quite|the same|-?\d+)
    (?:well )?(?:below|above) (?:the target|\d+)
    overshot
    太[小大多少高低]
    (?<![不没])错误?
    不(?:对|等于|符合|成立|满足|一致|正确|相等|够)
    撞上
    """
)
"""Verdicts against what was derived."""
FITS = split_lines(
    r"""
    yes
    correct
    right
    match(?:es)?
    fits
    works
    holds
    agrees?
    satisf(?:ied|ies)
    consistent
    checks out
    as (?:required|needed|expected|it should(?: be)?)
    exactly
    same as before
    just like [^.,\n]{1,20} (?:wants|asks|says)
    which is what
    (?<![不面相反])对(?=[。，,.！!、\s]|$|的|了)
    正确
    符合
    (?<!不)成立
    (?<!不)满足
    吻合
    (?<!不)一致
    没错
    (?<!不)相等
    都在
    说得通
    不多不少
    同一个[数结答]
    """
)
"""Verdicts for it."""
