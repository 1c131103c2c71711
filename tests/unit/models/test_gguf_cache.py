"""The cache of dequantised models: made once, whole or not at all, and never that of another file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf", reason="the extra gguf is not installed")

from tests.gguf_files import make_model, write_gguf

from dunwu.errors import Fault, UserError
from dunwu.models.gguf import cache, conversion, header, tensors
from dunwu.models.gguf.cache import convert_gguf, hash_gguf


class Heard:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.activities: list[tuple[str, int, int | None]] = []

    def show_activity(self, what: str, done: int = 0, total: int | None = None) -> None:
        self.activities.append((what, done, total))

    def log_message(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DUNWU_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gguf"


@pytest.fixture
def path(tmp_path: Path, root: Path) -> Path:
    """A file that nobody has touched for a while."""
    return settle(write_gguf(tmp_path / "model.gguf", make_model(), "Q8_0"))


def settle(path: Path, seconds: float = 3600.0) -> Path:
    os.utime(path, (time.time() - seconds, time.time() - seconds))
    return path


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of change cannot be set: count every file as settled."""
    monkeypatch.setattr(cache, "SETTLED_SECONDS", -1.0)


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def hidden(root: Path) -> list[str]:
    return [file.name for file in root.iterdir() if file.name.startswith(".")]


def test_a_conversion_is_said_in_one_line_and_done_once(root: Path, path: Path) -> None:
    first, second = Heard(), Heard()
    folder = convert_gguf(path, first)
    (line,) = first.lines
    assert line.startswith(f"model.gguf: tensors (16 Q8_0, 5 F32) dequantised into {folder} (0 MiB) in ")
    assert [done for _, done, _ in first.activities] == list(range(22))
    assert first.activities[-1] == ("dequantising model.gguf", 21, 21)
    assert set(content(folder)) >= {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}
    before = content(folder)
    assert convert_gguf(path, second) == folder
    assert (second.lines, second.activities) == ([], [])
    assert content(folder) == before


def test_a_second_start_reads_nothing_of_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest, folder = hash_gguf(path), convert_gguf(path)

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("the file is read again")

    monkeypatch.setattr(cache, "compute_fingerprint", refuse)
    monkeypatch.setattr(cache, "read_header", refuse)
    assert (hash_gguf(path), convert_gguf(path)) == (digest, folder)


def test_another_file_is_noticed_even_with_the_same_size_and_time(tmp_path: Path, path: Path) -> None:
    kept, folder, digest = path.stat(), convert_gguf(path), hash_gguf(path)
    other = write_gguf(tmp_path / "other.gguf", make_model(seed=1), "Q8_0")
    assert other.stat().st_size == kept.st_size
    other.replace(path)
    os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert hash_gguf(path) != digest
    assert convert_gguf(path) != folder
    assert folder.is_dir(), "what the former file gave stays for whoever has it"


def test_what_was_written_just_now_is_hashed_again(path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SETTLED_SECONDS", 3600.0)
    hash_gguf(path)
    assert not (root / "files").exists()


def test_a_damaged_memory_of_hashes_is_no_error(path: Path, root: Path) -> None:
    digest = hash_gguf(path)
    (memo,) = (root / "files").iterdir()
    assert json.loads(memo.read_text())["sha256"] == digest
    for text in ("", "[]", "{", '{"path": 1}'):
        memo.write_text(text)
        assert hash_gguf(path) == digest


def test_another_converter_makes_another_folder(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = convert_gguf(path)
    monkeypatch.setattr(cache, "CONVERTER", conversion.CONVERTER + 1)
    assert convert_gguf(path) != folder


@pytest.mark.parametrize("variable", ["DUNWU_CACHE", "XDG_CACHE_HOME", "HOME"])
def test_the_cache_lies_where_the_environment_says(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    for name in ("DUNWU_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "place"))
    below = {"DUNWU_CACHE": "gguf", "XDG_CACHE_HOME": "dunwu/gguf", "HOME": ".cache/dunwu/gguf"}[variable]
    assert convert_gguf(path).parent == tmp_path / "place" / below


def test_what_fails_half_way_leaves_nothing(root: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = tensors.read_tensor
    calls = 0

    def fail_later(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise OSError(28, "No space left on device")
        return written(*arguments)

    monkeypatch.setattr(conversion, "read_tensor", fail_later)
    with pytest.raises(Fault, match="cannot be written: No space left on device"):
        convert_gguf(path)
    assert hidden(root) == []
    monkeypatch.undo()
    monkeypatch.setenv("DUNWU_CACHE", str(root.parent))
    assert convert_gguf(path).is_dir()


def test_too_little_room_is_said_before_anything_is_written(
    root: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1 << 10})())
    with pytest.raises(Fault, match=r"model\.gguf takes 0 MiB .* set DUNWU_CACHE to a folder on another disk"):
        convert_gguf(path)
    assert [file.name for file in root.iterdir() if file.is_dir()] == ["files"]


def test_a_file_that_changes_meanwhile_is_not_kept(root: Path, path: Path) -> None:
    class Meddler(Heard):
        def show_activity(self, what: str, done: int = 0, total: int | None = None) -> None:
            os.utime(path)

    with pytest.raises(UserError, match="was written while it was read"):
        convert_gguf(path, Meddler())
    assert [file.name for file in root.iterdir() if file.is_dir()] == ["files"]


def test_a_file_that_is_replaced_after_it_was_hashed_is_not_kept_under_that_hash(
    tmp_path: Path, root: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, read = write_gguf(tmp_path / "other.gguf", make_model(seed=1), "Q8_0"), header.read_header

    def replace_and_read(asked: Path) -> Any:
        other.replace(asked)
        return read(asked)

    monkeypatch.setattr("dunwu.models.gguf.cache.read_header", replace_and_read)
    with pytest.raises(UserError, match="was written while it was read"):
        convert_gguf(path)
    assert [file.name for file in root.iterdir() if file.is_dir()] == ["files"]


CHILD = """
import sys, time
from pathlib import Path
from dunwu.models.gguf import cache, conversion

class Listener:
    def log_message(self, text):
        print(text, flush=True)
    def show_activity(self, what, done=0, total=None):
        print(what, done, flush=True)
        if done == 3 and "--wait" in sys.argv:
            sys.stdin.readline()

print(cache.convert_gguf(Path(sys.argv[1]), Listener()), flush=True)
"""


def begin(path: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def read_until(child: subprocess.Popen[str], wanted: str) -> None:
    assert child.stdout
    for line in child.stdout:
        if line.startswith(wanted):
            return
    raise AssertionError(f"it never said {wanted!r}")


def test_two_processes_at_once_convert_once(root: Path, path: Path) -> None:
    first = begin(path, "--wait")
    read_until(first, "dequantising model.gguf 3")
    second = begin(path)
    read_until(second, "waiting for another process, which dequantises model.gguf")
    said, _ = first.communicate("\n")
    folder = said.splitlines()[-1]
    waited, _ = second.communicate()
    assert waited.splitlines() == [folder], "the second dequantises nothing"
    assert (first.returncode, second.returncode) == (0, 0)
    assert Path(folder, "config.json").is_file()


def test_a_kill_leaves_nothing_that_counts(root: Path, path: Path) -> None:
    child = begin(path, "--wait")
    read_until(child, "dequantising model.gguf 3")
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert len(hidden(root)) == 1, "its folder was on the way"
    folder = convert_gguf(path)
    assert hidden(root) == [], "the next conversion removes it"
    assert (folder / "model.safetensors").is_file()


def test_headers_are_read_once_for_the_same_file(path: Path) -> None:
    assert header.read_header(path) is header.read_header(path)
    found = header.read_header(path)
    os.utime(path)
    assert header.read_header(path) is not found
