"""A loop of your own: rollouts, advantages and updates in three calls.

python examples/own_loop.py
"""

import dunwu

SETTINGS = {"rollout": {"group_size": 8, "max_new_tokens": 128}, "optimizer": {"lr": 1e-3}}


def main(rollouts: int = 20, questions: int = 16) -> list[float]:
    """Train the nano base on Countdown, and return the mean reward of each rollout."""
    rewards = []
    with dunwu.open_loop("nano-base", tasks=["countdown"], **SETTINGS) as loop:
        for number in range(rollouts):
            groups = loop.rollout(questions=questions)
            metrics = loop.update(loop.advantages(groups))
            rewards.append(metrics["reward"])
            print(f"rollout {number}: reward {metrics['reward']:.2f}, entropy {metrics['entropy']:.2f}")
    return rewards


if __name__ == "__main__":
    main()
