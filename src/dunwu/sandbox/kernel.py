"""The Linux calls that Python does not wrap, by ctypes. Each raises OSError."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
from contextlib import suppress

NEWNS, NEWUTS, NEWIPC = 0x20000, 0x4000000, 0x8000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
CELL_NAMESPACES = NEWUSER | NEWPID | NEWNS | NEWNET | NEWIPC | NEWUTS
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
MNT_DETACH = 2
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV = 1, 2, 4
AT_FDCWD, AT_RECURSIVE, AT_EMPTY_PATH = -100, 0x8000, 0x1000
OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC, MOVE_MOUNT_F_EMPTY_PATH = 1, 0o2000000, 4
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 4, 22, 24
PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS = 28, 38
SECUREBITS_LOCKED = 0b101111
"""No privilege for uid 0 (noroot, no setuid fixup), each locked."""
MACHINE = platform.machine()
NUMBERS = {
    "x86_64": {"pivot_root": 155, "clone": 56, "capset": 126},
    "aarch64": {"pivot_root": 41, "clone": 220, "capset": 91},
}
COMMON = {
    "open_tree": 428, "move_mount": 429, "close_range": 436, "mount_setattr": 442,
    "create_ruleset": 444, "add_rule": 445, "restrict_self": 446,
}  # fmt: skip

_libc = ctypes.PyDLL(None, use_errno=True)  # keeps the interpreter's lock: a child must not be born without it
_libc.syscall.restype = ctypes.c_long
_prctl, _mount, _umount, _unshare = _libc.prctl, _libc.mount, _libc.umount2, _libc.unshare


def call(name: str, *arguments: object) -> int:
    """Make a system call by name. Integers are passed as unsigned longs, bytes as pointers."""
    number = COMMON.get(name) or NUMBERS[MACHINE][name]
    ctypes.set_errno(0)
    return _check(_libc.syscall(ctypes.c_long(number), *map(_to_argument, arguments)), name)


def prctl(option: int, value: object = 0, third: object = 0) -> None:
    """Set an option of this process, as prctl does."""
    _check(_prctl(option, *map(_to_argument, (value, third, 0, 0))), "prctl")


def mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    """Attach a file system to a path."""
    texts = [None if text is None else text.encode() for text in (source, target, kind)]
    _check(_mount(*texts, ctypes.c_ulong(flags), data.encode() or None), f"mount {target}")


def unmount(target: str) -> None:
    """Unmount a path: out of sight at once, gone when nobody uses it."""
    _check(_umount(target.encode(), MNT_DETACH), f"umount {target}")


def set_mount_attributes(target: str, attributes: int) -> None:
    """Set attributes on everything that is mounted at or below a path (Linux 5.12)."""
    wanted = attributes.to_bytes(8, "little") + bytes(24)  # struct mount_attr
    call("mount_setattr", AT_FDCWD, target.encode(), AT_RECURSIVE, wanted, len(wanted))


def copy_mounts(place: int, path: str = "") -> int:
    """Copy what is mounted at and below a path (Linux 5.2).

    Args:
        place: ``AT_FDCWD``, or a descriptor of another copy.
        path: Where the mounts are; "" with a descriptor.

    Returns:
        A descriptor of the copy.
    """
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | (0 if path else AT_EMPTY_PATH)
    return call("open_tree", place, path.encode(), flags)


def mount_copy(copy: int, target: str) -> None:
    """Mount at a path what ``copy_mounts`` gave; the descriptor is closed."""
    call("move_mount", copy, b"", AT_FDCWD, target.encode(), MOVE_MOUNT_F_EMPTY_PATH)
    os.close(copy)


def unshare(flags: int) -> None:
    """Give this process new namespaces."""
    _check(_unshare(flags), "unshare")


def clone(flags: int) -> int:
    """Fork into new namespaces, as ``os.fork`` does. Not for a process with threads."""
    ctypes.pythonapi.PyOS_BeforeFork()
    pid: int = _libc.syscall(
        ctypes.c_long(NUMBERS[MACHINE]["clone"]), *map(_to_argument, (flags | signal.SIGCHLD, 0, 0, 0, 0))
    )
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    else:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
    return _check(pid, "clone")


def is_stopped(pid: int) -> bool:
    """Return whether a child of ours has been stopped by a signal."""
    with suppress(ChildProcessError):  # it has ended
        return os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
    return False


def close_all_but(*kept: int) -> None:
    """Close every other file descriptor."""
    low = 0
    for descriptor in [*sorted(set(kept)), None]:
        high = (1 << 32) - 1 if descriptor is None else descriptor - 1
        if high >= low:
            call("close_range", low, high, 0)
        low = high + 2


def bound_capabilities() -> None:
    """Bound the capabilities: none can come back, by no program that is executed and by no change of the uid."""
    prctl(PR_SET_SECUREBITS, SECUREBITS_LOCKED)
    try:
        for capability in range(64):
            prctl(PR_CAPBSET_DROP, capability)
    except OSError as error:
        if error.errno != errno.EINVAL:  # past the last one
            raise


def drop_capabilities() -> None:
    """Drop the capabilities that this process holds."""
    header = (0x20080522).to_bytes(4, "little") + bytes(4)
    call("capset", header, bytes(24))


def _to_argument(value: object) -> object:
    return ctypes.c_ulong(value & (2**64 - 1)) if isinstance(value, int) else value


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
