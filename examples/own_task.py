"""A task of your own: a function that makes a problem. Problems are held out by the hash of their key.

python examples/own_task.py
"""

import dunwu
from dunwu.tasks import Draft


@dunwu.register.task("double")
def double(rng, level, language):
    """Ask for twice a number of ``level`` digits."""
    number = rng.randrange(10**level)
    return Draft(question=f"What is twice {number}?", gold=str(2 * number), key=str(number))


def main(rollouts: int = 10) -> list[float]:
    """Train on it, two levels mixed, and return the mean reward of each rollout."""
    tasks = [{"task": "double", "levels": [1, 2]}]
    rewards = []
    with dunwu.open_loop("nano-base", tasks=tasks, rollout={"group_size": 8, "max_new_tokens": 64}) as loop:
        for _ in range(rollouts):
            batch = loop.advantages(loop.rollout(questions=8))
            rewards.append(loop.update(batch)["reward"])
            print(f"reward {rewards[-1]:.2f}")
    return rewards


if __name__ == "__main__":
    main()
