"""Checkers that come with a draft: proved or not, nothing is taken that is not allowed."""

import asyncio
from dataclasses import replace

import pytest

from veriloop.engine.plan import Workflow
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.stream import make_item
from veriloop.engine.synthesis import ScriptedSynthesiser
from veriloop.proof.prove import attach_checker


class Handing:
    """Drafts by script and hands in a checker with every task."""

    def __init__(self, write):
        self.write = write

    def start(self, domain, pair, order):
        self.domain, self.inner = domain, ScriptedSynthesiser().start(domain, pair, order)
        return self

    async def draft(self, problems):
        task = await self.inner.draft(problems)
        return task and task.model_copy(update={"checker": self.write(attach_checker(self.domain, task).checker)})


def make(bench, parcel, write, *, verify):
    bench = replace(bench, synthesiser=Handing(write), verify=verify)
    order = Order(seed=41, item=2)
    return asyncio.run(make_item(bench, write_plans(parcel)[0], Workflow(attempts=1), order, lambda _: False))


@pytest.mark.parametrize("verify", [True, False])
def test_what_is_not_allowed_is_given_up_whether_tasks_are_proved_or_not(bench, parcel, verify):
    item = make(bench, parcel, lambda source: f"import os\n{source}", verify=verify)
    assert item.task is None
    assert (item.rejections[0].stage, item.rejections[0].reason) == ("proof", "checker line 1: Import is not allowed")


@pytest.mark.parametrize("verify", [True, False])
def test_one_that_holds_is_taken_as_it_is(bench, parcel, verify):
    item = make(bench, parcel, lambda source: f"{source}\n# mine\n", verify=verify)
    assert item.task and item.task.checker.endswith("# mine\n")
    assert item.judgements[0].verdict.passed


def test_one_that_could_keep_things_is_proved_all_the_same(bench, parcel):
    """It runs in a session of its own for every dialogue; what it keeps is lost."""
    item = make(
        bench, parcel, lambda source: f"{source}\nSEEN = []\n\n\ndef note(kept):\n    kept.append(1)\n", verify=True
    )
    assert item.accepted and item.mutants_caught == item.mutants_tried > 5
