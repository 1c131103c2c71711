"""A policy that can be asked: the same seed gives the same completions, whatever else is asked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import dunwu
from dunwu.errors import UserError
from dunwu.execution.local import LocalExecutor
from dunwu.monitoring.progress import Silent

QUESTION = "Using the numbers 3, 5, 7, make 15."


@pytest.fixture(scope="module")
def policy() -> dunwu.Policy:
    """The base that comes with the package."""
    return dunwu.load("nano-base", threads=1)


def test_a_completion_depends_on_its_own_prompt_and_seed_alone(policy: dunwu.Policy) -> None:
    together = policy.generate([QUESTION, "What is 2 + 3?"], n=3, max_new_tokens=24, seed=5)
    alone = policy.generate(QUESTION, n=2, max_new_tokens=24, seed=5)
    assert [one.text for one in together[0][:2]] == [one.text for one in alone[0]]
    assert len(together) == 2
    assert [len(group) for group in together] == [3, 3]
    other = policy.generate(QUESTION, n=2, max_new_tokens=24, seed=6)
    assert [one.text for one in other[0]] != [one.text for one in alone[0]]


def test_greedy_completions_are_all_alike(policy: dunwu.Policy) -> None:
    (group,) = policy.generate(QUESTION, n=3, max_new_tokens=8, temperature=0.0)
    assert len({one.text for one in group}) == 1
    assert all(len(one.token_ids) <= 8 for one in group)


class Impatient(Silent):
    """Presses Ctrl-C when the third completion is there."""

    def count_completions(self, done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt


def test_an_interrupted_call_leaves_nothing_behind(policy: dunwu.Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("dunwu.api.policy.open_monitor", lambda log: Impatient())
        with pytest.raises(KeyboardInterrupt):
            policy.generate([QUESTION, "What is 2 + 3?"], n=4, max_new_tokens=24)
    (group,) = policy.generate(QUESTION, n=2, max_new_tokens=24)
    fresh = dunwu.load("nano-base", threads=1).generate(QUESTION, n=2, max_new_tokens=24)
    assert [one.text for one in group] == [one.text for one in fresh[0]]


def test_threads_may_ask_at_once(policy: dunwu.Policy) -> None:
    def ask(seed: int) -> list[str]:
        (group,) = policy.generate(QUESTION, n=2, max_new_tokens=24, seed=seed, log="quiet")
        return [one.text for one in group]

    alone = [ask(seed) for seed in range(6)]
    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(ask, range(6))) == alone


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n: 0: input should be greater than or equal to 1"),
        ({"temperature": -1}, "temperature: -1: input should be greater than or equal to 0"),
        ({"temperature": float("nan")}, "temperature: nan: input should be a finite number"),
        ({"top_p": 0}, "top_p: 0: input should be greater than 0"),
        ({"top_p": 2}, "top_p: 2: input should be less than or equal to 1"),
        ({"max_new_tokens": 0}, "max_new_tokens: 0: input should be greater than or equal to 1"),
        ({"stop": "ab"}, "stop: 'ab': "),
        ({"stop": [""]}, "stop.0: '': string should have at least 1 character"),
        ({"prompts": [None]}, "prompts.0: is NoneType; a prompt is a text or a Problem"),
        ({"prompts": "half \ud800"}, "prompts.0: is no valid Unicode: a lone surrogate; a prompt is a text"),
    ],
)
def test_an_argument_out_of_range_is_refused(policy: dunwu.Policy, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        policy.generate(**{"prompts": QUESTION} | arguments)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("asks_first", [True, False])
def test_a_model_is_loaded_once(asks_first: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DUNWU_CACHE", str(tmp_path))
    loaded, right = list[str](), LocalExecutor.open_policy

    def count(self: LocalExecutor, source: str, **arguments: Any) -> Any:
        loaded.append(source)
        return right(self, source, **arguments)

    monkeypatch.setattr(LocalExecutor, "open_policy", count)
    policy = dunwu.load("nano-base", threads=1)
    if asks_first:
        policy.generate(QUESTION, max_new_tokens=2)
    assert policy.model.config.model_type == "qwen3"
    policy.generate(QUESTION, max_new_tokens=2)
    assert loaded == ["nano-base"]


def test_a_type_that_no_model_has_is_refused() -> None:
    with pytest.raises(UserError, match=r"^dtype: 'int8': must be 'auto', 'float32' or 'bfloat16'"):
        dunwu.load("nano-base", dtype="int8")  # type: ignore[arg-type]


def test_no_prompt_gives_no_completion(policy: dunwu.Policy) -> None:
    assert policy.generate([]) == []


def test_a_packaged_base_is_asked_in_its_own_template(policy: dunwu.Policy) -> None:
    assert policy.template == "nano"
    assert "nano" in policy._repr_html_()


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(dunwu.UserError, match=r"no model: .*did you mean nano-base"):
        dunwu.load("nano-bsae")
    with pytest.raises(dunwu.UserError, match=r"cannot be loaded; dunwu\.evaluate can ask it"):
        dunwu.load("http://127.0.0.1:9/v1#name")


def test_a_saved_policy_is_asked_as_before(policy: dunwu.Policy, tmp_path: Path) -> None:
    again = dunwu.load(policy.save(tmp_path / "copy"), threads=1)
    assert again.template == "nano"
    assert (
        again.generate(QUESTION, max_new_tokens=8)[0][0].text == policy.generate(QUESTION, max_new_tokens=8)[0][0].text
    )


def test_what_is_no_model_is_not_evaluated() -> None:
    with pytest.raises(dunwu.UserError, match="models: is NoneType; a model is a policy, a run, a folder or a name"):
        dunwu.evaluate(None, "countdown")  # type: ignore[arg-type]
