"""The plan's arithmetic, worked out by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.config.model_folders import QWEN2, save_model

from dunwu.config.loader import load_recipe, validate_recipe
from dunwu.config.schema import HardwareSpec, PretrainStage
from dunwu.kinds.rl import plan_rl
from dunwu.machine import Dtype
from dunwu.models.shape import PUBLISHED, find_shape, shape_from_config
from dunwu.planning import GIB, estimate, make_plan
from dunwu.planning.estimate import DEVICES, find_device
from dunwu.planning.sharing import PromptTokens
from dunwu.planning.stage_plan import PlanContext
from dunwu.planning.stage_rows import list_stage_rows

Write = Callable[..., Path]
PAPER = Path(__file__).parents[3] / "recipes" / "paper" / "r1-zero.toml"

VOCABULARY = 576
"""Of the recipe's corpus."""


def test_the_paper_recipe_gives_the_paper_numbers() -> None:
    """arXiv 2501.12948v2, section 2."""
    planned = make_plan(load_recipe(PAPER), file=PAPER)
    assert planned.problems == ()
    stage = json.loads(json.dumps(planned.as_json()))["stages"][0]
    expected = {
        "steps": 10400,
        "questions": 512,
        "group_size": 16,
        "completions_per_rollout": 8192,
        "updates_per_rollout": 16,
        "completions_per_update": 512,
        "rollouts": 650,
        "reference_every_rollouts": 25,
        "reference_refreshes": 25,
        "parameters": 671_000_000_000,
    }
    assert {key: stage[key] for key in expected} == expected
    assert stage["contexts"] == [
        {"first_rollout": 0, "first_update": 0, "rollouts": 513, "max_new_tokens": 32768},
        {"first_rollout": 513, "first_update": 8208, "rollouts": 137, "max_new_tokens": 65536},
    ]
    assert stage["tokens_generated_at_most"] == 8192 * (513 * 32768 + 137 * 65536)
    assert stage["dollars"] == pytest.approx(2 * stage["device_hours"])
    assert 101_000 / 2 < stage["device_hours"] < 101_000 * 2  # what the paper spent


def test_small_batches_by_hand(write: Write) -> None:
    overrides = ("steps=40", "rollout.length_schedule={9=128}", "checkpoint.every=6", "reference_every=8")
    recipe = load_recipe(write(), [f"stages.zero.{text}" for text in overrides])
    stage = make_plan(recipe).stages[1]
    counts = stage.batches
    assert counts is not None
    assert (counts.rollouts, counts.completions_per_rollout, counts.completions_per_update) == (10, 32, 8)
    assert (counts.reference_every_rollouts, counts.reference_refreshes) == (2, 4)  # the tenth would serve nothing
    assert (counts.checkpoint_every_rollouts, counts.checkpoints) == (2, 5)
    assert [(c.first_rollout, c.first_update, c.rollouts, c.max_new_tokens) for c in counts.contexts] == [
        (0, 0, 3, 96),
        (3, 12, 7, 128),
    ]
    assert counts.tokens_generated_at_most == 32 * (3 * 96 + 7 * 128)
    assert counts.evaluation_tokens_at_most == 2 * 500 * 16 * 96


def test_a_limit_that_is_never_reached_and_a_reference_that_never_changes(write: Write) -> None:
    overrides = ["stages.zero.rollout.length_schedule={64=128}", "stages.zero.reference_every=0"]
    counts = make_plan(load_recipe(write(), overrides)).stages[1].batches
    assert counts is not None
    assert [(c.rollouts, c.max_new_tokens) for c in counts.contexts] == [(8, 96)]
    assert (counts.reference_every_rollouts, counts.reference_refreshes) == (None, 0)


def test_evaluation_while_training_is_counted(write: Write) -> None:
    overrides = ("every=8", "during_problems=10", "during_samples=2", "max_new_tokens=50")
    recipe = load_recipe(write(), [f"stages.zero.evaluation.{text}" for text in overrides])
    counts = make_plan(recipe).stages[1].batches
    assert counts is not None
    assert counts.evaluation_tokens_at_most == (2 * 500 * 16 + 4 * 10 * 2) * 50


def test_shapes_are_those_of_the_models_themselves(tmp_path: Path) -> None:
    assert shape_from_config(QWEN2) == PUBLISHED["Qwen/Qwen2.5-0.5B"]
    tied = {name.rpartition("-")[2] for name, shape in PUBLISHED.items() if shape.has_tied_output}
    assert {"0.5B", "1.5B"} <= tied
    assert "7B" not in tied
    untied = shape_from_config(QWEN2 | {"tie_word_embeddings": False})
    assert untied is not None
    assert not untied.has_tied_output
    llama = {**QWEN2, "model_type": "llama", "tie_word_embeddings": False, "num_key_value_heads": 14}
    shape = shape_from_config(llama)
    layer = 4 * 896 * 896 + 3 * 896 * 4864 + 2 * 896
    assert shape is not None
    assert (shape.parameters, shape.kv_values) == (2 * 151936 * 896 + 24 * layer + 896, 24 * 2 * 896)
    qwen3 = shape_from_config({**QWEN2, "model_type": "qwen3", "head_dim": 128})
    assert qwen3 is not None
    assert (qwen3.attention, qwen3.kv_values) == (14 * 128, 24 * 2 * 2 * 128)
    assert shape_from_config({**QWEN2, "num_experts": 8}) is None
    assert shape_from_config({"model_type": "gpt2", "n_embd": 768}) is None


def test_a_hub_model_is_known_once_its_config_is_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert find_shape("owner/model") is None
    save_model(tmp_path / "models--owner--model" / "snapshots" / "abc", {**QWEN2, "num_hidden_layers": 2})
    shape = find_shape("owner/model")
    assert shape is not None
    assert shape.layers == 2
    assert find_shape("Qwen/Qwen2.5-0.5B") == PUBLISHED["Qwen/Qwen2.5-0.5B"]


def test_a_stage_passes_its_shape_on_to_the_next(write: Write) -> None:
    base, zero = make_plan(load_recipe(write())).stages
    attention = 128 * 128 * 2 + 128 * 64 * 2 + 2 * 32
    layer = attention + 3 * 128 * 384 + 2 * 128
    assert base.parameters == zero.parameters == VOCABULARY * 128 + 4 * layer + 128
    assert base.steps == 13  # 100,000 tokens in batches of 512 x 16, the last one whole
    described = base.as_json()
    assert (described["rollouts"], described["updates_per_rollout"], described["reference_every_rollouts"]) == (
        None,
        None,
        None,
    )


def test_r1_in_the_paper_s_numbers() -> None:
    """R1_SPEC: 16 updates a rollout, 650 rollouts, the reference every 25; hours of the paper's order."""
    planned = make_plan(load_recipe(PAPER.with_name("r1.toml")), file=PAPER.with_name("r1.toml"))
    assert planned.problems == ()
    stages = {stage.name: stage for stage in planned.stages}
    zero = stages["zero"].batches
    assert zero is not None
    assert (zero.updates_per_rollout, zero.rollouts, zero.reference_every_rollouts) == (16, 650, 25)
    assert (stages["dev1"].steps, stages["dev3"].steps) == (2 * -(-5000 // 128), 2 * 800_000 // 128)
    # A tenth of the paper's 66,000 pairs and 106,000 verdicts is held out, which is ours.
    assert (stages["helpful"].steps, stages["safe"].steps) == (-(-59_400 // 256), -(-95_400 // 256))
    hours = sum(stage.device_hours or 0.0 for stage in planned.stages)
    assert 147_000 / 2 < hours < 147_000 * 2
    assert planned.totals[0].startswith(f"all stages: {hours:,.2f} device hours, ${2 * hours:,.2f};")
    assert "147K in all, $294K at $2" in planned.totals[1]
    assert planned.feeds["dev3"] == ("deepseek-ai/DeepSeek-V3-Base", "reject", "general")
    assert planned.graph[0].split() == ["zero", "◀───────", "rl", "───────", "deepseek-ai/DeepSeek-V3-Base"]


def test_memory_by_hand(write: Write, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", QWEN2)
    overrides = [
        f"from={folder}",
        "model.dtype=bfloat16",
        "rollout.max_sequences=32",
        "update.tokens_per_microbatch=1000",
        "update.logprob_chunk=2048",
    ]
    memory = make_plan(load_recipe(write(), [f"stages.zero.{text}" for text in overrides])).stages[1].memory
    assert memory is not None
    weights = 494_032_768 * 2
    layer = 6 * 896 + 2 * 896 + 2 * 128 + 4 * 4864
    kept, joined = 2 * 896 + 2 * 896 + 2 * 128 + 2 * 4864, 896 * (896 + 2 * 128 + 2 * 4864)
    table = 151_936 * 896
    assert memory.parts_gib() == pytest.approx(
        {
            "weights": weights / GIB,
            "gradients": 494_032_768 * 4 / GIB,
            "optimizer": 494_032_768 * 12 / GIB,
            "comparison": 0,
            "reference": weights / GIB,
            "critic": 0,
            "reward_models": 0,
            "engine": (weights + table * 2) / GIB,  # the tied output is packed
            "kv_cache": 32 * (64 + 96) * 24 * 2 * 128 * 4 / GIB,
            # A chunk is larger than what may be kept, and rounded once; the output is packed, and once more turned.
            "logits": (2 * 2048 * 151936 * 4 + table * 2 * 2) / GIB,
            # Six answers of other groups fit into 1,000 tokens: 6 x (64 + 96).
            "activations": (960 * (24 * kept + layer) * 4 + joined * 2) / GIB,
            "process": 0.5,
        }
    )
    parts = memory.parts_gib()
    assert parts["kv_cache"] < parts["logits"] + parts["activations"]
    assert memory.gib == pytest.approx(sum(parts.values()))
    on_gpu = make_plan(load_recipe(write(), [*(f"stages.zero.{text}" for text in overrides), "hardware.device=h100"]))
    memory = on_gpu.stages[1].memory
    assert memory is not None
    parts = memory.parts_gib()
    assert parts["process"] == 0
    assert parts["logits"] == 3 * 2048 * 151936 * 4 / GIB
    assert parts["engine"] == parts["weights"]
    assert parts["kv_cache"] == pytest.approx(32 * (64 + 96) * 24 * 2 * 128 * 2 / GIB)
    assert parts["activations"] == pytest.approx(1000 * 24 * layer * 2 / GIB)
    assert memory.gib == pytest.approx(sum(parts.values()))


def test_a_fused_layer_keeps_less(write: Write, tmp_path: Path) -> None:
    """On a CPU in single precision; of 1,000 tokens six answers to other problems make 960."""
    overrides = [f"stages.zero.from={save_model(tmp_path / 'model', QWEN2)}", "stages.zero.model.dtype=float32"]
    limit = "stages.zero.update.tokens_per_microbatch=1000"
    memory = make_plan(load_recipe(write(), [*overrides, limit])).stages[1].memory
    assert memory is not None
    whole = 6 * 896 + 2 * 896 + 2 * 128 + 4 * 4864
    kept = 2 * 896 + 2 * 896 + 2 * 128 + 2 * 4864
    joined = 896 * (896 + 2 * 128 + 2 * 4864)
    assert memory.activations == (960 * (24 * kept + whole) + joined) * 4
    # A tied output lies twice in the engine; to train it is packed once more. Chunks of 16 tokens may be kept.
    matrix = 151_936 * 896 * 4
    assert memory.engine == 494_032_768 * 4 + matrix
    assert memory.logits == 1024 * 151_936 * 4 + matrix
    small = [*overrides, limit, "stages.zero.update.logprob_chunk=16"]
    memory = make_plan(load_recipe(write(), small)).stages[1].memory
    assert memory is not None
    assert memory.logits == 16 * 151_936 * 4 + matrix + 2**28


def test_memory_follows_the_recipe(write: Write, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", QWEN2)

    def parts(*overrides: str) -> dict[str, float]:
        recipe = load_recipe(write(), [f"stages.zero.from={folder}", *(f"stages.zero.{text}" for text in overrides)])
        memory = make_plan(recipe).stages[1].memory
        assert memory is not None
        return memory.parts_gib()

    plain = parts()
    assert parts("algorithm.kl_coefficient=0")["reference"] == 0
    assert plain["optimizer"] == pytest.approx(494_032_768 * 8 / GIB)
    assert parts("rollout.max_sequences=512")["kv_cache"] == pytest.approx(2 * plain["kv_cache"])
    assert parts("rollout.length_schedule={16=256}")["kv_cache"] == pytest.approx(2 * plain["kv_cache"])
    few, one = parts("update.tokens_per_microbatch=160"), parts("update.tokens_per_microbatch=1")
    assert few["activations"] == one["activations"]  # a microbatch holds at least one sequence of 64 + 96 tokens
    assert parts("update.gradient_checkpointing=true")["activations"] < plain["activations"] / 4
    assert parts("model.dtype=bfloat16")["weights"] == pytest.approx(plain["weights"] / 2)
    halved = parts("rollout.dtype=bfloat16", "algorithm.old_logprobs=sampler")
    assert halved["weights"] == plain["weights"]
    assert halved["engine"] == pytest.approx(plain["engine"] / 2)


def test_hours_by_hand(write: Write, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", QWEN2)
    overrides = (f"stages.zero.from={folder}", "stages.zero.evaluation.sets=[]", "hardware.dollars_per_hour=3")
    stage = make_plan(load_recipe(write(), overrides)).stages[1]
    length = 64 + 96
    flops = 2 * 494_032_768 + 4 * 24 * 896 * length / 2
    generated = 8 * (32 * 96 + 8 * 64)
    # A group of four lies in 4 (1 - (3/4)^4) of the 4 minibatches; 51 answers fit into a microbatch.
    minibatches = 4 * (1 - 0.75**4)
    learnt = 8 * (32 * 96 + 8 * 64 * (minibatches + (4 - minibatches) / 51))
    read = 8 * (32 * 96 + 8 * 64 * (1 + 3 / 51))
    hours = (generated * flops / 100e9 + (3 * learnt + 2 * read) * flops / 150e9) / 3600
    assert stage.device_hours == pytest.approx(hours)
    assert stage.dollars == pytest.approx(3 * hours)
    lean = ("update.minibatches=1", "algorithm.kl_coefficient=0")  # on-policy and without reference: 3 passes, not 5
    stage = make_plan(load_recipe(write(), [*overrides, *(f"stages.zero.{text}" for text in lean)])).stages[1]
    assert stage.device_hours == pytest.approx(4 * (generated * flops / 100e9 + 3 * read * flops / 150e9) / 3600)


def test_prompts_that_begin_alike_are_computed_once(write: Write, tmp_path: Path) -> None:
    """Of 50 tokens of a prompt, 40 are those of every other one."""
    folder = save_model(tmp_path / "model", QWEN2)
    overrides = [
        f"stages.zero.from={folder}",
        "stages.zero.evaluation.sets=[]",
        "stages.zero.algorithm.kl_coefficient=0",
    ]
    recipe = load_recipe(write(), [*overrides, "stages.zero.update.minibatches=1"])

    context = PlanContext(name="zero", recipe=recipe, find_shape=find_shape, prompt=PromptTokens(50, alike=40))
    stage = plan_rl(recipe.stages["zero"], context)  # type: ignore[arg-type]
    flops = 2 * 494_032_768 + 4 * 24 * 896 * (50 + 96) / 2
    rows = 8192 // (50 + 96)
    generated = 32 * 32 * 96 + 32 * (8 * 10 + 40)
    learnt = 32 * (32 * 96 + 8 * 10 * (1 + 3 / rows) + 40)
    assert stage.device_hours == pytest.approx((generated * flops / 100e9 + 3 * learnt * flops / 150e9) / 3600)
    assert stage.memory is not None
    assert stage.memory.kv_cache == 256 * (50 + 96) * 24 * 2 * 128 * 4


def test_held_out_questions_are_read_too(write: Write, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", QWEN2)
    one, many = (
        make_plan(load_recipe(write(), [f"stages.zero.from={folder}", f"stages.zero.evaluation.sets.0.problems={n}"]))
        .stages[1]
        .device_hours
        for n in (100, 200)
    )
    assert one is not None
    assert many is not None
    flops = 2 * 494_032_768 + 4 * 24 * 896 * (64 + 96) / 2
    assert many - one == pytest.approx(2 * 100 * (16 * 96 + 64) * flops / 100e9 / 3600)


@pytest.mark.parametrize(
    ("weights", "dtype", "fast", "train", "decode"),
    [
        (800_000, "float32", True, 68e9, 35e9),
        (round(math.sqrt(1e6 * 135e6)), "float32", True, 109e9, 67.5e9),
        (135_000_000, "float32", True, 150e9, 100e9),
        (7_000_000_000, "float32", True, 150e9, 100e9),
        (135_000_000, "bfloat16", True, 400e9, 290e9),
        (135_000_000, "bfloat16", False, 150e9, 100e9),
    ],
)
def test_larger_products_run_faster_on_a_cpu_and_so_do_those_in_bfloat16(
    monkeypatch: pytest.MonkeyPatch, weights: int, dtype: Dtype, fast: bool, train: float, decode: float
) -> None:
    monkeypatch.setattr(estimate, "multiplies_bfloat16", lambda: fast)
    shape = replace(PUBLISHED["Qwen/Qwen2.5-0.5B"], active=weights)
    device = find_device(HardwareSpec(), shape, dtype)
    assert (device.train, device.decode) == pytest.approx((train, decode))
    assert find_device(HardwareSpec(device="h100"), shape, dtype) == DEVICES["h100"]


def test_an_engine_takes_the_time_of_its_own_type(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "multiplies_bfloat16", lambda: True)
    corrected = "stages.zero.algorithm.importance_cap=2"

    def hours(*fields: str) -> float:
        recipe = load_recipe(write(), [corrected, *(f"stages.zero.{field}" for field in fields)])
        found = make_plan(recipe).stages[1].device_hours
        assert found is not None
        return found

    half, whole = hours("model.dtype=bfloat16"), hours()
    mixed = hours("rollout.dtype=bfloat16"), hours("model.dtype=bfloat16", "rollout.dtype=float32")
    assert half < min(mixed) < max(mixed) < whole
    assert sum(mixed) == pytest.approx(half + whole)


def test_reward_models_cost_where_they_weigh_something(write: Write, tmp_path: Path) -> None:
    """Of 8 rollouts of 32 completions two start at update 24 or later."""
    folder = save_model(tmp_path / "model", QWEN2)
    plain = [f"stages.zero.from={folder}", "stages.zero.evaluation.sets=[]"]
    model = f"{{name='helpful', from='{folder}', input='all', weight={{weight=1, from=24}}}}"
    without, judged = (
        make_plan(load_recipe(write(), [*plain, *more])).stages[1]
        for more in ([], [f"stages.zero.reward.models=[{model}]"])
    )
    assert judged.memory is not None
    assert judged.batches is not None
    assert judged.batches.updates_per_rollout == 4
    length = 64 + 96
    flops = 2 * 494_032_768 + 4 * 24 * 896 * length / 2
    more_hours = (judged.device_hours or 0.0) - (without.device_hours or 0.0)
    assert more_hours == pytest.approx(2 * 32 * length * flops / 150e9 / 3600)
    assert judged.memory.reward_models == 494_032_768 * 4


def test_pretraining_by_hand(write: Write) -> None:
    base = make_plan(load_recipe(write())).stages[0]
    assert base.memory is not None
    assert base.parameters is not None
    assert base.memory.parts_gib() == pytest.approx(
        {
            "weights": base.parameters * 4 / GIB,
            "gradients": base.parameters * 4 / GIB,
            "optimizer": base.parameters * 8 / GIB,
            "comparison": 0,
            "reference": 0,
            "critic": 0,
            "reward_models": 0,
            "engine": 0,
            "kv_cache": 0,
            "logits": 3 * 16 * 512 * VOCABULARY * 4 / GIB,
            "activations": 16 * 512 * 4 * (6 * 128 + 2 * 128 + 2 * 64 + 4 * 384) * 4 / GIB,
            "process": 0.5,
        }
    )
    flops = 2 * base.parameters + 4 * 4 * 128 * 512 / 2
    assert base.device_hours == pytest.approx(3 * 100_000 * flops / 68e9 / 3600)


@pytest.mark.parametrize(("samples", "rows"), [(2, 6), (200, 256)])
def test_an_evaluation_decodes_as_many_answers_as_there_are(samples: int, rows: int) -> None:
    answers = {"max_sequences": 256, "max_new_tokens": 36, "prompt": {"max_tokens": 64}, "model": {"dtype": "bfloat16"}}
    chosen = {"name": "held-out", "problems": 3, "samples": samples, "task": {"task": "countdown"}}
    stage = {"kind": "eval", "models": ["nano-base"], "sets": [chosen], **answers}
    planned = make_plan(validate_recipe({"name": "small", "stages": {"table": stage}})).stages[0]
    assert planned.memory is not None
    assert planned.shape is not None
    assert planned.memory.kv_cache == rows * (64 + 36) * planned.shape.kv_values * 4
    assert planned.memory.logits == rows * planned.shape.vocabulary * 4
    assert planned.memory.comparison == planned.shape.parameters * 4


def test_an_unknown_model_has_no_estimates_and_says_so(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    planned = make_plan(load_recipe(write(), ["stages.zero.from=owner/model", "hardware.dollars_per_hour=2"]))
    stage = planned.stages[1]
    assert (stage.memory, stage.device_hours, stage.dollars, stage.parameters) == (None, None, None, None)
    assert stage.notes[0].startswith("memory, hours and dollars are unknown")
    assert planned.problems == ()


def test_a_device_that_is_too_small_is_noted(write: Write, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", {**QWEN2, "num_hidden_layers": 2400})
    overrides = [f"stages.zero.from={folder}", "hardware.device=h100", "hardware.count=2"]
    note = make_plan(load_recipe(write(), overrides)).stages[1].notes[0]
    assert "GiB on each of 2 h100 may not fit into its 80 GiB" in note


def test_a_pretrained_model_has_the_parameters_that_the_plan_says(write: Write) -> None:
    from dunwu.pretraining.tokenizer import build_tokenizer
    from dunwu.pretraining.train import make_model

    recipe = load_recipe(write())
    stage = recipe.stages["base"]
    assert isinstance(stage, PretrainStage)
    tokenizer = build_tokenizer()
    assert make_model(stage.transformer, tokenizer, seed=0).num_parameters() == make_plan(recipe).stages[0].parameters


def test_small_costs_are_told_as_people_tell_them(write: Write, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model", QWEN2)
    settings = [f"stages.zero.from={folder}", "stages.zero.checkpoint.every=1000"]
    stage = make_plan(load_recipe(write(), settings)).stages[1]
    rows = dict(list_stage_rows(replace(stage, device_hours=0.055, dollars=0.0001)))
    assert rows["device minutes"] == "3.3"
    assert rows["checkpoints"] == "1, after the last rollout"
    assert not {"dollars", "device hours"} & rows.keys()
    dear = replace(stage, device_hours=1.5, dollars=3.0)
    assert {("device hours", "1.50"), ("dollars", "3.00")} < set(list_stage_rows(dear))
