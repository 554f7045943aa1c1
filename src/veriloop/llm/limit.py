"""How many requests an endpoint gets at once: one more after a round of good answers, half after a refusal.

Additive increase and multiplicative decrease (Chiu and Jain, 1989), as congestion control of networks has it.
"""

import asyncio
import heapq
from contextvars import ContextVar
from itertools import count
from types import TracebackType
from typing import Self

TURN: ContextVar[int] = ContextVar("turn", default=0)
"""Of those who wait for the endpoint, who has the lowest goes first.

Work that was begun first is then finished first. Side by side, all would reach what takes the processor, such as a
proof, at the same moment, and the endpoint would have nothing to do meanwhile.
"""


class AdaptiveLimit:
    """A semaphore whose width follows the endpoint's answers; it belongs to one event loop.

    most: never more than this at once, and as many at first.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.width = float(most)
        self.epoch = 0
        """Counts the decreases: a failure of a request from before the last one says nothing new."""
        self._used = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = count()

    async def __aenter__(self) -> Self:
        while self._used >= int(self.width):
            turn = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (TURN.get(), next(self._count), turn))
            try:
                await turn
            except asyncio.CancelledError:
                # The turn may have come at the same moment: then it is the next one's.
                self._wake()
                raise
        self._used += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._used -= 1
        self._wake()

    def widen(self) -> None:
        """Note a good answer: as many of them as are in flight widen the limit by one."""
        self.width = min(float(self.most), self.width + 1 / self.width)
        self._wake()

    def narrow(self, epoch: int) -> None:
        """Note that a request sent in `epoch` was refused for load or timed out: the limit is halved, down to one."""
        if epoch == self.epoch:
            self.width = max(1.0, self.width / 2)
            self.epoch += 1

    def _wake(self) -> None:
        free = int(self.width) - self._used
        while free > 0 and self._waiting:
            turn = heapq.heappop(self._waiting)[-1]
            if not turn.done():
                turn.set_result(None)
                free -= 1
