"""Adapters: exact gradients, a base that nothing touches, a merge that changes nothing, a resume bit for bit."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from torch import Tensor
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    MixtralConfig,
    MixtralForCausalLM,
    Qwen2ForCausalLM,
    Qwen2ForSequenceClassification,
)

from dunwu.algorithms import build, cut_minibatches
from dunwu.config.schema import AdapterSpec, AlgorithmSpec, OptimizerSpec, PassSpec, UpdateSpec, ValueSpec
from dunwu.errors import NotInstalled, UserError
from dunwu.models.adapters import add_adapter, effective_weight, find_linear_layers, list_learned
from dunwu.models.policy import Policy
from dunwu.rollout.builtin.engine import TorchEngine
from dunwu.training.critic import Critic
from dunwu.training.learner import Learner
from dunwu.training.reward import RewardTrainer, VerdictBatch
from dunwu.training.steps import take_step
from dunwu.training.trainer import PolicyTrainer
from dunwu.types import GenerationRequest, Problem, Prompt, Sampling

from .conftest import MakePolicy, MakeSamples, as_batch

ADAPTER = AdapterSpec(rank=4)
IDS = torch.tensor([[5, 9, 2, 7, 30, 11, 4]])


def make_trainer(
    policy: Policy, adapter: AdapterSpec | None = ADAPTER, *, kl: float = 0.1, seed: int = 0, **update: Any
) -> PolicyTrainer:
    return PolicyTrainer(
        policy,
        build(AlgorithmSpec(kl_coefficient=kl), max_new_tokens=20),
        OptimizerSpec(lr=1e-3, weight_decay=0.1, warmup_steps=1),
        UpdateSpec(minibatches=1, tokens_per_microbatch=60, **update),
        temperature=1.0,
        total_steps=8,
        adapter=adapter,
        seed=seed,
    )


def learn(trainer: PolicyTrainer, make_samples: MakeSamples, rollouts: int, first: int = 0) -> list[dict[str, float]]:
    """Make one update a rollout, each on samples of its own."""
    metrics = []
    for number in range(first, first + rollouts):
        batch = as_batch(trainer, make_samples(8, seed=number))
        (step,) = cut_minibatches(batch, UpdateSpec(minibatches=1, tokens_per_microbatch=60), seed=number)
        metrics.append(dict(take_step(trainer, step, at=trainer.policy_version).metrics))
    return metrics


def fill(adapted: Any, seed: int = 3) -> None:
    """Give B numbers, as after some updates."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in list_learned(adapted).items():
        if ".lora_B." in name:
            weight.data.copy_(torch.randn(weight.shape, generator=generator) * 0.02)


def snapshot(model: Any) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@torch.no_grad()
def logits(model: Any) -> Tensor:
    found: Tensor = model(input_ids=IDS).logits
    return found


def test_at_first_an_adapter_changes_nothing(make_policy: MakePolicy) -> None:
    policy = make_policy()
    before, expected = snapshot(policy.model), logits(policy.model)
    learner = Learner(policy, OptimizerSpec(), 1, False, ADAPTER)
    assert torch.equal(logits(learner.model), expected)
    assert torch.equal(logits(policy.model), expected)
    exported = dict(learner.export_weights().read())
    assert exported.keys() == before.keys()
    assert all(torch.equal(weight, before[name]) for name, weight in exported.items())
    layers = 2 * 7  # q, k, v, o, gate, up, down
    learned = list_learned(learner.model)
    assert len(learned) == 2 * layers
    assert {weight.shape[0 if ".lora_A." in name else 1] for name, weight in learned.items()} == {4}
    assert not any("embed" in name or "lm_head" in name for name in learned)


def test_gradients_are_those_of_all_weights_projected(make_policy: MakePolicy, make_samples: MakeSamples) -> None:
    """With W + s B A in the place of W: dB = s dW A^T and dA = s B^T dW."""
    adapted = make_trainer(make_policy(), kl=0.0)
    fill(adapted._learner.model)
    full_policy = make_policy()
    full_policy.model.load_state_dict(dict(adapted.export_weights().read()), strict=False)
    full = make_trainer(full_policy, adapter=None, kl=0.0)
    for trainer in (adapted, full):
        learn(trainer, make_samples, 1)  # the first one's gradients are left, clipped to the norm
    whole = {name: p.grad for name, p in full._learner.model.named_parameters()}
    clips = {}
    for trainer in (adapted, full):
        norm = torch.stack([p.grad.norm() for p in trainer._learner.model.parameters() if p.grad is not None]).norm()
        clips[trainer] = norm
    scale = ADAPTER.alpha / ADAPTER.rank
    twin = make_trainer(make_policy(), kl=0.0)._learner.model
    fill(twin)
    ratios = []
    for name in find_linear_layers(full_policy.model):
        layer, before = adapted._learner.model.get_submodule(name), twin.get_submodule(name)
        a, b = before.lora_A["default"].weight.detach(), before.lora_B["default"].weight.detach()
        dw = whole[f"{name}.weight"]
        assert dw is not None
        for found, expected in (
            (layer.lora_A["default"].weight.grad, scale * b.T @ dw),
            (layer.lora_B["default"].weight.grad, scale * dw @ a.T),
        ):
            ratios.append(float(found.norm() / expected.norm()))
            torch.testing.assert_close(found / found.norm(), expected / expected.norm(), rtol=1e-3, atol=1e-5)
    assert max(ratios) == pytest.approx(min(ratios), rel=1e-3), "all are clipped by the same factor"


def test_only_the_adapter_learns(make_policy: MakePolicy, make_samples: MakeSamples) -> None:
    policy = make_policy()
    before = snapshot(policy.model)
    trainer = make_trainer(policy)
    first = snapshot(trainer._learner.model)
    (metrics,) = learn(trainer, make_samples, 1)
    assert metrics["lr"] == pytest.approx(1e-3 * 10)
    moved = {n for n, w in trainer._learner.model.named_parameters() if not torch.equal(w, first[n])}
    assert moved == set(list_learned(trainer._learner.model))
    assert all(torch.equal(weight, before[name]) for name, weight in policy.model.named_parameters())
    state = trainer._learner._optimizer.export_state()
    assert {place.rsplit("/", 1)[0] for place in state} == moved
    # AdamW's first step is the learning rate against the sign; B was zero, so nothing decayed.
    name = "model.layers.0.mlp.up_proj.lora_B.default.weight"
    step = trainer._learner.model.get_parameter(name).detach().abs()
    torch.testing.assert_close(step, torch.full_like(step, 1e-2), rtol=1e-3, atol=1e-6)


def test_the_reference_is_the_base_itself(make_policy: MakePolicy, make_samples: MakeSamples) -> None:
    policy, samples = make_policy(), make_samples(6)
    trainer = make_trainer(policy)
    assert trainer._reference is not None
    assert trainer._reference.model is policy.model
    addresses = {weight.data_ptr() for weight in policy.model.parameters()}
    frozen = [w for w in trainer._learner.model.parameters() if not w.requires_grad]
    assert {weight.data_ptr() for weight in frozen} == addresses
    start = [one.ref_logprobs for one in trainer.compute_logprobs(samples)]
    first, _, third = learn(trainer, make_samples, 3)
    assert first["kl"] == pytest.approx(0.0, abs=1e-6)
    assert third["kl"] > 1e-4
    for one, expected in zip(trainer.compute_logprobs(samples), start, strict=True):
        np.testing.assert_array_equal(one.ref_logprobs, expected)

    trainer.refresh_reference()  # from here on it is the base with a copy of the adapter
    copied = trainer._reference.model
    assert addresses < {weight.data_ptr() for weight in copied.parameters()}
    for own, one in zip(trainer.compute_policy_logprobs(samples), trainer.compute_logprobs(samples), strict=True):
        np.testing.assert_array_equal(own, one.ref_logprobs)
    back, away = learn(trainer, make_samples, 2, first=3)
    assert back["kl"] == pytest.approx(0.0, abs=1e-6)
    assert away["kl"] > 1e-4


def test_the_engine_runs_what_the_trainer_has(make_policy: MakePolicy, make_samples: MakeSamples) -> None:
    policy = make_policy()
    trainer = make_trainer(policy)
    engine = TorchEngine(policy, max_sequences=8)
    learn(trainer, make_samples, 4)
    engine.update_weights(trainer.export_weights())
    problem = Problem(id="p", task="t", kind="number", level=1, language="en", messages=(), gold="1")
    prompt = Prompt(problem=problem, token_ids=IDS[0].numpy().astype(np.int32))
    requests = [GenerationRequest(prompt=prompt, seeds=(1, 2, 3, 4))]
    written = [one for _, one in engine.generate(requests, Sampling(temperature=1.0, max_new_tokens=30))]
    difference = []
    for one in written:
        ids = torch.tensor([[*prompt.token_ids.tolist(), *one.token_ids.tolist()]])
        with torch.no_grad():
            every = trainer._learner.model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        own = every.gather(1, ids[0, 1:, None])[len(prompt.token_ids) - 1 :, 0].numpy()
        difference.append(np.abs(own - one.logprobs).max())
    assert 0 < max(difference) < 1e-4


def test_a_merged_model_and_its_adapter_are_the_policy(
    make_policy: MakePolicy, make_samples: MakeSamples, tmp_path: Path
) -> None:
    trainer = make_trainer(make_policy(tie_word_embeddings=True))
    learn(trainer, make_samples, 3)
    expected = logits(trainer._learner.model)
    trainer.save_model(tmp_path / "model")
    merged = Qwen2ForCausalLM.from_pretrained(tmp_path / "model")
    torch.testing.assert_close(logits(merged), expected, rtol=0, atol=1e-5)
    base = make_policy(tie_word_embeddings=True).model
    apart = (logits(base) - expected).abs().max()
    assert apart > 0.01
    loaded = peft.PeftModel.from_pretrained(base, tmp_path / "model" / "adapter").eval()
    torch.testing.assert_close(logits(loaded), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("refreshed", [False, True])
def test_a_resumed_run_is_the_straight_run(
    make_policy: MakePolicy, make_samples: MakeSamples, tmp_path: Path, dtype: str, refreshed: bool
) -> None:
    def fresh(seed: int) -> PolicyTrainer:
        policy = make_policy()
        policy.model.to(getattr(torch, dtype))
        return make_trainer(policy, seed=seed)

    straight = fresh(0)
    learn(straight, make_samples, 2)
    if refreshed:
        straight.refresh_reference()
    straight.save(made(tmp_path / "middle"))
    metrics = learn(straight, make_samples, 2, first=2)
    straight.save(made(tmp_path / "straight"))

    resumed = fresh(9)  # other matrices A, which the checkpoint replaces
    resumed.load(tmp_path / "middle")
    assert resumed.policy_version == 2
    assert learn(resumed, make_samples, 2, first=2) == metrics
    resumed.save(made(tmp_path / "resumed"))
    assert hashes(tmp_path / "resumed") == hashes(tmp_path / "straight")
    files = hashes(tmp_path / "middle")
    assert not any(name.endswith("model.safetensors") for name in files if "adapter" not in name)
    assert ("reference.safetensors" in files) == refreshed


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_gradient_checkpointing_changes_nothing(make_policy: MakePolicy, make_samples: MakeSamples) -> None:
    results = []
    for checkpointing in (False, True):
        trainer = make_trainer(make_policy(), gradient_checkpointing=checkpointing)
        learn(trainer, make_samples, 2)
        results.append(snapshot(trainer._learner.model))
    for name, weight in results[0].items():
        torch.testing.assert_close(results[1][name], weight, rtol=0, atol=1e-5, msg=name)


def test_a_checkpoint_of_another_base_is_refused(make_policy: MakePolicy, tmp_path: Path) -> None:
    make_trainer(make_policy(0)).save(tmp_path)
    with pytest.raises(
        UserError, match=r"from: qwen2 is not what the adapter in .* was trained on, qwen2: put it back"
    ):
        make_trainer(make_policy(1)).load(tmp_path)


def test_the_first_matrices_are_the_seed_s_alone(make_policy: MakePolicy) -> None:
    def draw(seed: int, around: int) -> tuple[Tensor, Tensor]:
        """Return a matrix A, and the number that torch draws next."""
        model = make_policy().model
        torch.manual_seed(around)
        return next(iter(list_learned(add_adapter(model, ADAPTER, seed)).values())), torch.rand(1)

    (first, drawn), (same, other_drawn), (other, _) = draw(0, 1), draw(0, 2), draw(1, 1)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    for around, number in ((1, drawn), (2, other_drawn)):
        torch.manual_seed(around)
        assert torch.equal(torch.rand(1), number)


def test_rank_is_held_to_the_smallest_side(make_policy: MakePolicy) -> None:
    with pytest.raises(UserError, match=r"adapter\.rank: 17 is more than a side of .*k_proj, which is 16 x 32"):
        add_adapter(make_policy().model, AdapterSpec(rank=17), 0)


def test_matrices_that_are_no_linear_layers_are_refused() -> None:
    model = MixtralForCausalLM(
        MixtralConfig(
            vocab_size=20,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            num_local_experts=2,
        )
    )
    with pytest.raises(UserError, match=r"adapter: no adapter for mixtral: .* is neither a linear layer nor an embed"):
        add_adapter(model, ADAPTER, 0)


def test_transposed_linear_layers_of_gpt2(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=40, n_positions=16, n_embd=16, n_layer=1, n_head=2)).eval()
    adapted = add_adapter(model, ADAPTER, 0).eval()
    fill(adapted)
    expected = logits(adapted)
    with torch.no_grad():
        for name, layer in find_linear_layers(model).items():
            layer.weight.data = effective_weight(adapted.get_submodule(name), 0)
    assert (logits(model) - expected).abs().max() < 1e-5


def test_an_adapter_smaller_than_rounding_shows_in_bfloat16(make_policy: MakePolicy) -> None:
    model = make_policy().model.to(torch.bfloat16)
    layer = add_adapter(model, ADAPTER, 0).get_submodule("model.layers.0.mlp.down_proj")
    weight = layer.base_layer.weight.float()
    assert torch.equal(effective_weight(layer, 0).float(), weight), "B is zero"
    torch.manual_seed(0)
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    with torch.no_grad():
        b.copy_(torch.randn_like(b))
        product = b @ a * layer.scaling["default"]
        share = 0.02 * weight.std() / product.std() * 2**-4  # far below half of 2^-8 of a usual weight
        b.mul_(share)
        product *= share
        moved = effective_weight(layer, 0).float() - weight
    slope = (moved * product).sum() / product.square().sum()
    assert slope.item() == pytest.approx(1.0, abs=0.25)


def test_without_peft_one_line_says_what_to_install(make_policy: MakePolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(NotInstalled, match=r"adapter: peft is not installed: pip install 'dunwu\[lora\]'"):
        make_trainer(make_policy())


def make_scorer(make_policy: MakePolicy) -> Policy:
    policy = make_policy()
    torch.manual_seed(5)
    config = policy.model.config.__class__(**{**policy.model.config.to_dict(), "num_labels": 1, "pad_token_id": 0})
    return replace(policy, model=Qwen2ForSequenceClassification(config).eval())


def test_a_new_head_learns_whole_beside_the_adapter(make_policy: MakePolicy, tmp_path: Path) -> None:
    scorer = make_scorer(make_policy)
    head, base = scorer.model.score.weight.detach().clone(), snapshot(scorer.model.model)
    texts = [np.array(row, np.int32) for row in ([5, 9, 2], [7, 30, 11, 4], [3, 3, 8])]
    trainer = RewardTrainer(scorer, OptimizerSpec(lr=1e-3), PassSpec(), total_steps=9, adapter=ADAPTER)
    batch = VerdictBatch(each=texts, good=[True, False, True])
    losses = [take_step(trainer, batch, at=0).metrics["loss"] for _ in range(9)]
    first = (scorer.model.score.weight - head).abs().max()
    assert 5e-4 < first < 9e-3 * 1.01, "the head moves at optimizer.lr, the adapter ten times as fast"
    assert losses[-1] < 0.5 * losses[0]
    assert all(torch.equal(weight, base[name]) for name, weight in scorer.model.model.named_parameters())

    expected = trainer.score(texts)
    trainer.save(tmp_path)
    again = RewardTrainer(make_scorer(make_policy), OptimizerSpec(), PassSpec(), total_steps=9, adapter=ADAPTER, seed=4)
    again.load(tmp_path)
    np.testing.assert_array_equal(again.score(texts), expected)
    trainer.save_model(tmp_path / "model")
    merged = Qwen2ForSequenceClassification.from_pretrained(tmp_path / "model")
    loaded = peft.PeftModel.from_pretrained(make_scorer(make_policy).model, tmp_path / "model" / "adapter").eval()
    for model in (merged, loaded):
        with torch.no_grad():
            found = [model(input_ids=torch.tensor(text[None].astype(np.int64))).logits.item() for text in texts]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_value_network_can_have_one(make_policy: MakePolicy, make_samples: MakeSamples, tmp_path: Path) -> None:
    def make(seed: int) -> Critic:
        spec = ValueSpec(optimizer=OptimizerSpec(lr=1e-3))
        return Critic(make_scorer(make_policy), spec, UpdateSpec(), total_steps=8, adapter=ADAPTER, seed=seed)

    critic, other = make(0), make(1)
    fill(critic._learner.model)
    critic.save(tmp_path)
    other.load(tmp_path)
    samples = make_samples(5)
    for one, same in zip(critic.compute_values(samples), other.compute_values(samples), strict=True):
        assert one.any()
        np.testing.assert_array_equal(one, same)
