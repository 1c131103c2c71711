"""A root directory that holds the interpreter's library and nothing else, for the zygote and all its cells."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from collections.abc import Sequence

from dunwu.sandbox import kernel

WORKPLACE = "/tmp"
SITE = "/sys"
"""Where the new root is put up, in the new namespace alone: every Linux has it, and no program needs it."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")
GRANTED = "DUNWU_LIBRARIES"
"""In the environment of a process that starts cells: further directories, separated by colons."""
PACKAGES = ("numpy",)
"""What programs may import beside the standard library: test programs of data sets do, and so do answers."""


def library() -> list[str]:
    """Directories that programs may read: the interpreter's own library, shared objects, and what was granted."""
    own = {os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    shared = {os.path.realpath(path) for path in LIBRARIES if os.path.isdir(path)}
    shared.add(os.path.realpath(os.path.join(sys.base_exec_prefix, "lib")))
    return _outermost(own | shared | set(_granted()))


def granting(libraries: Sequence[str]) -> dict[str, str]:
    """The environment that makes ``library`` name these too, beside ``PACKAGES`` where they are installed."""
    found = [spec for name in PACKAGES if (spec := importlib.util.find_spec(name))]
    places = [place for spec in found for place in spec.submodule_search_locations or ()]
    # A wheel's shared objects lie beside it.
    paths = [path for place in places for path in (place, f"{place}.libs") if os.path.isdir(path)]
    return {GRANTED: ":".join(map(os.path.realpath, [*paths, *libraries]))}


def import_paths() -> list[str]:
    """Where programs find ``PACKAGES``: there is nothing else there that they may read, unless it was granted."""
    return sorted({os.path.dirname(path) for path in _granted() if os.path.basename(path) in PACKAGES})


def enter() -> list[str]:
    """Makes that root in a new mount namespace and moves there; returns what is readable in it.

    Raises OSError where this is not allowed.
    """
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    new = SITE
    kernel.mount("tmpfs", new, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,nr_inodes=512,mode=755")
    paths = library()
    for path in paths:
        os.makedirs(new + path, exist_ok=True)
        kernel.mount(path, new + path, None, kernel.MS_BIND | kernel.MS_REC)
        kernel.read_only(new + path, kernel.ATTR_RDONLY | kernel.ATTR_NOSUID | kernel.ATTR_NODEV)
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
    kernel.read_only("/", kernel.ATTR_RDONLY | kernel.ATTR_NOSUID)
    return [*paths, *import_paths(), *DEVICES]


def workplace(file_bytes: int, files: int) -> None:
    """A fresh, bounded directory over ``WORKPLACE``, in this process's own mount namespace."""
    flags = kernel.MS_NOSUID | kernel.MS_NODEV
    kernel.mount("tmpfs", WORKPLACE, "tmpfs", flags, f"size={file_bytes},nr_inodes={files},mode=1777")


def _outermost(paths: set[str]) -> list[str]:
    return sorted(path for path in paths if not any(path != other and path.startswith(other + "/") for other in paths))


def _granted() -> list[str]:
    return [path for path in os.environ.get(GRANTED, "").split(":") if path]
