"""What sequences that begin alike save: their common tokens are computed once a microbatch (``models.packing``)."""

from __future__ import annotations

from typing import NamedTuple

from dunwu.config.schema import RLStage


class PromptTokens(NamedTuple):
    """Tokens of a stage's prompts.

    Attributes:
        whole: Of one prompt; on average, or at most.
        alike: The first of them, which all prompts have.
    """

    whole: int
    alike: int = 0

    @property
    def own(self) -> int:
        """Tokens that other problems' prompts do not have."""
        return self.whole - self.alike


def limit_prompt(stage: RLStage) -> PromptTokens:
    """Return what is known of prompts that nobody has encoded: their limit."""
    return PromptTokens(stage.prompt.max_tokens)


def count_training_tokens(stage: RLStage, prompt: PromptTokens, completion: float) -> float:
    """Count the tokens that one pass of an epoch computes, of one rollout, over its random minibatches.

    A group of G answers comes to lie in M (1 - (1 - 1/M)^G) of M minibatches, and there in one microbatch or more.

    Args:
        stage: The recipe's.
        prompt: Of each problem.
        completion: Of each answer.
    """
    minibatches, group = stage.update.minibatches, stage.rollout.group_size
    parts = minibatches * (1 - (1 - 1 / minibatches) ** group)
    return _count_tokens(stage, prompt, completion, parts)


def count_forward_tokens(stage: RLStage, prompt: PromptTokens, completion: float) -> float:
    """Count the tokens that a forward pass over one rollout computes, whose groups stay together."""
    return _count_tokens(stage, prompt, completion, 1.0)


def _count_tokens(stage: RLStage, prompt: PromptTokens, completion: float, parts: float) -> float:
    rows = _count_rows(stage, prompt, completion)
    questions, group = stage.rollout.questions, stage.rollout.group_size
    together = group / parts
    copies = parts * min(together, 1 + (together - 1) / rows)
    answers = questions * group
    return answers * completion + questions * copies * prompt.own + -(-answers // rows) * prompt.alike


def count_microbatch_tokens(stage: RLStage, prompt: PromptTokens, completion: int) -> int:
    """Count the tokens that the largest microbatch computes, where every answer has ``completion`` tokens."""
    answers = stage.rollout.questions * stage.rollout.group_size // stage.update.minibatches
    rows = min(answers, _count_rows(stage, prompt, completion))
    together = max(1, stage.rollout.group_size // stage.update.minibatches)
    return prompt.alike + -(-rows // together) * prompt.own + rows * completion


def _count_rows(stage: RLStage, prompt: PromptTokens, completion: float) -> int:
    """Count the answers of a microbatch, where they are padded with their prompts; at least one."""
    return max(1, int(stage.update.tokens_per_microbatch // (prompt.whole + completion)))
