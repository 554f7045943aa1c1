"""Ctrl-C where an event loop runs: noted first, raised where nothing is lost by it."""

import asyncio
import signal
import threading
from collections.abc import Awaitable
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")


class Interruption:
    """While it is entered, the first Ctrl-C wakes whoever waits here; a second one raises wherever the program is.

    An interruption that is raised in the middle of the loop's own code can take the wake-up of a task along, which then
    waits for ever. Does nothing outside of the main thread or where somebody else handles the signal.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._came, self._noted = loop, loop.create_future(), False
        self._own = False

    def __enter__(self) -> Self:
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)
            self._own = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._own:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def wait_for(self, awaitable: Awaitable[T]) -> T:
        """Return the result of what is awaited; raises KeyboardInterrupt as soon as somebody interrupted."""
        task = asyncio.ensure_future(awaitable, loop=self._loop)
        self.check()
        self._loop.run_until_complete(asyncio.wait((task, self._came), return_when=asyncio.FIRST_COMPLETED))
        self.check()
        return task.result()

    def check(self) -> None:
        """Raise KeyboardInterrupt when somebody interrupted."""
        if self._noted:
            raise KeyboardInterrupt

    def _note(self, _number: int, _frame: FrameType | None) -> Any:
        if self._noted:
            raise KeyboardInterrupt
        self._noted = True
        self._loop.call_soon_threadsafe(self._came.set_result, None)
