"""Work under way at once comes back in order, and what is begun never depends on which answer came first."""

import asyncio
import os
import random
import signal
import threading
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.core.errors import BudgetError
from veriloop.engine.flow import Seen, run_in_order, run_steps
from veriloop.llm.limit import TURN


def flow(delays, width, log=None):
    """Run one piece of work per delay; returns the results and how many were under way at most."""
    numbers, under_way, most = iter(range(len(delays))), 0, 0

    async def work(number):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(delays[number] / 1000)
        under_way -= 1
        return number

    def launch():
        number = next(numbers, None)
        if number is not None and log is not None:
            log.append(number)
        return None if number is None else work(number)

    return list(run_in_order(launch, width)), most


@given(st.lists(st.integers(0, 5), max_size=20), st.integers(1, 8))
def test_results_come_in_the_order_of_beginning(delays, width):
    found, most = flow(delays, width)
    assert found == list(range(len(delays)))
    assert most <= width
    assert most >= min(width, len(delays), 1)


def test_waiting_work_overlaps():
    _, most = flow([30] * 8, 8)
    assert most == 8


@pytest.mark.parametrize("seed", range(6))
def test_what_is_begun_follows_from_results_alone(seed):
    """Launch decides by what came back; however the delays fall, it decides alike."""

    def run(delays):
        begun, back, decided = 0, 0, []

        async def work(number):
            await asyncio.sleep(delays[number % len(delays)] / 1000)
            return number

        def launch():
            nonlocal begun
            if begun >= 30:
                return None
            decided.append((begun, back))
            begun += 1
            return work(begun - 1)

        for _ in run_in_order(launch, 4):
            back += 1
        return decided

    rng = random.Random(seed)
    assert run([0]) == run([rng.randrange(8) for _ in range(30)])


def test_a_pause_is_no_end():
    """Launch has nothing until the first result is in, and then goes on."""
    steps = iter(["work", None, "work", None, None])

    async def work():
        return 1

    assert list(run_in_order(lambda: work() if next(steps, None) else None, 3)) == [1, 1]


class Line:
    """Notes what is done to it; work that asks it after a halt is refused."""

    def __init__(self):
        self.seen = []
        self.halted = False

    def halt(self):
        self.halted = True
        self.seen.append("halted")

    async def close(self):
        self.seen.append("closed")


def test_an_error_cancels_the_rest_and_closes():
    line = Line()

    async def work(number):
        if number == 1:
            raise RuntimeError("broken")
        try:
            await asyncio.sleep(0.01 if number == 0 else 5)
        except asyncio.CancelledError:
            line.seen.append(f"cancelled {number}")
            raise
        return number

    numbers = iter(range(4))
    results = run_in_order(lambda: None if (n := next(numbers, None)) is None else work(n), 4, line)
    assert next(results) == 0
    with pytest.raises(RuntimeError, match="broken"):
        next(results)
    assert line.seen == ["cancelled 2", "cancelled 3", "closed"]


@pytest.mark.parametrize("stop", [BudgetError("spent"), KeyboardInterrupt()])
def test_when_the_run_is_stopped_work_goes_on_until_it_asks_for_more(stop):
    line = Line()

    async def work(number):
        await asyncio.sleep(0.01 * (number + 1))
        if number == 0:
            raise stop
        line.seen.append((number, line.halted))
        raise BudgetError("refused")

    numbers = iter(range(4))
    with pytest.raises(type(stop)):
        for _ in run_in_order(lambda: None if (n := next(numbers, None)) is None else work(n), 4, line):
            pass
    assert line.seen == ["halted", (1, True), (2, True), (3, True), "closed"]


def test_who_stops_listening_stops_the_work():
    seen, delays = [], iter([0, 5, 5])

    async def work(delay):
        try:
            await asyncio.sleep(delay)
        except asyncio.CancelledError:
            seen.append(delay)
            raise

    results = run_in_order(lambda: None if (delay := next(delays, None)) is None else work(delay), 3)
    next(results)
    results.close()
    assert seen == [5, 5]


def test_what_is_seen_later_does_not_count():
    seen = Seen()
    seen.add("a")
    look = seen.look()
    seen.add("b")
    seen.add("a")
    assert (look("a"), look("b"), look("c")) == (True, False, False)
    assert ("b" in seen, len(seen)) == (True, 2)
    assert seen.look()("b")


class TestCtrlC:
    @pytest.fixture(autouse=True)
    def default_handler(self):
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "put back"
        signal.signal(signal.SIGINT, before)

    def press(self):
        os.kill(os.getpid(), signal.SIGINT)

    def test_the_first_one_breaks_into_no_work(self):
        line = Line()

        async def work(number):
            if number == 0:
                self.press()
                line.seen.append("not broken into")
            await asyncio.sleep(0.01)
            line.seen.append((number, line.halted))
            return number

        numbers = iter(range(3))
        with pytest.raises(KeyboardInterrupt):
            list(run_in_order(lambda: None if (n := next(numbers, None)) is None else work(n), 3, line))
        assert line.seen == ["not broken into", "halted", (0, True), (1, True), (2, True), "closed"]

    def test_the_second_one_breaks_into_anything(self):
        seen = []

        async def work():
            self.press()
            seen.append("first")
            self.press()
            seen.append("second")

        works = iter([work()])
        with pytest.raises(KeyboardInterrupt):
            list(run_in_order(lambda: next(works, None), 1))
        assert seen == ["first"]

    def test_one_that_comes_while_results_are_used_counts_at_the_next(self):
        async def work(number):
            return number

        numbers = iter(range(3))
        results = run_in_order(lambda: None if (n := next(numbers, None)) is None else work(n), 1)
        assert next(results) == 0
        self.press()
        with pytest.raises(KeyboardInterrupt):
            next(results)

    def test_one_that_comes_at_the_very_end_counts_too(self):
        async def work():
            return 0

        works = iter([work()])
        results = run_in_order(lambda: next(works, None), 1)
        assert next(results) == 0
        self.press()
        with pytest.raises(KeyboardInterrupt):
            next(results)

    def test_a_thread_leaves_signals_alone(self):
        async def work():
            return signal.getsignal(signal.SIGINT)

        found, works = [], iter([work()])
        thread = threading.Thread(target=lambda: found.extend(run_in_order(lambda: next(works, None), 1)))
        thread.start()
        thread.join()
        assert found == [signal.default_int_handler]

    def test_a_handler_of_somebody_else_stays(self):
        async def work():
            return signal.getsignal(signal.SIGINT)

        works = iter([work()])
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert list(run_in_order(lambda: next(works, None), 1)) == [signal.SIG_IGN]
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_requests_of_what_was_begun_first_go_first():
    async def tell() -> int:
        await asyncio.sleep(0)
        return TURN.get()

    left = iter(range(5))
    with closing(run_in_order(lambda: tell() if next(left, None) is not None else None, 2)) as made:
        assert list(made) == [0, 1, 2, 3, 4]
    assert TURN.get() == 0


def take_three(log, name):
    for number in range(3):
        log.append(f"{name}{number}")
        yield
    return name


def test_answers_are_seen_to_between_the_steps_of_work():
    log = []

    async def answer():
        await asyncio.sleep(0)
        log.append("answer")

    async def run():
        return await asyncio.gather(run_steps(take_three(log, "a")), run_steps(take_three(log, "b")), answer())

    assert asyncio.run(run())[:2] == ["a", "b"]
    assert log.index("answer") < log.index("a2") and log.index("b0") < log.index("a1")


def test_of_items_under_way_one_is_on_the_processor_and_answers_are_seen_to_all_the_same():
    log = []

    async def item(name):
        if name == "c":
            await asyncio.sleep(0)
            log.append("answer")
        return await run_steps(take_three(log, name))

    left = iter("abc")
    with closing(run_in_order(lambda: item(name) if (name := next(left, None)) else None, 3)) as made:
        assert list(made) == ["a", "b", "c"]
    steps = [entry for entry in log if entry != "answer"]
    assert steps == ["a0", "a1", "a2", "b0", "b1", "b2", "c0", "c1", "c2"]
    assert log.index("answer") < log.index("a2")


def test_work_that_fails_lets_the_next_piece_go_on():
    def work(name):
        yield
        if name == "a":
            raise ValueError("no")
        return name

    async def item(name):
        try:
            return await run_steps(work(name))
        except ValueError:
            return "failed"

    left = iter("ab")
    with closing(run_in_order(lambda: item(name) if (name := next(left, None)) else None, 2)) as made:
        assert list(made) == ["failed", "b"]


def test_work_of_no_step_is_done():
    def work():
        return 1
        yield

    assert asyncio.run(run_steps(work())) == 1


def test_work_that_fails_says_so():
    def work():
        yield
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        asyncio.run(run_steps(work()))
