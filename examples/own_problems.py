"""Problems of your own and a Python function as the reward, without a recipe.

python examples/own_problems.py
"""

import re

import dunwu

PROBLEMS = [
    (f"Use {a}, {b} and 3 once each with + - * / to make {a + b - 3}.", "") for a in range(4, 20) for b in (5, 8)
]


def count_steps(problem: dunwu.Problem, text: str) -> float:
    """Pay for every line of arithmetic, up to five."""
    return min(5, len(re.findall(r"\d+[-+*/]\d+=\d+", text))) / 5


def main(out: str = "runs/own-problems", rollouts: int = 10) -> dunwu.Run:
    """Train the nano base to calculate more; the run has the curves, every answer and the model."""
    rollout = {"questions": 16, "group_size": 8, "max_new_tokens": 96}
    run = dunwu.train("nano-base", PROBLEMS, reward=count_steps, rollouts=rollouts, out=out, rollout=rollout)
    print("reward:", *(f"{reward:.2f}" for reward in run.metrics()["reward"].to_pylist()))
    return run


if __name__ == "__main__":
    main()
