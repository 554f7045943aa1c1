"""Three ways to run episodes: one after the other, many waiting at once, many advancing together."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from itertools import islice

from veriloop.core.errors import PlayerError
from veriloop.core.message import Message, Seat
from veriloop.core.trace import Trace
from veriloop.rollout.episode import Episode
from veriloop.rollout.player import AsyncPlayer, PacedPlayer, Player, View

Players = Mapping[Seat, Player]


def play(episode: Episode, players: Players) -> Trace:
    """Play one episode to its end."""
    while view := episode.pending():
        try:
            answer = players[view.seat].reply([view])[0]
        except PlayerError as error:
            answer = error
        _take(episode, answer)
    return episode.trace()


def play_batch(episodes: Iterable[Episode], players: Players, width: int = 64) -> Iterator[tuple[int, Trace]]:
    """Play episodes `width` at a time, each going on as soon as it is answered; yields (position, trace) as they end.

    A finished episode's place is taken by the next one at once; a player that fails voids what it was asked for.
    """
    desks = {seat: _open_desk(players[seat]) for seat in ("user", "agent")}
    waiting, live = enumerate(episodes), dict[int, Episode]()

    def ask(position: int) -> bool:
        view = live[position].pending()
        if view:
            desks[view.seat].begin(position, view)
        return view is not None

    try:
        while True:
            fresh = list(islice(waiting, width - len(live)))
            live.update(fresh)
            ended = [position for position, _ in fresh if not ask(position)]
            for desk in desks.values():
                for position, answer in desk.advance():
                    _take(live[position], answer)
                    if not ask(position):
                        ended.append(position)
            if not live:
                return
            for position in ended:
                yield position, live.pop(position).trace()
    finally:
        for desk in desks.values():
            desk.cancel()


def _open_desk(player: Player | PacedPlayer) -> PacedPlayer:
    return player if hasattr(player, "advance") else _AtOnce(player)  # pyright: ignore[reportReturnType, reportArgumentType]


class _AtOnce:
    """Lets a player that answers a batch at once be asked like one that answers at its own pace."""

    def __init__(self, player: Player) -> None:
        self.name, self._player = player.name, player
        self._asked: list[tuple[int, View]] = []

    def begin(self, ticket: int, view: View) -> None:
        self._asked.append((ticket, view))

    def advance(self) -> list[tuple[int, Message | PlayerError]]:
        asked, self._asked = self._asked, []
        if not asked:
            return []
        try:
            messages = self._player.reply([view for _, view in asked])
        except PlayerError as error:
            return [(ticket, error) for ticket, _ in asked]
        return [(ticket, message) for (ticket, _), message in zip(asked, messages, strict=True)]

    def cancel(self) -> None:
        self._asked.clear()


def _take(episode: Episode, answer: Message | PlayerError) -> None:
    if isinstance(answer, PlayerError):
        episode.fail(str(answer))
    else:
        episode.feed(answer)


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
            answer = await _ask(players[view.seat], view)
        except PlayerError as error:
            answer = error
        _take(episode, answer)
    return position, episode.trace()


async def _ask(player: Player | AsyncPlayer, view: View) -> Message:
    if hasattr(player, "reply_async"):
        return await player.reply_async(view)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
    return player.reply([view])[0]  # pyright: ignore[reportAttributeAccessIssue]
