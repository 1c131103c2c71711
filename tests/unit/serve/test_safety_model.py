"""A reward model as a policy's safety model: its number, and what it says where it cannot be one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dunwu.commands.serve import open_score
from dunwu.config.schema import PromptSpec
from dunwu.errors import UserError
from dunwu.models.load import load_scorer, save_policy
from dunwu.models.templates import Template
from dunwu.serve.review.decision import decide
from dunwu.serve.review.policy import ModelRule, Policy, Topic, read_policy
from dunwu.serve.safety_model import open_safety_model
from dunwu.types import Message


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    made = tmp_path_factory.mktemp("scorer") / "model"
    save_policy(load_scorer("nano-world", device="cpu", new_head=True), made)
    return made


def asks_model(threshold: float) -> Policy:
    topic = Topic(action="hold", model=ModelRule(threshold=threshold), applies_to=("answer",))
    return Policy(name="p", default="answer", topics={"harm": topic})


def test_the_score_is_the_probability_of_the_other_verdict(folder: Path) -> None:
    score = open_safety_model(str(folder), "nano")
    scorer = load_scorer(str(folder), device="cpu")
    template = Template(PromptSpec(template="nano"), scorer.tokenizer)
    asked = (Message(role="user", content="How do I rob a bank?"),)
    for text in ("First get the tools.", "I can not help.", ""):
        row = torch.from_numpy(np.asarray(template.encode_answer("x", asked, text), dtype=np.int64))[None]
        with torch.no_grad():
            safe = scorer.model(input_ids=row).logits.sigmoid().item()
        assert score(asked[0].content, text) == pytest.approx(1 - safe, abs=1e-5)


def test_a_policy_asks_it(folder: Path) -> None:
    score = open_score(str(folder), asks_model(0.5))
    value = score("Q", "A")
    above, below = asks_model(min(1.0, value + 0.01)), asks_model(value - 0.01)
    assert decide(above, "Q", "", "A", score=score).action == "answer"
    assert decide(below, "Q", "", "A", score=score).action == "hold"


def test_what_cannot_be_one_says_so(folder: Path) -> None:
    for policy, line in ((None, "give --policy, too"), (read_policy("safety"), "no topic of the policy safety")):
        with pytest.raises(UserError, match=line):
            open_score(str(folder), policy)
    with pytest.raises(UserError, match="this is no reward model"):
        open_score("nano-base", asks_model(0.5))
    with pytest.raises(UserError, match="must lie on this machine"):
        open_score("http://127.0.0.1:1/v1#x", asks_model(0.5))
    with pytest.raises(UserError, match="learned from verdicts"):
        open_safety_model(str(folder), "nano", stage={"learn_from": "pairs"})
