"""What a file or a folder holds, as a hash."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dunwu.errors import UserError
from dunwu.runs.fingerprints import compute_fingerprint


def test_a_hash_is_of_content_and_names(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("x")
    assert compute_fingerprint(tmp_path / "a") == compute_fingerprint(tmp_path / "b")
    both = compute_fingerprint(tmp_path)
    (tmp_path / "b").rename(tmp_path / "c")
    assert compute_fingerprint(tmp_path) != both


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    with pytest.raises(UserError, match="is a pipe or a device"):
        compute_fingerprint(tmp_path / "a")
    with pytest.raises(UserError, match="cannot be read: No such file"):
        compute_fingerprint(tmp_path / "b")


def test_only_what_is_ignored_may_change(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("one")
    (tmp_path / "model.safetensors").write_text("weights")
    found, ignoring = compute_fingerprint(tmp_path), compute_fingerprint(tmp_path, ignored={".md"})
    (tmp_path / "README.md").write_text("two")
    assert compute_fingerprint(tmp_path) != found
    assert compute_fingerprint(tmp_path, ignored={".md"}) == ignoring
    (tmp_path / "model.safetensors").write_text("others")
    assert compute_fingerprint(tmp_path, ignored={".md"}) != ignoring


def test_a_card_that_is_not_there_counts_no_more_than_one_that_is(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text("weights")
    bare = compute_fingerprint(tmp_path)
    (tmp_path / "README.md").write_text("card")
    assert compute_fingerprint(tmp_path, ignored={".md"}) == bare
