"""A made-up run whose numbers are known: a policy that learns to check, written through the face of ``runs``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dunwu.config.schema import RLStage
from dunwu.runs import BASE, TRAINED, AnswerRow, RunWriter, StageWriter
from dunwu.types import Completion, Estimate, Message, Problem, Prompt, RolloutGroup, Score, ScoredGroup, VersionSpan

STAGE = "zero"
SETS = ("countdown", "harder")
PER_ROLLOUT = 16
HOSTILE = '</pre><script>alert("x")</script><img src=x onerror=alert(1)>&amp; \x1b[31m \u202e'
RL = RLStage.model_validate(
    {
        "kind": "rl",
        "from": "nano-base",
        "steps": 160,
        "tasks": [{"task": "countdown"}],
        "update": {"minibatches": PER_ROLLOUT},
        "evaluation": {"sets": [{"name": name, "task": {"task": "countdown"}} for name in SETS]},
    }
)
RECIPE = {
    "name": "nano r1-zero <made up>",
    "seed": 3,
    "stages": {STAGE: RL.model_dump(mode="json", by_alias=True)},
}


def begin(directory: Path) -> RunWriter:
    """An empty run."""
    text = 'name = "nano r1-zero <made up>"\nseed = 3\n\n[stages.zero]\nkind = "rl"\nsteps = 160\n'
    versions = {"dunwu": "0.1.0", "python": "3.11.7", "torch": "2.13.0"}
    return RunWriter.create(directory, recipe_text=text, recipe_json=RECIPE, seed=3, versions=versions)


def response(skill: float, random: np.random.Generator) -> tuple[str, bool, int]:
    """Text, whether it is right, and its length in tokens, of a policy between base (0) and trained (1)."""
    doubts = int(random.poisson(0.8 + 5 * skill))
    right = bool(random.random() < 0.16 + 0.72 * skill)
    tried = "".join(f"12*{i + 2}-9={12 * (i + 2) - 9}, wait: check 不对, try again. " for i in range(doubts))
    verdict = "equals the target, so stop" if right else "good enough"
    text = f"<think> {tried}12*7-9=75 {verdict} </think> <answer> 12*7-9 </answer>"
    return text, right, 40 + 18 * doubts + int(random.integers(0, 20))


def group(number: int, skill: float, version: int, random: np.random.Generator, size: int = 8) -> ScoredGroup:
    """A group of ``size`` completions; one in fifty is cut off."""
    problem = Problem(
        id=f"t{number}",
        task="countdown",
        kind="expression",
        level=3,
        language="en",
        messages=(Message(role="user", content=f"Use 7, 9 and 12 to make {75 + number % 5}."),),
        gold="12*7-9",
    )
    completions, scores = [], []
    for _ in range(size):
        text, right, tokens = response(skill, random)
        cut = random.random() < 0.02
        ids, logprobs = np.ones(tokens, dtype=np.int32), np.full(tokens, -0.3, dtype=np.float32)
        finish, status = ("length", "truncated") if cut else ("stop", "graded")
        completions.append(
            Completion(
                token_ids=ids,
                logprobs=logprobs,
                text=text,
                finish=finish,  # type: ignore[arg-type]
                version_spans=(VersionSpan(version=version, start=0, end=tokens),),
            )
        )
        parts = {"accuracy": float(right and not cut), "format": float(not cut)}
        scores.append(
            Score(value=sum(parts.values()), parts=parts, status=status, extracted="12*7-9", reason="")  # type: ignore[arg-type]
        )
    prompt = Prompt(problem=problem, token_ids=np.ones(4, dtype=np.int32))
    return ScoredGroup(group=RolloutGroup(prompt=prompt, completions=tuple(completions)), scores=tuple(scores))


def train(stage: StageWriter, rollouts: int, questions: int = 16) -> None:
    """Rollouts and their metrics, of a policy that gets better."""
    random = np.random.default_rng(0)
    for rollout in range(rollouts):
        skill, version, step = 1 - 0.6**rollout, rollout * PER_ROLLOUT, (rollout + 1) * PER_ROLLOUT
        metrics = {
            "entropy": 0.9 - 0.4 * skill,
            "kl": 0.002 * rollout,
            "clip_low": 0.01 * skill,
            "clip_high": 0.01 + 0.005 * skill,
            "uniform_groups": 0.1 + 0.3 * skill,
            "grad_norm": 1.5 - skill,
            "reward": 1.0 + skill,
        }
        timings = {"rollout": 6.5 + 2 * skill, "update": 8.0 + 3 * skill, "weights": 0.1}
        stage.append(step, metrics, timings | {"rewards": sum(timings.values()) / 49})
        stage.write_rollouts(step, [group(number, skill, version, random) for number in range(questions)])


def evaluate(stage: StageWriter, checkpoint: str, set_name: str, skill: float, problems: int, samples: int) -> None:
    """An evaluation whose first problem's answers are hostile; pass@1 is the true share of right rows."""
    random = np.random.default_rng(1)
    rows = []
    for number in range(problems):
        for sample in range(samples):
            text, right, tokens = response(skill, random)
            rows.append(
                AnswerRow(
                    problem_id=f"h{number}",
                    level=3,
                    language="en",
                    group=number,
                    index=sample,
                    parts={"accuracy": float(right)},
                    tokens=tokens,
                    reflections=text.count("wait") + text.count("check") + text.count("不对"),
                    prompt=f"Use 7, 9 and 12 to make 75. {HOSTILE}",
                    gold="12*7-9",
                    completion=f"{text} {HOSTILE}",
                    extracted="12*7-9",
                )
            )
    stage.write_evaluation(checkpoint, set_name, rows, estimates(rows, samples))


def estimates(rows: list[AnswerRow], samples: int) -> dict[str, Estimate]:
    """Means with an interval of a made-up width."""

    def around(value: float, half: float) -> Estimate:
        return Estimate(value=value, low=value - half, high=value + half)

    right = float(np.mean([row.right for row in rows]))
    return {
        "pass@1": around(right, 0.02),
        f"cons@{samples}": around(min(1.0, right + 0.05), 0.03),
        "format": around(0.98, 0.005),
        "length": around(float(np.mean([row.tokens for row in rows])), 4.0),
        "reflections": around(float(np.mean([row.reflections for row in rows])), 0.2),
    }


def finished_run(directory: Path, rollouts: int = 10, problems: int = 60, samples: int = 4) -> Path:
    """A whole run, evaluated at both ends on two sets and on the first set on the way."""
    with begin(directory) as run:
        stage = run.stage(STAGE)
        for checkpoint, skill in ((BASE, 0.0), ("step-000080", 0.8), (TRAINED, 1.0)):
            evaluate(stage, checkpoint, "countdown", skill, problems, samples)
        for checkpoint, skill in ((BASE, 0.0), (TRAINED, 0.5)):
            evaluate(stage, checkpoint, "harder", skill, problems, samples)
        train(stage, rollouts)
        stage.finish(lambda folder: None)
        run.write_summary({"seed": 3, "seconds": 1.0, "results": {}})
    return directory
