"""Stop strings: over token borders, inside a token, in broken UTF-8; texts keep them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.groups import generate_groups

from dunwu.models.policy import Policy
from dunwu.rollout.builtin.engine import TorchEngine
from dunwu.rollout.builtin.stop_strings import StopStrings, cut, decode
from dunwu.types import Completion, Sampling

from .conftest import MakePolicy, requests_of


def stop_at(tokenizer: Any, text: str, stop: tuple[str, ...]) -> str | None:
    """What is kept of a text that comes token by token; None where nothing stops it."""
    strings = StopStrings(tokenizer, stop)
    token_ids = np.array(tokenizer.encode(text), dtype=np.int32)
    for end in range(1, len(token_ids) + 1):
        if strings.candidates[token_ids[end - 1]] and strings.hit(token_ids[:end]):
            return cut(decode(tokenizer, token_ids[:end].tolist()), stop)
    return None


@pytest.mark.parametrize(
    ("text", "stop", "kept"),
    [
        ("so <answer>42</answer> and more", ("</answer>",), "so <answer>42</answer>"),
        ("so <answer>42</answer> and more", ("nswer>4", "zz"), "so <answer>4"),
        ("等等，答案是四十二。好", ("四十",), "等等，答案是四十"),
        ("a 😀 b", ("😀",), "a 😀"),
        ("one two three", ("two ",), "one two "),
        ("wait, wait, wait", ("wait, w", "ait,"), "wait,"),
        ("nothing here", ("</answer>",), None),
        ("</answe r>", ("</answer>",), None),
    ],
)
def test_the_text_ends_with_the_first_stop_string(tokenizer: Any, text: str, stop: tuple[str, ...], kept: str) -> None:
    assert stop_at(tokenizer, text, stop) == kept


def test_most_tokens_need_no_look_at_the_text(tokenizer: Any) -> None:
    candidates = StopStrings(tokenizer, ("</answer>",)).candidates
    holding = {t for t in range(len(tokenizer)) if ">" in decode(tokenizer, [t]) or "�" in decode(tokenizer, [t])}
    assert set(np.flatnonzero(candidates).tolist()) == holding
    assert not candidates[tokenizer.encode("w")[0]]


def test_the_engine_stops_where_one_token_at_a_time_would(make_policy: MakePolicy, tokenizer: Any) -> None:
    policy = make_policy("qwen2")
    requests = requests_of((5, 17, 1, 9), 8)

    def run(stop: tuple[str, ...]) -> list[Completion]:
        engine = TorchEngine(policy, max_sequences=11)
        done = {
            group.prompt.problem.id: group.completions
            for group in generate_groups(engine, requests, Sampling(max_new_tokens=40, stop=stop))
        }
        return [completion for request in requests for completion in done[request.prompt.problem.id]]

    stop = ("th", "2", "e", "\n")
    free, stopped = run(()), run(stop)
    ends = 0
    for whole, short in zip(free, stopped, strict=True):
        assert short.token_ids.tolist() == whole.token_ids[: len(short.token_ids)].tolist()
        assert short.token_ids.tolist() == whole.token_ids.tolist() or short.finish == "stop"
        assert not any(s in tokenizer.decode(short.token_ids[:-1]) for s in stop)
        if any(s in short.text for s in stop):
            assert short.text.endswith(stop)
            ends += 1
    assert ends > 20
    assert ends == sum(any(s in whole.text for s in stop) for whole in free)


def test_a_token_beyond_the_tokenizer_stops_nothing(tokenizer: Any, make_policy: MakePolicy) -> None:
    """Models whose vocabulary is padded draw such tokens now and then."""

    class Short:
        """Knows the first 100 tokens only."""

        def __len__(self) -> int:
            return 100

        def decode(self, token_ids: list[int], **_: Any) -> str:
            return "".join(chr(65 + t) if t < 100 else "" for t in token_ids)

    policy = Policy(model=make_policy("llama").model, tokenizer=Short(), eos_ids=(319,), pad_id=0)
    sampling = Sampling(max_new_tokens=60, stop=("C",))
    (group,) = generate_groups(TorchEngine(policy, max_sequences=4), requests_of((4,), 4), sampling)
    assert max(int(c.token_ids.max()) for c in group.completions) > 100
    assert all(("C" in c.text) == c.text.endswith("C") for c in group.completions)
    assert torch.is_inference_mode_enabled() is False
