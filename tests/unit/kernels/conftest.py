"""Each test runs with every build of the kernels that this processor can run."""

from __future__ import annotations

import pytest

from dunwu.kernels import builds, library
from dunwu.machine import read_cpu_flags


@pytest.fixture(params=list(builds.INSTRUCTION_SETS))
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """One build, in the place of the best one."""
    path = builds.find_build(request.param)
    if path is None or not builds.is_current(request.param):
        pytest.skip("not built: no compiler was there, or the sources changed since")
    if missing := builds.INSTRUCTION_SETS[request.param] - read_cpu_flags():
        pytest.skip(f"this processor has no {', '.join(sorted(missing))}")
    opened = library.open_library(path)
    monkeypatch.setattr(library, "load_kernels", lambda: opened)
    name: str = request.param
    return name
