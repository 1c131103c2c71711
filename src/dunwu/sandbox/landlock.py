"""Landlock: which files a process may still reach, whoever it is. Kept beside the mount namespace, as a second line."""

from __future__ import annotations

import os
import struct

from dunwu.sandbox import kernel

EXECUTE, WRITE, READ_FILE, READ_DIR = 1, 2, 4, 8
READING = READ_FILE | READ_DIR
RIGHTS = (0, 13, 14, 15, 15, 16, 16, 16)
"""File rights known to each version of the interface, counted in bits from the lowest."""
FILE_RIGHTS = EXECUTE | WRITE | READ_FILE | 1 << 14 | 1 << 15
"""What can be granted on something that is no directory."""
MAKING = sum(1 << bit for bit in (4, 5, 7, 8, 12, 14))
"""Removing and making files, directories and links, truncating."""
NET_BIND, NET_CONNECT = 1, 2
SCOPES = 3
"""No signals, no abstract sockets out of the domain."""


def find_version() -> int:
    """Return the version of the kernel's interface; 0 where there is none."""
    try:
        return kernel.call("create_ruleset", 0, 0, 1)
    except OSError:
        return 0


def make_ruleset(read: list[str], write: list[str]) -> int:
    """Make the rule that a process reads below some paths, writes below others, and nothing else.

    Args:
        read: Below them it may read.
        write: Below them it may read and write.

    Returns:
        A descriptor of the rule.

    Raises:
        OSError: The kernel has no Landlock, or a path does not exist.
    """
    known = find_version()
    if not known:
        raise OSError("this kernel has no Landlock")
    handled = (1 << RIGHTS[min(known, len(RIGHTS) - 1)]) - 1
    attributes = struct.pack("=Q", handled)
    attributes += struct.pack("=Q", NET_BIND | NET_CONNECT) if known >= 4 else b""
    attributes += struct.pack("=Q", SCOPES) if known >= 6 else b""
    rules = kernel.call("create_ruleset", attributes, len(attributes), 0)
    for path in read:
        _grant(rules, path, READING & handled)
    for path in write:
        _grant(rules, path, (READING | WRITE | MAKING) & handled)
    return rules


def restrict_self(rules: int) -> None:
    """Obey a rule from here on, for good. It needs no_new_privs."""
    kernel.call("restrict_self", rules, 0)


def _grant(rules: int, path: str, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    if not os.path.isdir(path):
        rights &= FILE_RIGHTS
    kernel.call("add_rule", rules, 1, struct.pack("=Qi", rights, descriptor), 0)
    os.close(descriptor)
