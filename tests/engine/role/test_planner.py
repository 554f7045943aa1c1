"""The meta-planner as a model: plans in turn, each told of the earlier ones; a script where the model has none."""

import asyncio
import json

import pytest

from servers import faulty
from servers.faulty import FaultyServer
from servers.roles import RoleServer
from veriloop.core.errors import PlayerError
from veriloop.engine.plan import FACETS, Scope, find_reach
from veriloop.engine.planner import FOCUS, find_closest, list_focus, write_plans
from veriloop.engine.role.planner import LEAST, ModelPlanner
from veriloop.llm.client import Client, Endpoint
from veriloop.llm.retry import Retry
from veriloop.rollout.experts import load_expert


def write(server, parcel, count, scope=None):
    planner = ModelPlanner(Client(Endpoint("m", server.base_url, retry=Retry(attempts=2, base=0.01))))
    return asyncio.run(planner.write_plans(parcel, count, scope or Scope(), 7))


def plan(**changes):
    answer = {"tools": ["hold_parcel"], "tiers": [], "personas": ["terse"], "clauses": ["P9"], "guidelines": "Hold it."}
    return faulty.say({"content": json.dumps({**answer, **changes})})


def test_many_plans_of_a_good_model_are_about_everything(parcel):
    with RoleServer(parcel, load_expert("parcel"), databases=1) as server:
        pairs, notes = write(server, parcel, 16)
    assert notes == ()
    closest = find_closest(pairs)
    assert closest and closest[0] >= LEAST
    reach = find_reach(parcel)
    for facet in ("tools", "personas", "clauses"):
        assert {name for pair in pairs for name in list_focus(pair.synthesis)[facet]} == set(getattr(reach, facet))


def test_names_become_weights_and_words_stay(parcel):
    with FaultyServer(plan(tiers=["refusal"], user_steps=2.0)) as server:
        (pair,), _ = write(server, parcel, 1)
    found = pair.synthesis
    assert (found.tools["hold_parcel"], found.tools["return_to_sender"]) == (FOCUS, 1.0)
    assert list_focus(found) == {
        "tools": ["hold_parcel"], "tiers": ["refusal"], "personas": ["terse"], "clauses": ["P9"],
    }  # fmt: skip
    assert (found.user_steps, found.guidelines) == (2.0, "Hold it.")
    assert all(getattr(found, facet).keys() == getattr(find_reach(parcel), facet).keys() for facet in FACETS)


def test_each_is_told_of_those_before(parcel):
    with FaultyServer(plan(), plan(tools=["return_to_sender"], guidelines="Back it goes.")) as server:
        write(server, parcel, 2)
    first, second = (body["messages"][0]["content"] for body, *_ in server.requests)
    assert "plan 1 of 2" in first and "The earlier plans" not in first
    assert "hold_parcel (1)" in second and "hold_parcel (0)" in first
    assert "- plan-0: tools hold_parcel; personas terse; clauses P9; Hold it." in second


def test_a_repeated_plan_goes_back(parcel):
    with FaultyServer(plan(), plan(), plan(tools=["return_to_sender"])) as server:
        pairs, notes = write(server, parcel, 2)
    assert "this is plan-0 again (distance 0.000)" in server.requests[2][0]["messages"][-1]["content"]
    assert (len(pairs), notes) == (2, ())


@pytest.mark.parametrize("wrong", [{"tools": ["fly"]}, {"tools": []}, {"personas": ["grim"]}, {"guidelines": ""}])
def test_what_no_answer_gives_is_written_by_script_and_said(parcel, wrong):
    with FaultyServer(*[plan(**wrong)] * 3, plan(tools=["return_to_sender"])) as server:
        pairs, notes = write(server, parcel, 2)
    assert pairs[0].synthesis == write_plans(parcel, 2, seed=7)[0].synthesis
    assert list_focus(pairs[1].synthesis)["tools"] == ["return_to_sender"]
    assert len(notes) == 1 and notes[0].startswith("plan-0 is written by script: no usable PlanAnswer in 3 answers")


def test_plans_keep_to_the_scope(parcel):
    with FaultyServer(plan(), plan(clauses=[])) as server:
        pairs, _ = write(server, parcel, 1, Scope(tools=("hold_parcel",), tiers=("single",)))
    assert "clauses: there is no P9" in server.requests[1][0]["messages"][-1]["content"]
    assert set(pairs[0].synthesis.tools) == {"hold_parcel"}


def test_an_endpoint_that_is_down_ends_the_planning(parcel):
    with FaultyServer(*[faulty.status(500)] * 9) as server, pytest.raises(PlayerError):
        write(server, parcel, 1)
