"""Slips and whims: what a caller says at first differs, what a right end is does not."""

import dataclasses
import random

import pytest

from veriloop.check.sandbox import judge, shared_sandbox
from veriloop.domains.task import Fact, Initial, Task
from veriloop.engine import quirk
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import synthesise
from veriloop.proof.prove import attach_checker, prove
from veriloop.rollout.driver import play
from veriloop.rollout.episode import Episode
from veriloop.rollout.experts import load_expert
from veriloop.rollout.oracle import Oracle
from veriloop.rollout.scripted import ScriptedUser
from veriloop.rollout.wording import PLAIN_FORMS, answer_with, is_said


def list_facts(task: Task) -> list[Fact]:
    return [*task.user.identity, *(fact for request in task.user.requests for fact in request.facts)]


@pytest.fixture(scope="module")
def tasks(parcel) -> list[Task]:
    plans = write_plans(parcel)
    drafts = [synthesise(parcel, plans[item % 2], Order(seed=77, item=item)) for item in range(260)]
    return [attach_checker(parcel, draft) for draft in drafts if draft]


@pytest.fixture
def quirks(monkeypatch):
    """Set how many tasks have a slip and a whim."""

    def put(slips: float, whims: float) -> None:
        monkeypatch.setattr(quirk, "SLIPS", slips)
        monkeypatch.setattr(quirk, "WHIMS", whims)

    return put


def test_their_shares_are_near_those_wanted(tasks):
    slips = sum(any(fact.slip for fact in list_facts(task)) for task in tasks)
    whims = sum(any(fact.whim for fact in list_facts(task)) for task in tasks)
    assert 0.05 < slips / len(tasks) < 0.2
    assert 0.04 < whims / len(tasks) < 0.25


def test_a_slip_is_found_nowhere_and_is_one_digit_off(parcel, tasks):
    slipped = [(task, fact) for task in tasks for fact in list_facts(task) if fact.slip]
    assert {fact.kind for _, fact in slipped} == {"email", "phone", "tracking"}
    for task, fact in slipped:
        assert sum(one != other for one, other in zip(fact.slip, fact.text, strict=True)) == 1
        session = parcel.open(Initial(database=task.initial.database))
        reads = [s.call for s in task.gold if s.seat == "agent" and fact.value in s.call.arguments.values()]
        for call in reads:
            wrong = {n: fact.slip if v == fact.value else v for n, v in call.arguments.items()}
            if parcel.tools[call.name].kind == "read":
                assert session.call("agent", call.model_copy(update={"arguments": wrong})).error


def test_no_fact_has_both_and_a_task_has_at_most_one_slip(tasks):
    for task in tasks:
        facts = list_facts(task)
        assert not any(fact.slip and fact.whim for fact in facts)
        assert len({fact.slip for fact in facts} - {""}) <= 1


def test_a_whim_is_another_wish_that_is_allowed_and_no_part_of_the_right_one(tasks):
    whims = [fact for task in tasks for fact in list_facts(task) if fact.whim]
    assert len({fact.argument for fact in whims}) >= 4
    for fact in whims:
        assert fact.argument
        assert fact.at_first == fact.whim
        assert not is_said(fact.whim, fact.text) and not is_said(fact.text, fact.whim)
    refused = [request for task in tasks if task.tags.tier == "refusal" for request in task.user.requests]
    assert not [fact for request in refused for fact in request.facts if fact.whim]


def test_they_change_neither_gold_nor_wishes(parcel, quirks):
    plan, odd_ones = write_plans(parcel)[0], 0
    for item in range(40):
        quirks(0.0, 0.0)
        plain = synthesise(parcel, plan, Order(seed=78, item=item))
        quirks(1.0, 1.0)
        odd = synthesise(parcel, plan, Order(seed=78, item=item))
        assert (plain is None) == (odd is None)
        if plain and odd:
            assert (plain.gold, plain.wanted, plain.refused) == (odd.gold, odd.wanted, odd.refused)
            assert [fact.text for fact in list_facts(plain)] == [fact.text for fact in list_facts(odd)]
            assert not any(fact.at_first != fact.text for fact in list_facts(plain))
            odd_ones += any(fact.slip or fact.whim for fact in list_facts(odd))
    assert odd_ones > 30


@pytest.mark.parametrize("agent", ["expert", "oracle"])
def test_who_listens_gets_there_all_the_same(parcel, quirks, agent):
    quirks(1.0, 1.0)
    plan = write_plans(parcel)[1]
    drafts = [synthesise(parcel, plan, Order(seed=79, item=item)) for item in range(40)]
    odd = [attach_checker(parcel, draft) for draft in drafts if draft]
    assert sum(any(fact.whim for fact in list_facts(task)) for task in odd) > 8
    for task in odd:
        assert prove(parcel, task, shared_sandbox()).ok
        player = load_expert("parcel") if agent == "expert" else Oracle(parcel, {task.id: task})
        trace = play(Episode(parcel, task), {"agent": player, "user": ScriptedUser()})
        assert judge(task, trace).passed, trace.turns
        said = " ".join(turn.spoken for turn in trace.turns if turn.seat == "user")
        assert all(is_said(fact.slip, said) for fact in task.user.identity if fact.slip)


def test_nobody_changes_their_mind_where_the_policy_asks_for_no_yes(parcel, quirks):
    quirks(0.0, 1.0)
    silent = dataclasses.replace(parcel, clauses=tuple(c for c in parcel.clauses if c.about == "state"))
    plan = write_plans(parcel)[0]
    made = [synthesise(silent, plan, Order(seed=80, item=item)) for item in range(30)]
    assert not [fact for task in made if task for fact in list_facts(task) if fact.whim]


def test_what_has_no_number_cannot_be_mistyped():
    rng = random.Random(0)
    for text in ("Ada", "Ada 1", "C3-4"):
        assert quirk._misspell(Fact(label="x", text=text, value=text), rng) == ""
    assert quirk._misspell(Fact(label="x", text="555-1234", value="other"), rng) == ""
    assert quirk._misspell(Fact(label="x", text="555-1234", value="555-1234"), rng) != "555-1234"


def test_plain_callers_say_things_in_few_ways_and_make_no_slips(parcel, quirks):
    quirks(1.0, 1.0)
    plan = write_plans(parcel)[0]
    for item in range(30):
        varied = synthesise(parcel, plan, Order(seed=81, item=item))
        plain = synthesise(parcel, plan, Order(seed=81, item=item, plain=True))
        assert (varied is None) == (plain is None)
        if varied and plain:
            assert (varied.gold, varied.wanted) == (plain.gold, plain.wanted)
            assert not plain.user.asides
            assert {fact.forms for fact in list_facts(plain)} <= {PLAIN_FORMS}
            assert not any(fact.slip or fact.whim for fact in list_facts(plain))
            told = answer_with(list_facts(plain)[0], random.Random(item))
            assert told in [form.format(**list_facts(plain)[0].model_dump()) for form in PLAIN_FORMS]
