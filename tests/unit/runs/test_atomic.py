"""Atomic files and directories: order of the system calls, full disks, what a kill leaves behind."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dunwu.errors import Fault
from dunwu.runs import atomic


def fill(text: str) -> Callable[[Path], None]:
    """A writer of a folder with one file in a folder."""

    def write(folder: Path) -> None:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text(text)

    return write


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    atomic.atomic_write(tmp_path / "a", b"one")
    atomic.atomic_write(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"two"
    assert listing(tmp_path) == ["a"]


def test_directory_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    atomic.atomic_directory(tmp_path / "d", fill("one"))
    atomic.atomic_directory(tmp_path / "d", fill("two"))
    assert (tmp_path / "d" / "inner" / "file").read_text() == "two"
    assert listing(tmp_path) == ["d", "d/inner", "d/inner/file"]


def test_content_is_durable_before_its_name_and_the_name_before_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    fsync, rename = os.fsync, os.rename

    def logged_fsync(descriptor: int) -> None:
        log.append("fsync " + os.readlink(f"/proc/self/fd/{descriptor}").removeprefix(str(tmp_path)))
        fsync(descriptor)

    def logged_rename(source: Path, target: Path) -> None:
        log.append(f"rename {target.name}")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", logged_fsync)
    monkeypatch.setattr(os, "rename", logged_rename)
    temporary = f"/.d.tmp-{os.getpid()}"
    atomic.atomic_directory(tmp_path / "d", fill("x"))
    assert log == [
        f"fsync {temporary}",
        f"fsync {temporary}/inner/file",
        f"fsync {temporary}/inner",
        "rename d",
        "fsync ",
    ]
    log.clear()
    atomic.atomic_write(tmp_path / "f", b"x")
    assert log == [f"fsync /.f.tmp-{os.getpid()}", "rename f", "fsync "]


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_refused_write_is_one_line_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    atomic.atomic_write(tmp_path / "a", b"one")
    atomic.append_line(tmp_path / "lines", b"one")

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(Fault, match=r"/a: cannot be written: No space left on device \([\d,]+ bytes free\)$"):
        atomic.atomic_write(tmp_path / "a", b"two")
    if call != "rename":
        with pytest.raises(Fault, match="No space left on device"):
            atomic.append_line(tmp_path / "lines", b"two")
    assert (tmp_path / "a").read_bytes() == b"one"
    assert (tmp_path / "lines").read_bytes() == b"one\n"
    assert listing(tmp_path) == ["a", "lines"]


def test_a_failing_writer_leaves_the_former_directory(tmp_path: Path) -> None:
    atomic.atomic_directory(tmp_path / "d", fill("one"))

    def fail(folder: Path) -> None:
        (folder / "file").write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        atomic.atomic_directory(tmp_path / "d", fail)
    assert listing(tmp_path) == ["d", "d/inner", "d/inner/file"]
    assert (tmp_path / "d" / "inner" / "file").read_text() == "one"


def test_a_directory_that_cannot_take_its_name_gives_the_former_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    atomic.atomic_directory(tmp_path / "d", fill("one"))
    rename = os.rename

    def refuse_the_new_one(source: Path, target: Path) -> None:
        if ".tmp-" in source.name:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse_the_new_one)
    with pytest.raises(Fault, match="Input/output error"):
        atomic.atomic_directory(tmp_path / "d", fill("two"))
    assert (tmp_path / "d" / "inner" / "file").read_text() == "one"
    assert listing(tmp_path) == ["d", "d/inner", "d/inner/file"]


def test_recover_removes_temporaries_and_puts_back_what_was_set_aside(tmp_path: Path) -> None:
    for name in ("sub/.a.tmp-1", "sub/.kept.old-12", "sub/.new.old-3", "sub/new", "sub/ordinary"):
        (tmp_path / name).mkdir(parents=True)
        fill(name)(tmp_path / name)
    (tmp_path / ".f.tmp-9").write_text("half")
    atomic.recover(tmp_path)
    assert sorted(path.name for path in (tmp_path / "sub").iterdir()) == ["kept", "new", "ordinary"]
    assert (tmp_path / "sub" / "kept" / "inner" / "file").read_text() == "sub/.kept.old-12"
    assert (tmp_path / "sub" / "new" / "inner" / "file").read_text() == "sub/new"
    assert [path.name for path in tmp_path.iterdir()] == ["sub"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    atomic.atomic_write(small_disk / "a", b"one")
    with pytest.raises(Fault, match=r"/a: cannot be written: No space left on device \(0 bytes free\)"):
        atomic.atomic_write(small_disk / "a", bytes(1 << 20))

    def write_with_an_error_of_its_own(folder: Path) -> None:
        try:
            (folder / "weights").write_bytes(bytes(1 << 20))
        except OSError:
            raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed") from None

    with pytest.raises(Fault, match=r"/d: cannot be written: the disk is full \([\d,]+ bytes free\)"):
        atomic.atomic_directory(small_disk / "d", write_with_an_error_of_its_own)
    assert (small_disk / "a").read_bytes() == b"one"
    assert listing(small_disk) == ["a"]


def test_a_writers_own_error_on_a_roomy_disk_stays_itself(tmp_path: Path) -> None:
    def fail(_: Path) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        atomic.atomic_directory(tmp_path / "d", fail)


def test_the_first_refusal_is_told_where_cleaning_up_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def refuse_otherwise(*_: object, **__: object) -> int:
        raise OSError(errno.EACCES, "the cleaning's own error")

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(Path, "unlink", refuse_otherwise)
    with pytest.raises(Fault, match=r"/a: cannot be written: Read-only file system"):
        atomic.atomic_write(tmp_path / "a", b"two")


def test_who_may_read_a_folder_may_read_its_files(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        save_file({"weight": torch.zeros(2)}, folder / "model.safetensors")

    former = os.umask(0o027)
    try:
        atomic.atomic_directory(tmp_path / "d", write)
    finally:
        os.umask(former)
    assert (tmp_path / "d" / "model.safetensors").stat().st_mode & 0o777 == 0o640
