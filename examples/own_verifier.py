"""A verifier of your own: it says whether an answer is right, where no rule of the package can.

python examples/own_verifier.py
"""

import dunwu
from dunwu.tasks import Draft


@dunwu.register.verifier("palindrome")
def is_palindrome(problem: dunwu.Problem, answer: str) -> bool:
    """Accept a number of two digits or more that reads the same from both ends and is larger than the one given."""
    return answer.isdigit() and len(answer) > 1 and answer == answer[::-1] and int(answer) > int(problem.gold)


@dunwu.register.task("palindromes")
def ask(rng, level, language):
    """Ask for a palindrome; ``kind`` names the verifier."""
    number = rng.randrange(10**level)
    return Draft(question=f"A palindrome larger than {number}?", gold=str(number), kind="palindrome")


def main(rollouts: int = 10) -> list[float]:
    """Grade two answers, then train on the task, and return the mean reward of each rollout."""
    for answer in ("1331", "1332"):
        print(answer, dunwu.grade(f"<answer>{answer}</answer>", gold="250", kind="palindrome").value)
    rewards, rollout = [], {"group_size": 8, "max_new_tokens": 64}
    with dunwu.open_loop("nano-base", tasks=[{"task": "palindromes", "levels": [1, 2]}], rollout=rollout) as loop:
        for _ in range(rollouts):
            batch = loop.advantages(loop.rollout(questions=8))
            rewards.append(loop.update(batch)["reward"])
            print(f"reward {rewards[-1]:.2f}")
    return rewards


if __name__ == "__main__":
    main()
