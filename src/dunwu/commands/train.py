"""``dunwu.train``: reinforcement learning on your own problems and reward, without a recipe."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

from dunwu import registry
from dunwu.api.grading import Reward, check_reward
from dunwu.api.policy import Policy, load
from dunwu.api.run import Run
from dunwu.api.settings import make_rl_tables
from dunwu.commands.run import run
from dunwu.config.check_rewards import METRICS
from dunwu.config.schema import REWARD_PARTS
from dunwu.errors import UserError
from dunwu.monitoring.monitors import Log
from dunwu.tasks import Draft


def train(
    policy: Policy | Run | Path | str,
    /,
    problems: Sequence[tuple[str, str] | Draft],
    *,
    reward: Reward | None = None,
    rollouts: int = 50,
    held_out: float = 0.0,
    out: Path | str = "runs/train",
    seed: int = 0,
    resume: bool = False,
    log: Log = "rich",
    **settings: Any,
) -> Run:
    """Train a policy on your own problems, with the engine, the trainer and the run directory of a recipe.

    Args:
        policy: What learns; see ``load``.
        problems: Pairs of question and answer, or drafts, drawn at random.
        reward: ``reward(problem, text) -> float``, called in this process, whose name is the column's in tables
            (``custom-NAME`` where that is taken); None: accuracy and format, by rule.
        rollouts: How many are made and learned from.
        held_out: Share of the problems, by hash, that training never draws.
        out: The run directory.
        seed: Of problems, completions and minibatches.
        resume: Go on where the run in the directory stopped; problems and reward must be the same.
        log: What is printed: rows for people, a few lines, or a JSON object a line.
        **settings: Tables of a stage of kind ``rl``, as in a recipe: ``optimizer={"lr": 1e-3}``. A rollout has 16
            problems with 8 answers each, unless ``rollout={"questions": 64, "group_size": 16}`` says otherwise.

    Returns:
        The finished run; ``dunwu.load`` opens its model.

    Raises:
        UserError: A setting, a problem or the model cannot be used, or the reward gives no finite number.
        Interrupted: SIGTERM, SIGINT or SIGHUP; what was done is saved.
        Fault: NaN, a full disk, no whole checkpoint.
    """
    drafts = [_read_problem(one, number) for number, one in enumerate(problems)]
    if not drafts:
        raise UserError("there is nothing to learn from", field="problems")

    def draw_problem(rng: Random, level: int, language: str) -> Draft:
        return rng.choice(drafts)

    task = f"problems-{_digest(repr(drafts))}"
    chosen = policy if isinstance(policy, Policy) else load(policy)
    stage = make_rl_tables(chosen, [{"task": task, "display_name": "problems", "held_out": held_out}], settings)
    stage["steps"] = rollouts * stage["update"]["minibatches"] * stage["update"].get("epochs", 1)
    with ExitStack() as lent:
        lent.enter_context(registry.tasks.lend(task, draw_problem))
        if reward is not None:
            check_reward(reward)
            name, reference = _name_reward(reward)
            lent.enter_context(registry.rewards.lend(reference, reward))
            custom = [{"name": name, "function": reference}]
            stage["reward"] = {"accuracy": 0, "format": 0, **settings.get("reward", {}), "custom": custom}
        return run({"name": "train", "seed": seed, "stages": {"train": stage}}, out=out, resume=resume, log=log)


def _read_problem(one: object, number: int) -> Draft:
    if isinstance(one, Draft):
        return one
    match one:
        case (str(question), str(gold)):
            return Draft(question=question, gold=gold)
    text = f"{one!r:.80} is neither a pair of texts, question and answer, nor a Draft"
    raise UserError(text, field=f"problems.{number}")


def _name_reward(reward: Reward) -> tuple[str, str]:
    """Return the name of a reward in tables, and the one that the recipe calls it by, which changes with its source.

    In tables it stands beside metrics and the parts of rules, whose names it does not take.
    """
    name = re.sub("[^A-Za-z0-9_-]", "", getattr(reward, "__name__", "")).lstrip("_-") or "custom"
    if name in METRICS or name in REWARD_PARTS:
        name = f"custom-{name}"
    try:
        source = inspect.getsource(reward)
    except (OSError, TypeError):  # typed into an interpreter, or no function
        source = ""
    return name, f"{name}-{_digest(source)}"


def _digest(text: str) -> str:
    """Return eight characters of a text's hash: a run that goes on must find the same problems and reward."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]
