"""Whether Dunwu reads a model as the model reads itself: a few sequences, computed in every way that a run uses.

transformers knows some two hundred types of causal models, and no config says all that happens between their tokens:
masks counted from the end of a cache, rotary factors chosen for a whole batch, attention that looks ahead. What goes
wrong there is silent, since the text still reads well. So a model is asked before anything is built on it.

R rows of tokens, W of them written: the last ones of a row, whose log-probabilities are compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from jaxtyping import Float32, Int64
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dunwu.errors import UserError
from dunwu.models import packing
from dunwu.models.fused_layers import make_reference
from dunwu.models.logprobs import Head, compute_token_logprobs
from dunwu.models.scalar_head import score_sequences

BOUNDS: Final = {torch.float32: 0.01, torch.bfloat16: 1.0}
"""Nats by which two ways to a log-probability may differ through rounding alone (docs/log.md)."""
PAIRS_BOUND: Final = 0.5
"""The same for a model in bfloat16 that the fused layers compute, held to a copy in float32: SmolLM2 differs by .11."""
WRITTEN: Final = 3
PROMPTS: Final = (9, 9, 4, 1)
"""Tokens of the short rows' prompts; the first two rows share theirs, as completions of a group do."""
BOUNDARY: Final = re.compile("window|chunk|original_max_position|local_attention|index_topk|extent|block_size")
"""In the names of numbers after which a model may treat its tokens otherwise ..."""
NO_BOUNDARY: Final = re.compile("layer|pattern|vision|audio")
"""... and not in these."""
CHEAP_FLOPS: Final = 1e10
MOST_FLOPS: Final = {"cpu": 2e12, "cuda": 2e14}
"""Of one pass over a long row: some seconds."""

Rows = tuple[Int64[Tensor, " T"], ...]
Reader = Callable[[Rows], Float32[Tensor, "R W"]]
"""The log-probabilities of what the rows' last W tokens are, computed in one way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Rows that are read together. ``past``: the boundary that the first one passes; None where it passes none."""

    rows: Rows
    past: int | None = None


@torch.no_grad()
def check_agreement(
    model: Any,
    readers: Mapping[str, Reader],
    *,
    longest: int,
    special_ids: Collection[int] = (),
    reference: Any,
) -> list[str]:
    """Compare ways of reading a model with its own forward of one sequence at a time.

    Args:
        model: a causal language model of transformers, in eval mode.
        readers: the ways, under the words that an error names them by.
        longest: tokens of a run's longest sequence. Rows past the boundaries that the config names (a window, the
            original context) are read where sequences get there.
        special_ids: tokens that the rows leave out: a model may treat padding or images in its own way.
        reference: what ``make_reference`` gives; its forward is the model's own.

    Returns:
        What was not compared, because it would take too long here; mostly nothing.

    Raises:
        UserError: the model is not causal, a way differs from its own forward, or something in it fails.
    """
    name = model.config.model_type
    with _refuse_failures(name):
        plain, skipped = make_probes(model, longest, special_ids)
        bound = BOUNDS[model.dtype] if reference is model else PAIRS_BOUND
        logits = [reference(input_ids=row[None], use_cache=False).logits[0, : PROMPTS[0]] for row in plain[0].rows[:2]]
        _check_causal(model, *(part.float().log_softmax(-1) for part in logits))
        check_head(model)
        for probe in plain:
            expected = torch.stack([compute_plain_logprobs(reference, row) for row in probe.rows])
            if not torch.isfinite(expected).all():
                raise UserError(f"{name} gives log-probabilities that are no numbers", field="from")
            for way, read in readers.items():
                difference = _largest_difference(read(probe.rows), expected)
                if difference > bound:
                    text = f"log-probabilities of {way} differ from the model's own forward by {difference:.2g} nats"
                    raise UserError(_explain(name, text, probe), field="from")
    return [_note_skipped(name, past) for past in skipped]


@torch.no_grad()
def check_scorer(model: Any, *, longest: int, special_ids: Collection[int] = ()) -> list[str]:
    """Compare what a sequence classifier gives to sequences of one batch with what it gives to each alone.

    The bound holds for the score, relative to the largest where that is above one.

    Args:
        model: a sequence classifier of transformers with one label, in eval mode.
        longest: see ``check_agreement``.
        special_ids: see ``check_agreement``.

    Returns:
        What was not compared, because it would take too long here.

    Raises:
        UserError: the model is not causal, its batches differ from single sequences, or something in it fails.
    """
    name = model.config.model_type
    with _refuse_failures(name):
        plain, skipped = make_probes(model, longest, special_ids)
        own = make_reference(model)
        packing.enable(model, own)
        for probe in plain:
            states = [own.base_model(input_ids=row[None], use_cache=False).last_hidden_state[0] for row in probe.rows]
            if probe is plain[0]:
                _check_causal(model, *(own.score(state[: PROMPTS[0]]).float() for state in states[:2]))
            expected = torch.stack([own.score(state[-1]) for state in states]).flatten().float()
            lengths = torch.tensor([len(row) for row in probe.rows], device=model.device)
            found = score_sequences(model, pad_sequence(list(probe.rows), batch_first=True), lengths)
            difference = _largest_difference(found, expected) / max(1.0, float(expected.abs().max()))
            if not difference <= BOUNDS[model.dtype]:
                text = f"scores of sequences beside each other differ from those of each alone by {difference:.2g}"
                raise UserError(_explain(name, text, probe), field="from")
    return [_note_skipped(name, past) for past in skipped]


@torch.no_grad()
def check_head(model: Any) -> None:
    """Compare ``Head`` with the model's own logits on a few tokens.

    Raises:
        UserError: the model makes its logits in a way that ``Head`` does not know, or fails.
    """
    name = model.config.model_type
    with _refuse_failures(name):
        if model.config.get_text_config() is not model.config:
            raise UserError(f"{name} holds a text model among others: save that one alone, and take it", field="from")
        if model.base_model is model:
            raise UserError(f"{name} does not show the states that its logits are made of", field="from")
        token_ids = torch.arange(8, device=model.device).remainder(model.config.vocab_size)[None]
        theirs = model(input_ids=token_ids, use_cache=False).logits.float()
        states = model.base_model(input_ids=token_ids, use_cache=False).last_hidden_state
        head = Head.from_model(model)
        known = states.shape[-1] == head.weight.shape[-1]
        if (
            not known
            or _largest_difference(head.logits(states).log_softmax(-1), theirs.log_softmax(-1)) > BOUNDS[model.dtype]
        ):
            raise UserError(f"{type(model).__name__} makes its logits in a way that is not known here", field="from")


def make_probes(model: Any, longest: int, special_ids: Collection[int] = ()) -> tuple[list[Probe], list[int]]:
    """Make the rows that a model is compared on. The same model gives the same rows.

    Short rows come first; then, for each boundary that the longest sequence passes, a row past it with short ones.
    Where a model is small the longest sequence itself is read too, whatever the config says.

    Args:
        model: a model of transformers.
        longest: tokens of a run's longest sequence.
        special_ids: tokens that the rows leave out.

    Returns:
        The rows, and the boundaries that would take too long.
    """
    generator = torch.Generator().manual_seed(0)
    ends = [part for part in (model.get_input_embeddings(), model.get_output_embeddings()) if part is not None]
    known = min(len(part.weight) for part in ends)
    usable = torch.ones(known, dtype=torch.bool)
    usable[[token for token in special_ids if token < len(usable)]] = False
    ids = usable.nonzero().flatten()

    def row(length: int) -> Int64[Tensor, " T"]:
        return ids[torch.randint(len(ids), (length,), generator=generator)].to(model.device)

    longest = max(longest, max(PROMPTS) + WRITTEN)
    shared, *others = (row(length) for length in PROMPTS[1:])
    short = tuple(torch.cat([prompt, row(WRITTEN)]) for prompt in (shared, shared, *others))
    found, skipped = [Probe(rows=short)], list[int]()
    weights = sum(parameter.numel() for parameter in model.parameters())
    most = MOST_FLOPS.get(model.device.type, MOST_FLOPS["cuda"])
    # What attention costs is left out: it is the smaller part up to far beyond these lengths.
    for past in sorted(find_boundaries(model.config.to_dict())):
        length = min(past + 2 + WRITTEN, longest)
        if past >= longest or length <= len(short[0]):
            continue
        if 2 * weights * length > most:
            skipped.append(past)
        else:
            found.append(Probe(rows=(row(length), *short[1:]), past=past))
    if 2 * weights * longest <= CHEAP_FLOPS:
        found.append(Probe(rows=(row(longest), *short[1:])))
    return found, skipped


def find_boundaries(config: Mapping[Any, Any]) -> set[int]:
    """Find the numbers of tokens in a config after which a model may treat them otherwise."""
    found: set[int] = set()
    for name, value in config.items():
        if NO_BOUNDARY.search(str(name)):
            continue
        if isinstance(value, Mapping):
            found |= find_boundaries(value)
        elif isinstance(value, int) and not isinstance(value, bool) and value > 0 and BOUNDARY.search(str(name)):
            found.add(value)
    return found


def compute_plain_logprobs(model: Any, row: Int64[Tensor, " T"]) -> Float32[Tensor, " W"]:
    """Compute the last tokens' log-probabilities by the model's own forward of this row alone."""
    hidden_TH = model.base_model(input_ids=row[None], use_cache=False).last_hidden_state[0]
    logprobs_WV = Head.from_model(model).logits(hidden_TH[-WRITTEN - 1 : -1]).log_softmax(-1)
    return logprobs_WV.gather(1, row[-WRITTEN:, None])[:, 0]


def make_trainer_reader(model: Any, reference: Any) -> Reader:
    """Return how trainers read: rows padded on the right, as a prefix tree where the model has our attention.

    Args:
        model: a causal language model of transformers.
        reference: what ``make_reference`` gives.
    """

    def read(rows: Rows) -> Float32[Tensor, "R W"]:
        packing.enable(model, reference)
        token_ids_RT = pad_sequence(list(rows), batch_first=True)
        columns_T = torch.arange(token_ids_RT.shape[1], device=token_ids_RT.device)
        ends_R1 = torch.tensor([[len(row)] for row in rows], device=token_ids_RT.device)
        mask_RT = (columns_T < ends_R1) & (columns_T >= ends_R1 - WRITTEN)
        return compute_token_logprobs(model, token_ids_RT, mask_RT).values[mask_RT].view(len(rows), WRITTEN)

    return read


def _check_causal(model: Any, one: Tensor, other: Tensor) -> None:
    """Raise UserError where what follows a prompt changes what the model says of the prompt."""
    difference = _largest_difference(one, other)
    if difference > BOUNDS[model.dtype]:
        text = f"{model.config.model_type} is not causal: other tokens at the end change what stands before them by"
        raise UserError(f"{text} {difference:.2g} nats", field="from")


def _largest_difference(one: Tensor, other: Tensor) -> float:
    """Return the largest difference; infinite where either is no number."""
    return float((one - other).abs().nan_to_num(torch.inf).max())


def _explain(name: str, text: str, probe: Probe) -> str:
    if probe.past is None:
        return f"{name} cannot be used: {text}, in sequences of {len(probe.rows[0]):,} tokens beside shorter ones"
    past = f"{probe.past:,} tokens"
    return f"{name} cannot be used past {past}: {text}; keep prompt and completion within {past}"


def _note_skipped(name: str, past: int) -> str:
    return f"{name} was not compared with its own forward past {past:,} tokens: too long here"


@contextmanager
def _refuse_failures(name: str) -> Iterator[None]:
    """Turn whatever a model's own code raises on a few ordinary tokens into a UserError."""
    try:
        yield
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        text = f"{name} fails on a few tokens: {type(error).__name__}: {error!s:.200}"
        raise UserError(text, field="from") from error
