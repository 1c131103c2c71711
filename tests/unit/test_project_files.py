"""The files around the package agree with it and with each other: pins, versions, workflows, forms and lists."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from tests.unit.test_architecture import tiers

import dunwu

ROOT: Final = Path(__file__).parents[2]
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION: Final[dict[str, Any]] = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
WORKFLOWS: Final = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS: Final = sorted(
    set((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")) - {ROOT / ".github/ISSUE_TEMPLATE/config.yml"}
)
CI_EXTRAS: Final = ("dev", "docs")
"""What `make check test docs` installs."""


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def pins() -> dict[str, str]:
    """Return the version of each distribution in constraints.txt, by its canonical name."""
    lines = [line for line in read("constraints.txt").splitlines() if line and not line.startswith("#")]
    split = [line.split("==") for line in lines]
    assert [line for line, parts in zip(lines, split, strict=True) if len(parts) != 2] == [], "pins are NAME==VERSION"
    return {canonicalize_name(name): version for name, version in split}


def direct_requirements() -> list[Requirement]:
    optional = [line for extra in CI_EXTRAS for line in PROJECT["optional-dependencies"][extra]]
    return [Requirement(line) for line in [*PROJECT["dependencies"], *optional]]


def installed_requirements() -> set[str]:
    """Return the names of all installed distributions that the package and the extras of CI lead to."""
    found, seen = set[str](), set[tuple[str, str]]()
    waiting = direct_requirements()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            try:
                needs = [Requirement(line) for line in requires(name) or ()]
            except PackageNotFoundError:  # of an extra that is not installed here
                continue
            found.add(name)
            waiting += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
    return found


def test_every_distribution_that_is_installed_has_a_pin() -> None:
    reached = installed_requirements()
    assert {"torch", "transformers", "pytest", "anyio", "mpmath"} <= reached  # the last two are nobody's direct wish
    assert sorted(reached - pins().keys()) == []


def test_pins_are_sorted_and_what_the_project_allows() -> None:
    pinned = pins()
    assert list(pinned) == sorted(pinned)
    wanted = {canonicalize_name(requirement.name): requirement for requirement in direct_requirements()}
    assert sorted(wanted.keys() - pinned.keys()) == []
    assert [name for name, need in wanted.items() if not need.specifier.contains(pinned[name], prereleases=True)] == []


def test_the_version_stands_in_one_place_and_the_citation_follows() -> None:
    settings = tomllib.loads(read("pyproject.toml"))["tool"]["setuptools"]["dynamic"]
    assert PROJECT["dynamic"] == ["version"]
    assert settings == {"version": {"attr": "dunwu.version.__version__"}}
    assert CITATION["title"].casefold() == PROJECT["name"] == dunwu.__name__
    assert CITATION["version"] == dunwu.__version__
    assert CITATION["license"] == PROJECT["license"]
    assert [author["name"] for author in CITATION["authors"]] == [author["name"] for author in PROJECT["authors"]]


def test_the_citation_names_the_paper() -> None:
    (paper,) = CITATION["references"]
    assert (paper["journal"], paper["year"], paper["doi"]) == ("Nature", 2025, "10.1038/s41586-025-09422-z")
    assert [identifier["value"] for identifier in paper["identifiers"]] == ["arXiv:2501.12948"]


def test_the_changelog_has_a_section_for_what_is_next() -> None:
    versions = re.findall(r"^## \[([^\]]+)\]", read("CHANGELOG.md"), re.MULTILINE)
    assert versions[0] in ("Unreleased", dunwu.__version__)
    assert len(versions) == len(set(versions))
    kinds = set(re.findall(r"^### (.+)$", read("CHANGELOG.md"), re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def targets() -> set[str]:
    """Return the names that the Makefile declares as its targets."""
    declared = re.search(r"^\.PHONY: (.+)$", read("Makefile"), re.MULTILINE)
    assert declared
    return set(declared[1].split())


def steps_of(workflow: Path) -> Iterator[dict[str, Any]]:
    for job in yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].values():
        yield from job.get("steps", ())


def made_in(commands: str) -> Iterator[str]:
    """Yield the targets of the calls of make in lines of a shell."""
    for line in commands.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["make"]:
            yield from (word for word in words[1:] if "=" not in word and not word.startswith("-"))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_targets_that_exist(workflow: Path) -> None:
    called = {target for step in steps_of(workflow) for target in made_in(step.get("run", ""))}
    assert called <= targets()


def test_ci_checks_tests_and_builds_the_docs_on_every_python() -> None:
    check = yaml.safe_load(read(".github/workflows/check.yml"))["jobs"]["check"]
    assert [target for step in check["steps"] for target in made_in(step.get("run", ""))] == ["check", "test", "docs"]
    pythons = check["strategy"]["matrix"]["python"]
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert pythons == [f"3.{minor}" for minor in range(20) if f"3.{minor}" in allowed]
    classifiers = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if ":: Python :: 3" in line]
    assert classifiers == pythons


def test_a_release_is_a_tag_that_was_checked_and_needs_no_secret() -> None:
    release = yaml.safe_load(read(".github/workflows/release.yml"))
    assert release[True] == {"push": {"tags": ["v*"]}}  # YAML reads the key `on` as true
    jobs = release["jobs"]
    assert jobs["check"]["uses"] == "./.github/workflows/check.yml"
    assert (jobs["build"]["needs"], jobs["publish"]["needs"]) == ("check", "build")
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets." not in read(".github/workflows/release.yml")


def test_every_target_has_its_line_of_help() -> None:
    said = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = [line.split(maxsplit=2) for line in said.splitlines()]
    assert {line[1] for line in lines} == targets()
    assert all(line[0] == "make" and len(line) == 3 for line in lines), said


def test_hooks_are_local_and_use_tools_of_the_development_extra() -> None:
    (repository,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    assert repository["repo"] == "local"
    tools = {canonicalize_name(Requirement(line).name) for line in PROJECT["optional-dependencies"]["dev"]}
    for hook in repository["hooks"]:
        program, *words = hook["entry"].split()
        tool = words[words.index("-m") + 1] if program == ".venv/bin/python" else program.removeprefix(".venv/bin/")
        assert tool in tools, hook["entry"]
        assert [word for word in words if "/" in word and not (ROOT / word).exists()] == [], hook["entry"]


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.name)
def test_issue_forms_are_whole(form: Path) -> None:
    content = yaml.safe_load(form.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= content.keys()
    fields = [field for field in content["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in fields} <= {"input", "textarea", "dropdown", "checkboxes"}
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["attributes"]["label"] for field in fields)


def first_column(page: str, heading: str) -> list[str]:
    """Return the first cells of the table that stands below a heading of a page."""
    (section,) = re.findall(rf"^#+ {heading}$(.+?)(?=^#|\Z)", read(page), re.MULTILINE | re.DOTALL)
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [row.split("|")[1].strip() for row in rows[2:]]


def test_the_map_of_the_house_has_every_room_in_an_order_in_which_arrows_point_up() -> None:
    names = [
        name.rstrip("/")
        for cell in first_column("CONTRIBUTING.md", "The house")
        for name in re.findall("`([^`]+)`", cell)
    ]
    folders = {path.name for path in (ROOT / "src" / "dunwu").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= set(names), "rooms that CONTRIBUTING.md does not name"
    assert all(
        (ROOT / "src" / "dunwu" / name).exists() or (ROOT / "src" / "dunwu" / f"{name}.py").exists() for name in names
    )
    order = [tiers()[name] for name in names if name in tiers()]
    assert order == sorted(order), "a room stands above one that it may import"


def test_every_finding_is_in_the_list_and_pins_what_it_installs() -> None:
    listed = re.findall(r"^\| \[([^\]]+)\]", read("findings/README.md"), re.MULTILINE)
    assert listed == sorted(path.name for path in (ROOT / "findings").glob("*.sh"))
    for name in listed:
        script = read(f"findings/{name}")
        (install,) = re.findall(r"pip install (.+)", script)
        packages = [word for word in shlex.split(install) if not word.startswith("-")]
        assert packages
        assert all("==" in package for package in packages), name
        assert "mktemp -d" in script
        assert "dunwu" not in script.lower()
