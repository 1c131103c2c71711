"""Names and references: what they lead to, who holds them, and one line about whatever is wrong with them."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from dunwu import register
from dunwu.errors import Fault, Interrupted, UserError
from dunwu.registry import REGISTRIES, Registry, losses
from dunwu.user_code import import_file, is_reference, split_reference


@pytest.fixture
def colours() -> Registry:
    return Registry("colour", "colours", {"red": "math:pi", "green": "math:tau"})


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[SimpleNamespace]:
    """Entry points that packages seem to have."""
    points: list[SimpleNamespace] = []
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [p for p in points if p.group == group])
    return points


def point(name: str, value: str, package: str) -> SimpleNamespace:
    return SimpleNamespace(name=name, value=value, group="dunwu.colours", dist=SimpleNamespace(name=package))


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.plural)
def test_every_built_in_name_leads_to_something(registry: Registry) -> None:
    for name in registry.builtin:
        assert registry.load(name) is not None
        assert registry.problem_with(name) is None
        assert registry.source_file(name) is None


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.plural)
def test_every_registry_has_its_decorator(registry: Registry) -> None:
    decorators = [getattr(register, name) for name in register.__all__]
    assert registry.register in decorators
    assert registry.group.startswith("dunwu.")


def test_a_name_leads_where_its_reference_does(colours: Registry) -> None:
    assert colours.load("red") == 3.141592653589793
    assert colours.load("math:e") == 2.718281828459045
    assert colours.names() == ("red", "green")


def test_an_unknown_name_is_one_line_with_what_there_is(colours: Registry) -> None:
    with pytest.raises(UserError) as caught:
        colours.load("gren")
    assert str(caught.value) == (
        "no colour is called 'gren'; did you mean green?; there are red, green; "
        "a name may also be MODULE:NAME or FILE.py:NAME"
    )


def test_a_decorator_registers_and_gives_back(colours: Registry) -> None:
    @colours.register("blue")
    def blue() -> int:
        return 7

    assert blue() == 7
    assert colours.load("blue") is blue
    assert colours.source_file("blue") == Path(__file__)
    assert colours.portable("blue") is None, "a function within a function cannot be found from elsewhere"


def test_a_name_is_held_by_one_module(colours: Registry, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the colour 'red' of .*test_registry.py cannot be added: dunwu itself holds"):
        colours.register("red")(1)
    colours.register("blue")(1)
    colours.register("blue")(2)
    assert colours.load("blue") == 2, "a cell that runs twice"
    other = tmp_path / "other.py"
    other.write_text("def add(colours):\n    colours.register('blue')(3)\n")
    with pytest.raises(UserError, match=r"of .*other.py cannot be added: .*test_registry.py holds the name"):
        import_file(other).add(colours)
    assert colours.load("blue") == 2
    with pytest.raises(UserError, match="'a b' cannot name a colour"):
        colours.register("a b")


def test_packages_offer_names(colours: Registry, installed: list[SimpleNamespace]) -> None:
    installed.append(point("gold", "math:inf", "jewels"))
    assert colours.load("gold") == float("inf")
    assert colours.names() == ("red", "green", "gold")


@pytest.mark.parametrize("names", [["red"], ["gold", "gold"]])
def test_packages_do_not_take_names(colours: Registry, installed: list[SimpleNamespace], names: list[str]) -> None:
    installed += [point(name, "math:inf", f"package{place}") for place, name in enumerate(names)]
    holder = "dunwu itself" if names == ["red"] else "the package package0"
    with pytest.raises(UserError, match=f"of the package package.* cannot be added: {holder} holds the name"):
        colours.load("purple")
    assert colours.load("green") == 6.283185307179586, "what is known needs no look at packages"


def test_a_file_is_imported_once_until_it_changes(colours: Registry, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import beside\nCOUNT = []\nvalue = beside.VALUE\n")
    (tmp_path / "beside.py").write_text("VALUE = 41\n")
    reference = f"{file}:value"
    assert colours.load(reference) == 41
    assert colours.load(f"{file}:COUNT") is colours.load(f"{file}:COUNT")
    assert colours.source_file(reference) == file
    assert colours.portable(reference) == reference
    file.write_text("value = 42  # longer\n")
    assert colours.load(reference) == 42


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        ("def f(:\n", "cannot be imported: SyntaxError: invalid syntax (mine.py, line 1)"),
        ("x = 1\n1 / 0\n", "cannot be imported: ZeroDivisionError: division by zero (mine.py, line 2)"),
        ("raise SystemExit(3)\n", "cannot be imported: SystemExit: 3 (mine.py, line 1)"),
        (
            "import nowhere_at_all\n",
            "cannot be imported: ModuleNotFoundError: No module named 'nowhere_at_all' (mine.py, line 1)",
        ),
        ("def losses(): ...\n", "defines no 'loss'; did you mean losses?"),
    ],
)
def test_whatever_is_wrong_with_a_file_is_one_line(
    colours: Registry, tmp_path: Path, text: str | None, message: str
) -> None:
    file = tmp_path / "mine.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError) as caught:
        colours.load(f"{file}:loss")
    assert str(caught.value) == f"{file}: {message}"


def test_a_stop_is_no_fault_of_a_file(colours: Registry, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from dunwu.errors import Interrupted\nraise Interrupted('stopped')\n")
    with pytest.raises(Interrupted, match="stopped"):
        colours.load(f"{file}:loss")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (
            "nowhere.losses:mine",
            "no module is called 'nowhere.losses' here; write FILE.py:NAME for a file",
        ),
        ("math:po", "math: defines no 'po'; did you mean pow?"),
    ],
)
def test_whatever_is_wrong_with_a_module_is_one_line(colours: Registry, reference: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        colours.load(reference)
    assert str(caught.value) == message


def test_the_file_of_a_module_is_found_without_importing_it(colours: Registry) -> None:
    path = colours.source_file("json.tool:main")
    assert path is not None
    assert path.name == "tool.py"
    assert colours.source_file("nowhere.at.all:x") is None
    assert colours.source_file("sys:path") is None, "a module in the interpreter itself"


def test_references_are_told_from_names() -> None:
    assert is_reference("a.b:c")
    assert is_reference("/some where/x.py:f")
    assert is_reference("C:\\x.py:f.g")
    assert not is_reference("grpo")
    assert not is_reference("a:1")
    assert split_reference("C:\\x.py:f") == ("C:\\x.py", "f")


def test_functions_of_modules_can_be_found_from_another_process() -> None:
    assert losses.portable("grpo") == "dunwu.algorithms.losses:grpo"
    registry = Registry("colour", "colours", {})
    registry.register("joined")(Path.joinpath)
    assert registry.portable("joined") == f"{Path.joinpath.__module__}:PurePath.joinpath"


def test_a_lent_name_goes_with_the_last_block_that_holds_it(colours: Registry) -> None:
    with colours.lend("blue", 7):
        with colours.lend("blue", 7):
            assert colours.load("blue") == 7
        assert colours.load("blue") == 7
    assert colours.names() == ("red", "green")
    with pytest.raises(UserError, match="dunwu itself holds the name"), colours.lend("red", 7):
        pass
    assert colours.names() == ("red", "green")


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("math:pi", "stages.a.loss: math:pi is float, not a function"),
        ("math:pie", "stages.a.loss: math: defines no 'pie'; did you mean pi?"),
        ("blue", "stages.a.loss: no colour is called 'blue'"),
    ],
)
def test_what_is_no_function_is_said_of_its_field(colours: Registry, reference: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        colours.load_function(reference, "stages.a.loss")
    assert str(caught.value).startswith(message)


def test_what_is_built_in_raises_as_it_does(colours: Registry) -> None:
    with pytest.raises(KeyError), colours.blame("red", "colour"):
        raise KeyError("x")


@pytest.mark.parametrize("error", [Interrupted("stop"), KeyboardInterrupt(), Fault("the disk is full")])
def test_what_is_no_fault_of_the_user_s_code_comes_through(colours: Registry, error: BaseException) -> None:
    with pytest.raises(type(error)), colours.blame("math:sin", "colour"):
        raise error


def test_the_line_of_the_user_s_file_is_said(colours: Registry, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("import json\n\ndef shade(text):\n    return json.loads(text)\n")
    reference = f"{file}:shade"
    shade = colours.load(reference)
    with pytest.raises(UserError) as caught, colours.blame(reference, "colour"):
        shade("{")
    assert str(caught.value).startswith(f"colour: {reference} raised JSONDecodeError: ")
    assert str(caught.value).endswith(" (mine.py, line 4)")
