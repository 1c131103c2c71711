"""The sizes of ``dunwu bench --size``: the shape of each model, and how much work of it is one turn.

Weights are random, from a fixed seed. Work shrinks as models grow, so that a turn lasts seconds on two cores: a step
multiplies each token with all weights ten times (once to generate, once for the reference, three times to train, of two
operations each) and has about 1e12 operations. A rollout multiplies once, so it has more tokens, and as many sequences
as peers can decode at once.

Completions have one of two kinds of length. ``fixed``: all have ``new_tokens``. ``natural``: the model itself ends them
after each token with the same probability (``random_model.make_lengths_geometric``). So lengths have a geometric
distribution, with a mean of half of ``new_tokens`` and at most twice ``new_tokens``. Every side has the same weights
and draws its own lengths from this distribution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dunwu.bench.memory import read_free_memory_gib
from dunwu.errors import UserError
from dunwu.machine import GIB
from dunwu.models.shape import ModelShape, shape_from_config

PROMPT_TOKENS: Final = 24
END, PAD = 256, 257
"""Token ids, behind the 256 letters of the tokenizer."""
FLOAT_BYTES = 4
COPIES: Final = {"step": 6, "rollout": 2, "eval": 2, "sft": 5}
"""How often a side holds the weights: gradients, two moments, reference and engine count, and what copies them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one turn generates.

    Attributes:
        prompts: Prompts, of ``PROMPT_TOKENS`` tokens.
        group_size: Completions of each.
        new_tokens: The fixed length of a completion; see above for natural ones.
    """

    prompts: int
    group_size: int
    new_tokens: int

    @property
    def completions(self) -> int:
        """All completions of a turn."""
        return self.prompts * self.group_size

    @property
    def most_tokens(self) -> int:
        """The longest natural completion."""
        return 2 * self.new_tokens

    @property
    def mean_tokens(self) -> float:
        """The mean of the natural lengths, before the longest are cut."""
        return self.new_tokens / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisedWork:
    """What one turn of supervised training learns.

    Attributes:
        batch: Examples of an update.
        updates: Updates of a turn.
        most_tokens: The longest example, with a prompt of ``PROMPT_TOKENS``.
    """

    batch: int
    updates: int
    most_tokens: int

    @property
    def mean_answer_tokens(self) -> float:
        """The mean of the answers' lengths, which are geometric, before the longest are cut."""
        return self.most_tokens / 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A model and its work.

    Attributes:
        name: As ``--size`` takes it.
        config: The model's, in transformers' terms.
        step: Work of ``dunwu bench step``; ``rollout``, ``eval``, ``sft`` likewise.
        microbatch: Sequences that TRL trains on at once: what suits the caches at 1M, and half of it at 600M.
    """

    name: str
    config: Mapping[str, Any] = field(repr=False)
    step: Work
    rollout: Work
    eval: Work
    sft: SupervisedWork
    microbatch: int

    @property
    def shape(self) -> ModelShape:
        """The model's shape."""
        shape = shape_from_config(self.config)
        assert shape is not None
        return shape

    def check_memory(self, bench: str, sides: int) -> None:
        """Refuse a model that does not fit into memory as often as a benchmark holds it.

        Args:
            bench: A key of ``COPIES``.
            sides: Processes that hold the model at once.

        Raises:
            UserError: There is less memory than the weights alone take.
        """
        free = read_free_memory_gib()
        needed = sides * COPIES[bench] * FLOAT_BYTES * self.shape.parameters / GIB
        if free is not None and needed > free:
            text = f"{self.name} takes {needed:.1f} GiB for {sides} {'side' if sides == 1 else 'sides'} of {bench}"
            raise UserError(f"{text}, of which {free:.1f} GiB are free", field="--size")


def _config(model_type: str, *, hidden: int, layers: int, heads: tuple[int, int], **rest: Any) -> dict[str, Any]:
    """Return a config.

    Args:
        model_type: transformers' name.
        hidden: Width of the states.
        layers: Blocks.
        heads: Of queries, and of keys and values.
        rest: What else transformers' config takes.
    """
    return {
        "model_type": model_type,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads[0],
        "num_key_value_heads": heads[1],
        "eos_token_id": END,
        "pad_token_id": PAD,
        "bos_token_id": None,
        **rest,
    }


SMOLLM2 = _config(
    "llama",
    hidden=576,
    layers=30,
    heads=(9, 3),
    intermediate_size=1536,
    vocab_size=49_152,
    max_position_embeddings=8192,
    rope_parameters={"rope_type": "default", "rope_theta": 100_000.0},
    rms_norm_eps=1e-5,
    tie_word_embeddings=True,
)
"""The shape of SmolLM2-135M."""
QWEN3 = _config(
    "qwen3",
    hidden=1024,
    layers=28,
    heads=(16, 8),
    head_dim=128,
    intermediate_size=3072,
    vocab_size=151_936,
    max_position_embeddings=40_960,
    rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
    tie_word_embeddings=True,
)
"""The shape of Qwen3-0.6B, with norms of its heads."""
QWEN2 = _config(
    "qwen2",
    hidden=128,
    layers=4,
    heads=(4, 2),
    intermediate_size=384,
    vocab_size=1024,
    max_position_embeddings=512,
    tie_word_embeddings=False,
)
"""1.05 M weights, as the step without ``--size`` has them."""
SIZES: Final = {
    size.name: size
    for size in (
        Size(
            name="1M",
            config=QWEN2,
            step=Work(prompts=32, group_size=16, new_tokens=128),
            rollout=Work(prompts=32, group_size=16, new_tokens=128),
            eval=Work(prompts=64, group_size=8, new_tokens=128),
            sft=SupervisedWork(batch=128, updates=4, most_tokens=384),
            microbatch=32,
        ),
        Size(
            name="10M",
            config=_config(
                "qwen2",
                hidden=256,
                layers=10,
                heads=(4, 2),
                intermediate_size=768,
                vocab_size=8192,
                max_position_embeddings=2048,
                tie_word_embeddings=True,
            ),
            step=Work(prompts=8, group_size=16, new_tokens=64),
            rollout=Work(prompts=8, group_size=16, new_tokens=64),
            eval=Work(prompts=64, group_size=4, new_tokens=64),
            sft=SupervisedWork(batch=64, updates=2, most_tokens=384),
            microbatch=32,
        ),
        Size(
            name="50M",
            config=_config(
                "llama",
                hidden=512,
                layers=12,
                heads=(8, 2),
                intermediate_size=1408,
                vocab_size=32_768,
                max_position_embeddings=2048,
                tie_word_embeddings=True,
            ),
            step=Work(prompts=4, group_size=8, new_tokens=64),
            rollout=Work(prompts=8, group_size=16, new_tokens=48),
            eval=Work(prompts=32, group_size=4, new_tokens=64),
            sft=SupervisedWork(batch=32, updates=1, most_tokens=384),
            microbatch=32,
        ),
        Size(
            name="135M",
            config=SMOLLM2,
            step=Work(prompts=4, group_size=8, new_tokens=48),
            rollout=Work(prompts=8, group_size=16, new_tokens=32),
            eval=Work(prompts=16, group_size=4, new_tokens=48),
            sft=SupervisedWork(batch=16, updates=1, most_tokens=384),
            microbatch=32,
        ),
        Size(
            name="600M",
            config=QWEN3,
            step=Work(prompts=2, group_size=8, new_tokens=32),
            rollout=Work(prompts=4, group_size=16, new_tokens=16),
            eval=Work(prompts=8, group_size=4, new_tokens=32),
            sft=SupervisedWork(batch=8, updates=1, most_tokens=256),
            microbatch=16,
        ),
    )
}


def find_size(name: str) -> Size:
    """Find a size by its name, in any case.

    Raises:
        UserError: There is none of this name.
    """
    if (size := SIZES.get(name.upper())) is None:
        raise UserError(f"no size {name}; there are {', '.join(SIZES)}", field="--size")
    return size
