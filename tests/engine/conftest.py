import asyncio

import pytest

from veriloop.engine.plan import Workflow
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.stream import Bench, Item, make_item
from veriloop.pipeline.synthesis import make_bench


@pytest.fixture(scope="module")
def bench(parcel) -> Bench:
    return make_bench(parcel)


@pytest.fixture(scope="module")
def pilot(parcel, bench: Bench) -> list[Item]:
    """Items of both plans, as a pilot makes them."""
    pairs, taken, items = write_plans(parcel), set[str](), list[Item]()
    for number in range(16):
        order = Order(seed=41, item=number)
        item = asyncio.run(make_item(bench, pairs[number % 2], Workflow(), order, taken.__contains__))
        taken |= {item.task.id} if item.task else set()
        items.append(item)
    return items
