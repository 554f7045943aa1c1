"""Requests leave out what nothing else could be meant by, and nothing that is needed."""

import pytest

from servers.library import load_library
from veriloop.domains.domain import Domain
from veriloop.domains.parcel import load_parcel
from veriloop.domains.task import Task
from veriloop.domains.tau2.retail import load_retail
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import synthesise


def make(domain: Domain, count: int) -> list[Task]:
    plans = write_plans(domain, 2)
    made = [synthesise(domain, plans[item % 2], Order(seed=21, item=item)) for item in range(count)]
    return [task for task in made if task]


RETAIL = load_retail()
TASKS = make(RETAIL, 40)


def test_some_order_numbers_are_left_out_and_some_are_told() -> None:
    told = [
        any(fact.argument == "order_id" for fact in request.facts)
        for task in TASKS
        for request, wanted in zip(task.user.requests, task.wanted, strict=True)
        if "order_id" in wanted.arguments
    ]
    assert any(told)
    assert not all(told)


def test_what_is_left_out_is_read_before_it_is_used() -> None:
    for task in TASKS:
        told = {fact.argument for request in task.user.requests for fact in request.facts}
        for wanted in task.wanted:
            if "order_id" in wanted.arguments and "order_id" not in told:
                assert "get_user_details" in [step.call.name for step in task.gold]


def test_only_implied_arguments_are_left_out() -> None:
    for task in TASKS:
        for request, wanted in zip(task.user.requests, task.wanted, strict=True):
            sources = RETAIL.tools[wanted.name].sources
            missing = {name for name in wanted.arguments if sources[name].told} - {f.argument for f in request.facts}
            assert all(sources[name].implied for name in missing)


@pytest.mark.parametrize("task", make(load_library(), 12), ids=lambda task: task.id)
def test_a_domain_that_declares_nothing_implied_tells_everything(task: Task) -> None:
    sources = load_library().tools
    for request, wanted in zip(task.user.requests, task.wanted, strict=True):
        known = [fact.value for fact in task.user.identity]
        told = [
            name
            for name, value in wanted.arguments.items()
            if sources[wanted.name].sources[name].told and value not in known
        ]
        assert [fact.argument for fact in request.facts] == told


def test_a_parcel_is_left_out_where_there_is_only_one_unless_the_user_acts_on_it() -> None:
    parcel, untold, steps = load_parcel(), 0, 0
    for task in make(parcel, 90):
        own = [value for step in task.gold if step.seat == "user" for value in step.call.arguments.values()]
        for request, wanted in zip(task.user.requests, task.wanted, strict=True):
            tracking = wanted.arguments.get("tracking")
            if tracking and not any(fact.argument == "tracking" for fact in request.facts):
                untold += 1
                assert tracking not in own
            steps += tracking in own
    assert untold and steps
