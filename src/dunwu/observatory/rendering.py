"""Pages out of templates, in one environment: whatever a model, a data set or a recipe wrote is shown as text.

Templates escape by themselves, a name that a record lacks is an error, and nothing is marked as safe but the drawings
that ``charts`` makes. Characters that could steer a terminal or reverse a line are made visible everywhere.
"""

from __future__ import annotations

import re
from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dunwu.analysis.labels import sanitize
from dunwu.analysis.reasoning.highlights import HIGHLIGHTS

_INTERVAL = re.compile(r"(\([^()]*%\))")


class Verbatim(str):
    """A text that is shown as it stands, such as a completion or a file: no space of it becomes another one."""


def render(template: str, **records: object) -> str:
    """Fill a template.

    Args:
        template: Its path below ``templates/``.
        records: What it shows, by name.

    Returns:
        The page as HTML.
    """
    return make_environment().get_template(template).render(records)


@cache
def make_environment() -> Environment:
    """Make the environment of all templates; the style sheets of ``assets/`` can be included."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("dunwu", "observatory/templates"), PackageLoader("dunwu", "assets")]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["verbatim"] = Verbatim
    environment.filters["split_intervals"] = split_intervals
    environment.globals["highlights"] = HIGHLIGHTS
    return environment


def finalize(value: object) -> object:
    """Prepare what a template shows, before it is escaped.

    Args:
        value: Text, a number, or a drawing, which is left alone.

    Returns:
        The text with harmless characters; a number stays on the line of its per cent sign, but in ``Verbatim`` texts.

    Raises:
        TypeError: The value is None, which a page must say in words.
    """
    if isinstance(value, Markup):
        return value
    if value is None:
        raise TypeError("a template shows None")
    shown = sanitize(str(value))
    return shown if isinstance(value, Verbatim) else shown.replace(" %", "\N{NO-BREAK SPACE}%")


def split_intervals(sentence: str) -> list[tuple[str, bool]]:
    """Split a sentence at its intervals, so that a page does not break one over lines.

    Args:
        sentence: E.g. ``right answers grew to 86 % (84–89 %)``.

    Returns:
        The parts in order, and of each whether it is an interval in brackets.
    """
    parts = _INTERVAL.split(sentence)
    return [(part, bool(place % 2)) for place, part in enumerate(parts) if part]
