"""Samples replies for many dialogues together, each continuing where its cached row stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from veriloop.local.decoder import Decoder, RowCache, pad_rows

SHRINK = 0.7
"""The batch is cut down to the running rows when they are at most this share of it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Sampled ids with their log-probabilities under the sampling temperature; `cut`: the limit came before an end."""

    ids: list[int]
    logprobs: list[float]
    cut: bool


@dataclass(slots=True)
class Row:
    """A cached dialogue: its place in the cache and the ids it holds so far."""

    slot: int
    ids: list[int]


class Sampler:
    """Continues dialogues by key; a row keeps its keys and values until it is dropped or the space is needed."""

    def __init__(self, model: Any, *, end: int, pad: int, rows: int = 64) -> None:
        self._decoder = Decoder(model)
        self._end, self._pad = end, pad
        self._rows: dict[str, Row] = {}
        self._free = list(range(rows))
        self._cache: RowCache = self._decoder.new_cache(rows)
        self.device = self._cache.lengths.device

    def forget(self) -> None:
        """Drop every row: the weights changed, so what is cached is stale."""
        self._free += [row.slot for row in self._rows.values()]
        self._rows.clear()

    def drop(self, key: str) -> None:
        """Free one dialogue's row."""
        row = self._rows.pop(key, None)
        if row:
            self._free.append(row.slot)

    def sample(
        self,
        keys: Sequence[str],
        contexts: Sequence[list[int]],
        *,
        temperature: float,
        limit: int,
        seeds: Sequence[int],
    ) -> list[Reply]:
        """Continue each context until its end token or `limit` tokens; temperature 0 takes the likeliest token.

        contexts: all ids so far; only what the cached row lacks is computed. seeds: one per context: its draws depend
        on that alone, not on which dialogues share the batch.
        """
        rows = [self._place(key, context) for key, context in zip(keys, contexts, strict=True)]
        fresh = [context[len(row.ids) :] for row, context in zip(rows, contexts, strict=True)]
        slots = torch.tensor([row.slot for row in rows], device=self.device)
        self._cache.lengths[slots] = torch.tensor([len(row.ids) for row in rows], device=self.device)
        part = self._cache.take(slots, max(map(len, contexts)) + limit)
        logits = self._prefill(part, fresh)
        replies = self._decode(part, logits, temperature, limit, seeds)
        self._cache.store(slots, part)
        for row, context, reply in zip(rows, contexts, replies, strict=True):
            # The last token was sampled but never run through the model, so it is not in the cache.
            row.ids = [*context, *reply.ids[:-1]]
        return replies

    def _place(self, key: str, context: list[int]) -> Row:
        """Return the row of a dialogue with as much of its cache as still fits the context, at least one token less."""
        row = self._rows.pop(key, None)
        if row is None:
            if not self._free:
                oldest = next(iter(self._rows))
                self.drop(oldest)
            row = Row(self._free.pop(), [])
        # The row used last stands last, so that no row of this batch makes room for another one of it.
        self._rows[key] = row
        same = 0
        for mine, theirs in zip(row.ids, context[:-1], strict=False):
            if mine != theirs:
                break
            same += 1
        row.ids = row.ids[:same]
        return row

    def _prefill(self, part: RowCache, fresh: Sequence[Sequence[int]]) -> Tensor:
        ids, counts = pad_rows(fresh, self._pad, self.device)
        return self._decoder.forward(part, ids, counts)

    def _decode(
        self, part: RowCache, logits: Tensor, temperature: float, limit: int, seeds: Sequence[int]
    ) -> list[Reply]:
        draws = torch.stack([torch.rand(limit, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
        replies = [Reply([], [], True) for _ in seeds]
        live, active = list(range(len(seeds))), part
        for step in range(limit):
            tokens, logprobs = _draw(logits, temperature, draws[live, step])
            self._append(replies, live, tokens.tolist(), logprobs.tolist())
            running = [place for place, number in enumerate(live) if replies[number].cut]
            if not running or step + 1 == limit:
                break
            if len(running) <= SHRINK * len(live):
                # Copying the cache costs about as much as a few steps, so finished rows ride along for a while.
                self._write_back(part, active, live)
                chosen = torch.tensor(running, device=self.device)
                active = active.take(chosen, active.keys[0].shape[2])
                live, tokens = [live[place] for place in running], tokens[chosen]
            ones = torch.ones(len(live), dtype=torch.long, device=self.device)
            logits = self._decoder.forward(active, tokens[:, None], ones)
        self._write_back(part, active, live)
        return replies

    def _append(self, replies: list[Reply], live: list[int], tokens: list[int], logprobs: list[float]) -> None:
        for number, token, logprob in zip(live, tokens, logprobs, strict=True):
            reply = replies[number]
            if reply.cut:
                reply.ids.append(token)
                reply.logprobs.append(logprob)
                if token == self._end:
                    replies[number] = Reply(reply.ids, reply.logprobs, cut=False)

    def _write_back(self, part: RowCache, active: RowCache, live: list[int]) -> None:
        if active is not part:
            part.store(torch.tensor(live, device=self.device), active)


def _draw(logits: Tensor, temperature: float, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Return one token per row and its log-probability, by inverting the cumulative distribution at `uniform`."""
    if temperature == 0:
        logprobs = logits.float().log_softmax(dim=-1)
        tokens = logprobs.argmax(dim=-1)
    else:
        logprobs = (logits.float() / temperature).log_softmax(dim=-1)
        cumulative = logprobs.exp().cumsum(dim=-1)
        target = (uniform.to(logits.device) * cumulative[:, -1])[:, None]
        tokens = torch.searchsorted(cumulative, target).squeeze(1).clamp(max=logits.shape[-1] - 1)
    return tokens, logprobs.gather(1, tokens[:, None]).squeeze(1)
