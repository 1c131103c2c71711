"""What a model must show before anything is built on it: the trainer's and the engine's numbers against its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.families.shapes import WINDOW, tiny_model
from tests.families.wording import UNKNOWN, in_plain_words
from transformers import AutoModelForSequenceClassification

from dunwu.errors import UserError
from dunwu.execution.policies import check_policy
from dunwu.models import agreement, packing
from dunwu.models.agreement import check_scorer
from dunwu.models.policy import Policy

PAST = 4 * WINDOW


class Tokenizer:
    """All that is asked of one here."""

    all_special_ids = (0, 1, 2, 3)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models of this size lose by threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def check(kind: str, longest: int, *, learns: bool = False, generates: bool = False) -> list[str]:
    return check_model(tiny_model(kind), longest, learns=learns, generates=generates)


def check_model(model: Any, longest: int, *, learns: bool = False, generates: bool = False) -> list[str]:
    policy = Policy(model=model, tokenizer=Tokenizer(), eos_ids=(1,), pad_id=0)
    return check_policy(policy, longest=longest, learns=learns, generates=generates)


@pytest.mark.parametrize("kind", ["llama", "qwen3", "mistral", "gemma2", "gemma3_text", "gpt2", "olmoe"])
def test_what_agrees_is_taken(kind: str) -> None:
    assert check(kind, PAST, learns=True, generates=True) == []


def test_attention_with_a_mask_of_its_own_is_left_to_the_model() -> None:
    """Doge's mask hangs on the values; the tree, which looks at no mask, was .02 nats off."""
    model = tiny_model("doge")
    assert not packing.enable(model)
    assert check_model(model, PAST, learns=True) == []


def test_a_model_that_should_have_shared_prompts_and_has_not_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    compute = packing.compute_states
    monkeypatch.setattr(packing, "compute_states", lambda model, tree: 1.1 * compute(model, tree))
    (note,) = check("llama", PAST, learns=True)
    assert note == "attention over shared prompts differs from llama's own, which trains it: several times slower"
    assert check("gpt2", PAST, learns=True) == [], "nobody promised it"
    assert check("llama", PAST, generates=True) == []


@pytest.mark.parametrize("kind", ["bert-generation", "bert", "xlnet", "xlm", "electra"])
def test_a_model_that_looks_ahead_is_refused(kind: str) -> None:
    says = rf"^from: {kind} is not causal: other tokens at the end change what stands before them by \d\S* nats$"
    with pytest.raises(UserError, match=says):
        check(kind, WINDOW, learns=True)


@pytest.mark.parametrize("kind", ["gpt_neo", "moshi"])
def test_local_attention_that_counts_from_the_end_of_the_cache(kind: str) -> None:
    """The engine is refused past the window, and taken within it; the trainer, which has no cache, is right in both."""
    with pytest.raises(UserError) as caught:
        check(kind, PAST, generates=True)
    assert f"{kind} cannot be used past {WINDOW} tokens: log-probabilities of the engine differ" in str(caught.value)
    assert f"keep prompt and completion within {WINDOW} tokens" in str(caught.value)
    assert check(kind, WINDOW, generates=True) == []
    assert check(kind, PAST, learns=True) == []


@pytest.mark.parametrize("way", ["learns", "generates"])
def test_rotary_factors_that_are_chosen_for_the_whole_batch(way: str) -> None:
    """Phi-3's long factors hold from the original context on, here 64 tokens, and for its neighbours then too."""
    with pytest.raises(
        UserError, match=r"phi3 cannot be used past 64 tokens: log-probabilities of the (trainer|engine)"
    ):
        check("phi3 (longrope)", PAST, learns=way == "learns", generates=way == "generates")
    assert check("phi3 (longrope)", 64, learns=way == "learns", generates=way == "generates") == []


def test_a_failure_while_attention_is_tried_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise IndexError("out of range")

    monkeypatch.setattr(packing, "pack", fail)
    with pytest.raises(UserError, match="from: llama fails on a few tokens: IndexError: out of range"):
        check("llama", PAST, learns=True, generates=False)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("openai-gpt", "the engine needs keys and values; openai-gpt gives none"),
        ("mimo_v2_flash", "from: mimo_v2_flash fails on a few tokens: IndexError: "),
        ("llama4_text", "the engine knows no layers of chunked_attention"),
        ("rembert", "from: RemBertForCausalLM|from: rembert"),
        ("dory", "from: (dory|DoryForCausalLM) "),
        ("bloom", "the engine needs a model that takes positions; bloom counts them itself"),
        ("mamba", "the engine needs a model whose state is keys and values; mamba keeps more"),
    ],
)
def test_what_the_engine_cannot_run_is_said_in_one_line(kind: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        check(kind, WINDOW, generates=True)
    assert "\n" not in str(caught.value)


def test_a_fault_that_no_config_tells_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree whose completions see no prompt: every number plausible, all of them wrong."""
    model = tiny_model("llama")
    right = packing.pack

    def shifted(*arguments: Any) -> packing.Packing:
        tree = right(*arguments)
        object.__setattr__(tree, "positions", tree.positions + tree.positions.ge(8).long())
        return tree

    assert check_model(model, WINDOW, learns=True) == []
    monkeypatch.setattr(packing, "pack", shifted)
    with pytest.raises(UserError, match="llama cannot be used: log-probabilities of the trainer differ"):
        check_model(model, WINDOW, learns=True)


def scorer(config: Any) -> Any:
    torch.manual_seed(0)
    config.num_labels = 1
    model = AutoModelForSequenceClassification.from_config(config, trust_remote_code=False)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(6.0 if parameter.dim() == 2 else 1.0)
    return model.eval()


@pytest.mark.parametrize("kind", ["llama", "mistral", "gpt2"])
def test_scores_that_agree(kind: str) -> None:
    assert check_scorer(scorer(tiny_model(kind).config), longest=PAST) == []


def test_scores_that_hang_on_their_neighbours() -> None:
    config = tiny_model("phi3 (longrope)").config
    with pytest.raises(UserError, match=r"phi3 cannot be used past 64 tokens: scores of sequences beside each other"):
        check_scorer(scorer(config), longest=PAST)
    assert check_scorer(scorer(config), longest=64) == []


def test_weights_that_give_no_numbers() -> None:
    model = tiny_model("llama")
    with torch.no_grad():
        model.model.norm.weight.fill_(1e38)
    with pytest.raises(UserError, match="llama"):
        check_model(model, WINDOW, learns=True)


def test_what_would_take_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "CHEAP_FLOPS", 0)
    monkeypatch.setattr(agreement, "MOST_FLOPS", {"cpu": 0.0, "cuda": 0.0})
    said = check("gpt_neo", PAST, generates=True)
    assert said == [f"gpt_neo was not compared with its own forward past {WINDOW} tokens: too long here"]


def test_rows_of_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same ones every time, without special tokens; long ones only where a run's sequences get so far."""
    model = tiny_model("mistral")
    monkeypatch.setattr(agreement, "CHEAP_FLOPS", 0)
    (short,), _ = agreement.make_probes(model, WINDOW, [5, 7])
    assert [len(row) for row in short.rows] == [12, 12, 7, 4]
    assert short.rows[0][:9].tolist() == short.rows[1][:9].tolist()
    assert not {5, 7} & {int(token) for row in short.rows for token in row}
    (again, past), skipped = agreement.make_probes(model, PAST, [5, 7])
    assert [row.tolist() for row in again.rows] == [row.tolist() for row in short.rows]
    assert (past.past, len(past.rows[0]), skipped) == (WINDOW, WINDOW + 2 + agreement.WRITTEN, [])
    monkeypatch.undo()
    found, _ = agreement.make_probes(model, PAST)
    assert [len(probe.rows[0]) for probe in found] == [12, WINDOW + 5, PAST]


def test_boundaries_of_a_config() -> None:
    config = {
        "sliding_window": 512,
        "max_window_layers": 28,
        "use_sliding_window": True,
        "attention_window_size": None,
        "rope_parameters": {"full_attention": {"original_max_position_embeddings": 4096}},
        "vision_config": {"window_size": 14},
        "id2label": {0: "a"},
    }
    assert agreement.find_boundaries(config) == {512, 4096}


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        ("the engine knows no layers of conv", "the engine knows no layers of conv"),
        (
            "it fails on a few tokens: AttributeError: 'XConfig' object has no attribute 'layers'",
            "it fails on a few tokens: its config has no `layers`, and the code asks for it",
        ),
        ("it fails on a few tokens: RuntimeError: \u2620", f"it fails on a few tokens: {UNKNOWN}"),
        ("ImportError: X requires the timm library but", "it needs the library timm, which was not there"),
        ("ZeroDivisionError: division by zero", UNKNOWN),
    ],
)
def test_the_page_of_models_shows_no_exceptions(said: str, plain: str) -> None:
    assert in_plain_words(said) == plain


def test_the_page_of_models_is_in_plain_words() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "models.md").read_text(encoding="utf-8")
    assert not re.search(r"\w(Error|Exception)\b", page)
