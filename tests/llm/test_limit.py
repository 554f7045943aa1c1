"""The adaptive limit: widened by good answers, halved by refusals, never passed, nobody left waiting."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veriloop.llm.limit import TURN, AdaptiveLimit


async def stay(limit: AdaptiveLimit, inside: list[int], seen: list[int], pause: float = 0.0) -> None:
    async with limit:
        inside[0] += 1
        seen.append(inside[0])
        await asyncio.sleep(pause)
        inside[0] -= 1


def crowd(limit: AdaptiveLimit, count: int) -> list[int]:
    """Send `count` through at once; returns how many were inside as each came in."""

    async def run() -> list[int]:
        inside, seen = [0], list[int]()
        await asyncio.wait_for(asyncio.gather(*[stay(limit, inside, seen) for _ in range(count)]), 5)
        return seen

    return asyncio.run(run())


@pytest.mark.parametrize("most", [1, 3, 16])
def test_no_more_than_the_width_are_inside_and_all_come_through(most: int) -> None:
    seen = crowd(AdaptiveLimit(most), 40)
    assert len(seen) == 40
    assert max(seen) == most


def test_a_refusal_halves_it_and_answers_widen_it_one_by_one() -> None:
    limit = AdaptiveLimit(16)
    limit.narrow(limit.epoch)
    assert limit.width == 8
    for _ in range(8):
        limit.widen()
    assert 8.9 < limit.width <= 9
    for _ in range(500):
        limit.widen()
    assert limit.width == 16


def test_refusals_of_one_round_halve_it_once() -> None:
    limit = AdaptiveLimit(16)
    sent = limit.epoch
    for _ in range(10):
        limit.narrow(sent)
    assert limit.width == 8
    limit.narrow(limit.epoch)
    assert limit.width == 4


def test_it_never_closes() -> None:
    limit = AdaptiveLimit(4)
    for _ in range(20):
        limit.narrow(limit.epoch)
    assert limit.width == 1
    assert max(crowd(limit, 5)) == 1


def test_those_who_give_up_waiting_do_not_take_a_turn_with_them() -> None:
    async def run() -> None:
        limit, inside, seen = AdaptiveLimit(1), [0], list[int]()
        first = asyncio.create_task(stay(limit, inside, seen, 0.05))
        await asyncio.sleep(0.01)
        waiting = [asyncio.create_task(stay(limit, inside, seen)) for _ in range(3)]
        await asyncio.sleep(0.01)
        waiting[0].cancel()
        await first
        waiting[1].cancel()
        await asyncio.wait_for(asyncio.wait(waiting), 2)
        assert [task.cancelled() for task in waiting] == [True, True, False]
        await asyncio.wait_for(stay(limit, inside, seen), 1)

    asyncio.run(run())


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.lists(st.sampled_from(["widen", "narrow", "enter", "leave"]), max_size=60))
def test_whatever_happens_the_count_stays_right(most: int, steps: list[str]) -> None:
    async def run() -> None:
        limit, entered = AdaptiveLimit(most), list[asyncio.Task[AdaptiveLimit]]()
        for step in steps:
            if step == "widen":
                limit.widen()
            elif step == "narrow":
                limit.narrow(limit.epoch)
            elif step == "enter":
                entered.append(asyncio.create_task(limit.__aenter__()))
            elif done := [task for task in entered if task.done()]:
                entered.remove(done[0])
                await limit.__aexit__(None, None, None)
            await asyncio.sleep(0)
            assert 1 <= limit.width <= most
            assert sum(task.done() for task in entered) <= most
        while entered:
            await asyncio.sleep(0)
            done = [task for task in entered if task.done()]
            assert done, "somebody waits though there is room"
            entered.remove(done[0])
            await limit.__aexit__(None, None, None)

    asyncio.run(run())


def test_who_was_begun_first_goes_first() -> None:
    """Whatever order they came in."""
    order: list[int] = []

    async def come(limit: AdaptiveLimit, turn: int) -> None:
        TURN.set(turn)
        async with limit:
            order.append(turn)
            await asyncio.sleep(0)

    async def run() -> None:
        limit = AdaptiveLimit(1)
        async with limit:
            waiting = [asyncio.create_task(come(limit, turn)) for turn in (5, 2, 9, 0, 2)]
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)

    asyncio.run(run())
    assert order == [0, 2, 2, 5, 9]
