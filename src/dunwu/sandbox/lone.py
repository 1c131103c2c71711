"""A cell that is a process of its own: inside bubblewrap (tier 2), or bare (tier 3)."""

from __future__ import annotations

import os
import signal
import socket
import sys

from dunwu.sandbox import kernel, root
from dunwu.sandbox.cell import Cell
from dunwu.sandbox.walls import Walls
from dunwu.sandbox.zygote import address_space, import_library


def main(link: socket.socket, workplace: root.Workplace | root.Folder) -> None:
    """Serves until the client hangs up. In tier 3 walls are put up as far as the kernel has them."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    import_library()
    workplace.clean()
    walls: Walls | None
    try:
        walls = Walls([*root.library(), *root.import_paths(), "/dev"], [workplace.path, "/dev/null"])
    except OSError:
        walls = None
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    os.chdir(workplace.path)
    Cell(link, workplace, address_space(), walls).serve()


if __name__ == "__main__":
    descriptor, *place = sys.argv[1:]
    main(
        socket.socket(fileno=int(descriptor)),
        root.Folder(place[0]) if len(place) == 1 else root.Workplace(*map(int, place)),
    )
