"""Which task is played next: an endless, seeded order in which solved tasks come up less often."""

import random
from collections.abc import Iterator, Sequence
from typing import Any


class TaskOrder:
    """Draws tasks in passes over a shuffled list; a task whose last group all passed sits out the next pass."""

    def __init__(self, tasks: Sequence[str], seed: int) -> None:
        self._tasks, self._rng = list(tasks), random.Random(seed)
        self._resting: set[str] = set()
        self._queue: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """Return the next task."""
        while not self._queue:
            self._queue = [task for task in self._tasks if task not in self._resting] or list(self._tasks)
            self._resting.clear()
            self._rng.shuffle(self._queue)
        return self._queue.pop()

    def record(self, task: str, mean: float | None) -> None:
        """Note a group's mean reward."""
        if mean == 1.0:
            self._resting.add(task)

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs, as JSON values."""
        return {"queue": self._queue, "resting": sorted(self._resting), "rng": self._rng.getstate()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state` returned, JSON's lists in place of tuples allowed."""
        version, internal, gauss = state["rng"]
        self._rng.setstate((version, tuple(internal), gauss))
        self._queue, self._resting = list(state["queue"]), set(state["resting"])
