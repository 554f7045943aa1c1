"""A forward pass for Qwen3, Qwen2 and Llama weights with a cache of many rows that grow at their own pace.

`transformers` builds masks and cache objects anew at each step; at a few million parameters that costs several times the
arithmetic. Here a step is the arithmetic alone, on the model's own weights: what training changes, sampling sees. A test
holds it to the logits of `transformers`.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

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
            self.keys = [F.pad(keys, (0, 0, 0, grow)) for keys in self.keys]
            self.values = [F.pad(values, (0, 0, 0, grow)) for values in self.values]

    def take(self, rows: Tensor, length: int) -> "RowCache":
        """Return a cache of the given rows cut to `length`, as copies."""
        part = object.__new__(RowCache)
        part.lengths = self.lengths[rows]
        part.keys = [keys[rows, :, :length] for keys in self.keys]
        part.values = [values[rows, :, :length] for values in self.values]
        return part

    def store(self, rows: Tensor, part: "RowCache") -> None:
        """Write rows back that `take` copied."""
        length = part.keys[0].shape[2]
        self.reserve(length)
        self.lengths[rows] = part.lengths
        for mine, theirs in zip((*self.keys, *self.values), (*part.keys, *part.values), strict=True):
            mine[rows, :, :length] = theirs


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
    def forward(self, cache: RowCache, ids: Tensor, counts: Tensor) -> Tensor:
        """Append ids (rows, width), right-padded, `counts` valid per row, and return the last valid token's logits.

        Every row of the cache takes part; result: (rows, vocabulary).
        """
        rows, width = ids.shape
        positions = cache.lengths[:, None] + torch.arange(width, device=ids.device)[None, :]
        length = int(cache.lengths.max()) + width
        cache.reserve(length)
        slots = torch.arange(length, device=ids.device)
        # A query sees what stands at or before its own place; padded places are overwritten by the next append.
        mask = torch.zeros((rows, 1, width, length), dtype=cache.keys[0].dtype, device=ids.device)
        mask.masked_fill_(slots[None, None, None, :] > positions[:, None, :, None], float("-inf"))
        inner = self.model.model
        hidden = inner.embed_tokens(ids)
        rotation = inner.rotary_emb(hidden, positions)
        row = torch.arange(rows, device=ids.device)[:, None]
        for number, layer in enumerate(inner.layers):
            hidden = self._layer(layer, hidden, rotation, mask, cache, number, row, positions)
        cache.lengths = cache.lengths + counts
        last = hidden[torch.arange(rows, device=ids.device), (counts - 1).clamp(min=0)]
        return self.model.lm_head(inner.norm(last))

    def _layer(
        self,
        layer: Any,
        hidden: Tensor,
        rotation: tuple[Tensor, Tensor],
        mask: Tensor,
        cache: RowCache,
        number: int,
        row: Tensor,
        positions: Tensor,
    ) -> Tensor:
        attention = layer.self_attn
        normed = layer.input_layernorm(hidden)
        rows, width, _ = hidden.shape
        query = attention.q_proj(normed).view(rows, width, self.heads, -1)
        key = attention.k_proj(normed).view(rows, width, self.kv_heads, -1)
        value = attention.v_proj(normed).view(rows, width, self.kv_heads, -1)
        if hasattr(attention, "q_norm"):
            query, key = attention.q_norm(query), attention.k_norm(key)
        query, key = _rotate(query, rotation), _rotate(key, rotation)
        keys, values = cache.keys[number], cache.values[number]
        keys[row, :, positions] = key
        values[row, :, positions] = value
        length = mask.shape[-1]
        mixed = _attend(query, keys[:, :, :length], values[:, :, :length], mask)
        hidden = hidden + attention.o_proj(mixed.reshape(rows, width, -1))
        return hidden + layer.mlp(layer.post_attention_layernorm(hidden))


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
