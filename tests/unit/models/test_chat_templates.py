"""A chat template is a stranger's program: what it renders is transformers' own, and it is bounded."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.models.test_templates import tokenizer

from dunwu.errors import UserError
from dunwu.models import chat_templates
from dunwu.models.chat_templates import render_chat
from dunwu.verifiers.process import LineProcess

MESSAGES = [{"role": "system", "content": "短 \ud800 <b>"}, {"role": "user", "content": "é" * 200_000}]
USUAL = """
{%- set ns = namespace(last='') %}
{%- for m in messages %}{%- set ns.last = m.role %}
{{- bos_token or '' }}<|{{ m['role'] }}|>{{ m.content | trim }}{{ {'a': [1, m.role]} | tojson }}
{%- if loop.index > 5 %}{% break %}{% endif %}
{%- endfor %}
{%- if add_generation_prompt and ns.last == 'user' %}<|assistant|>{% endif %}
{%- generation %}x{% endgeneration %}{{ dict(a=1).a }}"""


@pytest.mark.parametrize("asks", [True, False])
def test_the_text_is_that_of_transformers(asks: bool) -> None:
    known = tokenizer(USUAL)
    expected = known.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=asks)
    assert render_chat(known, MESSAGES, asks=asks, name="c") == expected
    assert expected.endswith("<|assistant|>x1") is asks


LONG = "{% for i in range(1000) %}{% for j in range(1000) %}{% endfor %}{% endfor %}"
"""A tenth of a second, which is more than the bound below."""


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that a harmless template reaches."""
    monkeypatch.setattr(chat_templates, "SECONDS", 0.02)
    monkeypatch.setattr(chat_templates, "LONGEST", 1000)


@pytest.mark.usefixtures("hurried")
def test_a_template_that_takes_too_much_is_refused() -> None:
    with pytest.raises(UserError, match=r"refuses c: it takes more than 0.02 s of processor time"):
        render_chat(tokenizer(LONG), MESSAGES[:1], asks=True, name="c")
    with pytest.raises(UserError, match=r"refuses c: it writes more than 1,000 characters"):
        render_chat(tokenizer("{{ 'a' * 1001 }}"), MESSAGES[:1], asks=True, name="c")
    assert render_chat(tokenizer("{{ 'a' * 1000 }}"), MESSAGES[:1], asks=True, name="c") == "a" * 1000


def test_what_was_killed_from_outside_renders_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = chat_templates._Renderer()
    monkeypatch.setattr(chat_templates, "_renderer", renderer)
    assert render_chat(tokenizer("a"), MESSAGES[:1], asks=True, name="c") == "a"
    assert renderer._process is not None
    renderer._process.process.kill()
    assert render_chat(tokenizer("b"), MESSAGES[:1], asks=True, name="c") == "b"
    renderer.close()


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", "it calls itself without end"),
        ("{{ raise_exception('no system role') }}", "no system role"),
        ("{{ messages[7].content }}", "list object has no element 7"),
        ("{{ 1 / 0 }}", "it fails: ZeroDivisionError: division by zero"),
        ("{% if %}", "Expected an expression"),
        ("{{ ''.__class__.__mro__ }}", "attribute '__class__' of 'str' object is unsafe"),
    ],
)
def test_what_a_template_may_not(template: str, says: str) -> None:
    with pytest.raises(UserError, match=rf"^prompt.template: the tokenizer's chat template refuses c: .*({says})") as e:
        render_chat(tokenizer(template), MESSAGES[:1], asks=True, name="c")
    assert "\n" not in str(e.value)
    assert render_chat(tokenizer("{{ messages[0].role }}"), MESSAGES[:1], asks=True, name="c") == "system"


def test_several_templates_of_which_none_is_the_usual_one() -> None:
    known = tokenizer("x")
    known.chat_template = {"tool_use": "a", "rag": "b"}
    with pytest.raises(UserError, match=r"^prompt.template: the tokenizer's chat template cannot be chosen: "):
        render_chat(known, MESSAGES[:1], asks=True, name="c")


def test_one_process_renders_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []

    class Counted(LineProcess):
        def __init__(self, *arguments: Any) -> None:
            started.append(arguments)
            super().__init__(*arguments)

    monkeypatch.setattr(chat_templates, "LineProcess", Counted)
    monkeypatch.setattr(chat_templates, "_renderer", chat_templates._Renderer())
    for text in ("a", "b", "c"):
        assert render_chat(tokenizer(text), MESSAGES[:1], asks=True, name="c") == text
    assert len(started) == 1
    chat_templates._renderer.close()


def test_the_clock_of_templates_stands_still_and_chance_begins_anew() -> None:
    """Else the same seed would ask something else tomorrow, and so would a run that is resumed then."""
    known = tokenizer("{{ strftime_now('%d %b %Y %H:%M:%S.%f') }}")
    assert render_chat(known, MESSAGES[:1], asks=True, name="c") == "26 Jul 2024 00:00:00.000000"
    drawn = [render_chat(tokenizer("{{ range(10**5) | random }}"), MESSAGES[:1], asks=True, name="c") for _ in range(3)]
    assert len(set(drawn)) == 1
