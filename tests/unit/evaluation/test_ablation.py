"""The causal check: where chains are cut, what may be written after that, and what is compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import resources
from typing import Any

import numpy as np
import pytest
import torch

from dunwu.errors import UserError
from dunwu.evaluation.ablation import cut_chains, find_reflective_tokens, measure_reflection_effect
from dunwu.models.load import load_tokenizer
from dunwu.models.weights import WeightUpdate
from dunwu.rollout.builtin.sampler import draw_tokens
from dunwu.rollout.engine import Sample
from dunwu.types import (
    Completion,
    GenerationRequest,
    Message,
    Problem,
    Prompt,
    RolloutGroup,
    Sampling,
    Score,
    ScoredGroup,
)

REFLECTING = "<think>3+4=7, too small. wait, 3*4=12, yes.</think> <answer>3*4</answer>"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer(str(resources.files("dunwu") / "assets" / "nano-base"))


def problem(name: str) -> Problem:
    asked = Message(role="user", content="Use 3 and 4 to make 12.")
    return Problem(
        id=name,
        task="t",
        kind="expression",
        level=1,
        language="en",
        messages=(asked,),
        gold="3*4",
        tests=("12", "3", "4"),
    )


def completion(text: str, tokenizer: Any) -> Completion:
    ids = np.array(tokenizer.encode(text, add_special_tokens=False), dtype=np.int32)
    return Completion(
        token_ids=ids,
        logprobs=np.zeros(len(ids), np.float32),
        text=tokenizer.decode(ids),
        finish="stop",
    )


def group(name: str, text: str, tokenizer: Any) -> ScoredGroup:
    prompt = Prompt(problem=problem(name), token_ids=np.array([5, 6], dtype=np.int32))
    score = Score(value=0.0, parts={"accuracy": 0.0}, status="graded", extracted=None, reason="")
    return ScoredGroup(group=RolloutGroup(prompt=prompt, completions=(completion(text, tokenizer),)), scores=(score,))


def test_a_chain_is_cut_before_its_first_word_of_reflection_that_follows_a_step(tokenizer: Any) -> None:
    (cut,) = cut_chains([group("a", REFLECTING, tokenizer)], tokenizer)
    assert tokenizer.decode(cut.written.tolist()).rstrip().endswith("3+4=7, too small.")
    assert tokenizer.decode(cut.word.tolist()).strip() == "wait"
    (late,) = cut_chains([group("a", "<think>wait, 3+4=7. however, 3*4=12</think>", tokenizer)], tokenizer)
    assert tokenizer.decode(late.word.tolist()).strip() == "however", "the first one stands before any step"
    none = ["<think>3*4=12, yes.</think>", "<think>wait</think> 3+4=7, wait", "3*4=12</think> wait"]
    assert cut_chains([group("a", text, tokenizer) for text in none], tokenizer) == []


class Bytes:
    """A tokenizer whose tokens are bytes, as a byte-level one may write rare words."""

    def decode(self, ids: Sequence[int], **options: bool) -> str:
        return bytes(int(number) for number in ids).decode(errors="replace")

    def encode(self, text: str, **options: bool) -> list[int]:
        return list(text.encode())

    def __len__(self) -> int:
        return 256


def test_a_word_of_several_tokens_is_given_whole() -> None:
    (cut,) = cut_chains([group("a", "<think>3+4=7，太小。等等，3*4=12</think>", Bytes())], Bytes())
    assert Bytes().decode(cut.word.tolist()) == "等等"
    assert Bytes().decode(cut.written.tolist()).endswith("太小。")
    assert find_reflective_tokens(Bytes()) == (), "no byte holds a word, and none is taken away"


def test_every_token_that_holds_a_word_of_reflection_is_banned(tokenizer: Any) -> None:
    banned = set(find_reflective_tokens(tokenizer))
    for word in ("wait", "check", "wrong", "等等", "不对", "错误"):
        (number,) = tokenizer.encode(word, add_special_tokens=False)
        assert number in banned, word
    for text in ("3", "+", "yes", "small", "对", "</think>"):
        assert not set(tokenizer.encode(text, add_special_tokens=False)) & banned, text


def test_banned_tokens_are_never_drawn() -> None:
    logits = torch.zeros(4096, 8)
    logits[:, 3] = 5.0
    uniforms = torch.linspace(0, 1 - 1e-9, 4096, dtype=torch.float64)
    tokens, logprobs = draw_tokens(logits, uniforms, Sampling(banned=(3, 0)))
    assert set(tokens.tolist()) == {1, 2, 4, 5, 6, 7}
    assert logprobs == pytest.approx(np.full(4096, np.log(1 / 6)), abs=1e-6)
    greedy, _ = draw_tokens(logits, uniforms, Sampling(temperature=0.0, banned=(3,)))
    assert 3 not in greedy.tolist()
    assert 3 in draw_tokens(logits, uniforms, Sampling())[0].tolist()
    assert logits[0, 3] == 5.0, "the model's logits stay as they are"


class Continuing:
    """Answers right after "wait", and wrong where that is banned; remembers what it was asked."""

    policy_version = 0

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.asked: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = []

    def generate(
        self, requests: Sequence[GenerationRequest], sampling: Sampling
    ) -> Iterator[tuple[Sample, Completion]]:
        for number, request in enumerate(requests):
            text = self._tokenizer.decode(request.prompt.token_ids[2:].tolist())
            self.asked.append((text, request.seeds, sampling.banned))
            for index in range(len(request.seeds)):
                right = not sampling.banned or index == 0
                answer = "3*4" if right else "3+4"
                yield Sample(number, index), completion(f" 3*4=12</think> <answer>{answer}</answer>", self._tokenizer)

    def update_weights(self, update: WeightUpdate) -> None: ...

    def close(self) -> None: ...


class Exact:
    """Right where the whole chain ends with the right answer and begins as the model's did."""

    workers = 1

    def score(self, problem: Problem, completion: Completion) -> Score:
        assert completion.text.startswith("<think>3+4=7, too small.")
        right = completion.text.endswith("<answer>3*4</answer>")
        failed = problem.id == "broken"
        return Score(
            value=0.0,
            parts={} if failed else {"accuracy": float(right)},
            status="verifier_failed" if failed else "graded",
            extracted=None,
            reason="",
        )

    def score_group(self, group: RolloutGroup, scores: Sequence[Score], update: int) -> tuple[Score, ...]:
        return tuple(scores)


def test_both_arms_continue_the_same_chain_with_the_same_seeds(tokenizer: Any) -> None:
    chains = cut_chains([group(name, REFLECTING, tokenizer) for name in ("a", "b", "c", "broken")], tokenizer)
    engine, seen = Continuing(tokenizer), list[tuple[int, int]]()
    effect = measure_reflection_effect(
        engine, chains, Exact(), Sampling(), tokenizer, samples=4, seed=1, finished=lambda *told: seen.append(told)
    )
    without, with_ = engine.asked[:4], engine.asked[4:]
    assert [seeds for _, seeds, _ in without] == [seeds for _, seeds, _ in with_]
    assert len({seeds for _, seeds, _ in without}) == 4
    assert all(text.rstrip().endswith("too small.") and banned for text, _, banned in without)
    assert all(text.rstrip().endswith("wait") and not banned for text, _, banned in with_)
    assert (effect.chains, effect.samples, effect.leaked) == (3, 4, 0.0)
    assert (effect.without.value, effect.with_.value, effect.difference.value) == (0.25, 1.0, 0.75)
    assert effect.p == pytest.approx(2 / 2**3), "all of three chains in one direction, of eight ways to flip"
    assert seen[-1] == (32, 32)
    with pytest.raises(UserError, match="nothing to cut"):
        measure_reflection_effect(engine, [], Exact(), Sampling(), tokenizer, samples=4, seed=1)


def test_a_tag_that_the_prompt_opened_is_no_token_of_the_chain(tokenizer: Any) -> None:
    plain = group("a", REFLECTING.removeprefix("<think>"), tokenizer)
    prompt = replace(plain.group.prompt, opening="<think>")
    (written,) = plain.group.completions
    opened = RolloutGroup(prompt=prompt, completions=(replace(written, text="<think>" + written.text),))
    chains = cut_chains([replace(plain, group=opened)], tokenizer)
    assert tokenizer.decode(chains[0].written.tolist()).rstrip() == "3+4=7, too small."
    assert tokenizer.decode(chains[0].word.tolist()).strip() == "wait"
    effect = measure_reflection_effect(Continuing(tokenizer), chains, Exact(), Sampling(), tokenizer, samples=4, seed=1)
    assert (effect.without.value, effect.with_.value, effect.leaked) == (0.25, 1.0, 0.0)
