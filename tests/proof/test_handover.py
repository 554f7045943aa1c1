"""Wishes that no change can meet: the right way is a call that changes nothing, and it is proved like one."""

import pytest

from veriloop.check.sandbox import judge, shared_sandbox
from veriloop.domains.domain import agent_actions
from veriloop.domains.task import SeatCall
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import synthesise
from veriloop.proof.prove import attach_checker, prove
from veriloop.proof.replay import closing_words, replay
from veriloop.rollout.baseline import Noop, Transfer
from veriloop.rollout.driver import play
from veriloop.rollout.episode import Episode
from veriloop.rollout.experts.parcel import ParcelExpert
from veriloop.rollout.oracle import Gold, Oracle
from veriloop.rollout.scripted import ScriptedUser

TRANSFER = "transfer_to_human"


@pytest.fixture(scope="module")
def handed_over(parcel):
    """Tasks that end with a transfer, alone and after a change."""
    pair = write_plans(parcel)[0]
    tools = dict.fromkeys(pair.synthesis.tools, 1.0) | {TRANSFER: 10.0}
    plan = pair.synthesis.model_copy(update={"tools": tools, "tiers": {"single": 1.0, "compound": 1.0}})
    made = [synthesise(parcel, pair.model_copy(update={"synthesis": plan}), Order(71, n)) for n in range(30)]
    return [attach_checker(parcel, task) for task in made if task and TRANSFER in task.tags.tools]


def run(task, calls, parcel):
    made = replay(parcel, task, calls)
    return shared_sandbox().run(task.checker, [made.case(closing_words(task))])[0]


def test_people_ask_for_changes_and_for_what_only_a_person_can_do(parcel):
    names = [tool.name for tool in agent_actions(parcel)]
    assert TRANSFER in names and "update_phone" in names
    assert "get_parcel" not in names and "take_damage_photo" not in names


def test_it_is_the_last_call_and_the_task_says_whether_anything_is_written(parcel, handed_over):
    assert {task.tags.tier for task in handed_over} == {"single", "compound"}
    for task in handed_over:
        assert [step.call.name for step in task.gold].index(TRANSFER) == len(task.gold) - 1
        assert task.tags.no_write == (task.tags.tier == "single")
        assert task.wanted[-1].name == TRANSFER


def test_its_proof_catches_who_forgets_it_and_who_hurries(parcel, handed_over):
    for task in handed_over:
        proof = prove(parcel, task, shared_sandbox())
        assert proof.ok, proof.problems
        for kind in ("nothing_done", "dropped_call", "hasty_call"):
            assert proof.classes[kind].tried == proof.classes[kind].caught == 1, kind


def test_the_checker_wants_the_call_after_the_customer_is_found(parcel, handed_over):
    task = next(task for task in handed_over if task.tags.tier == "single")
    *before, call = task.gold
    assert run(task, task.gold, parcel).passed
    reworded = call.call.model_copy(update={"arguments": {"reason": "he wants to talk to somebody"}})
    assert run(task, [*before, SeatCall(seat="agent", call=reworded)], parcel).passed
    assert run(task, before, parcel).reason == f"{TRANSFER} was not called"
    assert "before what it rests on was read" in run(task, [call, *before], parcel).reason


@pytest.mark.parametrize("name", ["expert", "oracle", "gold"])
def test_players_that_do_right_pass(parcel, handed_over, name):
    tasks = {task.id: task for task in handed_over}
    agent = {"expert": ParcelExpert(), "oracle": Oracle(parcel, tasks), "gold": Gold(parcel, tasks)}[name]
    for task in handed_over:
        trace = play(Episode(parcel, task, seed=2), {"agent": agent, "user": ScriptedUser()})
        assert judge(task, trace).passed, (task.user.reason_for_call, judge(task, trace).reason)


@pytest.mark.parametrize("player", [Noop(), Transfer()])
def test_players_that_know_nothing_fail(parcel, handed_over, player):
    for task in handed_over:
        trace = play(Episode(parcel, task, seed=2), {"agent": player, "user": ScriptedUser()})
        assert not judge(task, trace).passed
