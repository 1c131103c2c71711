"""Which system calls a program may make: those that computing needs, and no others (seccomp filter mode).

What is not listed gives EPERM; a call of another architecture kills. Some are allowed for certain arguments alone:
``clone`` for threads, ``socketpair`` between the ends of one process, ``ioctl`` for asking, ``prlimit64`` on itself.

All cells see the same library files, so whatever the kernel keeps about a file for all who have it open would carry
messages between them. ``fcntl`` has no leases and no notices. Locks succeed and do nothing: a program is alone with its
own files, and sqlite wants them. Who waits on a ``futex`` in memory shared with others is woken by the kernel alone (a
thread that ends), not by a program.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from functools import cache

from dunwu.sandbox import kernel

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
COLUMN = {"x86_64": 0, "aarch64": 1}
ALLOWED = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "lseek": (8, 62), "mmap": (9, 222),
    "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "rt_sigpending": (127, 136), "rt_sigtimedwait": (128, 137),
    "rt_sigsuspend": (130, 133), "sigaltstack": (131, 132), "pread64": (17, 67), "pwrite64": (18, 68),
    "readv": (19, 65), "writev": (20, 66), "mremap": (25, 216), "msync": (26, 227), "madvise": (28, 233),
    "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24), "pause": (34, None), "nanosleep": (35, 101),
    "getitimer": (36, 102), "setitimer": (38, 103), "alarm": (37, None), "getpid": (39, 172), "getppid": (110, 173),
    "gettid": (186, 178), "getpgrp": (111, None), "getpgid": (121, 155), "getsid": (124, 156), "getuid": (102, 174),
    "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177), "getgroups": (115, 158),
    "getresuid": (118, 148), "getresgid": (120, 150), "exit": (60, 93), "exit_group": (231, 94),
    "fsync": (74, 82), "fdatasync": (75, 83), "truncate": (76, 45), "ftruncate": (77, 46),
    "fallocate": (285, 47), "fadvise64": (221, 223), "getcwd": (79, 17), "chdir": (80, 49), "fchdir": (81, 50),
    "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276), "mkdir": (83, None), "mkdirat": (258, 34),
    "rmdir": (84, None), "unlink": (87, None), "unlinkat": (263, 35), "readlink": (89, None), "readlinkat": (267, 78),
    "symlink": (88, None), "symlinkat": (266, 36), "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53),
    "umask": (95, 166), "gettimeofday": (96, 169), "time": (201, None), "getrlimit": (97, 163),
    "getrusage": (98, 165), "sysinfo": (99, 179), "times": (100, 153), "uname": (63, 160), "statfs": (137, 43),
    "fstatfs": (138, 44), "arch_prctl": (158, None), "sched_yield": (24, 124), "sched_getaffinity": (204, 123),
    "getdents": (78, None), "getdents64": (217, 61), "set_tid_address": (218, 96),
    "set_robust_list": (273, 99), "clock_gettime": (228, 113), "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115), "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_wait": (232, None),
    "epoll_pwait": (281, 22), "open": (2, None), "openat": (257, 56),
    "stat": (4, None), "lstat": (6, None), "newfstatat": (262, 79), "statx": (332, 291), "access": (21, None),
    "faccessat": (269, 48), "faccessat2": (439, 439), "poll": (7, None), "ppoll": (271, 73), "select": (23, None),
    "pselect6": (270, 72), "pipe": (22, None), "pipe2": (293, 59), "eventfd2": (290, 19), "utimensat": (280, 88),
    "getrandom": (318, 278), "rseq": (334, 293), "membarrier": (324, 283), "getcpu": (309, 168),
    "restart_syscall": (219, 128), "sendto": (44, 206), "recvfrom": (45, 207), "sendmsg": (46, 211),
    "recvmsg": (47, 212), "shutdown": (48, 210), "getsockopt": (55, 209), "setsockopt": (54, 208),
}  # fmt: skip
"""Numbers on x86_64 and aarch64; None where the machine has no such call."""
CLONE, CLONE3, SOCKETPAIR, IOCTL, PRCTL, PRLIMIT = (56, 220), (435, 435), (53, 199), (16, 29), (157, 167), (302, 261)
FCNTL, FLOCK, FUTEX = (72, 25), (73, 32), (202, 98)
CLONE_THREAD = 0x10000
ASKING = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX."""
NAMING = (15, 16)
"""PR_SET_NAME, PR_GET_NAME."""
HANDLING = (0, 1, 2, 3, 4, 1030, 1031, 1032)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ."""
LOCKING = (6, 7, 37, 38)
"""F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW."""
FUTEX_PRIVATE = 128
WAITING = (0, 9, 256, 265)
"""FUTEX_WAIT, FUTEX_WAIT_BITSET, and the same by the clock on the wall."""

LOAD, JUMP_IF, JUMP_IF_MORE, JUMP_IF_LESS_NOT, JUMP_IF_ANY, RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
ALLOW, KILL, REFUSE, UNKNOWN = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
PRETEND = 0x00050000
"""An error with the number 0: the call is not made, and returns success."""


@cache
def build_filter(machine: str) -> bytes:
    """Build the filter of a machine, as an array of ``struct sock_filter``."""
    column = COLUMN[machine]
    lines = [
        _make_line(LOAD, ARCHITECTURE),
        _make_line(JUMP_IF, ARCHITECTURES[machine], 1, 0),
        _make_line(RETURN, KILL),
        _make_line(LOAD, NUMBER),
    ]
    lines += [_make_line(JUMP_IF, CLONE3[column], 0, 1), _make_line(RETURN, UNKNOWN)]  # the C library then takes clone
    lines += _match_call(CLONE[column], [_make_line(JUMP_IF_ANY, CLONE_THREAD, 0, 1), _make_line(RETURN, ALLOW)])
    lines += _match_call(SOCKETPAIR[column], _match_values(1))  # AF_UNIX
    lines += _match_call(PRLIMIT[column], _match_values(0))
    lines += _match_call(PRCTL[column], _match_values(*NAMING))
    lines += _match_call(IOCTL[column], _match_values(*ASKING), argument=1)
    lines += _match_call(FCNTL[column], _match_values(*HANDLING) + _match_values(*LOCKING, verdict=PRETEND), argument=1)
    lines += _match_call(FLOCK[column], [_make_line(RETURN, PRETEND)])
    private = [_make_line(JUMP_IF_ANY, FUTEX_PRIVATE, 0, 1), _make_line(RETURN, ALLOW)]
    lines += _match_call(FUTEX[column], private + _match_values(*WAITING), argument=1)
    # x32 calls share the architecture of x86_64; their numbers are above all of these.
    numbers = sorted(number for pair in ALLOWED.values() if (number := pair[column]) is not None)
    return b"".join([*lines, *_search(_find_intervals(numbers))])


def install() -> None:
    """Filter the calls of this process from here on, for good. It needs no_new_privs."""
    code = build_filter(kernel.MACHINE)
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: a length and a pointer
    kernel.prctl(kernel.PR_SET_SECCOMP, 2, struct.pack("=HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer)))


def _make_line(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, true, false, value)


def _match_values(*values: int, verdict: int = ALLOW) -> list[bytes]:
    return [line for value in values for line in (_make_line(JUMP_IF, value, 0, 1), _make_line(RETURN, verdict))]


def _find_intervals(numbers: list[int]) -> list[tuple[int, int]]:
    """Find first and last of each run of neighbours."""
    known = set(numbers)
    firsts = [number for number in numbers if number - 1 not in known]
    lasts = [number for number in numbers if number + 1 not in known]
    return list(zip(firsts, lasts, strict=True))


def _search(intervals: list[tuple[int, int]]) -> list[bytes]:
    """Search by halves: the kernel runs the filter for every number when it is installed."""
    if len(intervals) == 1:
        ((first, last),) = intervals
        inside = [
            _make_line(JUMP_IF_LESS_NOT, first, 0, 2),
            _make_line(JUMP_IF_MORE, last, 1, 0),
            _make_line(RETURN, ALLOW),
        ]
        return [*inside, _make_line(RETURN, REFUSE)]
    half = len(intervals) // 2
    lower, upper = _search(intervals[:half]), _search(intervals[half:])
    return [_make_line(JUMP_IF_LESS_NOT, intervals[half][0], len(lower), 0), *lower, *upper]


def _match_call(number: int, checks: list[bytes], argument: int = 0) -> list[bytes]:
    """Make the lines for one call: ``checks`` on the low half of an argument; what none allows is refused."""
    inner = [_make_line(LOAD, FIRST_ARGUMENT + 8 * argument), *checks, _make_line(RETURN, REFUSE)]
    return [_make_line(JUMP_IF, number, 0, len(inner)), *inner]
