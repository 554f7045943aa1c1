"""How fast dialogues are played: ours, one dialogue at a time by `generate`, and all together but read anew each turn.

python bench/rollouts.py --agent MODEL --user MODEL --tasks RUN [--dialogues 32] [--runs 5]

All three play the same dialogues with the same weights, greedily, in turns. Prints tokens a second (of both seats), the
median of the paired ratios, and how many replies differ though the two likeliest tokens were 1e-4 apart or more.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from veriloop.core.message import Seat
from veriloop.core.trace import Trace
from veriloop.domains.registry import load_domain
from veriloop.domains.task import Task
from veriloop.local.model import LoadedModel, load_model
from veriloop.local.player import LocalPlayer, Sampling
from veriloop.local.sampler import Reply
from veriloop.rollout.driver import play_batch
from veriloop.rollout.episode import Episode, Limits
from veriloop.store.artefact import read_tasks

CLOSE = 1e-4
"""Logits that lie nearer to each other may be ordered either way."""
Margins = dict[tuple[int, ...], list[list[float]]]
"""By reply, for each time it was made: how far the second likeliest token was behind at each place."""


class Generator:
    """In place of our sampler: `generate` on whole contexts, nothing kept from one turn to the next."""

    def __init__(self, loaded: LoadedModel, limit: int, margins: Margins | None = None) -> None:
        self._model, self._limit, self._margins = loaded.model, limit, margins
        self._end, self._pad = loaded.tokenizer.eos_token_id, loaded.tokenizer.pad_token_id
        self._waiting: list[tuple[int, list[int]]] = []

    def forget(self) -> None:
        self._waiting.clear()

    def begin(self, ticket: int, key: str, context: list[int], seed: int) -> None:
        self._waiting.append((ticket, context))

    @torch.no_grad()
    def advance(self) -> list[tuple[int, Reply]]:
        asked, self._waiting = self._waiting, []
        if not asked:
            return []
        longest = max(len(context) for _, context in asked)
        padded = torch.tensor([[self._pad] * (longest - len(context)) + context for _, context in asked])
        mask = torch.tensor([[0] * (longest - len(context)) + [1] * len(context) for _, context in asked])
        made = self._model.generate(
            input_ids=padded, attention_mask=mask, max_new_tokens=self._limit, do_sample=False,
            eos_token_id=self._end, pad_token_id=self._pad, return_dict_in_generate=True,
            output_logits=self._margins is not None,
        )  # fmt: skip
        return [
            (ticket, self._read(row, made.logits, number))
            for number, ((ticket, _), row) in enumerate(zip(asked, made.sequences[:, longest:].tolist(), strict=True))
        ]

    def _read(self, row: list[int], logits: Any, number: int) -> Reply:
        ids = row[: row.index(self._end) + 1] if self._end in row else row[: self._limit]
        if self._margins is not None:
            best = [logits[place][number].topk(2).values.tolist() for place in range(len(ids))]
            self._margins.setdefault(tuple(ids), []).append([first - second for first, second in best])
        return Reply(ids, [0.0] * len(ids), self._end not in row)


def make_players(models: dict[Seat, LoadedModel], rows: int, way: str, margins: Margins | None) -> dict[Any, Any]:
    """Return the players of both seats."""
    players: dict[Any, Any] = {}
    for seat, loaded in models.items():
        player = LocalPlayer(loaded, seat, sampling=Sampling(temperature=0.0, rows=rows))
        if way != "ours":
            stand_in: Any = Generator(loaded, player.sampling.tokens, margins)
            player._sampler = stand_in  # noqa: SLF001 - a stand-in that the player must not know of
        players[seat] = player
    return players


def play_all(
    tasks: Sequence[Task], models: dict[Seat, LoadedModel], way: str, margins: Margins | None = None
) -> tuple[list[Trace], float]:
    """Return the dialogues and the seconds that they took."""
    domain = load_domain(tasks[0].domain)
    episodes = [Episode(domain, task, seed=number, limits=Limits(turns=40)) for number, task in enumerate(tasks)]
    players = make_players(models, len(tasks), way, margins)
    start = time.perf_counter()
    played = dict(play_batch(episodes, players, width=1 if way == "one at a time" else len(tasks)))
    return [played[number] for number in range(len(tasks))], time.perf_counter() - start


def count_tokens(traces: Sequence[Trace]) -> int:
    """Return the tokens that both seats wrote."""
    return sum(len(turn.sampled.token_ids) for trace in traces for turn in trace.turns if turn.sampled)


def compare(ours: Sequence[Trace], theirs: Sequence[Trace], margins: Margins) -> tuple[int, int]:
    """Return how many dialogues part, and how many of them where the likeliest tokens were not close."""
    parted = apart = 0
    for one, other in zip(ours, theirs, strict=True):
        pairs = [
            (mine.sampled.token_ids, its.sampled.token_ids)
            for mine, its in zip(one.turns, other.turns, strict=False)
            if mine.sampled and its.sampled
        ]
        split = next(((mine, its) for mine, its in pairs if mine != its), None)
        if split:
            place = next(n for n, (a, b) in enumerate(zip(*split, strict=False)) if a != b)
            parted += 1
            apart += all(values[place] >= CLOSE for values in margins[split[1]])
    return parted, apart


def main() -> None:
    """Play, compare and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", type=Path, required=True)
    parser.add_argument("--user", type=Path, required=True)
    parser.add_argument("--tasks", type=Path, required=True)
    parser.add_argument("--dialogues", type=int, default=32)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    tasks = list(read_tasks(given.tasks))[: given.dialogues]
    models: dict[Seat, LoadedModel] = {"agent": load_model(given.agent), "user": load_model(given.user)}
    margins: Margins = {}
    exact = {way: play_all(tasks, models, way, margins)[0] for way in ("ours", "one at a time", "read anew")}
    rates: dict[str, list[float]] = {}
    for _ in range(given.runs):
        for way in exact:
            traces, seconds = play_all(tasks, models, way)
            rates.setdefault(way, []).append(count_tokens(traces) / seconds)
    found: dict[str, Any] = {"dialogues": len(tasks), "tokens": count_tokens(exact["ours"])}
    for way in ("one at a time", "read anew"):
        ratios = [ours / theirs for ours, theirs in zip(rates["ours"], rates[way], strict=True)]
        parted, apart = compare(exact["ours"], exact[way], margins)
        found[way] = {"ratio": round(statistics.median(ratios), 2), "part": parted, "part_though_apart": apart}
    found["tokens_per_second"] = {way: round(statistics.median(values)) for way, values in rates.items()}
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
