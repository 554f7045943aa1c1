"""Requests leave out what nothing else could be meant by, and nothing that is needed."""

import pytest

from veriloop.domains.domain import Domain
from veriloop.domains.parcel import load_parcel
from veriloop.domains.task import Task
from veriloop.domains.tau2.retail import load_retail
from veriloop.engine.plan import write_plans
from veriloop.engine.synthesis import Order, synthesise


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


@pytest.mark.parametrize("task", make(load_parcel(), 12), ids=lambda task: task.id)
def test_a_domain_that_declares_nothing_implied_tells_everything(task: Task) -> None:
    sources = load_parcel().tools
    for request, wanted in zip(task.user.requests, task.wanted, strict=True):
        told = [name for name in wanted.arguments if sources[wanted.name].sources[name].told]
        assert [fact.argument for fact in request.facts] == told
