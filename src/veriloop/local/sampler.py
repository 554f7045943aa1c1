"""Samples replies for many dialogues together, each at its own pace: who is done makes room for who waits at once.

Rows that are being written stand first in the cache, so that a step reads and writes one slice of it; a dialogue that
waits for the other seat keeps its row behind them, and a row moves by changing places with another.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from veriloop.local.decoder import Decoder, RowCache, pad_rows

GATHER = 4
"""Steps between two admissions: reading prompts costs about a step, however few they are."""
PIECE = 512
"""Tokens of a prompt read in one pass, so that memory does not grow with the square of its length."""
READ = 2**28
"""Attention scores of a layer, 1 GiB, that prompts which are read together need at most."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Sampled ids with their log-probabilities under the sampling temperature.

    cut: the limit came before an end. cached: tokens of the context that were not computed again.
    """

    ids: list[int]
    logprobs: list[float]
    cut: bool
    cached: int = 0


@dataclass(frozen=True, slots=True)
class _Request:
    """A reply that is wanted.

    key: None takes whichever row serves best. draws: a uniform number for each token that it may have.
    """

    ticket: int
    key: str | None
    context: list[int]
    draws: list[float]
    temperature: float


@dataclass(slots=True)
class _Row:
    """A cached dialogue: its place in the cache, the ids it holds, and the reply it is writing.

    kept: of the context of that reply, what was cached before.
    """

    key: str
    slot: int
    kept: int = 0
    ids: list[int] = field(default_factory=list)
    request: _Request | None = None
    sampled: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


class Sampler:
    """Continues dialogues by key; a row keeps its keys and values until it is dropped or the space is needed.

    temperature: 0 takes the likeliest token. limit: tokens of a reply at most.
    """

    def __init__(
        self, model: Any, *, end: int, pad: int, rows: int = 64, temperature: float = 1.0, limit: int = 96
    ) -> None:
        self._decoder = Decoder(model)
        self._end, self._pad = end, pad
        self._temperature, self._limit = temperature, limit
        self._cache: RowCache = self._decoder.new_cache(rows)
        self._capacity = rows
        self.forget()

    def forget(self) -> None:
        """Drop every row and request: the weights changed, so what is cached is stale."""
        self._rows: dict[str, _Row] = {}
        self._slots: list[_Row] = []
        self._writing = 0
        self._waiting: list[_Request] = []
        self._since = 0

    def begin(
        self,
        ticket: int,
        key: str | None,
        context: list[int],
        seed: int,
        *,
        temperature: float | None = None,
        limit: int | None = None,
    ) -> None:
        """Ask for the reply to a dialogue whose ids so far are `context`; `advance` gives it under `ticket`.

        Only what the dialogue's cached row lacks is computed. The draws depend on the seed alone, not on which
        dialogues are written at the same time. Of one key one reply is written at a time. Without a key the dialogue
        goes on in the row that it was written in, and a new one takes what it has in common with any other from there.
        """
        draws = torch.rand(limit or self._limit, generator=torch.Generator().manual_seed(seed)).tolist()
        heat = self._temperature if temperature is None else temperature
        self._waiting.append(_Request(ticket, key, context, draws, heat))

    def drop(self, ticket: int) -> None:
        """Give up a reply that nobody waits for any more; what is cached of its dialogue stays."""
        self._waiting = [request for request in self._waiting if request.ticket != ticket]
        for row in self._slots[: self._writing]:
            if row.request and row.request.ticket == ticket:
                self._close(row)
                return

    def written(self) -> dict[int, list[int]]:
        """Return the ids of the replies under way so far, by ticket."""
        return {row.request.ticket: row.sampled for row in self._slots[: self._writing] if row.request}

    def advance(self) -> list[tuple[int, Reply]]:
        """Write one token of every reply under way and return those that it completed; nothing when none is."""
        done = list[tuple[int, Reply]]()
        if self._waiting and self._writing < self._capacity and (not self._writing or self._since >= GATHER):
            done = self._admit()
            self._since = 0
        if self._writing:
            self._since += 1
            last = [[row.sampled[-1]] for row in self._slots[: self._writing]]
            done += self._write(0, self._decode(0, self._writing, last))
        return done

    def sample(self, keys: Sequence[str], contexts: Sequence[list[int]], seeds: Sequence[int]) -> list[Reply]:
        """Return the reply to each context, all written together; see `begin`."""
        for ticket, (key, context, seed) in enumerate(zip(keys, contexts, seeds, strict=True)):
            self.begin(ticket, key, context, seed)
        replies = dict[int, Reply]()
        while len(replies) < len(keys):
            replies.update(self.advance())
        return [replies[ticket] for ticket in range(len(keys))]

    def _admit(self) -> list[tuple[int, Reply]]:
        """Read the contexts of those who wait, as far as there are rows, and draw their first tokens."""
        start, left, fresh = self._writing, list[_Request](), list[list[int]]()
        width, length = 0, 0
        for position, request in enumerate(self._waiting):
            width = max(width, len(request.context) - self._find_start(request)[1])
            length = max(length, len(request.context))
            if fresh and (len(fresh) + 1) * self._decoder.heads * min(width, PIECE) * length > READ:
                left += self._waiting[position:]
                break
            row = self._place(request)
            if row is None:
                left.append(request)
                continue
            self._move(row, self._writing)
            self._writing += 1
            self._cache.lengths[row.slot] = len(row.ids)
            fresh.append(request.context[len(row.ids) :])
            row.kept, row.ids, row.request = len(row.ids), list(request.context), request
            row.sampled, row.logprobs = [], []
        self._waiting = left
        return self._write(start, self._read(start, fresh)) if fresh else []

    def _place(self, request: _Request) -> _Row | None:
        """Return the dialogue's row with as much of its cache as still fits the context, at least one token less.

        None while its row is being written, or all are.
        """
        if request.key is None:
            row = self._adopt(request)
        else:
            row = self._rows.pop(request.key, None) or self._find_room(request.key)
        if row is None:
            return None
        # The row used last stands last, so that the one used least recently makes room.
        self._rows[row.key] = row
        if row.request:
            return None
        row.ids = row.ids[: _count_alike(row.ids, request.context[:-1])]
        return row

    def _find_start(self, request: _Request) -> tuple[_Row | None, int]:
        """Return the row that has most of the request's context, and how many tokens of it."""
        if request.key is not None:
            known = self._rows.get(request.key)
            return known, len(known.ids) if known else 0
        best, shared = None, 0
        for row in self._rows.values():
            # A row that was given out a moment ago holds no more yet than it keeps.
            held = row.ids[: int(self._cache.lengths[row.slot])]
            alike = _count_alike(held, request.context[:-1])
            if alike > shared or (alike == shared and best and not self._goes_on(best, shared)):
                best, shared = row, alike
        return best, shared

    def _goes_on(self, row: _Row, shared: int) -> bool:
        """Return whether a dialogue that has so much in common with a row may go on there: it loses nothing."""
        return row.request is None and 0 < shared == len(row.ids)

    def _adopt(self, request: _Request) -> _Row | None:
        """Return the row that the request's dialogue goes on in, or a new one with a copy of what another has of it."""
        best, shared = self._find_start(request)
        if best and self._goes_on(best, shared):
            return self._rows.pop(best.key)
        row = self._find_room(f"#{request.ticket}")
        if row and best:
            # Where the best row was the one to make room, this changes nothing.
            self._cache.copy(best.slot, row.slot, shared)
            row.ids = request.context[:shared]
        return row

    def _find_room(self, key: str) -> _Row | None:
        if len(self._slots) < self._capacity:
            row = _Row(key, len(self._slots))
            self._slots.append(row)
            return row
        oldest = next((row for row in self._rows.values() if row.request is None), None)
        if oldest is None:
            return None
        del self._rows[oldest.key]
        row = self._slots[oldest.slot] = _Row(key, oldest.slot)
        return row

    def _move(self, row: _Row, slot: int) -> None:
        """Put a row into a slot, and who is there into the row's."""
        other = self._slots[slot]
        if other is not row:
            self._cache.swap(row.slot, slot)
            self._slots[row.slot], self._slots[slot] = other, row
            other.slot, row.slot = row.slot, slot

    def _read(self, start: int, fresh: list[list[int]]) -> Tensor:
        """Run what is new of the prompts of the rows from `start` on, in pieces, all of them ending with the last."""
        while max(map(len, fresh)) > PIECE:
            pieces = [ids[: max(0, min(PIECE, len(ids) - PIECE))] for ids in fresh]
            self._decode(start, self._writing, pieces)
            fresh = [ids[len(piece) :] for ids, piece in zip(fresh, pieces, strict=True)]
        return self._decode(start, self._writing, fresh)

    def _decode(self, start: int, stop: int, ids: Sequence[Sequence[int]]) -> Tensor:
        padded, counts = pad_rows(ids, self._pad, self._cache.lengths.device)
        return self._decoder.forward(self._cache, padded, counts, start)

    def _write(self, start: int, logits: Tensor) -> list[tuple[int, Reply]]:
        """Append a token to the replies of the rows from `start` on; returns those complete and frees their rows."""
        rows = self._slots[start : self._writing]
        uniform = torch.tensor([row.request.draws[len(row.sampled)] for row in rows if row.request])
        tokens, logprobs = _draw(logits, [row.request.temperature for row in rows if row.request], uniform)
        for row, token, logprob in zip(rows, tokens.tolist(), logprobs.tolist(), strict=True):
            row.sampled.append(token)
            row.logprobs.append(logprob)
        return [self._close(row) for row in reversed(rows) if row.request and self._is_complete(row, row.request)]

    def _is_complete(self, row: _Row, request: _Request) -> bool:
        return row.sampled[-1] == self._end or len(row.sampled) == len(request.draws)

    def _close(self, row: _Row) -> tuple[int, Reply]:
        request = row.request
        assert request is not None
        # The last token was sampled but never run through the model, so it is not in the cache.
        row.ids += row.sampled[:-1]
        row.request = None
        self._writing -= 1
        self._move(row, self._writing)
        reply = Reply(row.sampled, row.logprobs, cut=row.sampled[-1] != self._end, cached=row.kept)
        return request.ticket, reply


def _count_alike(left: Sequence[int], right: Sequence[int]) -> int:
    """Return how many first elements two lists share."""
    if left == right[: len(left)]:
        return len(left)
    pairs = enumerate(zip(left, right, strict=False))
    return next((place for place, (mine, theirs) in pairs if mine != theirs), len(right))


def _draw(logits: Tensor, temperatures: Sequence[float], uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Return one token per row and its log-probability under the row's temperature."""
    if len(set(temperatures)) == 1:
        return _draw_alike(logits, temperatures[0], uniform)
    tokens = torch.empty(len(temperatures), dtype=torch.long, device=logits.device)
    logprobs = torch.empty(len(temperatures), device=logits.device)
    for temperature in sorted(set(temperatures)):
        rows = [place for place, one in enumerate(temperatures) if one == temperature]
        tokens[rows], logprobs[rows] = _draw_alike(logits[rows], temperature, uniform[rows])
    return tokens, logprobs


def _draw_alike(logits: Tensor, temperature: float, uniform: Tensor) -> tuple[Tensor, Tensor]:
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
