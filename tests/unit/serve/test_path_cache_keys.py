"""Keys of models and of sampling."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from dunwu.errors import UserError
from dunwu.serve.path_cache import keys
from dunwu.serve.path_cache.keys import hash_model, make_sampling_key


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        (folder / name).write_bytes(name.encode())
    return folder


def test_sampling_is_a_key_in_any_order() -> None:
    sampling = {"temperature": 0.6, "stop": ["\n"], "response_format": {"a": 1, "b": None}}
    turned = {"response_format": {"b": None, "a": 1}, "stop": ("\n",), "temperature": 0.6}
    assert make_sampling_key(sampling) == make_sampling_key(turned)
    others: list[dict[str, object]] = [{"temperature": 0.7}, {"stop": []}, {"vote": 4}]
    for other in others:
        assert make_sampling_key(sampling | other) != make_sampling_key(sampling)
    with pytest.raises(ValueError, match="Out of range"):
        make_sampling_key({"temperature": float("nan")})


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_changed_byte_is_another_model(model: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same size and with the same time of writing, and although the former hash is remembered."""
    monkeypatch.setattr(keys, "SETTLED_S", -1.0)
    before, times = hash_model(model, "t"), (model / name).stat()
    (model / name).write_bytes((model / name).read_bytes()[:-1] + b"!")
    os.utime(model / name, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert hash_model(model, "t") != before


def test_names_templates_and_more_files_count(model: Path) -> None:
    before = hash_model(model, "t")
    assert hash_model(model, "u") != before
    (model / "chat_template.jinja").write_text("x")
    more = hash_model(model, "t")
    assert more != before
    (model / "chat_template.jinja").rename(model / "other.jinja")
    assert hash_model(model, "t") not in (before, more)


def test_copies_and_pages_for_people_are_the_same_model(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "copy")
    (tmp_path / "copy" / "README.md").write_text("card")
    (tmp_path / "copy" / ".hidden").write_text("x")
    assert hash_model(tmp_path / "copy", "t") == hash_model(model, "t")
    assert hash_model(model / "model.safetensors", "t") == hash_model(tmp_path / "copy" / "model.safetensors", "t")


def test_an_adapter_counts_with_its_base(model: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(model)}))
    before = hash_model(adapter, "t")
    (model / "model.safetensors").write_bytes(b"others")
    assert hash_model(adapter, "t") != before


def test_files_are_read_once(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "SETTLED_S", -1.0)
    before = hash_model(model, "t")
    monkeypatch.setattr(keys, "content_signature", lambda path: pytest.fail(f"{path} is read again"))
    assert hash_model(model, "t") == before


def test_a_file_that_was_just_written_is_not_remembered(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second writing within the clock's step would have the same times."""
    monkeypatch.setattr(keys, "SETTLED_S", 1e9)
    hash_model(model, "t")
    read: list[str] = []

    def note(path: Path) -> str:
        read.append(path.name)
        return "x"

    monkeypatch.setattr(keys, "content_signature", note)
    hash_model(model, "t")
    assert sorted(read) == ["config.json", "model.safetensors", "tokenizer.json"]


def test_no_model_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file"):
        hash_model(tmp_path / "none", "t")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no model"):
        hash_model(tmp_path / "empty", "t")
