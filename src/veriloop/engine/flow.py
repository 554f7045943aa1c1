"""Many items under way at once, handed back in the order they were begun.

What is begun depends on what was handed back before and never on which answer came first, so equal runs stay equal.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import nullcontext
from contextvars import ContextVar, copy_context
from itertools import count
from typing import Any, Protocol, TypeVar

from veriloop.core.errors import BudgetError
from veriloop.engine.interruption import Interruption
from veriloop.llm.limit import TURN

T = TypeVar("T")
Launch = Callable[[], Coroutine[Any, Any, T] | None]
"""Returns the next piece of work, or None when there is nothing to begin before the next result is in."""
_PROCESSOR: ContextVar[asyncio.Lock | None] = ContextVar("processor", default=None)
"""Held by the work on the processor that is under way."""


class Line(Protocol):
    """What the work asks and waits for."""

    def halt(self) -> None:
        """Refuse everything that is asked from now on; what was asked still comes in."""
        ...

    async def close(self) -> None:
        """Close the connections of this event loop."""
        ...


def run_in_order(launch: Launch[T], width: int, line: Line | None = None) -> Generator[T]:
    """Yield the results of what `launch` begins, at most `width` of them begun and not yet used up.

    `launch` is asked again after each result; all is over when it has nothing and nothing is under way. An error ends
    all: what was begun is cancelled. When the budget is spent or somebody interrupts, all work goes on until it asks
    the line for more, so that no answer in flight is lost; a second interruption does not wait for that.
    """
    with asyncio.Runner() as runner, Interruption(runner.get_loop()) as interruption:
        loop = runner.get_loop()
        begun: deque[asyncio.Task[T]] = deque()
        numbers, processor = count(), asyncio.Lock()
        try:
            while True:
                while len(begun) < width and (work := launch()) is not None:
                    begun.append(_begin(loop, work, next(numbers), processor))
                if not begun:
                    break
                result = interruption.wait_for(begun[0])
                begun.popleft()
                yield result
            interruption.check()
        except (BudgetError, KeyboardInterrupt):
            if line:
                line.halt()
                loop.run_until_complete(asyncio.gather(*begun, return_exceptions=True))
            raise
        finally:
            for task in begun:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*begun, return_exceptions=True))
            if line:
                loop.run_until_complete(line.close())


def _begin(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], number: int, processor: asyncio.Lock
) -> asyncio.Task[T]:
    """Begin a piece of work whose requests go before those of all that is begun after it."""
    context = copy_context()
    context.run(TURN.set, number)
    context.run(_PROCESSOR.set, processor)
    return loop.create_task(work, context=context)


async def run_steps(steps: Generator[None, None, T]) -> T:
    """Return what comes of work on the processor, and see to everything else after each of its steps.

    Done in one go it would keep every answer that came meanwhile from being read, and the endpoint idle. Of the work
    that `run_in_order` began one piece is on the processor at a time: what a piece keeps at hand between its steps,
    such as the sandbox's session with its checker, would not outlast the step of another.
    """
    async with _PROCESSOR.get() or nullcontext():
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            await asyncio.sleep(0)


class Seen:
    """What was accepted so far. An item looks at what was there when it was begun and at nothing that came later."""

    def __init__(self) -> None:
        self._order: dict[str, int] = {}

    def add(self, key: str) -> None:
        """Note a key as accepted."""
        self._order.setdefault(key, len(self._order))

    def look(self) -> Callable[[str], bool]:
        """Return whether a key is among those of now, for as long as anybody asks."""
        horizon = len(self._order)
        return lambda key: self._order.get(key, horizon) < horizon

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, key: str) -> bool:
        return key in self._order
