"""A root directory that holds the interpreter's library and nothing else, for the zygote and all its cells."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
from collections.abc import Sequence

from dunwu.sandbox import kernel
from dunwu.sandbox.confinement import PROGRAM_UID

WORKPLACE = "/tmp"
SITE = "/sys"
"""Where the new root is put up, in the new namespace alone: every Linux has it, and no program needs it."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")
GRANTED = "DUNWU_LIBRARIES"
"""The variable in the environment of a process that starts cells: further directories, separated by colons."""
PACKAGES = ("numpy",)
"""What programs may import beside the standard library: test programs of data sets do, and so do answers."""


def find_libraries() -> list[str]:
    """Find the directories that programs may read: the interpreter's library, shared objects, and what was granted."""
    own = {os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    shared = {os.path.realpath(path) for path in LIBRARIES if os.path.isdir(path)}
    shared.add(os.path.realpath(os.path.join(sys.base_exec_prefix, "lib")))
    return _keep_outermost(own | shared | set(_list_granted()))


def grant_libraries(libraries: Sequence[str]) -> dict[str, str]:
    """Return the environment in which ``find_libraries`` has these too, and ``PACKAGES`` where they are installed."""
    found = [spec for name in PACKAGES if (spec := importlib.util.find_spec(name))]
    places = [place for spec in found for place in spec.submodule_search_locations or ()]
    # A wheel's shared objects lie beside it.
    paths = [path for place in places for path in (place, f"{place}.libs") if os.path.isdir(path)]
    return {GRANTED: ":".join(map(os.path.realpath, [*paths, *libraries]))}


def find_import_paths() -> list[str]:
    """Find where programs import ``PACKAGES`` from; nothing else there may be read, unless it was granted."""
    return sorted({os.path.dirname(path) for path in _list_granted() if os.path.basename(path) in PACKAGES})


def enter_root() -> list[str]:
    """Make that root in a new mount namespace, and move there.

    Returns:
        The paths that can be read in it.

    Raises:
        OSError: This is not allowed.
    """
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    new = SITE
    kernel.mount("tmpfs", new, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,nr_inodes=512,mode=755")
    paths = find_libraries()
    for path in paths:
        os.makedirs(new + path, exist_ok=True)
        kernel.mount(path, new + path, None, kernel.MS_BIND | kernel.MS_REC)
        kernel.set_mount_attributes(new + path, kernel.ATTR_RDONLY | kernel.ATTR_NOSUID | kernel.ATTR_NODEV)
    for link in LIBRARIES:
        if os.path.islink(link) and not os.path.lexists(new + link):
            os.symlink(os.readlink(link), new + link)
    os.makedirs(new + "/dev")
    for device in DEVICES:
        open(new + device, "x").close()
        kernel.mount(device, new + device, None, kernel.MS_BIND)
    os.makedirs(new + WORKPLACE, exist_ok=True)
    os.makedirs(new + "/old")
    kernel.call("pivot_root", new.encode(), (new + "/old").encode())
    os.chdir("/")
    kernel.unmount("/old")
    os.rmdir("/old")
    kernel.set_mount_attributes("/", kernel.ATTR_RDONLY | kernel.ATTR_NOSUID)
    return [*paths, *find_import_paths(), *DEVICES]


class Workplace:
    """A bounded directory over ``WORKPLACE``, in this process's own mount namespace, clean for every program.

    Args:
        file_bytes: How much it may hold.
        files: How many files.
        read: Paths that programs may read; what lies below it is mounted again on top, so that an environment may be
            anywhere.
    """

    path = WORKPLACE

    def __init__(self, file_bytes: int, files: int, read: Sequence[str]) -> None:
        self._options = f"size={file_bytes},nr_inodes={files},mode=1777"
        inside = {path for path in read if path.startswith(WORKPLACE + "/")}
        self._libraries = {path: kernel.copy_mounts(kernel.AT_FDCWD, path) for path in _keep_outermost(inside)}
        self._unused: tuple[int, ...] = ()

    def clean(self) -> bool:
        """Make it anew where it has been used; return whether it had to.

        What is written below it leaves a trace in its own dates or size.
        """
        if self._unused and self._unused == _read_state(WORKPLACE):
            return False
        if self._unused:
            kernel.unmount(WORKPLACE)
        kernel.mount("tmpfs", WORKPLACE, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, self._options)
        for path, copy in self._libraries.items():
            os.makedirs(path)
            kernel.mount_copy(kernel.copy_mounts(copy), path)
        self._unused = _read_state(WORKPLACE)
        return True


class Folder:
    """The same in tier 3: a directory that is emptied.

    Args:
        path: Of the directory.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        if os.geteuid() == 0:  # then programs are somebody else
            os.chown(path, PROGRAM_UID, PROGRAM_UID)

    def clean(self) -> bool:
        """Empty it; it stays the same directory."""
        for folder, folders, files in os.walk(self.path):
            paths = [os.path.join(folder, name) for name in folders]
            for path in paths:
                if not os.path.islink(path):
                    os.chmod(path, 0o700)  # or it could not be emptied
            for path in [*(os.path.join(folder, name) for name in files), *filter(os.path.islink, paths)]:
                os.unlink(path)
        for entry in os.scandir(self.path):
            shutil.rmtree(entry.path)
        return False


def _read_state(path: str) -> tuple[int, ...]:
    found = os.stat(path)
    return found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _keep_outermost(paths: set[str]) -> list[str]:
    return sorted(path for path in paths if not any(path != other and path.startswith(other + "/") for other in paths))


def _list_granted() -> list[str]:
    return [path for path in os.environ.get(GRANTED, "").split(":") if path]
