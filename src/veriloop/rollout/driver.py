"""Three ways to run episodes: one after the other, many waiting at once, many advancing together."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from itertools import islice

from veriloop.core.errors import PlayerError
from veriloop.core.message import Message, Seat
from veriloop.core.trace import Trace
from veriloop.rollout.episode import Episode
from veriloop.rollout.player import AsyncPlayer, Player, View

Players = Mapping[Seat, Player]


def play(episode: Episode, players: Players) -> Trace:
    """Play one episode to its end."""
    while view := episode.pending():
        try:
            message = players[view.seat].reply([view])[0]
        except PlayerError as error:
            episode.fail(str(error))
        else:
            episode.feed(message)
    return episode.trace()


def play_batch(episodes: Iterable[Episode], players: Players, width: int = 64) -> Iterator[tuple[int, Trace]]:
    """Play episodes `width` at a time, each seat's views answered together; yields (position, trace) as they end.

    A finished episode's place is taken by the next one at once; a player that fails voids what it was asked for.
    """
    waiting = enumerate(episodes)
    live = dict(islice(waiting, width))
    while live:
        for seat in ("user", "agent"):
            _advance(live, seat, players)
        for position in [position for position, episode in live.items() if episode.pending() is None]:
            yield position, live.pop(position).trace()
        live.update(islice(waiting, width - len(live)))


def _advance(live: dict[int, Episode], seat: Seat, players: Players) -> None:
    asked = [(episode, view) for episode in live.values() if (view := episode.pending()) and view.seat == seat]
    if not asked:
        return
    try:
        messages = players[seat].reply([view for _, view in asked])
    except PlayerError as error:
        for episode, _ in asked:
            episode.fail(str(error))
        return
    for (episode, _), message in zip(asked, messages, strict=True):
        episode.feed(message)


async def play_async(
    episodes: Iterable[Episode], players: Mapping[Seat, Player | AsyncPlayer], width: int = 16
) -> AsyncIterator[tuple[int, Trace]]:
    """Play episodes with at most `width` in flight; yields (position, trace) as they end."""
    waiting = enumerate(episodes)
    running: set[asyncio.Task[tuple[int, Trace]]] = set()
    try:
        while True:
            for position, episode in islice(waiting, width - len(running)):
                running.add(asyncio.create_task(_play_one(position, episode, players)))
            if not running:
                return
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            # What was played is handed out before an error ends the rest.
            for task in sorted(done, key=lambda task: task.exception() is not None):
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _play_one(position: int, episode: Episode, players: Mapping[Seat, Player | AsyncPlayer]) -> tuple[int, Trace]:
    while view := episode.pending():
        try:
            message = await _ask(players[view.seat], view)
        except PlayerError as error:
            episode.fail(str(error))
        else:
            episode.feed(message)
    return position, episode.trace()


async def _ask(player: Player | AsyncPlayer, view: View) -> Message:
    if hasattr(player, "reply_async"):
        return await player.reply_async(view)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
    return player.reply([view])[0]  # pyright: ignore[reportAttributeAccessIssue]
