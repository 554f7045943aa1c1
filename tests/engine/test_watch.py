"""The yield watch: deals in turn, rests what fails, tries it again, and gives it up."""

import random

from hypothesis import given
from hypothesis import strategies as st

from veriloop.engine.watch import REST, TRIAL, WINDOW, Watch, find_promised

PROMISED = {"a": 0.9, "b": 0.9, "c": 0.9}


def deal(watch, count, fails=lambda _plan, _turn: False):
    """Deal items and let some fail with four drafts each; returns the plans in the order they were dealt."""
    dealt = []
    for turn in range(count):
        plan = watch.next()
        if plan is None:
            break
        dealt.append(plan)
        lost = fails(plan, turn)
        watch.note(plan, 4 if lost else 1, accepted=not lost)
    return dealt


def states(watch, plan):
    return [event.state for event in watch.events if event.plan == plan]


def test_plans_take_turns():
    assert deal(Watch(PROMISED), 7) == ["a", "b", "c", "a", "b", "c", "a"]


def test_a_plan_that_fails_is_paused_tried_again_and_retired():
    watch = Watch(PROMISED)
    dealt = deal(watch, 400, lambda plan, _: plan == "b")
    assert states(watch, "b") == ["paused", "retired"]
    assert dealt.count("b") == WINDOW + TRIAL
    assert dealt[-20:].count("a") == dealt[-20:].count("c") == 10


def test_a_paused_plan_misses_some_turns():
    watch = Watch(PROMISED)
    dealt = deal(watch, 60, lambda plan, _: plan == "b")
    last = max(place for place, plan in enumerate(dealt[: 3 * WINDOW]) if plan == "b")
    assert dealt[last + 1 :].index("b") >= 2 * REST


def test_a_plan_that_recovers_goes_on():
    watch = Watch(PROMISED)
    dealt = deal(watch, 400, lambda plan, turn: plan == "b" and turn < 3 * WINDOW)
    assert states(watch, "b") == ["paused", "active"]
    assert dealt[-30:].count("b") == 10


def test_when_all_are_retired_nothing_is_dealt():
    watch = Watch(PROMISED)
    dealt = deal(watch, 1000, lambda *_: True)
    assert len(dealt) == 3 * (WINDOW + TRIAL)
    assert watch.next() is None


def test_what_promised_nothing_is_never_paused():
    watch = Watch({"a": 0.0})
    assert len(deal(watch, 100, lambda *_: True)) == 100
    assert watch.events == []


def test_events_name_the_figures():
    watch = Watch(PROMISED)
    deal(watch, 100, lambda plan, _: plan == "c")
    event = watch.events[0]
    assert (event.plan, event.state) == ("c", "paused")
    assert event.found == 0.0 < event.lowest < 0.9
    assert event.position == 3 * WINDOW


@given(st.floats(0.3, 1.0), st.integers(0, 10_000))
def test_a_plan_that_keeps_its_promise_is_not_given_up(rate, seed):
    """Bad luck may pause it now and then among 600 items, which costs a few turns."""
    rng = random.Random(seed)
    watch = Watch({"a": rate})
    for _ in range(600):
        assert watch.next() == "a"
        drafts = next((n for n in range(1, 9) if rng.random() < rate), None)
        watch.note("a", drafts or 8, accepted=drafts is not None)
    assert "retired" not in states(watch, "a")


@given(st.lists(st.booleans(), max_size=200))
def test_the_same_history_deals_the_same(outcomes):
    first, second = Watch(PROMISED), Watch(PROMISED)
    fails = lambda _plan, turn: outcomes[turn] if turn < len(outcomes) else False  # noqa: E731
    assert deal(first, 220, fails) == deal(second, 220, fails)
    assert first.events == second.events


class TestPromises:
    def test_a_plans_own_pilot_is_drawn_towards_the_mean(self):
        made = [("a", 1, True)] * 9 + [("b", 4, False)] * 3 + [("b", 1, True)] * 3
        found = find_promised(["a", "b", "c"], made)
        mean = 12 / 24
        assert mean < found["a"] < 1
        assert 3 / 15 < found["b"] < mean
        assert found["c"] == mean

    def test_without_a_pilot_nothing_is_promised(self):
        assert find_promised(["a", "b"], []) == {"a": 0.0, "b": 0.0}
