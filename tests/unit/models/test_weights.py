"""Weight updates: what travels is a record, and what does not fit is seen before anything is read."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from torch import Tensor

from dunwu.errors import Fault
from dunwu.models import weights
from dunwu.models.weights import WeightUpdate, check_update, store_update

WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.zeros(2, dtype=torch.bfloat16)}


class Unreadable:
    """A source that must not be asked."""

    def read(self) -> Iterable[Tensor]:
        raise AssertionError("read")


def update(**changes: object) -> WeightUpdate:
    return replace(WeightUpdate.in_memory(4, WEIGHTS.items()), **changes)  # type: ignore[arg-type]


def test_an_update_says_what_it_holds() -> None:
    made = update()
    assert (made.version, made.names) == (4, ("a.weight", "a.bias"))
    assert (made.shapes, made.dtypes) == (((2, 3), (2,)), ("float32", "bfloat16"))
    for _ in range(2):  # an engine of several threads reads it several times
        assert [(name, tensor is WEIGHTS[name]) for name, tensor in made.read()] == [(name, True) for name in WEIGHTS]


def test_an_update_travels_to_another_process() -> None:
    arrived = pickle.loads(pickle.dumps(update()))
    assert (arrived.version, arrived.names, arrived.shapes, arrived.dtypes) == (
        (4, ("a.weight", "a.bias"), ((2, 3), (2,)), ("float32", "bfloat16"))
    )
    assert all(torch.equal(tensor, WEIGHTS[name]) for name, tensor in arrived.read())


def test_what_fits_is_taken() -> None:
    check_update(update(source=Unreadable()), WEIGHTS)
    tied = {**WEIGHTS, "head.weight": WEIGHTS["a.weight"]}
    check_update(update(source=Unreadable()), tied)
    spread = {**WEIGHTS, "a.bias": torch.zeros(5, 2)}
    check_update(update(source=Unreadable()), spread)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"a.weight": torch.zeros(2, 3)}, "hold a.bias, which the model has not"),
        ({**WEIGHTS, "b": torch.zeros(1)}, "lack b"),
        ({**WEIGHTS, "a.weight": torch.zeros(3, 2)}, r"a.weight with the shape \[2, 3\], and the model's is \[3, 2\]"),
        ({**WEIGHTS, "a.weight": torch.zeros(3)}, r"the model's is \[3\]"),
    ],
    ids=["unknown", "missing", "transposed", "flat"],
)
def test_what_does_not_fit_is_refused_before_it_is_read(parameters: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_update(update(source=Unreadable()), parameters)


def test_an_update_in_a_file_is_the_same_elsewhere(tmp_path: Path) -> None:
    stored = store_update(update(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["version-000004.safetensors"]
    arrived = pickle.loads(pickle.dumps(stored))
    for _ in range(2):
        got = dict(arrived.read())
        assert list(got) == list(WEIGHTS)
        assert all(
            torch.equal(got[name], tensor) and got[name].dtype == tensor.dtype for name, tensor in WEIGHTS.items()
        )


def test_a_file_of_another_version_is_not_read(tmp_path: Path) -> None:
    stored = store_update(update(), tmp_path)
    store_update(update(version=5), tmp_path)
    (tmp_path / "version-000005.safetensors").rename(tmp_path / "version-000004.safetensors")
    with pytest.raises(ValueError, match="holds version 5 of the weights, not 4"):
        list(stored.read())


def test_a_full_disk_is_a_fault_and_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise SafetensorError("Error while serializing: No space left on device (os error 28)")

    monkeypatch.setattr(weights, "save_file", fill)
    with pytest.raises(Fault, match=r"version-000004.safetensors: cannot be written: No space left on device"):
        store_update(update(), tmp_path)
    assert list(tmp_path.iterdir()) == []
