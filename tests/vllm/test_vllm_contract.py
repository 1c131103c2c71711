"""What every engine keeps, held to vLLM itself: run by ``make vllm-test``, with vLLM in an environment of its own.

Two models of a few thousand weights, one with a tied head; a server for each, on one thread.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.changed_weights import change_weights
from tests.unit.rollout.conftest import SHAPE, by_seed, one_thread, requests_of, tiny_model, tokenizer
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from dunwu.algorithms import build
from dunwu.algorithms.logprob_difference import compare_logprobs
from dunwu.algorithms.samples import to_sample
from dunwu.config.schema import AlgorithmSpec, OptimizerSpec, UpdateSpec
from dunwu.errors import Fault, UserError
from dunwu.models.policy import Policy
from dunwu.models.weights import FileSource, WeightUpdate, store_update
from dunwu.rollout.builtin.engine import TorchEngine
from dunwu.rollout.vllm.engine import VLLMEngine
from dunwu.rollout.vllm.process import VARIABLE
from dunwu.training.trainer import PolicyTrainer
from dunwu.types import Completion, GenerationRequest, Sampling, VersionSpan

pytestmark = pytest.mark.skipif(VARIABLE not in os.environ, reason=f"{VARIABLE} names no python of vLLM's environment")
HEADS = ("tied", "untied")
SAMPLING = Sampling(max_new_tokens=12, temperature=0.8)
REQUESTS = requests_of((5, 17, 1, 9, 150), 2)
LONG = requests_of((0, 0, 0, 0, 0, 300), 2, seed=3)[-1:]
"""Of more than a block of vLLM's cache of prompts, which has 128 tokens."""
DEATH_SECONDS = 10.0
Seeded = dict[tuple[str, int], Completion]
__all__ = ["one_thread", "tokenizer"]  # fixtures


def make_policy(head: str, tokenizer: Any) -> Policy:
    """A random model with opinions. vLLM's kernels for a CPU want heads of 32 numbers."""
    torch.manual_seed(1)
    shape = SHAPE | {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32}
    if head == "tied":
        model: Any = Qwen3ForCausalLM(Qwen3Config(**shape, tie_word_embeddings=True))
    else:
        model = LlamaForCausalLM(LlamaConfig(**shape, attention_bias=True, tie_word_embeddings=False))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(4.0)
            else:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    end = tokenizer.eos_token_id
    return Policy(model=model.eval(), tokenizer=tokenizer, eos_ids=(end,), pad_id=end + 1)


@pytest.fixture(scope="module", params=HEADS)
def opened(request: pytest.FixtureRequest, tokenizer: Any) -> Iterator[tuple[VLLMEngine, Policy]]:
    """An engine, and the policy, which has the engine's weights at any time."""
    policy = make_policy(request.param, tokenizer)
    with closing(VLLMEngine(policy, max_sequences=8)) as engine:
        yield engine, policy


def test_what_vllms_kernels_have_not_is_refused_when_it_is_opened(tokenizer: Any) -> None:
    """Heads of 8 numbers: vLLM loads such a model, and fails at the first token."""
    end = tokenizer.eos_token_id
    policy = Policy(model=tiny_model("qwen2"), tokenizer=tokenizer, eos_ids=(end,), pad_id=end + 1)
    with pytest.raises(UserError, match="head_dim=8"):
        VLLMEngine(policy, max_sequences=8)


def assert_equal(one: Seeded, other: Seeded) -> None:
    """Equal to the last bit."""
    assert one.keys() == other.keys()
    for key, completion in one.items():
        assert completion.token_ids.tolist() == other[key].token_ids.tolist(), key
        assert completion.logprobs.tolist() == other[key].logprobs.tolist(), key
        assert (completion.text, completion.finish) == (other[key].text, other[key].finish)


def compare_with_trainer(
    policy: Policy, requests: Sequence[GenerationRequest], written: Seeded, temperature: float
) -> tuple[float, float]:
    """The mean and the largest difference to what the product's trainer computes."""
    trainer = PolicyTrainer(
        policy,
        build(AlgorithmSpec(), max_new_tokens=64),
        OptimizerSpec(),
        UpdateSpec(minibatches=1),
        temperature=temperature,
        total_steps=1,
    )
    prompts = {request.prompt.problem.id: request.prompt for request in requests}
    samples = [
        to_sample(prompts[key[0]], own, reward=0.0, group_id=number, member=0)
        for number, (key, own) in enumerate(written.items())
    ]
    difference = compare_logprobs(samples, trainer.compute_policy_logprobs(samples))
    assert difference is not None
    return difference


def is_there(pid: int) -> bool:
    """Whether a process lives; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_completion_is_the_same_alone_shuffled_and_split(opened: tuple[VLLMEngine, Policy]) -> None:
    engine, _ = opened
    together = by_seed(engine, REQUESTS, SAMPLING)
    assert len(together) == 10
    assert_equal(by_seed(engine, REQUESTS[::-1], SAMPLING), together)
    alone: Seeded = {}
    for request in REQUESTS:
        for seed in request.seeds:
            alone |= by_seed(engine, [replace(request, seeds=(seed,))], SAMPLING)
    assert_equal(alone, together)


def test_log_probabilities_are_the_trainers_before_and_after_updates(opened: tuple[VLLMEngine, Policy]) -> None:
    engine, policy = opened
    requests = [*REQUESTS, *LONG]
    texts = []
    for version in (engine.policy_version, 11, 12):
        if version > 10:
            engine.update_weights(change_weights(policy, version))
        written = by_seed(engine, requests, SAMPLING)
        texts.append([own.token_ids.tolist() for own in written.values()])
        mean, largest = compare_with_trainer(policy, requests, written, SAMPLING.temperature)
        print(f"version {version}: mean {mean:.2g}, largest {largest:.2g}")
        assert largest < 1e-4
        assert mean < 1e-6
        for own in written.values():
            assert own.version_spans == (VersionSpan(version=version, start=0, end=len(own.token_ids)),)
    assert texts[0] != texts[1] != texts[2]


def test_nothing_of_the_old_prompt_is_used_after_an_update(opened: tuple[VLLMEngine, Policy]) -> None:
    engine, policy = opened
    by_seed(engine, LONG, SAMPLING)
    engine.update_weights(change_weights(policy, engine.policy_version + 10))
    mean, largest = compare_with_trainer(policy, LONG, by_seed(engine, LONG, SAMPLING), SAMPLING.temperature)
    assert largest < 1e-4
    assert mean < 2e-6  # of 24 tokens


def test_the_likeliest_tokens_stop_strings_and_lengths_are_the_built_in_engines(
    opened: tuple[VLLMEngine, Policy],
) -> None:
    engine, policy = opened
    builtin = TorchEngine(policy, max_sequences=8)
    greedy = replace(SAMPLING, temperature=0.0)
    written = by_seed(builtin, REQUESTS, greedy)
    texts = [own.text for own in written.values()]
    stop = tuple(dict.fromkeys(found for text in texts for found in re.findall("[!-~]{2}", text)))[:3]
    assert stop
    ends = set()
    for sampling in (greedy, replace(greedy, stop=stop), replace(greedy, max_new_tokens=1)):
        expected = by_seed(builtin, REQUESTS, sampling)
        got = by_seed(engine, REQUESTS, sampling)
        assert got.keys() == expected.keys()
        for key, own in got.items():
            assert own.token_ids.tolist() == expected[key].token_ids.tolist()
            assert (own.text, own.finish) == (expected[key].text, expected[key].finish)
            np.testing.assert_allclose(own.logprobs, expected[key].logprobs, atol=1e-4)
            ends.add(own.finish)
    assert ends == {"stop", "length"}


def test_the_end_of_sequence_stays_in_the_tokens_and_out_of_the_text(opened: tuple[VLLMEngine, Policy]) -> None:
    engine, policy = opened
    free = by_seed(engine, REQUESTS, SAMPLING)
    end = max(free.values(), key=lambda own: len(set(own.token_ids.tolist()))).token_ids.tolist()[4]
    engine._eos_ids = (*policy.eos_ids, end)
    try:
        written = by_seed(engine, REQUESTS, SAMPLING)
    finally:
        engine._eos_ids = policy.eos_ids
    stopped = 0
    for key, own in written.items():
        tokens = free[key].token_ids.tolist()
        expected = tokens[: tokens.index(end) + 1] if end in tokens else tokens
        assert own.token_ids.tolist() == expected
        assert own.finish == ("stop" if own.token_ids[-1] in (end, *policy.eos_ids) else "length")
        if expected[-1] == end:
            stopped += 1
            assert own.text == policy.tokenizer.decode(expected[:-1], skip_special_tokens=False)
    assert stopped


def test_many_long_prompts_at_once_do_not_end_vllm(opened: tuple[VLLMEngine, Policy]) -> None:
    """Together they are longer than what vLLM reads in a step; a prompt in parts and a seed end it on a CPU."""
    engine, _ = opened
    many = requests_of((490,) * 10, 1, seed=5)
    assert len(by_seed(engine, many, replace(SAMPLING, max_new_tokens=2))) == 10


def test_what_cannot_be_exact_is_refused(opened: tuple[VLLMEngine, Policy]) -> None:
    engine, _ = opened
    before = by_seed(engine, REQUESTS, SAMPLING)
    for requests, sampling in (
        (REQUESTS, replace(SAMPLING, top_p=0.9)),
        (REQUESTS, replace(SAMPLING, banned=(1,))),
        (REQUESTS, replace(SAMPLING, max_new_tokens=363)),
        (requests_of((4, 0), 1), SAMPLING),
    ):
        with pytest.raises(UserError):
            list(engine.generate(requests, sampling))
    assert list(engine.generate([], SAMPLING)) == []
    assert_equal(by_seed(engine, REQUESTS, SAMPLING), before)


def test_weights_that_are_not_the_models_are_refused_and_the_old_ones_stay(
    opened: tuple[VLLMEngine, Policy], tmp_path: Path
) -> None:
    engine, policy = opened
    before, version = by_seed(engine, REQUESTS, SAMPLING), engine.policy_version
    named = dict(policy.model.named_parameters())
    first = next(iter(named))
    renamed = {("model.other" if name == first else name): tensor for name, tensor in named.items()}
    missing = {name: tensor for name, tensor in named.items() if not name.endswith("norm.weight")}
    shapes = {name: tensor.new_zeros(3, 5) if name == first else tensor for name, tensor in named.items()}
    wrong = [
        WeightUpdate.in_memory(99, ((name, torch.zeros_like(tensor)) for name, tensor in weights.items()))
        for weights in (renamed, missing, shapes)
    ]
    whole = WeightUpdate.in_memory(99, ((name, tensor.detach()) for name, tensor in named.items()))
    lacking = store_update(wrong[1], tmp_path, "lacking")
    assert isinstance(lacking.source, FileSource)
    wrong += [  # the update fits, and its file does not: only the server can see that
        replace(whole, source=replace(lacking.source, names=whole.names)),
        replace(store_update(whole, tmp_path, "other version"), version=98),
        replace(whole, source=FileSource(tmp_path / "nowhere", 99, whole.names)),
    ]
    for update in wrong:
        with pytest.raises(ValueError, match=r"new weights|the file"):
            engine.update_weights(update)
        assert engine.policy_version == version
    assert_equal(by_seed(engine, REQUESTS, SAMPLING), before)


def test_who_leaves_early_disturbs_nobody(opened: tuple[VLLMEngine, Policy]) -> None:
    engine, policy = opened
    before = by_seed(engine, REQUESTS, SAMPLING)
    for _ in range(3):
        some: Any = engine.generate(REQUESTS, replace(SAMPLING, stop=("e", "a", "\n")))
        next(some)
        some.close()
    assert_equal(by_seed(engine, REQUESTS, SAMPLING), before)
    some = engine.generate(REQUESTS, SAMPLING)
    next(some)
    some.close()
    engine.update_weights(change_weights(policy, engine.policy_version + 10))  # what is given up does not hold it
    mean, _ = compare_with_trainer(policy, REQUESTS, by_seed(engine, REQUESTS, SAMPLING), SAMPLING.temperature)
    assert mean < 1e-6


def test_a_killed_server_is_said_and_leaves_nothing(tokenizer: Any) -> None:
    engine = VLLMEngine(make_policy("tied", tokenizer), max_sequences=8)
    home, pid = Path(engine._home.name), engine.server.pid
    some = engine.generate(REQUESTS, replace(SAMPLING, max_new_tokens=300))
    next(some)
    os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    with pytest.raises(Fault, match="killed by SIGKILL"):
        for _ in some:
            pass
    assert time.monotonic() - began < DEATH_SECONDS
    with pytest.raises(Fault):
        list(engine.generate(REQUESTS, SAMPLING))
    engine.close()
    assert not is_there(pid)
    assert not home.exists()


CLIENT = """
    import os, signal, sys, torch
    from dunwu.models.load import load_policy
    from dunwu.rollout.vllm.engine import VLLMEngine
    torch.set_num_threads(1)
    engine = VLLMEngine(load_policy("nano-base"), max_sequences=8)
    print(engine.server.pid, engine._home.name, flush=True)
    sys.stdin.read()
"""


def test_a_killed_client_leaves_no_process_and_no_file() -> None:
    source = str(Path(__file__).parents[2] / "src")
    client = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CLIENT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": source},
    )
    with client:
        assert client.stdout is not None
        pid, home = client.stdout.readline().split()
        assert is_there(int(pid))
        client.kill()
    until = time.monotonic() + DEATH_SECONDS
    while (is_there(int(pid)) or Path(home).exists()) and time.monotonic() < until:
        time.sleep(0.1)
    assert not is_there(int(pid))
    assert not Path(home).exists()
