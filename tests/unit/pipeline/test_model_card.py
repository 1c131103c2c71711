"""The card of a model: what it is made of and what it reached, without a path or a time in it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.pipeline.contexts import make_context

from dunwu.config.schema import RLStage, SFTStage
from dunwu.pipeline.context import StageContext
from dunwu.pipeline.interrupts import StopSignal
from dunwu.pipeline.stages.model_card import describe_weights, write_card
from dunwu.runs import BASE, TRAINED, StageWriter
from dunwu.types import Estimate


@pytest.fixture
def context(tmp_path: Path) -> Iterator[StageContext]:
    store = StageWriter(tmp_path / "zero", keep=1, on_finish=lambda: None)
    with StopSignal() as stop:
        yield make_context(store, stop)


def test_a_card_says_data_scores_limits_and_the_recipe(context: StageContext, tmp_path: Path) -> None:
    task = {"task": "gsm8k", "path": tmp_path / "gsm8k.jsonl", "held_out": 0.25}
    rollout = {"max_new_tokens": 20, "length_schedule": {8: 40}}
    stage = RLStage.model_validate({"kind": "rl", "from": "nowhere", "steps": 16, "tasks": (task,), "rollout": rollout})
    for name, value in ((BASE, 0.25), (TRAINED, 0.85)):
        estimate = Estimate(value=value, low=value - 0.1, high=value + 0.1)
        results = {"pass@1": estimate, "pass@1 | level 3": estimate}
        context.store.write_evaluation(name, "held", [], results)
        (context.store.path / f"evaluations/{name}/held.parquet").write_text("answers, which nobody reads here")
    text = write_card(stage, context)
    assert text.startswith("---\nlibrary_name: transformers\ntags: [dunwu]\n---\n# mine / zero\n\nnowhere after reinf")
    assert "- gsm8k (gsm8k.jsonl, en); 25% of its problems were never drawn" in text
    assert "| held | right at the first try (pass@1) | 25 % (15–35 %) | 85 % (75–95 %) |" in text
    assert "level 3" not in text
    assert "prompts had at most 1,024 tokens and answers 40." in text
    assert str(tmp_path) not in text
    recipe = tomllib.loads(text.partition("```toml\n")[2].partition("```")[0])
    assert recipe["stages"]["zero"]["tasks"] == [{"task": "gsm8k", "path": "gsm8k.jsonl", "held_out": 0.25}]
    assert write_card(stage, context) == text


def test_a_stage_that_measures_nothing_says_so(context: StageContext) -> None:
    stage = SFTStage.model_validate({"kind": "sft", "from": "/models/small", "data": ("lessons",)})
    text = write_card(stage, context)
    assert "small after supervised fine-tuning on conversations" in text
    assert "- lessons, 2 epochs" in text
    assert "This stage measured nothing." in text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, ""),
        ({"model": {"dtype": "bfloat16"}}, " in bfloat16"),
        ({"model": {"dtype": "bfloat16"}, "adapter": {"rank": 4}}, " with LoRA of rank 4 in bfloat16"),
    ],
)
def test_weights_are_told_where_they_are_not_all_of_them_in_float32(fields: dict[str, object], words: str) -> None:
    stage = SFTStage.model_validate({"kind": "sft", "from": "/models/small", "data": ("lessons",), **fields})
    assert describe_weights(stage) == words
