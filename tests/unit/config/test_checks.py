"""What fields decide together: each message says the field and the numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dunwu.config.checks import check_recipe
from dunwu.config.loader import load_recipe
from dunwu.errors import UserError

Write = Callable[..., Path]
ZERO = "stages.zero."


@pytest.mark.parametrize(
    ("overrides", "field", "message"),
    [
        (
            ["rollout.questions=100", "rollout.group_size=5", "update.minibatches=16", "steps=32"],
            "update.minibatches",
            "questions x group_size = 500 does not divide into 16 minibatches",
        ),
        (
            ["steps=33"],
            "steps",
            "33 steps are not whole rollouts: minibatches x epochs = 4 updates a rollout; 32 or 36 would do",
        ),
        (
            ["steps=3"],
            "steps",
            "3 steps are not whole rollouts: minibatches x epochs = 4 updates a rollout; 4 would do",
        ),
        (
            ["update.epochs=3", "steps=36", "reference_every=18"],
            "reference_every",
            "the reference cannot change after 18 updates: minibatches x epochs = 12 updates a rollout; 12 or 24",
        ),
        (
            ["rollout.length_schedule={16=128, 8=256}"],
            "rollout.length_schedule",
            "256 tokens from update 8 do not follow 128 from update 16; updates and lengths must grow",
        ),
        (
            ["rollout.length_schedule={16=90}"],
            "rollout.length_schedule",
            "90 tokens from update 16 do not follow 96 from update 0; updates and lengths must grow",
        ),
        (
            ["rollout.length_schedule={16=96}"],
            "rollout.length_schedule",
            "96 tokens from update 16 do not follow 96 from update 0; updates and lengths must grow",
        ),
        (["reward.accuracy=0", "reward.format=0"], "reward", "accuracy = 0 and format = 0: nothing is rewarded"),
        (
            ["prompt.template=r1-zro"],
            "prompt.template",
            "'r1-zro' is none of r1-zero, nano, chat and contains no {prompt}; did you mean r1-zero?",
        ),
        (
            ["algorithm.kl_in=reward", "algorithm.kl_coefficient=0"],
            "algorithm.kl_in",
            "reward has no effect with kl_coefficient = 0",
        ),
        (
            ["algorithm.kl_estimator=k1", "algorithm.kl_correction=false"],
            "algorithm.kl_estimator",
            "k1 in the loss has a gradient of mean zero and holds nothing; use k2 or k3, or kl_in = reward, or "
            "kl_correction = true",
        ),
        (
            ["evaluation.measures=['shrt']", "reward.custom=[{name='short', file='short.py'}]"],
            "evaluation.measures.0",
            "no part of reward.custom is called 'shrt' (known here: accuracy, short); did you mean short?",
        ),
        (
            ["evaluation.measures=['accuracy', 'loose']", "reward.custom=[{name='loose', file='short.py'}]"],
            "evaluation.measures.1",
            "'loose' is the name of another result: give the part of reward.custom another name",
        ),
        (
            ["algorithm.logprob_difference_warning=0.1", "algorithm.logprob_difference_stop=0.01"],
            "algorithm.logprob_difference_warning",
            "0.1 is above logprob_difference_stop = 0.01",
        ),
        (
            ["algorithm.kl_in=reward", "algorithm.kl_correction=true"],
            "algorithm.kl_correction",
            "true has no effect with kl_in = reward",
        ),
        (
            ["algorithm.kl_coefficient=0", "algorithm.kl_correction=true"],
            "algorithm.kl_correction",
            "true has no effect with kl_coefficient = 0",
        ),
        (
            ["algorithm.importance_cap=2", "algorithm.old_logprobs=sampler"],
            "algorithm.importance_cap",
            "2 corrects nothing where old_logprobs = sampler; use old_logprobs = trainer",
        ),
        (
            ["algorithm.importance_cap=2", "algorithm.correction={cap=2}"],
            "algorithm.correction",
            "takes the place of importance_cap: leave that out, and set correction.cap",
        ),
        (
            ["algorithm.correction={mask_high=2}", "algorithm.old_logprobs=sampler"],
            "algorithm.correction",
            "corrects nothing where old_logprobs = sampler; use old_logprobs = trainer",
        ),
        (
            ["algorithm.correction={cap=0.5}"],
            "algorithm.correction.cap",
            "0.5 is below 1, the weight of what needs no correction; 0: no bound",
        ),
        (
            ["algorithm.correction={mask_high=0.999}"],
            "algorithm.correction.mask_high",
            "0.999 is below 1, the weight of what needs no correction; 0: no bound",
        ),
        (
            ["algorithm.correction={mask_level='geometric'}"],
            "algorithm.correction.mask_level",
            "geometric masks nothing without mask_low or mask_high",
        ),
        (
            ["algorithm.correction={cap=0}", "replay={rollouts=2}"],
            "replay",
            "what an older policy wrote needs a correction: set algorithm.importance_cap, 2 for one",
        ),
        (
            ["rollout.dtype=bfloat16"],
            "rollout.dtype",
            "bfloat16 rounds otherwise than model.dtype = float32: set algorithm.old_logprobs = sampler, or "
            "algorithm.importance_cap = 2",
        ),
        (
            ["algorithm.refill=2"],
            "algorithm.refill",
            "2 further rollouts would replace nothing: drop_uniform_groups is false",
        ),
        (
            ["algorithm.overlong_buffer=96"],
            "algorithm.overlong_buffer",
            "96 tokens are not fewer than max_new_tokens = 96",
        ),
        (["optimizer.betas=[0.9, 1.0]"], "optimizer.betas", "[0.9, 1.0] must lie in [0, 1)"),
        (["optimizer.warmup_steps=32"], "optimizer.warmup_steps", "32 are not fewer than the 32 steps"),
        (["tasks.0.held_out=1.0"], "tasks.0.held_out", "1 leaves nothing to train on"),
        (
            ["tasks.0.path=x.jsonl"],
            "tasks.0.path",
            "'countdown' reads no file; data sets are gsm8k, math, aime, amc, cmath, humaneval, mbpp,",
        ),
        (["tasks.0.hub=a/b"], "tasks.0.hub", "'countdown' reads no data set; those that do are gsm8k, math,"),
        (["tasks.1.path=x", "tasks.1.task=gsm8k", "tasks.1.hub=a/b"], "tasks.1.hub", "say either a path or a hub"),
        (["tasks.0.split=test"], "tasks.0.split", "is of a hub, and there is none"),
        (["tasks.0.hub_config=main"], "tasks.0.hub_config", "is of a hub, and there is none"),
        (["tasks.0.task=gym"], "tasks.0.set", "is missing: say which set of reasoning-gym"),
        (["tasks.0.set=acre"], "tasks.0.set", "only task = gym has sets, not 'countdown'"),
        (
            ["tasks.0.task=gym", "tasks.0.set=acre", "tasks.0.languages=['zh']"],
            "tasks.0.languages",
            "the sets of reasoning-gym are in English",
        ),
        (["rollout.curriculum=0.1"], "rollout.curriculum", "0.1 of 8 questions is not one"),
        (
            ["tasks=[{task='gsm8k', path='x'}, {task='gym', set='acre'}]", "rollout.curriculum=0.5"],
            "rollout.curriculum",
            "only generators make similar problems; gsm8k, gym-acre has none",
        ),
        (
            ["rollout.curriculum_bounds=[0.5, 0.5]"],
            "rollout.curriculum_bounds",
            "no accuracy lies between 0.5 and 0.5",
        ),
        (
            ["rollout.curriculum=0.5", "rollout.curriculum_bounds=[0.3, 0.4]"],
            "rollout.curriculum_bounds",
            "no accuracy of a group of 4 lies between 0.3 and 0.4",
        ),
        (
            ["rollout.curriculum=0.5", "rollout.curriculum_bounds=[0.5, 0.75]"],
            "rollout.curriculum_bounds",
            "no accuracy of a group of 4 lies between 0.5 and 0.75",
        ),
        (
            ["tasks.1.task=file", "tasks.1.fields={problem='q'}"],
            "tasks.1.fields",
            "must say which columns are problem and answer",
        ),
        (
            ["tasks.1.task=file", "tasks.1.kind=code", "tasks.1.fields={problem='q'}"],
            "tasks.1.fields",
            "must say which columns are problem and tests",
        ),
        (
            ["tasks.0.display_name=mine"],
            "tasks.0.display_name",
            "only a file or a function of yours has a name of its own, not 'countdown'",
        ),
        (
            ["tasks.1.display_name=countdown"],
            "tasks.1.display_name",
            "'countdown' is the name of another task of this stage",
        ),
        (["tasks.1.fields={problem='q'}"], "tasks.1.fields", "only task = file maps columns, not 'gsm8k'"),
        (
            ["tasks.0.held_out=0.05"],
            "evaluation.sets.0.task.held_out",
            "0.1 is more than training leaves out of this source (0.05)",
        ),
        (["evaluation.every=8", "evaluation.sets=[]"], "evaluation.every", "8, but there are no evaluation.sets"),
        (
            ["evaluation.temperature=0"],
            "evaluation.sets.0.samples",
            "16 samples at temperature 0 are all equal",
        ),
        (
            ["evaluation.sets=[{name='a', task={task='countdown'}}, {name='a', task={task='game24'}}]"],
            "evaluation.sets.1.name",
            "'a' is the name of an earlier set",
        ),
        (
            ["from=bas"],
            "from",
            "called 'bas' (known here: base, nano-base, nano-world, smollm2-135m-instruct); did you mean base?",
        ),
        (["from=zero"], "from", "no earlier stage or packaged model is called 'zero'"),
        (["from=a/b/c/d"], "from", "no earlier stage or packaged model is called 'a/b/c/d'"),
        (
            ["reward.accuracy=0", "reward.format_rule=none"],
            "reward",
            "accuracy = 0 and format_rule = none: nothing is rewarded",
        ),
        (["reward.format=-1"], "reward.format", "must be greater than or equal to 0, not -1"),
        (
            ["evaluation.every=8", "evaluation.sets.0.problems=100"],
            "evaluation.during_problems",
            "128 are more than the 100 problems of the first set",
        ),
    ],
)
def test_fields_of_an_rl_stage_that_do_not_fit(write: Write, overrides: list[str], field: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe(write(), [ZERO + text for text in overrides])
    text = str(caught.value)
    assert ZERO + field in text
    assert message in text


@pytest.mark.parametrize(
    ("overrides", "field", "message"),
    [
        (["transformer.heads=3"], "transformer.heads", "hidden_size = 128 does not divide into 3 heads"),
        (["transformer.kv_heads=3"], "transformer.kv_heads", "heads = 4 does not divide into 3 kv_heads"),
        (
            ["transformer.heads=128", "transformer.kv_heads=1"],
            "transformer.heads",
            "hidden_size / heads = 1 must be even for rotary positions",
        ),
        (["sequence_length=2048"], "sequence_length", "2048 is more than transformer.max_positions = 1024"),
        (["optimizer.warmup_steps=13"], "optimizer.warmup_steps", "13 are not fewer than the 13 steps"),
    ],
)
def test_fields_of_a_pretrain_stage_that_do_not_fit(
    write: Write, overrides: list[str], field: str, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        load_recipe(write(), [f"stages.base.{text}" for text in overrides])
    assert f"stages.base.{field}" in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize("field", ["held_out=0", "held_out=0.0"])
def test_an_evaluation_on_the_training_source_needs_a_held_out_share(write: Write, field: str) -> None:
    with pytest.raises(UserError, match="0 leaves no held-out problems"):
        load_recipe(write(), [f"stages.zero.evaluation.sets.0.task.{field}"])


def test_an_evaluation_on_a_training_file_needs_a_share_that_training_leaves(write: Write) -> None:
    same = "stages.zero.evaluation.sets.0.task={task='gsm8k', path='data/train.jsonl', held_out=0.2}"
    path = write()
    text = same.replace("data/train.jsonl", str(path.parent / "data/train.jsonl"))
    with pytest.raises(
        UserError, match=r"0\.2 is more than training leaves out of the same file, train\.jsonl \(0\.1\)"
    ):
        load_recipe(path, [text])
    with pytest.raises(UserError, match="0 leaves no held-out problems"):
        load_recipe(path, [text.replace("held_out=0.2", "held_out=0").replace("gsm8k", "math")])
    load_recipe(path, [text.replace("held_out=0.2", "held_out=0.1")])
    load_recipe(path, [text.replace("train.jsonl", "test.jsonl").replace("held_out=0.2", "held_out=1.0")])


def test_an_evaluation_on_a_data_set_of_the_hub_draws_nothing_that_training_reads(write: Write) -> None:
    training = ZERO + "tasks=[{task='gsm8k', hub='openai/gsm8k', split='train'}]"
    measured = ZERO + "evaluation.sets.0.task={task='math', hub='openai/gsm8k', split='train', held_out=0.2}"
    with pytest.raises(UserError, match=r"0\.2 is more than training leaves out of openai/gsm8k \(0\.1\)"):
        load_recipe(write(), [training, measured])
    load_recipe(write(), [training, measured.replace("train", "test")])


def test_the_number_games_are_one_source(write: Write) -> None:
    training = ZERO + "tasks=[{task='game24', held_out=0}]"
    with pytest.raises(UserError, match=r"0\.1 is more than training leaves out of this source \(0\)"):
        load_recipe(write(), [training])
    load_recipe(write(), [training, ZERO + "evaluation.sets.0.task={task='arithmetic'}"])


@pytest.mark.parametrize("game", ["countdown", "game24"])
@pytest.mark.parametrize("source", ["nano-base", "base"])
def test_an_evaluation_draws_nothing_that_the_corpus_held(write: Write, game: str, source: str) -> None:
    tasks, place = ZERO + "tasks=[{task='arithmetic'}]", ZERO + "evaluation.sets.0.task"
    overrides = [ZERO + f"from={source}", tasks, f"{place}={{task='{game}', held_out=0.2}}"]
    with pytest.raises(UserError, match=rf"0\.2 is more than the corpus of {source} left out \(0\.1\)"):
        load_recipe(write(), overrides)
    load_recipe(write(), [*overrides, f"{place}.held_out=0.1"])
    load_recipe(write(), [*overrides, ZERO + "from=owner/model"])


def test_an_unknown_corpus(write: Write) -> None:
    with pytest.raises(UserError, match=r"base\.corpus.*no corpus is called.*did you mean countdown-traces"):
        load_recipe(write(), ["stages.base.corpus=countdown-trace"])


def test_every_finding_is_counted_and_the_first_is_told(write: Write) -> None:
    with pytest.raises(UserError, match=r"not whole rollouts.*\(and 2 more: "):
        load_recipe(write(), [ZERO + text for text in ("steps=33", "reference_every=5", "rollout.temperature=0")])


def test_a_good_recipe_has_no_findings(write: Write) -> None:
    assert list(check_recipe(load_recipe(write()))) == []
