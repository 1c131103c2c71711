"""Opens the policies of a run: loaded, and compared with themselves before anything is built on them."""

from __future__ import annotations

from collections.abc import Callable

from dunwu.config.schema import ModelSpec
from dunwu.errors import UserError
from dunwu.models.agreement import WRITTEN, Reader, check_agreement, trainer_reader
from dunwu.models.load import Policy, load_policy
from dunwu.models.templates import positions
from dunwu.rollout.decoder import decoder_of
from dunwu.rollout.forcing import forced_logprobs


def open_policy(
    source: str, spec: ModelSpec, *, longest: int, learns: bool, writes: bool, tell: Callable[[str], None]
) -> Policy:
    """Loads a policy and compares what trainer and engine compute with the model's own forward.

    Args:
        source: see ``load_policy``.
        spec: its type in memory and its device.
        longest: tokens of the longest sequence that the stage may have.
        learns: it is trained.
        writes: the embedded engine generates with it.
        tell: takes what the user should know though nothing is wrong.

    Raises:
        UserError: see ``load_policy`` and ``check_agreement``.
    """
    policy = load_policy(source, dtype=spec.dtype, device=spec.device)
    for note in policy.notes:
        tell(note)
    try:
        for note in check_policy(policy, longest=longest, learns=learns, writes=writes):
            tell(note)
    except UserError as error:
        raise UserError(error.message, file=source) from error
    return policy


def check_policy(policy: Policy, *, longest: int, learns: bool, writes: bool) -> list[str]:
    """See ``open_policy``; returns what was not compared."""
    readers: dict[str, Reader] = {}
    if learns:
        readers["the trainer"] = trainer_reader(policy.model)
    if writes:
        decoder = decoder_of(policy.model)
        readers["the engine"] = lambda rows: forced_logprobs(decoder, rows, WRITTEN, policy.pad_id)
    special_ids = {*policy.tokenizer.all_special_ids, *policy.eos_ids, policy.pad_id}
    longest = min(longest, positions(policy.model))
    return check_agreement(policy.model, readers, longest=longest, special_ids=special_ids)
