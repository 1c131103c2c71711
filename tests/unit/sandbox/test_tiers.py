"""Tier 2 and 3, and environments that lie where programs write."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tests.unit.sandbox.test_sandbox import SEEN, check_clean

from dunwu.sandbox import Limits, Sandbox, Unavailable
from dunwu.sandbox.client import PACKAGE, Launcher, ZygoteLauncher
from dunwu.sandbox.tiers import ProcessLauncher, find_weakness

LAUNCHERS: dict[str, Callable[[tuple[str, ...]], Launcher]] = {
    "zygote": lambda libraries: ZygoteLauncher(2, Limits(), libraries),
    "bubblewrap": lambda libraries: ProcessLauncher(bubblewrap=shutil.which("bwrap"), libraries=libraries),
}


def opened(name: str, *libraries: str) -> Sandbox:
    """A sandbox of a tier, where this machine gives it."""
    if name == "bubblewrap" and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    sandbox = Sandbox(LAUNCHERS[name](libraries), 1)
    if reason := find_weakness(sandbox):
        sandbox.close()
        pytest.skip(f"this machine gives no {name}: {reason}")
    return sandbox


@pytest.fixture
def below() -> Iterator[Path]:
    """A folder below the directory where programs write."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="dunwu-test-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def test_bubblewrap_bounds_the_directory() -> None:
    with opened("bubblewrap") as sandbox, sandbox.open(Limits(files=20, file_bytes=1 << 20)) as session:
        many = session.run("for n in range(50): open(f'/tmp/{n}', 'w')")
        assert many.detail.startswith("OSError: [Errno 28] No space left on device")
        large = session.run("for n in range(9): open(f'/tmp/{n}', 'wb').write(b'x' * 2**18)")
        assert large.detail.startswith("OSError: [Errno 28] No space left on device")


def test_files_of_tests_are_kept_apart_in_other_tiers_too() -> None:
    with Sandbox(ProcessLauncher(), 1) as third:
        check_clean(third)
    with opened("bubblewrap") as second:
        check_clean(second)


def test_bubblewrap_leaves_no_children_behind() -> None:
    others = set(psutil.Process().children(recursive=True))
    with opened("bubblewrap") as sandbox, sandbox.open(Limits(seconds=60.0)) as session:
        assert session.start("serve", "import time\ndef f(): time.sleep(99)", "f") == "R"
        family = set(psutil.Process().children(recursive=True)) - others
        assert len(family) >= 4  # two of bubblewrap's, the cell, the program
        sandbox.close()
        with pytest.raises(Unavailable):
            session.run("print(1)")
    assert [process for process in family if psutil.pid_exists(process.pid)] == []


@pytest.mark.parametrize("name", LAUNCHERS)
def test_a_library_below_the_workplace_is_seen_and_cannot_be_changed(name: str, below: Path) -> None:
    (below / "module.py").write_text("x = 7")
    source = f"import os, sys\nsys.path.append({str(below)!r})\nimport module\nprint(module.x, {SEEN})\n"
    harm = f"open('/tmp/mine', 'w')\nos.remove({str(below / 'module.py')!r})"
    with opened(name, str(below)) as sandbox, sandbox.open(Limits()) as session:
        for _ in range(3):
            assert session.run(source).stdout == f"7 ['{below.name}']\n"
            assert session.run("import os\n" + harm).status == "error"
    assert (below / "module.py").exists()


START = """
import shutil, sys
sys.path.insert(0, sys.argv[1])
from dunwu.sandbox import Limits, Sandbox
from dunwu.sandbox.client import ZygoteLauncher
from dunwu.sandbox.tiers import ProcessLauncher, find_weakness
launcher = ZygoteLauncher(2, Limits()) if sys.argv[2] == "zygote" else ProcessLauncher(bubblewrap=shutil.which("bwrap"))
with Sandbox(launcher, 1) as sandbox:
    print(find_weakness(sandbox))
"""


@pytest.mark.parametrize("name", LAUNCHERS)
def test_the_whole_environment_may_lie_below_the_workplace(name: str, below: Path) -> None:
    opened(name).close()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", below / "venv"], check=True)
    shutil.copytree(Path(PACKAGE) / "dunwu" / "sandbox", below / "src" / "dunwu" / "sandbox")
    (below / "src" / "dunwu" / "__init__.py").touch()
    command = [str(below / "venv" / "bin" / "python"), "-I", "-c", START, str(below / "src"), name]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "None\n"
