"""LiveCodeBench's private tests: what is packed comes back, and no pickle runs anything."""

from __future__ import annotations

import base64
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from dunwu.tasks.datasets import packed
from dunwu.tasks.datasets.packed import NotPackedError, unpack


def pack(pickled: bytes) -> str:
    """As the data set is published."""
    return base64.b64encode(zlib.compress(pickled)).decode()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("text", ["", "[]", '[{"input": "1\\n", "output": "é 中"}]', "x" * 300, "y" * 100_000])
def test_a_packed_text_comes_back(protocol: int, text: str) -> None:
    assert unpack(pack(pickle.dumps(text, protocol))) == text


class Evil:
    """Touches a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_pickle_runs_anything(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "ran"
    for evil in (Evil(path), ["[]", Evil(path)]):
        pickled = pickle.dumps(evil, protocol)
        with pytest.raises(NotPackedError, match="is a pickle of more than a text: it holds "):
            unpack(pack(pickled))
    assert not path.exists()
    pickle.loads(pickled)
    assert path.exists(), "the pickle was a hostile one"


TEXT = pickle.dumps("[]", 4)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (pack(pickle.dumps(1)), "it holds BININT1"),
        (pack(pickle.dumps(b"[]")), "it holds SHORT_BINBYTES"),
        (pack(pickle.dumps(["[]"])), "it holds EMPTY_LIST"),
        (pack(pickle.dumps(None)), "it holds NONE"),
        (pack(b"\x80\x02X\x02\x00\x00\x00[]\x82\x01."), "it holds EXT1"),
        (pack(b"cos\nsystem\n(S'true'\ntR."), "it holds GLOBAL"),
        (pack(b"Pname\n."), "it holds PERSID"),
        (pack(b"."), "more or less than one text"),
        (pack(b"X\x01\x00\x00\x00aX\x01\x00\x00\x00b."), "more or less than one text"),
        (pack(TEXT + b"more"), "more or less than one text"),
        (pack(TEXT[:-1]), "is no pickle"),
        (pack(b""), "is no pickle"),
        (pack(b"\xff\xff"), "is no pickle"),
        (pack(b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f[]."), "is no pickle"),
        (pack(b"X\x01\x00\x00\x00\xff."), "is no pickle"),
        (base64.b64encode(b"no zlib").decode(), "is base64 of no zlib stream"),
        (base64.b64encode(zlib.compress(TEXT)[:-3]).decode(), "a zlib stream that is cut"),
        (base64.b64encode(zlib.compress(TEXT) + b"more").decode(), "goes on after its end"),
        (f"{pack(TEXT)[:4]}!{pack(TEXT)[4:]}", "is neither JSON nor base64"),
        ("中", "is neither JSON nor base64"),
    ],
)
def test_what_is_not_packed(text: str, reason: str) -> None:
    with pytest.raises(NotPackedError, match=reason):
        unpack(text)


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "MOST_BYTES", 1000)
    assert unpack(pack(pickle.dumps("x" * 900))) == "x" * 900
    with pytest.raises(NotPackedError, match="unpacks to more than 1000 bytes"):
        unpack(pack(pickle.dumps("x" * 10_000_000)))
