"""Under each family's template: what RL learns token by token, and that the format can be earned."""

from __future__ import annotations

import pytest
from tests.chat_templates import FAMILIES

from dunwu.algorithms import compute_rewards, to_samples
from dunwu.config.schema import AlgorithmSpec, PromptSpec, RewardSpec
from dunwu.models.templates import Template, find_end_of_turn
from dunwu.rollout.collect import collect
from dunwu.rollout.scripted import ScriptedEngine
from dunwu.types import Example, GenerationRequest, Message, Problem, Sampling
from dunwu.verifiers import RewardGrader

REASONED = "<think>\n2 and 2 is 4\n</think>\n\nIt is <answer>4</answer>."
ENDLESS = "<think>\nPerhaps <answer"
QUESTION = (Message(role="user", content="2+2?"),)


@pytest.mark.parametrize("name", FAMILIES)
def test_rl_learns_what_was_written_behind_the_prompt_and_its_end(name: str) -> None:
    reader = FAMILIES[name].tokenizer()
    problem = Problem(id="p", task="file", kind="math", level=1, language="en", messages=QUESTION, gold="4")
    template = Template(PromptSpec(template="chat"), reader)
    prompt, lead = template.encode(problem), FAMILIES[name].lead
    texts = [lead + text.removeprefix(prompt.opening) for text in (REASONED, ENDLESS)]
    end = find_end_of_turn(reader)
    assert end is not None
    engine = ScriptedEngine(lambda problem, seed: texts[seed], reader, eos_id=end)
    with RewardGrader(RewardSpec(format_rule="think-summary")) as grader:
        groups = collect(engine, [GenerationRequest(prompt=prompt, seeds=(0, 1))], Sampling(), grader)
    assert [one.text for one in groups[0].group.completions] == [lead + REASONED, lead + ENDLESS]
    assert [score.parts for score in groups[0].scores] == [
        {"accuracy": 1.0, "format": 1.0},
        {"accuracy": 0.0, "format": 0.0},
    ]
    rewards = compute_rewards(groups, AlgorithmSpec(), 256)
    right, wrong = to_samples(groups, rewards, AlgorithmSpec())
    for sample, text in ((right, texts[0]), (wrong, texts[1])):
        tokens = [reader.decode([token_id]) for token_id in sample.token_ids]
        learnt = [token for token, counts in zip(tokens, sample.loss_mask, strict=True) if counts]
        assert learnt == [*text, FAMILIES[name].end]
        assert "".join(tokens) == FAMILIES[name].prompt + text + FAMILIES[name].end
    assert right.reward > wrong.reward == 0.0
    answer = Message(role="assistant", content=groups[0].group.completions[0].text)
    kept = Example(id="p-0", category="file", language="en", messages=(*QUESTION, answer))
    (lesson,) = template.tokenize_example(kept)
    assert lesson.token_ids.tolist() == right.token_ids.tolist(), "what is kept is learnt as it was written"
    assert lesson.loss_mask.tolist() == right.loss_mask.tolist()
    assert not right.loss_mask[: len(prompt.token_ids)].any()
