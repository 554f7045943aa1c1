import json
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.train.curriculum import TaskOrder

TASKS = [f"t{number}" for number in range(7)]


def draw(order: TaskOrder, count: int = len(TASKS)) -> list[str]:
    return list(islice(order, count))


def test_every_pass_holds_every_task_once():
    order = TaskOrder(TASKS, 0)
    passes = [draw(order) for _ in range(50)]
    assert all(sorted(found) == TASKS for found in passes)
    assert len({tuple(found) for found in passes}) > 40


def test_the_seed_alone_decides():
    assert draw(TaskOrder(TASKS, 3), 40) == draw(TaskOrder(TASKS, 3), 40)
    assert draw(TaskOrder(TASKS, 3), 40) != draw(TaskOrder(TASKS, 4), 40)


def test_a_solved_task_rests_for_exactly_one_pass():
    order = TaskOrder(TASKS, 1)
    draw(order)
    order.record("t2", 1.0)
    assert sorted(draw(order, 6)) == [task for task in TASKS if task != "t2"]
    assert sorted(draw(order)) == TASKS


def test_a_solved_task_still_waiting_in_this_pass_is_played_first():
    order = TaskOrder(TASKS, 1)
    first = draw(order, 3)
    left = next(task for task in TASKS if task not in first)
    order.record(left, 1.0)
    assert left in draw(order, 4)
    assert left not in draw(order, 6)


@pytest.mark.parametrize("mean", [0.0, 0.5, 0.99, None])
def test_unsolved_tasks_do_not_rest(mean: float | None):
    order = TaskOrder(TASKS, 1)
    draw(order)
    order.record("t2", mean)
    assert sorted(draw(order)) == TASKS


def test_when_everything_is_solved_everything_is_played_again():
    order = TaskOrder(TASKS, 1)
    draw(order)
    for task in TASKS:
        order.record(task, 1.0)
    assert sorted(draw(order)) == TASKS


@given(st.lists(st.sampled_from([None, 0.0, 0.5, 1.0]), max_size=40), st.integers(0, 2**31))
def test_a_restored_order_continues_identically(means: list[float | None], seed: int):
    order = TaskOrder(TASKS, seed)
    for mean in means:
        order.record(next(order), mean)
    other = TaskOrder(TASKS, seed + 1)
    other.restore(json.loads(json.dumps(order.state())))
    for mean in [1.0, 0.0, None] * 10:
        task = next(order)
        assert next(other) == task
        order.record(task, mean)
        other.record(task, mean)


def test_the_state_is_a_copy_in_time():
    order = TaskOrder(TASKS, 5)
    draw(order, 2)
    state = json.loads(json.dumps(order.state()))
    later = draw(order, 30)
    order.restore(state)
    assert draw(order, 30) == later
