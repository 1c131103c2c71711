"""Files and directories that appear whole or not at all, whatever moment the process is killed or the disk fills.

Write a temporary sibling, fsync every file in it, rename it into place, fsync the parent. A kill leaves at most a
temporary (``.NAME.tmp-PID``) or, where a directory was being replaced, its former self set aside
(``.NAME.old-PID``); :func:`recover` removes the one and puts the other back.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from dunwu.errors import Fault

REFUSALS = ("No space left on device", "Disk quota exceeded", "File too large")
"""What a writer's own error says where the file system has refused."""
FULL_BELOW = 1 << 20
"""Free bytes below which a writer's own error (torch, safetensors) is taken for a full disk."""


def atomic_write(path: Path, content: bytes) -> None:
    """Write or replace a file.

    Raises:
        Fault: The file system refuses; the former file is untouched.
    """
    temporary = _sibling(path, "tmp")
    with _remove_on_failure(temporary), translate_errors(path):
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            write_all(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
        fsync(path.parent)


def atomic_directory(path: Path, write: Callable[[Path], None]) -> None:
    """Make or replace a directory.

    A former directory of that name stays until the new one is durable, and where anything is raised.

    Args:
        path: Its name.
        write: Fills an empty directory, which then takes that name.

    Raises:
        Fault: The file system refuses.
    """
    temporary, former = _sibling(path, "tmp"), _sibling(path, "old")
    with _remove_on_failure(temporary), translate_errors(path):
        os.mkdir(temporary)
        write(temporary)
        _share(temporary)
        fsync_tree(temporary)
        if path.exists():
            os.rename(path, former)
        try:
            os.rename(temporary, path)
        except OSError:
            if former.exists():
                os.rename(former, path)
            raise
        fsync(path.parent)
        if former.exists():
            shutil.rmtree(former)


def _share(folder: Path) -> None:
    """Let whoever may read a folder read its files: safetensors 0.8.0 makes its own for their owner alone."""
    rights = folder.stat().st_mode & 0o666
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(path.stat().st_mode | rights)


def atomic_remove(path: Path) -> None:
    """Remove a file or directory so that a kill never leaves half of it under its name; a missing one is no error."""
    if not path.exists():
        return
    temporary = _sibling(path, "tmp")
    with translate_errors(path):
        os.rename(path, temporary)
        fsync(path.parent)
        _delete(temporary)


def make_directory(path: Path) -> None:
    """Make a directory and its parents, durably; existing ones are no error."""
    with translate_errors(path):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            fsync(folder.parent)


def recover(root: Path) -> None:
    """Undo what a killed process left under ``root``: temporaries go, directories set aside come back."""
    with translate_errors(root):
        for leftover in sorted(root.rglob(".*.old-*")):
            original = leftover.with_name(leftover.name[1:].rpartition(".old-")[0])
            if original.exists():
                shutil.rmtree(leftover)
            else:
                os.rename(leftover, original)
        for leftover in sorted(root.rglob(".*.tmp-*")):
            if leftover.exists():  # not inside a temporary that is gone already
                _delete(leftover)


def remove_leftovers(path: Path) -> None:
    """Remove the temporaries of a name that killed processes left; those of a process that lives are in use."""
    with translate_errors(path):
        for leftover in sorted(path.parent.glob(f".{escape(path.name)}.tmp-*")):
            process = leftover.name.rpartition("-")[2]
            if process.isdecimal() and not _lives(int(process)):
                _delete(leftover)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return process != os.getpid()


def append_line(path: Path, line: bytes) -> None:
    """Add one line to a file and make it durable.

    Args:
        path: The file; made where it is missing.
        line: Without its newline.

    Raises:
        Fault: The file system refuses; no part of the line stays.
    """
    created = not path.exists()
    with translate_errors(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            length = os.fstat(descriptor).st_size
            try:
                write_all(descriptor, line + b"\n")
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, length)
                raise
        finally:
            os.close(descriptor)
        if created:
            fsync(path.parent)


@contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Turn the refusals of the file system into a Fault that says how much space was free when they came."""
    try:
        yield
    except OSError as error:
        raise Fault(
            f"{path}: cannot be written: {error.strerror or error} ({_free_bytes(path):,} bytes free)"
        ) from error
    except Fault:
        raise
    except Exception as error:
        refused = next((text for text in REFUSALS if text in str(error)), None)
        if _free_bytes(path) >= FULL_BELOW and refused is None:
            raise
        raise _to_fault(path, refused or "the disk is full") from error


def _to_fault(path: Path, reason: object) -> Fault:
    return Fault(f"{path}: cannot be written: {reason} ({_free_bytes(path):,} bytes free)")


def write_all(descriptor: int, content: bytes) -> None:
    """Write every byte: a nearly full disk accepts some and refuses the rest on the next call."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def fsync_tree(path: Path) -> None:
    """Make every file and every name under a directory durable."""
    for folder, _, files in os.walk(path):
        for name in files:
            fsync(Path(folder) / name)
        fsync(Path(folder))


def fsync(path: Path) -> None:
    """Make a file's content durable, or the names in a directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sibling(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{kind}-{os.getpid()}")


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


@contextmanager
def _remove_on_failure(temporary: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:  # the first error is the one that counts; recover() removes what is left
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        raise


def _free_bytes(path: Path) -> int:
    return shutil.disk_usage(next(parent for parent in path.absolute().parents if parent.exists())).free
