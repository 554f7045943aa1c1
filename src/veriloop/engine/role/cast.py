"""Who does what in a stream: what each role takes and gives, whether a script plays it or a model."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from veriloop.core.trace import Trace
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.engine.plan import PlanPair, Scope
from veriloop.engine.setting import Order
from veriloop.proof.blame import Opinion
from veriloop.rollout.player import AsyncPlayer, Player

AnyPlayer = Player | AsyncPlayer
Demonstrator = Callable[[Task], AnyPlayer]
"""Makes the agent of a task's demonstrations, such as an oracle that sees the gold."""


class Planner(Protocol):
    """Writes plan pairs one after the other."""

    async def write_plans(
        self, domain: Domain, count: int, scope: Scope, seed: int
    ) -> tuple[tuple[PlanPair, ...], tuple[str, ...]]:
        """Return the pairs, and a line for each that had to be written by script instead."""
        ...


@runtime_checkable
class Advisable(Protocol):
    """A role whose prompt can be added to."""

    def advise(self, lines: tuple[str, ...]) -> Any:
        """Return the same role who also reads these lines."""
        ...


class DraftError(Exception):
    """A synthesiser has no task to show for its attempt; says why."""


class Drafting(Protocol):
    """One attempt at one task, which may be mended after what was found wrong with it."""

    async def draft(self, problems: Sequence[str]) -> Task | None:
        """Return the task, at first without problems, then mended after those of the version before.

        None when there is nothing to mend. Raises DraftError when no task comes of it.
        """
        ...


class Synthesiser(Protocol):
    """Drafts tasks after a plan."""

    def start(self, domain: Domain, pair: PlanPair, order: Order) -> Drafting:
        """Begin the attempt that an order names."""
        ...


class TaskVerifier(Protocol):
    """Reads a proved task as the evaluation plan wants it read."""

    async def review_task(self, pair: PlanPair, task: Task) -> tuple[str, ...]:
        """Return what is wrong with the task; nothing when it is good."""
        ...


class TrajectoryVerifier(Protocol):
    """Reads a finished dialogue as the evaluation plan wants it read."""

    async def review_trace(self, pair: PlanPair, task: Task, trace: Trace) -> Opinion | None:
        """Return an opinion, which is kept beside the checker's verdict; None when none could be had."""
        ...
