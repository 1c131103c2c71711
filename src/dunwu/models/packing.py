r"""A batch as the prefix tree of its sequences: no padding, and a prompt that many completions share is computed once.

The state of a causal model at a token depends on the tokens up to it and on nothing else. So sequences that begin alike
have equal states for as long as they are alike, and a batch of B sequences needs one state for every node of the tree
that their tokens make: N of them, fewer than the sum of the lengths. Everything in a layer but attention works on the N
nodes; attention gathers the queries, keys and values of whole sequences and takes its result back to the nodes.

    sequences      tree                  node       0 1 2 3 4
    a b c          a - b - c             token      a b c d e       nodes   0 1 2
    a b d e            \ - d - e         position   0 1 2 2 3               0 1 3 4
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int32, Int64
from torch import Tensor
from torch.nn.functional import embedding, scaled_dot_product_attention

from dunwu.kernels.operations import Tree
from dunwu.models.fused_layers import can_fuse, make_reference
from dunwu.models.fused_layers import compute_states as compute_fused_states

ATTENTION = "dunwu_packed"
LIKE_LENGTH = 0.8
"""Sequences attend together if the shortest has at least this share of the longest's tokens."""


class Gathering(NamedTuple):
    """Whole sequences in batches of like length, as torch's attention takes them.

    What pads a row is node 0: it comes after the row's own tokens, which do not see it, and nothing reads it.
    """

    rows: tuple[Int64[Tensor, "R S"], ...]
    """The nodes of R sequences of S tokens."""
    origin: Int64[Tensor, " N"]
    """Of each node the place of its result in those batches, laid end to end."""


@dataclass(frozen=True, kw_only=True)
class Packing:
    """N nodes for B sequences of up to T tokens. ``nodes``: which node stands for which token of which sequence."""

    token_ids: Int64[Tensor, " N"]
    positions: Int64[Tensor, " N"]
    owners: Int64[np.ndarray, " N"]
    """The sequence that brought each node."""
    nodes: Int64[Tensor, "B T"]
    lengths: Int64[Tensor, " B"]
    segments: Int32[np.ndarray, "3 S"]

    @property
    def tree(self) -> Tree:
        """The same as the kernels take it, who gather nothing."""
        return Tree(segments=self.segments, positions=self.positions)

    @cached_property
    def gathering(self) -> Gathering:
        """The same as torch's attention takes it; made once, for all layers."""
        device = self.nodes.device
        rows, place_BT = _by_length(self.nodes.cpu().numpy(), self.lengths.tolist())
        origin = place_BT[self.owners, self.positions.cpu().numpy()]
        return Gathering(
            rows=tuple(torch.from_numpy(batch).to(device) for batch in rows),
            origin=torch.from_numpy(origin).to(device),
        )


def pack(token_ids_BT: Int64[Tensor, "B T"], lengths_B: Int64[Tensor, " B"]) -> Packing:
    """Build the prefix tree of the first ``lengths_B`` tokens of each row."""
    tokens, lengths = token_ids_BT.cpu().numpy(), lengths_B.tolist()
    nodes = np.zeros(tokens.shape, dtype=np.int64)
    token_ids, positions, owners, branches = [], [], [], []
    count = shared = 0
    before: int | None = None
    # In sorted order, a row shares its longest known prefix with the row before it.
    for row in sorted(range(len(lengths)), key=lambda row: tokens[row, : lengths[row]].tobytes()):
        if before is not None:
            common = min(lengths[before], lengths[row])
            differs = tokens[before, :common] != tokens[row, :common]
            shared = int(differs.argmax()) if differs.any() else common
            nodes[row, :shared] = nodes[before, :shared]
        own = np.arange(shared, lengths[row])
        if len(own):
            branches.append((count, nodes[row, shared - 1] if shared else -1))
        nodes[row, own] = count + np.arange(len(own))
        token_ids.append(tokens[row, own])
        positions.append(own)
        owners.append(np.full(len(own), row))
        count, before = count + len(own), row
    device = token_ids_BT.device
    return Packing(
        token_ids=torch.from_numpy(np.concatenate(token_ids)).to(device),
        positions=torch.from_numpy(np.concatenate(positions)).to(device),
        owners=np.concatenate(owners),
        nodes=torch.from_numpy(nodes).to(device),
        lengths=lengths_B,
        segments=_find_segments(count, branches),
    )


def _find_segments(count: int, branches: list[tuple[int, int]]) -> Int32[np.ndarray, "3 S"]:
    """Cut the nodes where the tree branches.

    Args:
        count: of the nodes.
        branches: of each row with nodes of its own the first of them, and the node before it or -1.
    """
    first, before = np.array(branches).T
    after = before[before >= 0] + 1  # behind a node from which another row goes on, a new segment begins
    starts = np.unique(np.concatenate([first, after[after < count]]))
    parent = starts - 1  # a segment that begins behind a branch goes on from the node before it
    parent[np.searchsorted(starts, first)] = before
    segments = np.stack([starts, np.append(starts[1:], count), np.searchsorted(starts, parent, side="right") - 1])
    return np.ascontiguousarray(segments, dtype=np.int32)


def _by_length(nodes: np.ndarray, lengths: list[int]) -> tuple[list[np.ndarray], np.ndarray]:
    """Batch sequences of like length; return also the place of each token in the batches laid end to end."""
    order = sorted((row for row in range(len(lengths)) if lengths[row]), key=lambda row: -lengths[row])
    batches: list[list[int]] = []
    for row in order:
        if not batches or lengths[row] < LIKE_LENGTH * lengths[batches[-1][0]]:
            batches.append([])
        batches[-1].append(row)
    place_BT = np.zeros(nodes.shape, dtype=np.int64)
    start = 0
    for batch in batches:
        shape = len(batch), lengths[batch[0]]
        place_BT[batch, : shape[1]] = start + np.arange(shape[0] * shape[1]).reshape(shape)
        start += shape[0] * shape[1]
    return [nodes[batch, : lengths[batch[0]]] for batch in batches], place_BT


def attend_packed(
    module: Any,
    query: Float[Tensor, "1 A N D"],
    key: Float[Tensor, "1 K N D"],
    value: Float[Tensor, "1 K N D"],
    attention_mask: Tensor | None,
    *,
    packing: Packing | None = None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Float[Tensor, "1 N A D"], None]:
    """Compute attention between the nodes of a tree; without a ``packing``, the ordinary one.

    The signature is that of transformers' attention interface.

    Args:
        module: the layer.
        query: of every node.
        key: of every node.
        value: of every node.
        attention_mask: for the ordinary attention alone.
        packing: the tree.
        scaling: of the scores.
        options: for the ordinary attention alone.
    """
    if packing is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
        return output, None
    heads = query.shape[1]
    mixed = []
    rows, origin = packing.gathering
    for nodes_RS in rows:
        q, k, v = (_gather(part, nodes_RS) for part in (query, key, value))
        out = scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling, enable_gqa=heads != key.shape[1])
        mixed.append(out.transpose(1, 2).flatten(0, 1).flatten(1))
    return embedding(origin, torch.cat(mixed)).view(1, len(origin), heads, -1), None


def _gather(states: Float[Tensor, "1 A N D"], nodes_RS: Int64[Tensor, "R S"]) -> Float[Tensor, "R A S D"]:
    """Gather whole sequences. Not by ``index_select``: the gradient of ``embedding`` is far faster on a CPU."""
    _, heads, _, width = states.shape
    sequences = embedding(nodes_RS, states[0].transpose(0, 1).flatten(1))
    return sequences.view(*nodes_RS.shape, heads, width).transpose(1, 2)


def compute_states(model: Any, packing: Packing) -> Float[Tensor, "N H"]:
    """Compute the last hidden state of every node; of a fused model in single precision.

    A node's gradient is the sum over all sequences that read it, and a sum in bfloat16 stops growing.
    """
    if can_fuse(model):
        return compute_fused_states(model, packing.tree, packing.token_ids)
    states_1NH: Tensor = model.base_model(
        input_ids=packing.token_ids[None],
        position_ids=packing.positions[None],
        # A mask of four dimensions is handed through as it is; ``attend_packed`` does not look at it.
        attention_mask=packing.token_ids.new_zeros(1, 1, 1, 1, dtype=model.dtype),
        use_cache=False,
        packing=packing,
    ).last_hidden_state
    return states_1NH[0]


def enable(model: Any, reference: Any | None = None) -> bool:
    """Give the model our attention where that computes what its own does.

    It does without sliding windows, on transformers' attention interface, and where a small batch shows no difference:
    soft caps, recurrent layers and whatever else a model may hold between its tokens show there.

    Args:
        model: of transformers.
        reference: what ``make_reference`` gives, where it was made already.

    Returns:
        Whether the model has it now.
    """
    config = model.config
    if config._attn_implementation == ATTENTION:
        return True
    full = set(getattr(config, "layer_types", None) or ["full_attention"]) == {"full_attention"}
    windows = getattr(config, "sliding_window", None) is not None
    on_interface = getattr(model, "_supports_attention_backend", False) and config._attn_implementation == "sdpa"
    if not full or windows or not on_interface:
        return False
    token_ids = torch.tensor([[3, 1, 4, 1, 5], [3, 1, 4, 2, 6]], device=model.device) % config.vocab_size
    _register()
    own = reference or make_reference(model)  # of a fused model the layers are asked, and not what is rounded in them
    with torch.no_grad():
        expected = own.base_model(input_ids=token_ids, use_cache=False).last_hidden_state
        own.set_attn_implementation(ATTENTION)
        packing = pack(token_ids, torch.tensor([5, 5]))
        ours = compute_states(own, packing)[packing.nodes]
    # SmolLM2 has states of 44: thirty layers of sums in another order part them by 1.1e-4 of that.
    rounding = 1e-3 if own.dtype == torch.float32 else 0.02
    same = torch.allclose(ours, expected, rtol=0.0, atol=rounding * float(expected.abs().max()))
    own.set_attn_implementation("sdpa")
    if same:
        model.set_attn_implementation(ATTENTION)
    return same


@lru_cache(maxsize=1)
def _register() -> None:
    # Here, because an engine takes trees from this file, and transformers' modules take seconds to import.
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(ATTENTION, attend_packed)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
