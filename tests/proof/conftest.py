import pytest

from veriloop.check.sandbox import shared_sandbox
from veriloop.domains.task import Task
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import synthesise
from veriloop.proof.prove import attach_checker, prove


@pytest.fixture(scope="session")
def many(parcel) -> list[Task]:
    """Tasks that prove, at least a few of every tier."""
    pairs = write_plans(parcel)
    drafts = [synthesise(parcel, pairs[item % 2], Order(seed=31, item=item)) for item in range(140)]
    tasks = [attach_checker(parcel, draft) for draft in drafts if draft]
    return [task for task in tasks if prove(parcel, task, shared_sandbox()).ok]
