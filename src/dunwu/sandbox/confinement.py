"""What stands between a program and everything else, beside the namespaces of its cell."""

from __future__ import annotations

import errno
import fcntl
import os

from dunwu.sandbox import kernel, landlock, seccomp

ABOVE = 16
"""Descriptors from here on are none that a program is given."""
PROGRAM_UID = 1
"""A program's user in the cell's user namespace; the cell itself is 0."""


class Confinement:
    """Built once in a cell, entered by each program.

    Args:
        read: Paths that Landlock leaves to be read: what lies there now, also where something is mounted later.
        write: Paths that it leaves to be written.

    Attributes:
        descriptor: What is needed to enter, and closed by that.
    """

    def __init__(self, read: list[str], write: list[str]) -> None:
        self._paths = read, write
        self.descriptor = self._open_ruleset()
        self._own_user_namespace = os.geteuid() == 0
        if self._own_user_namespace:
            kernel.bound_capabilities()

    def rebuild(self) -> None:
        """Build it around what lies there now."""
        os.close(self.descriptor)
        self.descriptor = self._open_ruleset()

    def _open_ruleset(self) -> int:
        rules = landlock.make_ruleset(*self._paths)
        try:
            return fcntl.fcntl(rules, fcntl.F_DUPFD_CLOEXEC, ABOVE)
        finally:
            os.close(rules)

    def enter(self) -> None:
        """Confine this process; there is no way back.

        Raises:
            OSError: The kernel refuses a part of it.
        """
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        landlock.restrict_self(self.descriptor)
        os.close(self.descriptor)
        if self._own_user_namespace:
            self._change_id()
        kernel.drop_capabilities()
        seccomp.install()

    def _change_id(self) -> None:
        try:
            os.setgroups([])
            os.setresgid(PROGRAM_UID, PROGRAM_UID, PROGRAM_UID)
            os.setresuid(PROGRAM_UID, PROGRAM_UID, PROGRAM_UID)
        except OSError as error:  # one id is all that an unprivileged user can map
            if error.errno not in (errno.EPERM, errno.EINVAL):
                raise
