"""The process that renders chat templates: a line of JSON in, lines of JSON out; see ``models.chat_templates``.

A template comes with a model, from whoever made that. transformers renders it in jinja's sandbox, which keeps it from
reaching Python, and neither its time nor its memory is bounded there: so it is here, by the kernel.
"""

from __future__ import annotations

import json
import random
import resource
import signal
import sys
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Self

from jinja2 import TemplateError
from transformers.utils import chat_template_utils

MEMORY = 1 << 30
"""Bytes beyond what the process has before it renders anything."""
PIECE = 50_000
"""Characters of a line of the reply."""


class StandingClock(datetime):
    """The clock of templates that write the date: it shows the day that Llama 3's name where there is none.

    With the day of the run the same seed would ask something else tomorrow, and so would a run that is resumed then.
    """

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """Return 26 July 2024, midnight."""
        return cls(2024, 7, 26, tzinfo=tz)


def render(request: dict[str, Any]) -> str:
    """Render one conversation: ``template``, ``messages``, ``asks`` (for an answer), ``tools``, special ``tokens``.

    Raises:
        TemplateError: the template is none, or refuses the conversation.
    """
    random.seed(0)  # jinja's filter draws from it
    rendered, _ = chat_template_utils.render_jinja_template(
        conversations=[request["messages"]],
        chat_template=request["template"],
        tools=request["tools"],
        add_generation_prompt=request["asks"],
        **request["tokens"],
    )
    return str(rendered[0])


def answer(request: dict[str, Any]) -> tuple[str, str | None]:
    """Give the text, or nothing and what was wrong, within the request's ``bounds``: ``seconds``, ``longest``."""
    seconds, longest = request["bounds"]["seconds"], request["bounds"]["longest"]
    signal.setitimer(signal.ITIMER_PROF, seconds)  # its signal ends the process
    try:
        text = render(request)
    except TemplateError as error:
        return "", str(error)
    except RecursionError:
        return "", "it calls itself without end"
    except MemoryError:
        return "", f"it needs more than {MEMORY >> 20:,} MiB of memory"
    except Exception as error:  # jinja runs a template as Python, which can raise anything
        return "", f"it fails: {type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
    return (text, None) if len(text) <= longest else ("", f"it writes more than {longest:,} characters")


def main() -> None:
    """Serve until stdin ends. The first line of a reply says how many pieces of text follow, or what was wrong."""
    chat_template_utils.datetime = StandingClock
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
    for line in sys.stdin.buffer:
        text, error = answer(json.loads(line))
        pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
        for part in ({"pieces": len(pieces), "error": error and error[:300]}, *pieces):
            sys.stdout.write(json.dumps(part) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
