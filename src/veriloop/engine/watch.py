"""Yield watch of the scale-up: deals items to plans in turn, and rests those that no longer keep what they promised.

All of it follows from what was made so far, in order of position, so that a resumed run deals as the first one did.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from veriloop.core.base import Frozen

WINDOW = 12
"""Items of a plan by whose yield it is judged."""
REST = 3
"""Turns that a paused plan misses before it is tried again."""
TRIAL = 6
"""Items of that trial."""
DEVIATIONS = 3.0
"""Standard deviations of a window's yield below the promised one at which a plan is paused."""
CERTAIN = 0.95
"""No plan is held to a yield as steady as one above this would be."""
PRIOR = 8
"""Drafts of the mean yield that a plan's own pilot is drawn towards: few of its items prove little."""

Made = tuple[str, int, bool]
"""One item: its plan's id, drafts made, whether one was accepted."""
State = Literal["active", "paused", "trial", "retired"]


class Event(Frozen):
    """A change of a plan's state, with the position from which it holds, the yield found and the lowest expected."""

    position: int
    plan: str
    state: State
    found: float
    lowest: float


@dataclass(slots=True)
class _Stream:
    promised: float
    state: State = "active"
    rest: int = 0
    recent: deque[tuple[bool, int]] = field(default_factory=lambda: deque[tuple[bool, int]](maxlen=WINDOW))

    def measure(self) -> float:
        drafts = sum(made for _, made in self.recent)
        return sum(good for good, _ in self.recent) / drafts if drafts else 0.0

    def expect(self) -> float:
        """Return the lowest yield of as many items that would not surprise."""
        spread = min(self.promised, CERTAIN)
        deviation = (spread * (1 - spread) / max(1, len(self.recent))) ** 0.5
        return self.promised - DEVIATIONS * deviation


class Watch:
    """Which plan makes the next item. promised: the yield by plan id; a plan that promised 0 is never paused."""

    def __init__(self, promised: Mapping[str, float]) -> None:
        self.events: list[Event] = []
        self._streams = {plan: _Stream(rate) for plan, rate in promised.items()}
        self._queue: deque[str] = deque()
        self._position = 0

    def next(self) -> str | None:
        """Return the plan of the next item, or None when all are retired."""
        while not self._queue:
            self._queue.extend(plan for plan, stream in self._streams.items() if self._takes_part(stream))
            if all(stream.state == "retired" for stream in self._streams.values()):
                return None
        return self._queue.popleft()

    def note(self, plan: str, drafts: int, accepted: bool) -> None:
        """Record what came of an item, in the order of dealing: drafts made and whether one was accepted."""
        stream = self._streams[plan]
        self._position += 1
        # What was under way when its plan was rested says nothing new.
        if stream.state in ("paused", "retired"):
            return
        stream.recent.append((accepted, drafts))
        enough = len(stream.recent) >= (TRIAL if stream.state == "trial" else WINDOW)
        if not enough:
            return
        poor = stream.measure() < stream.expect()
        if stream.state == "trial":
            self._change(plan, stream, "retired" if poor else "active")
        elif poor:
            self._change(plan, stream, "paused")

    def _takes_part(self, stream: _Stream) -> bool:
        if stream.state == "paused":
            stream.rest -= 1
            if stream.rest < 0:
                stream.state = "trial"
        return stream.state in ("active", "trial")

    def _change(self, plan: str, stream: _Stream, state: State) -> None:
        found, lowest = round(stream.measure(), 4), round(stream.expect(), 4)
        self.events.append(Event(position=self._position, plan=plan, state=state, found=found, lowest=lowest))
        stream.state, stream.rest = state, REST
        stream.recent.clear()
        # What was dealt ahead to a plan that rests now is dealt to the others.
        if state in ("paused", "retired"):
            self._queue = deque(other for other in self._queue if other != plan)


def find_promised(plans: Sequence[str], pilot: Iterable[Made]) -> dict[str, float]:
    """Return each plan's yield in its pilot, drawn towards the mean of all; 0 for all where there was no pilot."""
    made = {plan: [0, 0] for plan in plans}
    for plan, drafts, accepted in pilot:
        made[plan][0] += accepted
        made[plan][1] += drafts
    accepted, drafts = (sum(counts[n] for counts in made.values()) for n in (0, 1))
    mean = accepted / drafts if drafts else 0.0
    return {plan: (good + PRIOR * mean) / (tried + PRIOR) for plan, (good, tried) in made.items()}
