import pytest

from veriloop.engine.plan import Workflow
from veriloop.engine.planner import write_plans
from veriloop.engine.stream import Bench, Item, make_item
from veriloop.engine.synthesis import Order
from veriloop.pipeline.synthesis import make_bench


@pytest.fixture(scope="module")
def bench(parcel) -> Bench:
    return make_bench(parcel)


@pytest.fixture(scope="module")
def pilot(parcel, bench: Bench) -> list[Item]:
    """Items of both plans, as a pilot makes them."""
    pairs, taken, items = write_plans(parcel), set[str](), list[Item]()
    for number in range(16):
        item = make_item(bench, pairs[number % 2], Workflow(), Order(seed=41, item=number), taken)
        taken |= {item.task.id} if item.task else set()
        items.append(item)
    return items
