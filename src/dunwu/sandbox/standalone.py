"""A cell that is a process of its own: inside bubblewrap (tier 2), or bare (tier 3)."""

from __future__ import annotations

import os
import signal
import socket
import sys

from dunwu.sandbox import filesystem, kernel
from dunwu.sandbox.cell import Cell
from dunwu.sandbox.confinement import Walls
from dunwu.sandbox.zygote import address_space, import_library


def main(link: socket.socket, place: list[str]) -> None:
    """Serves until the client hangs up. In tier 3 walls are put up as far as the kernel has them.

    Args:
        link: the client's.
        place: how many bytes and files programs may write; in tier 3 the directory where they do.
    """
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    import_library()
    readable = [*filesystem.library(), *filesystem.import_paths()]
    workplace = (
        filesystem.Folder(*place) if len(place) == 1 else filesystem.Workplace(int(place[0]), int(place[1]), readable)
    )
    workplace.clean()
    walls: Walls | None
    try:
        walls = Walls([*readable, "/dev"], [workplace.path, "/dev/null"])
    except OSError:
        walls = None
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    os.chdir(workplace.path)
    Cell(link, workplace, address_space(), walls).serve()


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
