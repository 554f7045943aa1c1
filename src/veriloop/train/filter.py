"""Dynamic filtering: only groups in which some trajectories pass and some fail are trained on, others are replaced."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Group(Generic[T]):
    """All trajectories of one task in one step; rewards are None for void ones (infrastructure failed)."""

    task: str
    trajectories: tuple[T, ...]
    rewards: tuple[float | None, ...]

    @property
    def mean(self) -> float | None:
        """Mean reward of the valid trajectories, None when there is none."""
        valid = [reward for reward in self.rewards if reward is not None]
        return sum(valid) / len(valid) if valid else None


def has_signal(group: Group[T]) -> bool:
    """Return whether a group's valid rewards differ, so that its advantages are not all zero."""
    valid = {reward for reward in group.rewards if reward is not None}
    return len(valid) > 1


@dataclass(slots=True)
class Kept(Generic[T]):
    """What filtering left: groups to train on, and how many were sampled, dropped and why."""

    groups: list[Group[T]] = field(default_factory=list)
    all_passed: int = 0
    all_failed: int = 0
    void: int = 0
    sampled: int = 0

    def take(self, group: Group[T]) -> None:
        """Sort one sampled group into kept or dropped."""
        self.sampled += 1
        if group.mean is None:
            self.void += 1
        elif has_signal(group):
            self.groups.append(group)
        else:
            self.all_passed += group.mean > 0
            self.all_failed += group.mean <= 0


def fill(
    wanted: int, sample: Callable[[Sequence[str]], Sequence[Group[T]]], tasks: Iterator[str], *, cap: int
) -> Kept[T]:
    """Sample groups until `wanted` of them carry a signal or `cap` groups were sampled.

    sample: plays one group for each task given, all at once. tasks: an endless supply. Every refill asks for as many
    tasks as groups are missing, so nothing that carries a signal is ever thrown away.
    """
    kept: Kept[T] = Kept()
    while len(kept.groups) < wanted and kept.sampled < cap:
        missing = min(wanted - len(kept.groups), cap - kept.sampled)
        for group in sample([next(tasks) for _ in range(missing)]):
            kept.take(group)
    return kept
