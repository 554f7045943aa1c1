"""How hard a proved task is: the share of a named player's dialogues about it that pass its checker."""

from collections.abc import Sequence
from dataclasses import dataclass

from veriloop.check.verdict import give_verdict
from veriloop.core.base import Frozen, derive_seed
from veriloop.core.message import Seat
from veriloop.core.trace import Trace
from veriloop.core.verdict import Outcome
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.engine.role.cast import AnyPlayer
from veriloop.rollout.driver import play_async, play_batch
from veriloop.rollout.episode import Episode

BAND = (0.2, 0.85)
"""Tasks solved more seldom or more often teach an agent little: its group's rewards are all alike."""
DIALOGUES = 4


class Difficulty(Frozen):
    """What came of a solver's dialogues about a task. tried: those with a verdict; void ones say nothing."""

    solver: str
    passed: int
    tried: int

    @property
    def rate(self) -> float:
        """Share of dialogues that pass; 0 when none could be judged."""
        return self.passed / self.tried if self.tried else 0.0


@dataclass(frozen=True, slots=True)
class Trial:
    """Who tries proved tasks, in how many dialogues, and the band of pass rates that are kept, bounds included."""

    solver: AnyPlayer
    band: tuple[float, float] = BAND
    dialogues: int = DIALOGUES

    async def measure(self, domain: Domain, user: AnyPlayer, task: Task) -> Difficulty:
        """Play and judge a task's dialogues."""
        traces = await self._play(domain, user, task)
        judged = [give_verdict(domain, task, trace) for trace in traces]
        verdicts = [verdict for verdict in judged if verdict.outcome is not Outcome.ERROR]
        return Difficulty(
            solver=self.solver.name, passed=sum(verdict.passed for verdict in verdicts), tried=len(verdicts)
        )

    def find_problem(self, found: Difficulty) -> str | None:
        """Return why a task is not kept, for whoever drafts it; None when it is within the band."""
        if not found.tried:
            return f"no dialogue with {found.solver} could be judged, so its difficulty is unknown"
        low, high = self.band
        if low <= found.rate <= high:
            return None
        what = "hard" if found.rate < low else "easy"
        return (
            f"too {what}: {found.solver} solves it in {found.passed} of {found.tried} dialogues, wanted is a share "
            f"from {low:g} to {high:g}"
        )

    async def _play(self, domain: Domain, user: AnyPlayer, task: Task) -> Sequence[Trace]:
        names: dict[Seat, str] = {"agent": self.solver.name, "user": user.name}
        seeds = [derive_seed("solver", task.id, number) for number in range(self.dialogues)]
        episodes = [Episode(domain, task, seed=seed, names=names) for seed in seeds]
        players: dict[Seat, AnyPlayer] = {"agent": self.solver, "user": user}
        if any(hasattr(player, "reply_async") for player in players.values()):
            return [trace async for _, trace in play_async(episodes, players, width=len(episodes))]
        # A local model answers all of them in one batch.
        return [trace for _, trace in play_batch(episodes, players)]  # pyright: ignore[reportArgumentType]
