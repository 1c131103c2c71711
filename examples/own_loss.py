"""A loss of your own, which a recipe names: plain REINFORCE, the old policy's probabilities left out.

python examples/own_loss.py
"""

import dunwu
from dunwu.algorithms.losses import Objective


@dunwu.register.loss("reinforce")
def reinforce(logprobs_BT, old_logprobs_BT, mask_BT, advantages_BT, clip):
    """Return what is maximised at each token; averaging and the KL term come after it."""
    return Objective(values=advantages_BT * logprobs_BT)


def main(out: str = "runs/own-loss", rollouts: int = 12, questions: int = 16) -> dunwu.Run:
    """Run the recipe of R1-Zero at nano scale with this loss, made smaller."""
    overrides = {
        "stages.zero.algorithm.loss": "reinforce",
        "stages.zero.steps": rollouts,
        "stages.zero.update.minibatches": 1,  # on the policy that drew them
        "stages.zero.rollout.questions": questions,
        "stages.zero.rollout.group_size": 8,
        "stages.zero.rollout.max_new_tokens": 160,
        "stages.zero.evaluation": {},
    }
    run = dunwu.run("nano/r1-zero", out=out, overrides=overrides)
    print("right:", *(f"{share:.0%}" for share in run.metrics()["accuracy"].to_pylist()))
    return run


if __name__ == "__main__":
    main()
