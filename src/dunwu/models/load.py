"""Load and save a policy: a causal language model of transformers with its tokenizer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging

from dunwu.config.model_folder import read_config
from dunwu.errors import UserError
from dunwu.machine import Dtype
from dunwu.models.bounds import bound_by_weights
from dunwu.models.chat_templates import start_renderer
from dunwu.models.gguf.header import read_header
from dunwu.models.gguf.source import find_gguf
from dunwu.models.gguf.tokenizer import build_tokenizer
from dunwu.models.places import Device, find_device, resolve
from dunwu.models.policy import TYPES, Policy
from dunwu.models.templates import CHAT_TEMPLATE, ORIGINAL_TEMPLATE, find_end_of_turn

logging.disable_progress_bar()  # loading and saving are short, and progress has a place of its own

ADVICE = re.compile(
    r"trust_remote_code|weights_only|torch\.load|pickle|use_safetensors|upgrade|\binstall\b|from_tf|ignore_"
)
"""In a library's advice, which is not ours to pass on: some of it is to run what a stranger wrote."""


def load_policy(
    source: str, *, dtype: Dtype | torch.dtype = "float32", device: Device | torch.device = "auto"
) -> Policy:
    """Load any causal language model of transformers, in eval mode. Code that lies beside it is never run.

    Args:
        source: ``nano-base`` (shipped with the package), a folder, a GGUF file, or a hub id.
        dtype: of the weights in memory.
        device: ``auto`` takes CUDA where there is one.

    Raises:
        UserError: no such folder or hub id; config, weights or tokenizer missing, corrupt or not to be trusted; weights
            that are no numbers; no end-of-sequence token; ``cuda`` asked for on a machine without it.
    """
    place = resolve(source)
    if (Path(place) / CHAT_TEMPLATE).is_file():
        start_renderer()  # it is asked how a turn ends when the weights are there
    model, info = _load_model(AutoModelForCausalLM, "a causal language model", place, _dtype(dtype))
    if info["missing_keys"]:
        raise UserError(f"weights are missing: {_some(info['missing_keys'])}", file=place)
    return _add_tokenizer(model, place, device)


def load_scorer(
    source: str,
    *,
    dtype: Dtype | torch.dtype = "float32",
    device: Device | torch.device = "auto",
    new_head: bool = False,
) -> Policy:
    """Load a model with one number at the end instead of a vocabulary: a sequence classifier of transformers.

    Args:
        source: see ``load_policy``.
        dtype: of the weights in memory.
        device: see ``load_policy``.
        new_head: a causal language model will do, too; its head is drawn from torch's seed.

    Raises:
        UserError: see ``load_policy``; or the architecture has no such form, or its head has more than one number.
    """
    place = resolve(source)
    model, info = _load_model(
        AutoModelForSequenceClassification, "a sequence classifier", place, _dtype(dtype), num_labels=1
    )
    if not isinstance(getattr(model, "score", None), torch.nn.Linear):
        raise UserError(f"{type(model).__name__} has no head that gives one number", file=place)
    missing = set(info["missing_keys"]) - ({"score.weight"} if new_head else set())
    if missing:
        hint = "; this is no reward model" if missing == {"score.weight"} else ""
        raise UserError(f"weights are missing: {_some(missing)}{hint}", file=place)
    scorer = _add_tokenizer(model, place, device)
    model.config.pad_token_id = scorer.pad_id
    return scorer


def _add_tokenizer(model: Any, place: str, device: Device | torch.device) -> Policy:
    tokenizer = load_tokenizer(place)
    eos_ids = _find_eos_ids(tokenizer, model, place)
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else eos_ids[0]
    rows = len(model.get_input_embeddings().weight)
    # Tokens that were added without rows for them are common; only texts that name them would have them.
    words = tokenizer.get_vocab().keys() - tokenizer.get_added_vocab().keys()
    largest = max(eos_ids[0], *tokenizer.convert_tokens_to_ids(list(words)))
    if largest >= rows:
        text = f"the tokenizer has tokens up to {largest:,}, and the model knows {rows:,}: it is another model's"
        raise UserError(text, file=place)
    if pad_id >= rows:  # any token can pad
        pad_id = eos_ids[0]
    notes = _drop_own_code(model.config, tokenizer)
    model = model.to(find_device(device)).eval()
    return Policy(model=model, tokenizer=tokenizer, eos_ids=eos_ids, pad_id=int(pad_id), notes=notes)


def _drop_own_code(config: Any, tokenizer: Any) -> tuple[str, ...]:
    """Remove what names code beside the model, so that no copy of it asks for that code; return a note that says so."""
    if not getattr(config, "auto_map", None):
        return ()
    del config.auto_map
    tokenizer.init_kwargs.pop("auto_map", None)
    return (f"the model brings code of its own (auto_map), which is not run: transformers' {config.model_type} is",)


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence transformers: what goes wrong is an error of ours, and that a head is new is no warning here."""
    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def save_policy(policy: Policy, folder: Path) -> None:
    """Write an ordinary transformers folder: config, safetensors, tokenizer, generation config."""
    policy.model.save_pretrained(folder)
    policy.tokenizer.save_pretrained(folder)


def _load_model(kind: Any, what: str, place: str, dtype: torch.dtype, **options: Any) -> tuple[Any, dict[str, Any]]:
    """Load a model by one of transformers' Auto classes; return also what was missing. No pickle is read."""
    try:
        with _quietly(), bound_by_weights(place):
            model, info = kind.from_pretrained(
                place,
                dtype=dtype,
                trust_remote_code=False,
                use_safetensors=True,
                ignore_mismatched_sizes=True,  # else the error says that they differ, and not where
                output_loading_info=True,
                **options,
            )
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except SafetensorError as error:
        raise UserError(f"corrupt safetensors ({error})", file=place) from error
    except Exception as error:  # a config of a stranger's can make transformers raise anything
        config = Path(place) / "config.json"
        if config.is_file() and "auto_map" in read_config(config):
            text = f"cannot load {what}: it needs code of its own (auto_map), and no code beside a model is run here"
            raise UserError(text, file=place) from error
        raise UserError(f"cannot load {what}: {_explain(error)}", file=place) from error
    for name, stored, wanted in sorted(info["mismatched_keys"])[:1]:
        shapes = f"{list(stored)} in the weights and {list(wanted)} by config.json"
        raise UserError(f"cannot load {what}: {name} has the shape {shapes}", file=place)
    for name, weight in model.named_parameters():
        if not _is_finite(weight.detach()):
            raise UserError(f"{name} holds NaN or infinite weights", file=place)
    return model, info


def _is_finite(weight: torch.Tensor) -> bool:
    """Tell whether all numbers are finite; to ask it of each takes twenty times as long as to find their bounds."""
    return not weight.numel() or all(bool(torch.isfinite(bound)) for bound in torch.aminmax(weight))


def load_tokenizer(source: str) -> Any:
    """Load the tokenizer of a model.

    Args:
        source: see ``load_policy``. That of a GGUF file is read off its header, and no weights are.

    Raises:
        UserError: it cannot be loaded, or has no vocabulary: transformers makes one where the files are missing.
    """
    if (file := find_gguf(source)) is not None:
        return build_tokenizer(read_header(file))
    place = resolve(source)
    try:
        with _quietly():
            tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
        found = tokenizer.encode("a", add_special_tokens=False)
    except Exception as error:  # the tokenizers library raises plain Exceptions
        raise UserError(f"cannot load the tokenizer: {_explain(error)}", file=place) from error
    if not found:
        raise UserError("cannot load the tokenizer: its vocabulary is missing", file=place)
    templates = getattr(tokenizer, "chat_template", None)
    if isinstance(templates, dict) and ORIGINAL_TEMPLATE in templates:
        tokenizer.chat_template = templates[ORIGINAL_TEMPLATE]
    return tokenizer


def _find_eos_ids(tokenizer: Any, model: Any, place: str) -> tuple[int, ...]:
    """Find the tokens that end a completion, the tokenizer's own first.

    The generation config adds some (chat models have several), and so does the end of a turn in the chat template.
    """
    if tokenizer.eos_token_id is None:
        raise UserError("the tokenizer has no eos_token: completions could never end", file=place, field="eos_token")
    configured = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    more = configured if isinstance(configured, list) else [] if configured is None else [configured]
    rows = len(model.get_input_embeddings().weight)
    for token_id in more:
        if not isinstance(token_id, int) or isinstance(token_id, bool) or not 0 <= token_id < rows:
            text = f"the generation config names {token_id!r:.40}, no token of the {rows:,} that the model knows"
            raise UserError(text, file=place, field="eos_token_id")
    return list_ends(tokenizer, more)


def list_ends(tokenizer: Any, configured: Sequence[int]) -> tuple[int, ...]:
    """List the tokens that end a completion, the tokenizer's own first.

    Args:
        tokenizer: Of transformers, with an end of sequence.
        configured: Those of the generation config.
    """
    turn = find_end_of_turn(tokenizer)
    turns = [] if turn is None else [turn]
    return tuple(dict.fromkeys([int(tokenizer.eos_token_id), *configured, *turns]))


def _dtype(dtype: Dtype | torch.dtype) -> torch.dtype:
    return dtype if isinstance(dtype, torch.dtype) else TYPES[dtype]


def _explain(error: BaseException) -> str:
    """Return what a library says is wrong, without sentences that give advice; of the first at least its beginning."""
    sentences = re.split(r"(?<=[.!?])\s+", " ".join(str(error).split()))
    text = " ".join(sentence for sentence in sentences if not ADVICE.search(sentence))
    beginning = re.sub("[`(:;,][^`(:;,]*$", "", ADVICE.split(sentences[0])[0]).rstrip(" `(:;,")
    text = f"{text or beginning:.200}"
    ordinary = isinstance(error, OSError | ValueError | RuntimeError) and text
    return text if ordinary else ": ".join(filter(None, (type(error).__name__, text)))


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:3]) + (f" and {len(ordered) - 3} more" if len(ordered) > 3 else "")
