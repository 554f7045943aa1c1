"""A forward pass for Qwen3, Qwen2 and Llama weights with a cache of many rows that grow at their own pace.

`transformers` builds masks and cache objects anew at each step; at a few million parameters that costs several times
the arithmetic. Here a step is the arithmetic alone, on the model's own weights: what training changes, sampling sees.
A test holds it to the logits of `transformers`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from veriloop.core.errors import InputError

SUPPORTED = ("qwen3", "qwen2", "llama")


class RowCache:
    """Keys and values of up to `rows` dialogues: per layer (rows, kv_heads, length, head_dim), grown as needed."""

    def __init__(self, config: Any, rows: int, dtype: torch.dtype, device: torch.device) -> None:
        self.lengths = torch.zeros(rows, dtype=torch.long, device=device)
        heads = config.num_key_value_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        shape = (rows, heads, 128, size)
        layers = range(config.num_hidden_layers)
        self.keys = [torch.zeros(shape, dtype=dtype, device=device) for _ in layers]
        self.values = [torch.zeros(shape, dtype=dtype, device=device) for _ in layers]

    def reserve(self, length: int) -> None:
        """Make room for rows of `length` tokens."""
        have = self.keys[0].shape[2]
        if length > have:
            grow = max(length, 2 * have) - have
            self.keys = [functional.pad(keys, (0, 0, 0, grow)) for keys in self.keys]
            self.values = [functional.pad(values, (0, 0, 0, grow)) for values in self.values]

    def copy(self, source: int, target: int, length: int) -> None:
        """Let a row begin with the first `length` tokens of another."""
        for tensor in (*self.keys, *self.values):
            tensor[target, :, :length] = tensor[source, :, :length]
        self.lengths[target] = length

    def swap(self, one: int, other: int) -> None:
        """Let two rows change places."""
        used = int(torch.maximum(self.lengths[one], self.lengths[other]))
        for tensor in (*self.keys, *self.values):
            kept = tensor[one, :, :used].clone()
            tensor[one, :, :used] = tensor[other, :, :used]
            tensor[other, :, :used] = kept
        kept = self.lengths[one].clone()
        self.lengths[one] = self.lengths[other]
        self.lengths[other] = kept


class Decoder:
    """Runs a causal language model's weights over rows of a cache."""

    def __init__(self, model: Any) -> None:
        """Take a transformers model; raises InputError for an architecture that is not supported."""
        if model.config.model_type not in SUPPORTED:
            raise InputError(
                f"local sampling knows {', '.join(SUPPORTED)} models, not {model.config.model_type!r}; "
                "serve it behind an endpoint and use openai:MODEL"
            )
        self.model, self.config = model, model.config
        self.heads = self.config.num_attention_heads
        self.kv_heads = self.config.num_key_value_heads

    def new_cache(self, rows: int) -> RowCache:
        """Return an empty cache."""
        weight = self.model.get_input_embeddings().weight
        return RowCache(self.config, rows, weight.dtype, weight.device)

    @torch.no_grad()
    def forward(self, cache: RowCache, ids: Tensor, counts: Tensor, start: int = 0) -> Tensor:
        """Append ids (rows, width), right-padded, `counts` valid per row, and return the last valid token's logits.

        The rows are those of the cache from `start` on; result: (rows, vocabulary).
        """
        rows, width = ids.shape
        lengths = cache.lengths[start : start + rows]
        positions = lengths[:, None] + torch.arange(width, device=ids.device)[None, :]
        length = int(lengths.max()) + width
        cache.reserve(length)
        slots = torch.arange(length, device=ids.device)
        # A query sees what stands at or before its own place; padded places are overwritten by the next append.
        mask = torch.zeros((rows, 1, width, length), dtype=cache.keys[0].dtype, device=ids.device)
        mask.masked_fill_(slots[None, None, None, :] > positions[:, None, :, None], float("-inf"))
        row = torch.arange(rows, device=ids.device)[:, None]
        inner = self.model.model
        hidden = inner.embed_tokens(ids)
        step = _Step(inner.rotary_emb(hidden, positions), mask, row, positions)
        for layer, keys, values in zip(inner.layers, cache.keys, cache.values, strict=True):
            # Slices share the cache's memory, so what the pass writes is kept.
            hidden = self._layer(layer, hidden, step, keys[start : start + rows], values[start : start + rows])
        lengths += counts
        last = hidden[row[:, 0], (counts - 1).clamp(min=0)]
        return self.model.lm_head(_norm(inner.norm, last))

    def _layer(self, layer: Any, hidden: Tensor, step: "_Step", keys: Tensor, values: Tensor) -> Tensor:
        attention = layer.self_attn
        normed = _norm(layer.input_layernorm, hidden)
        rows, width, _ = hidden.shape
        query = attention.q_proj(normed).view(rows, width, self.heads, -1)
        key = attention.k_proj(normed).view(rows, width, self.kv_heads, -1)
        if hasattr(attention, "q_norm"):
            query, key = _norm(attention.q_norm, query), _norm(attention.k_norm, key)
        keys[step.row, :, step.positions] = _rotate(key, step.rotation)
        values[step.row, :, step.positions] = attention.v_proj(normed).view(rows, width, self.kv_heads, -1)
        length = step.mask.shape[-1]
        mixed = _attend(_rotate(query, step.rotation), keys[:, :, :length], values[:, :, :length], step.mask)
        hidden = hidden + attention.o_proj(mixed.reshape(rows, width, -1))
        return hidden + layer.mlp(_norm(layer.post_attention_layernorm, hidden))


@dataclass(frozen=True, slots=True)
class _Step:
    """What all layers of one forward pass share.

    rotation: cosines and sines (rows, width, size). mask: added to scores (rows, 1, width, length). row: (rows, 1) and
    positions: (rows, width), the places in the cache that the pass writes.
    """

    rotation: tuple[Tensor, Tensor]
    mask: Tensor
    row: Tensor
    positions: Tensor


def _norm(layer: Any, states: Tensor) -> Tensor:
    """Apply an RMS norm's weights by torch's fused kernel, several times faster on small rows than the module."""
    return functional.rms_norm(states, (states.shape[-1],), layer.weight, layer.variance_epsilon)


def _rotate(states: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Apply rotary positions; states: (rows, width, heads, size)."""
    cos, sin = (part[:, :, None, :] for part in rotation)
    first, second = states.chunk(2, dim=-1)
    return states * cos + torch.cat((-second, first), dim=-1) * sin


def _attend(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Return attention output (rows, width, heads, size); the queries of a shared key head are stacked, not copied."""
    rows, width, heads, size = query.shape
    shared = keys.shape[1]
    group = heads // shared
    stacked = query.view(rows, width, shared, group, size).permute(0, 2, 3, 1, 4).reshape(rows, shared, -1, size)
    scores = stacked @ keys.transpose(-1, -2) * size**-0.5
    scores = scores.view(rows, shared, group, width, -1) + mask[:, :, None]
    weights = scores.softmax(dim=-1).view(rows, shared, group * width, -1)
    mixed = (weights @ values).view(rows, shared, group, width, size)
    return mixed.permute(0, 3, 1, 2, 4).reshape(rows, width, heads, size)


def pad_rows(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return rows of ids right-padded to one width, and the count of each."""
    counts = torch.tensor([len(row) for row in rows], dtype=torch.long, device=device)
    width = int(counts.max()) if rows else 0
    padded = torch.full((len(rows), width), pad, dtype=torch.long, device=device)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = torch.tensor(list(row), dtype=torch.long, device=device)
    return padded, counts
