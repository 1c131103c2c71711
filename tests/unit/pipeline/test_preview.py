"""What ``dunwu plan`` says of templates: how they ask, what is reasoning, what a first example teaches, what fails."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from tests.chat_templates import FAMILIES

from dunwu.commands.template_preview import preview, show_example
from dunwu.config.loader import load_recipe
from dunwu.config.packaged import find_packaged, list_packaged_recipes
from dunwu.config.schema import PromptSpec, Recipe, RLStage
from dunwu.models.load import load_tokenizer
from dunwu.models.templates import Template
from dunwu.planning import Plan, make_plan
from dunwu.planning.preview import Previewed
from dunwu.tasks import build_task
from dunwu.types import Example, Message

TALK = [
    {"role": "user", "content": "2+2?"},
    {"role": "assistant", "content": "4", "thinking": "2 and 2"},
]


def recipe(folder: Path, family: str, rows: list[Any], **prompt: Any) -> Recipe:
    """An SFT and an RL stage on a folder that has a tokenizer and, for the rest, the names of a model's files."""
    model = folder / "model"
    FAMILIES[family].tokenizer().save_pretrained(model)
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_text("")
    (folder / "talk.jsonl").write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    asked = {"template": "chat", **prompt}
    stages = {
        "taught": {"kind": "sft", "from": str(model), "data": ["talk"], "prompt": asked},
        "zero": {"kind": "rl", "from": "taught", "steps": 16, "tasks": [{"task": "countdown"}], "prompt": asked},
    }
    data = {"talk": {"path": str(folder / "talk.jsonl")}}
    return Recipe.model_validate({"name": "r", "seed": 1, "data": data, "stages": stages})


def test_the_plan_tells_how_a_template_asks_and_teaches(tmp_path: Path) -> None:
    planned = make_plan(recipe(tmp_path, "r1-distill", [TALK]), preview=preview)
    taught, zero = planned.stages
    assert not planned.problems
    assert taught.template == {
        "teaches_first": "...·+·2·?·<|Assistant|>·<·t·h·i·n·k·>·⏎ → 2· ·a·n·d· ·2·⏎·<·/·t·h·i·n·k·>·⏎·⏎·4·<|end|>"
        " (20 of 35 tokens are learnt)",
        "turns_end_with": "<|end|>",
    }
    assert zero.template["asks"].startswith("<|begin|><|User|>QUESTION⏎⏎First think, then answer")
    assert zero.template["asks"].endswith("</answer><|Assistant|><think>⏎")
    assert "the prompt opens it with <think>⏎" in zero.template["reads_as_reasoning"]
    assert zero.as_json()["turns_end_with"] == "<|end|>"
    plain = make_plan(recipe(tmp_path, "qwen3", [TALK]), preview=preview).stages[1]
    assert plain.template["reads_as_reasoning"].startswith("what the model writes inside <think> </think>")


def test_the_plan_tells_of_a_prompt_that_leaves_reasoning_out_and_of_what_answers_begin_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = [TALK[0], {"role": "assistant", "content": "4"}]
    qwen = FAMILIES["qwen3"]
    asking = 'assistant\\n" }}{% endif %}'
    assert asking in qwen.template
    closed = qwen.template.replace(asking, 'assistant\\n<think>\\n\\n</think>\\n\\n" }}{% endif %}')
    monkeypatch.setitem(FAMILIES, "qwen3", replace(qwen, template=closed))
    taught, zero = make_plan(recipe(tmp_path, "qwen3", [plain]), preview=preview).stages
    assert taught.template["teaches_first"].endswith("→ 4·<|im_end|> (2 of 44 tokens are learnt)")
    assert zero.template["reads_as_reasoning"] == (
        "nothing: the prompt ends it with <think>⏎⏎</think>⏎⏎, so no format rule can be earned, nor is one asked"
    )
    assert "QUESTION⏎⏎Answer in this form: <answer> answer here </answer><|im_end|>" in zero.template["asks"]
    (problem,) = make_plan(recipe(tmp_path, "qwen3", [TALK]), preview=preview).problems
    assert str(problem).startswith("stages.taught.data: talk-1 has reasoning in its answer, and the template's prompt")

    channels = qwen.template.replace('assistant\\n" }}{% endif %}', 'assistant" }}{% endif %}')
    monkeypatch.setitem(
        FAMILIES, "qwen3", replace(qwen, template=channels.replace('m.role + "\\n"', 'm.role + "<|at|>\\n"'))
    )
    named = make_plan(recipe(tmp_path, "qwen3", [plain]), preview=preview).stages[1].template
    assert named["answers_begin_with"] == "<|at|>"


def test_what_a_template_refuses_shows_in_the_plan(tmp_path: Path) -> None:
    system = [{"role": "system", "content": "Be brief."}, *TALK]
    (problem,) = make_plan(recipe(tmp_path, "gemma", [TALK, system]), preview=preview).problems
    assert str(problem) == (
        "stages.taught.prompt.template: the tokenizer's chat template refuses talk-2: there is no system role"
    )
    two = [*TALK, {"role": "user", "content": "and 3?"}, {"role": "assistant", "content": "7"}]
    (problem,) = make_plan(recipe(tmp_path, "gemma", [two], template="Q: {prompt}"), preview=preview).problems
    assert "talk-1 has several turns, which takes a chat template" in str(problem)


@pytest.mark.parametrize("template", ["nano", "r1-zero"])
def test_the_papers_templates_without_files_open_no_tokenizer(template: str) -> None:
    def refuse(*asked: object) -> Previewed:
        raise AssertionError("no tokenizer is needed")

    stage: dict[str, Any] = {"kind": "rl", "from": "nano-base", "steps": 16, "tasks": [{"task": "countdown"}]}
    stage |= {"prompt": {"template": template}}
    one = Recipe.model_validate({"name": "r", "seed": 1, "stages": {"zero": stage}})
    assert make_plan(one, preview=refuse).stages[0].template == {}


def test_a_long_example_is_shown_at_both_ends_of_its_first_answer() -> None:
    reader = FAMILIES["llama-3"].tokenizer()
    roles = ("user", "assistant") * 2
    turns = zip(roles, ("a?", "b" * 20 + "c" * 20, "d?", "e"), strict=True)
    messages = tuple(Message(role=role, content=content) for role, content in turns)  # type: ignore[arg-type]
    example = Example(id="e", category="", language="en", messages=messages)
    (tokens,) = Template(PromptSpec(template="chat"), reader).tokenize_example(example)
    shown = show_example(reader, tokens)
    learnt = shown.partition(" → ")[2]
    assert learnt == f"{'b·' * 12}(17 more)·{'c·' * 11}<|eot_id|> (43 of {len(tokens.token_ids)} tokens are learnt)"


def own_problems(folder: Path, words: int, *overrides: str) -> Plan:
    """The plan of nano/gsm8k on 12 problems, the last of so many words; 4 problems are measured on."""
    questions = [f"What is {n} and {n}?" for n in range(11)] + ["word " * words]
    train, test = folder / "train.jsonl", folder / "test.jsonl"
    rows = [{"question": question, "answer": f"#### {n}"} for n, question in enumerate(questions)]
    for file in (train, test):
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = [
        "stages.zero.from=nano-base",
        f"stages.zero.tasks.0.path={train}",
        f"stages.zero.evaluation.sets.0.task.path={test}",
        "stages.zero.evaluation.sets.0.problems=12",
        *overrides,
    ]
    find_recipe_file = list_packaged_recipes()["nano/gsm8k"]
    recipe = load_recipe(find_recipe_file, settings)
    return make_plan(recipe, file=find_recipe_file, overrides=settings, preview=preview)


def test_the_plan_shows_the_first_of_ones_own_problems(tmp_path: Path) -> None:
    planned = own_problems(tmp_path, 1)
    assert not planned.problems
    shown = planned.stages[0].template
    assert shown["trains_on"] == "gsm8k: 12 problems, 0 of them held out; the first: What is 0 and 0? → 0"
    assert shown["measured_on"].startswith("gsm8k: 12 problems, 12 of them held out; the first: What is ")
    assert shown["asks"].endswith("User: QUESTION. Assistant:")


def test_the_plan_refuses_held_out_prompts_that_are_too_long_and_tells_the_limits(tmp_path: Path) -> None:
    (problem,) = own_problems(tmp_path, 60).problems
    found = re.fullmatch(
        r"nano/gsm8k: stages.zero.prompt.max_tokens: 1 held-out prompt has more than 384 tokens, the longest (\d+): "
        r"it may be \1 to 896 \(--set (stages.zero.prompt.max_tokens=\1)\)",
        str(problem),
    )
    assert found
    assert not own_problems(tmp_path, 60, found[2]).problems
    (longer,) = own_problems(tmp_path, 60, "stages.zero.prompt.max_tokens=900").problems
    assert "= 1028 is more than the model's 1024 positions: beside 128 new tokens prompts have 896" in str(longer)
    (much,) = own_problems(tmp_path, 600).problems
    assert str(much).endswith("has room for 896: lower max_new_tokens, or ask for other problems")


def test_a_few_prompts_are_counted_by_the_tokenizer() -> None:
    template = "Here is a sum: 1 + 1 = 2.\n{prompt}\n"
    tasks = [{"task": "countdown", "levels": [3]}]
    fields = {"kind": "rl", "from": "nano-base", "steps": 16, "tasks": tasks, "prompt": {"template": template}}
    stage = RLStage.model_validate(fields)
    folder = find_packaged("nano-base")
    assert folder is not None
    found = preview(folder, "zero", stage, []).prompt
    encode, task = Template(stage.prompt, load_tokenizer("nano-base")).encode, build_task(stage.tasks[0], 0)
    rows = [encode(task.get_problem(number)).token_ids.tolist() for number in range(5)]
    alike = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, zip(*rows, strict=False)))
    assert found == (round(sum(map(len, rows)) / 5), alike)
    assert 10 < alike < min(map(len, rows))
