"""A cell that is a process of its own: inside bubblewrap (tier 2), or bare (tier 3)."""

from __future__ import annotations

import os
import signal
import socket
import sys

from dunwu.sandbox import filesystem, kernel
from dunwu.sandbox.cell import Cell
from dunwu.sandbox.confinement import Confinement
from dunwu.sandbox.zygote import import_library, measure_address_space


def main(link: socket.socket, place: list[str]) -> None:
    """Serve until the client hangs up. In tier 3 programs are confined as far as the kernel can.

    Args:
        link: The client's.
        place: How many bytes and files programs may write; in tier 3 the directory where they do.
    """
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    import_library()
    read = [*filesystem.find_libraries(), *filesystem.find_import_paths()]
    workplace = (
        filesystem.Folder(*place) if len(place) == 1 else filesystem.Workplace(int(place[0]), int(place[1]), read)
    )
    workplace.clean()
    confinement: Confinement | None
    try:
        confinement = Confinement([*read, "/dev"], [workplace.path, "/dev/null"])
    except OSError:
        confinement = None
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    os.chdir(workplace.path)
    Cell(link, workplace, measure_address_space(), confinement).serve()


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
