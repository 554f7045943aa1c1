"""What the bench makes ambiguous is, and the proof rejects it; what it leaves unambiguous is none of its misses."""

import importlib.util
from collections import Counter
from pathlib import Path

import pytest

from veriloop.proof.instruction import check_instruction
from veriloop.proof.replay import replay

_FILE = Path(__file__).parents[2] / "bench" / "instructions.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("instructions", _FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_whatever_could_be_meant_as_well_is_rejected(bench, parcel, many):
    counts = Counter[str]()
    for task in many:
        gold = replay(parcel, task, task.gold)
        for way, _, walk in bench.list_twins(parcel, task, gold):
            counts[way] += 1
            assert bool(check_instruction(parcel, task, walk, gold)) is (way == "described like another")
    assert counts["described like another"] >= 2


def test_a_thing_that_would_be_refused_cannot_be_meant(bench, parcel, many):
    """The same wish for something that is not there ends nowhere, and so is no second reading."""
    tried = 0
    for task in many:
        gold = replay(parcel, task, task.gold)
        for wanted in task.wanted:
            steps = bench.find_steps(task, wanted)
            for name, value in wanted.arguments.items():
                if steps and name in ("tracking", "locker_id"):
                    tried += 1
                    assert not bench.could_be_meant(parcel, task, gold, steps, name, "XX0000")
                    assert not bench.could_be_meant(parcel, task, gold, steps, name, value), "it ends where it did"
    assert tried


def test_every_fact_is_left_out_once(bench, tasks):
    task = max(tasks, key=lambda each: len(each.user.requests))
    spoiled = list(bench.leave_out_facts(task))
    facts = [*task.user.identity, *(fact for request in task.user.requests for fact in request.facts)]
    assert len(spoiled) == len(facts)
    assert [bench._name_left_out(task, each) for each in spoiled] == [fact.label for fact in facts]
