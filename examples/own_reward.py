"""A reward of your own in a loop: a Python function of the problem and the text.

python examples/own_reward.py
"""

import re

import dunwu


def prefer_checks(problem: dunwu.Problem, text: str) -> float:
    """Pay for every line of arithmetic, up to five."""
    return min(5, len(re.findall(r"\d+\s*[-+*/]\s*\d+\s*=\s*\d+", text))) / 5


def main(rollouts: int = 20) -> list[float]:
    """Train the nano base to calculate more, and return the mean reward of each rollout."""
    rewards = []
    with dunwu.open_loop(
        "nano-base",
        reward=prefer_checks,
        tasks=["countdown"],
        rollout={"group_size": 8, "max_new_tokens": 128},
        optimizer={"lr": 1e-3},
    ) as loop:
        for _ in range(rollouts):
            batch = loop.advantages(loop.rollout(questions=16))
            rewards.append(loop.update(batch)["reward"])
            print(f"reward {rewards[-1]:.2f}")
    return rewards


if __name__ == "__main__":
    main()
