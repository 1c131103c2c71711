"""Opens the models of a run: loaded, and compared with themselves before anything is built on them."""

from __future__ import annotations

from collections.abc import Callable

from dunwu.config.schema import ModelSpec
from dunwu.errors import UserError
from dunwu.kernels.library import explain_absence
from dunwu.models import packing
from dunwu.models.agreement import WRITTEN, Reader, check_agreement, check_scorer, make_trainer_reader
from dunwu.models.fused_layers import is_llama_like, make_reference
from dunwu.models.load import load_policy, load_scorer
from dunwu.models.policy import Policy
from dunwu.models.templates import count_positions
from dunwu.rollout.builtin.decoder import make_decoder
from dunwu.rollout.builtin.teacher_forcing import compute_forced_logprobs


def open_policy(
    source: str, spec: ModelSpec, *, longest: int, learns: bool, generates: bool, message: Callable[[str], None]
) -> Policy:
    """Load a policy and compare what trainer and engine compute with the model's own forward pass.

    Args:
        source: see ``load_policy``.
        spec: its type in memory and its device.
        longest: tokens of the longest sequence that the stage may have.
        learns: it is trained.
        generates: the built-in engine generates with it.
        message: takes what the user should know though nothing is wrong.

    Raises:
        UserError: see ``load_policy`` and ``check_agreement``.
    """
    policy = load_policy(source, dtype=spec.dtype, device=spec.device)
    for note in policy.notes:
        message(note)
    try:
        for note in check_policy(policy, longest=longest, learns=learns, generates=generates):
            message(note)
    except UserError as error:
        raise UserError(error.message, file=source) from error
    if policy.model.device.type == "cpu" and is_llama_like(policy.model) and (why := explain_absence()):
        message(why)
    return policy


def open_scorer(
    source: str, spec: ModelSpec, *, longest: int, message: Callable[[str], None], new_head: bool = False
) -> Policy:
    """Load a reward model or a value network, and compare its batches with single sequences.

    Args:
        source: see ``load_scorer``.
        spec: its type in memory and its device.
        longest: tokens of the longest sequence that the stage may have.
        message: takes what the user should know though nothing is wrong.
        new_head: a causal language model will do too; its head is drawn from torch's seed.

    Raises:
        UserError: see ``load_scorer`` and ``check_scorer``.
    """
    scorer = load_scorer(source, dtype=spec.dtype, device=spec.device, new_head=new_head)
    for note in scorer.notes:
        message(note)
    try:
        for note in check_scorer(scorer.model, longest=_bound(scorer, longest), special_ids=_special_ids(scorer)):
            message(note)
    except UserError as error:
        raise UserError(error.message, file=source) from error
    return scorer


def check_policy(policy: Policy, *, longest: int, learns: bool, generates: bool) -> list[str]:
    """Compare what trainer and engine compute with a model's own forward pass.

    Args:
        policy: the model.
        longest: tokens of the longest sequence that the stage may have.
        learns: it is trained.
        generates: the built-in engine generates with it.

    Returns:
        What could not be compared, and what makes training slow, in words.

    Raises:
        UserError: see ``check_agreement``.
    """
    readers: dict[str, Reader] = {}
    reference = make_reference(policy.model)
    if learns:
        readers["the trainer"] = make_trainer_reader(policy.model, reference)
    if generates:
        decoder = make_decoder(policy.model)
        readers["the engine"] = lambda rows: compute_forced_logprobs(decoder, rows, WRITTEN, policy.pad_id)
    longest = _bound(policy, longest)
    special_ids = _special_ids(policy)
    notes = check_agreement(policy.model, readers, longest=longest, special_ids=special_ids, reference=reference)
    if learns and is_llama_like(policy.model) and not packing.enable(policy.model, reference):
        name = policy.model.config.model_type
        notes.append(f"attention over shared prompts differs from {name}'s own, which trains it: several times slower")
    return notes


def _bound(policy: Policy, longest: int) -> int:
    """Bound a stage's longest sequence by the model's positions, to which engine and stages hold."""
    return min(longest, count_positions(policy.model))


def _special_ids(policy: Policy) -> set[int]:
    return {*policy.tokenizer.all_special_ids, *policy.eos_ids, policy.pad_id}
