"""What stands between a program and everything else, beside the namespaces of its cell."""

from __future__ import annotations

import errno
import fcntl
import os

from dunwu.sandbox import kernel, landlock, seccomp

ABOVE = 16
"""Descriptors from here on are none that a program is given."""
PROGRAM_UID = 1
"""In the cell's user namespace; the cell itself is 0."""


class Walls:
    """Built once in a cell, entered by each program.

    Args:
        readable, writable: what Landlock leaves: what lies there now, also where something else is mounted later.

    ``descriptor`` is needed to enter them, and closed by that.
    """

    def __init__(self, readable: list[str], writable: list[str]) -> None:
        self._paths = readable, writable
        self.descriptor = self._ruleset()
        self._own_user_namespace = os.geteuid() == 0
        if self._own_user_namespace:
            kernel.bound_capabilities()

    def rebuild(self) -> None:
        """Around what lies there now."""
        os.close(self.descriptor)
        self.descriptor = self._ruleset()

    def _ruleset(self) -> int:
        rules = landlock.ruleset(*self._paths)
        try:
            return fcntl.fcntl(rules, fcntl.F_DUPFD_CLOEXEC, ABOVE)
        finally:
            os.close(rules)

    def enter(self) -> None:
        """There is no way back. Raises OSError where a wall cannot be put up."""
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        landlock.obey(self.descriptor)
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
