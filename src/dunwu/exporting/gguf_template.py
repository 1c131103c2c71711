"""The chat template inside a GGUF file: the model's own, behind what llama.cpp needs to hear of a model.

llama.cpp splits reasoning off where a template's own text has both think tags, and cuts numbers in another way than a
nano tokenizer. So a few lines before the template give reasoning back its tags, and spell such numbers digit by digit
(``models.gguf.vocabulary``). Its Jinja knows no loop over the letters of a text, and takes slices of bytes.
"""

from __future__ import annotations

from typing import Final

from dunwu.exporting.sources import END_THINK, THINK, ExportedModel

SPELL: Final = (
    "{%- macro spell(text) -%}"
    "{%- set run = namespace(digits='') -%}"
    "{%- for place in range(text | length + 1) -%}"
    "{%- set one = text[place:place + 1] -%}"
    "{%- if one and one in '0123456789' -%}"
    "{%- set run.digits = run.digits ~ one -%}"
    "{%- else -%}"
    "{%- if run.digits | length > <WIDTH> or (run.digits | length > 1 and "
    "(run.digits[:1] == '0' or run.digits | int > <LARGEST>)) -%}"
    "{%- for digit in range(run.digits | length) -%}{{- '\\\\x3' ~ run.digits[digit:digit + 1] -}}{%- endfor -%}"
    "{%- else -%}{{- run.digits -}}{%- endif -%}"
    "{{- one -}}"
    "{%- set run.digits = '' -%}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- endmacro -%}"
)
"""Spells numbers beyond the largest, and those with a nought in front. The longest ones are beyond any integer."""
REPHRASE: Final = (
    "{%- set rephrased = namespace(messages=[]) -%}"
    "{%- for message in messages -%}"
    "{%- set thought = <THOUGHT> -%}"
    "{%- set rephrased.messages = rephrased.messages + "
    "[{'role': message['role'], 'content': thought ~ <CONTENT>}] -%}"
    "{%- endfor -%}"
    "{%- set messages = rephrased.messages -%}"
)
"""Puts the messages into the words that the template shall see."""
THOUGHT: Final = f"'{THINK}' ~ message['reasoning_content'] ~ '{END_THINK}' if message['reasoning_content'] else ''"


def make_gguf_template(model: ExportedModel, largest_number: int | None) -> str | None:
    """Make the chat template of a GGUF file.

    Args:
        model: The model.
        largest_number: See ``Vocabulary.largest_number``.

    Returns:
        The template; None where the model has none.
    """
    template = model.chat_template
    if template is None:
        return None
    needs_tags = model.thinks and not (THINK in template and END_THINK in template)
    if not needs_tags and largest_number is None:
        return template
    content = "message['content']"
    lines = REPHRASE.replace("<THOUGHT>", THOUGHT if needs_tags else "''")
    if largest_number is None:
        return lines.replace("<CONTENT>", content) + template
    spell = SPELL.replace("<WIDTH>", str(len(str(largest_number)))).replace("<LARGEST>", str(largest_number))
    return spell + lines.replace("<CONTENT>", f"spell({content})") + template
