"""The filter, run over every system call of both machines: what the list says and nothing else."""

from __future__ import annotations

import struct

import pytest

from dunwu.sandbox import seccomp

COLUMNS = {"x86_64": 0, "aarch64": 1}
X32 = 0x40000000


def verdict(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """What the kernel would do: the filter's own instructions, one after the other."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, *arguments, *(0,) * (6 - len(arguments)))
    place, accumulator = 0, 0
    while True:
        code, true, false, value = struct.unpack_from("=HBBI", program, 8 * place)
        place += 1
        if code == seccomp.LOAD:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == seccomp.RETURN:
            return int(value)
        else:
            holds = {
                seccomp.JUMP_IF: accumulator == value,
                seccomp.JUMP_IF_MORE: accumulator > value,
                seccomp.JUMP_IF_LESS_NOT: accumulator >= value,
                seccomp.JUMP_IF_ANY: accumulator & value != 0,
            }[code]
            place += true if holds else false


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_exactly_the_list_is_allowed(machine: str) -> None:
    program, column, architecture = seccomp.build_filter(machine), COLUMNS[machine], seccomp.ARCHITECTURES[machine]
    listed = {pair[column] for pair in seccomp.ALLOWED.values()} - {None}
    allowed = {number for number in range(1024) if verdict(program, architecture, number) == seccomp.ALLOW}
    # On itself; to copy a descriptor; to wait.
    assert allowed - listed == {seccomp.PRLIMIT[column], seccomp.FCNTL[column], seccomp.FUTEX[column]}
    assert listed <= allowed
    assert len(listed) > 90
    assert verdict(program, architecture, seccomp.CLONE3[column]) == seccomp.UNKNOWN
    for number in (X32 | 1, 2**32 - 1, 5000):
        assert verdict(program, architecture, number) == seccomp.REFUSE


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_another_architecture_kills(machine: str) -> None:
    for architecture in (0x40000003, 0xC000003E, 0xC00000B7, 0):  # i386 first
        if architecture != seccomp.ARCHITECTURES[machine]:
            assert verdict(seccomp.build_filter(machine), architecture, 1) == seccomp.KILL


def test_arguments_decide_where_a_call_is_half_allowed() -> None:
    program, architecture = seccomp.build_filter("x86_64"), seccomp.ARCHITECTURES["x86_64"]

    def allowed(number: int, *arguments: int) -> bool:
        return verdict(program, architecture, number, *arguments) == seccomp.ALLOW

    assert allowed(56, 0x3D0F00)  # a thread, as the C library asks for it
    assert not allowed(56, 17)  # fork
    assert not allowed(56, 0x10000000 | 17)
    assert allowed(53, 1)
    assert not allowed(53, 16)  # netlink
    assert allowed(302, 0)
    assert not allowed(302, 1)
    assert allowed(157, 15)
    assert not allowed(157, 22)
    futex, fcntl = 202, 72
    assert [allowed(futex, 0, operation) for operation in (128, 129, 128 | 4, 0, 9, 256 | 9)] == [True] * 6
    assert [allowed(futex, 0, operation) for operation in (1, 3, 4, 5, 10)] == [False] * 5  # wakes whoever shares it
    assert [allowed(fcntl, 3, command) for command in (0, 1, 2, 3, 4, 1030)] == [True] * 6
    # Locks, owners and signals, leases, notices, seals.
    assert [allowed(fcntl, 3, command) for command in (5, 6, 8, 10, 36, 1024, 1026, 1033)] == [False] * 8
    locks = [(fcntl, 3, 6), (fcntl, 3, 7), (fcntl, 3, 37), (fcntl, 3, 38), (73, 3, 2)]
    assert {verdict(program, architecture, *call) for call in locks} == {seccomp.PRETEND}
    assert allowed(16, 1, 0x5401)
    assert not allowed(16, 1, 0x5412)  # TIOCSTI


@pytest.mark.parametrize(
    "name", ["ptrace", "bpf", "userfaultfd", "keyctl", "mount", "memfd_create", "execve", "socket", "unshare", "kill"]
)
def test_dangerous_calls_are_on_no_list(name: str) -> None:
    assert name not in seccomp.ALLOWED
