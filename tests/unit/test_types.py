"""What records derive from their fields."""

from __future__ import annotations

import numpy as np
import pytest

from dunwu.types import Completion, VersionSpan


@pytest.mark.parametrize(("versions", "oldest"), [((), 0), ((7,), 7), ((5, 6), 5), ((6, 5), 5)])
def test_a_completion_is_as_old_as_its_oldest_tokens(versions: tuple[int, ...], oldest: int) -> None:
    spans = tuple(VersionSpan(version=version, start=2 * i, end=2 * i + 2) for i, version in enumerate(versions))
    ids = np.zeros(2 * len(versions), np.int32)
    completion = Completion(token_ids=ids, logprobs=ids.astype(np.float32), text="", finish="stop", version_spans=spans)
    assert completion.policy_version == oldest
