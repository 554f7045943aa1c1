from collections.abc import Sequence
from itertools import count, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.train.filter import Group, Kept, fill, has_signal

REWARDS = (None, 0.0, 1.0)
PATTERNS = [pattern for size in (1, 2, 3, 4) for pattern in product(REWARDS, repeat=size)]


def group(*rewards: float | None, task: str = "t") -> Group[int]:
    return Group(task, tuple(range(len(rewards))), rewards)


class Supply:
    """Plays the given reward patterns in order, the last one for ever, and notes what it was asked for."""

    def __init__(self, *patterns: Sequence[float | None]) -> None:
        self.patterns, self.asked, self.names = list(patterns), [], []

    def __call__(self, tasks: Sequence[str]) -> list[Group[int]]:
        self.asked.append(len(tasks))
        played = []
        for task in tasks:
            pattern = self.patterns[min(len(self.names), len(self.patterns) - 1)]
            self.names.append(task)
            played.append(group(*pattern, task=task))
        return played


def names():
    return (f"t{number}" for number in count())


@pytest.mark.parametrize("pattern", PATTERNS)
def test_only_mixed_valid_rewards_carry_a_signal(pattern: tuple[float | None, ...]):
    assert has_signal(group(*pattern)) == (0.0 in pattern and 1.0 in pattern)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_group_is_counted_in_exactly_one_place(pattern: tuple[float | None, ...]):
    kept: Kept[int] = Kept()
    kept.take(group(*pattern))
    valid = [reward for reward in pattern if reward is not None]
    expected = (
        (0, 0, 0, 1) if not valid else
        (1, 0, 0, 0) if len(set(valid)) == 2 else
        (0, 1, 0, 0) if valid[0] == 1.0 else
        (0, 0, 1, 0)
    )  # fmt: skip
    assert (len(kept.groups), kept.all_passed, kept.all_failed, kept.void) == expected
    assert kept.sampled == 1


@pytest.mark.parametrize("pattern", PATTERNS)
def test_void_trajectories_never_count_in_the_mean(pattern: tuple[float | None, ...]):
    valid = [reward for reward in pattern if reward is not None]
    assert group(*pattern).mean == group(*valid).mean
    assert group(*pattern).mean == (sum(valid) / len(valid) if valid else None)


def test_a_full_first_round_asks_for_nothing_more():
    supply = Supply((0.0, 1.0))
    kept = fill(3, supply, names(), cap=9)
    assert supply.asked == [3]
    assert [found.task for found in kept.groups] == ["t0", "t1", "t2"]


def test_refill_asks_only_for_what_is_missing():
    supply = Supply((0.0, 1.0), (1.0, 1.0), (0.0, 0.0), (None, None), (1.0, 0.0), (1.0, None, 0.0))
    kept = fill(3, supply, names(), cap=9)
    assert supply.asked == [3, 2, 1]
    assert [found.task for found in kept.groups] == ["t0", "t4", "t5"]
    assert (kept.sampled, kept.all_passed, kept.all_failed, kept.void) == (6, 1, 1, 1)


def test_the_cap_ends_a_hopeless_step():
    supply = Supply((1.0, 1.0))
    kept = fill(4, supply, names(), cap=10)
    assert supply.asked == [4, 4, 2]
    assert kept.groups == [] and kept.sampled == kept.all_passed == 10


@given(
    st.lists(st.lists(st.sampled_from(REWARDS), min_size=2, max_size=4), min_size=1, max_size=20),
    st.integers(1, 6),
    st.integers(1, 16),
)
def test_filling_keeps_all_signal_and_nothing_else(patterns: list[list[float | None]], wanted: int, cap: int):
    supply = Supply(*patterns)
    kept = fill(wanted, supply, names(), cap=cap)
    mixed = [
        task
        for place, task in enumerate(supply.names)
        if {0.0, 1.0} <= set(patterns[min(place, len(patterns) - 1)])
    ]  # fmt: skip
    assert [found.task for found in kept.groups] == mixed
    assert len(kept.groups) <= wanted and kept.sampled == len(supply.names) <= cap
    assert len(kept.groups) == wanted or kept.sampled == cap
    assert kept.sampled == len(kept.groups) + kept.all_passed + kept.all_failed + kept.void
