import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from veriloop.core.message import ToolCall, Turn
from veriloop.domains.domain import Domain
from veriloop.domains.perspective import render_scenario, seat_tools, system_text, visible_turns
from veriloop.domains.task import Fact, Initial, Provenance, Request, Task, UserScenario


def scenario(**fields: str) -> UserScenario:
    texts = {"persona": "", "reason_for_call": "", "known_info": "", "unknown_info": "", "task_instructions": ""}
    return UserScenario(**{**texts, **fields})  # pyright: ignore[reportArgumentType]


def make_task(**fields: object) -> Task:
    return Task(**{"domain": "d", "initial": Initial(database="train-0"), "user": scenario(), "gold": (), **fields})  # pyright: ignore[reportArgumentType]


def test_id_is_that_of_the_content():
    task = make_task(told=("3 days",))
    assert task.id == make_task(told=("3 days",)).id
    assert task.id == make_task(told=("3 days",), provenance=Provenance(seed=9, item=3)).id
    assert task.id == make_task(told=("3 days",), version=0).id
    assert task.id == make_task(told=("3 days",), refused=()).id, "what is left out and what is empty are one"
    others = [make_task(), make_task(told=("4 days",)), make_task(told=("3 days",), checker="pass")]
    assert task.id not in {other.id for other in others}


def test_a_copy_has_an_id_of_its_own():
    task = make_task(told=("3 days",))
    known = task.id
    changed = task.model_copy(update={"told": ("4 days",)})
    assert changed.id == make_task(told=("4 days",)).id != known
    assert (task.id, task.model_copy().id) == (known, known)


@given(st.text(), st.lists(st.text(), max_size=3), st.none() | st.integers() | st.text() | st.lists(st.integers()))
def test_task_survives_json(persona: str, told: list[str], value: object):
    fact = Fact(label="l", text="t", value=value, kind="k")  # pyright: ignore[reportArgumentType]
    user = scenario(persona=persona).model_copy(update={"requests": (Request(topic="x", facts=(fact,)),)})
    task = make_task(user=user, told=tuple(told))
    again = Task.model_validate_json(task.model_dump_json())
    assert again == task
    assert again.id == task.id


def test_unknown_fields_are_refused():
    with pytest.raises(ValidationError):
        make_task(surprise=1)


def test_scenario_leaves_out_what_is_empty():
    assert render_scenario(scenario(persona="calm", known_info="a name")) == "Persona: calm\nKnown info: a name"


def test_system_text_by_seat(parcel: Domain):
    plain, ticket = make_task(), make_task(initial=Initial(database="train-0", ticket="No. 5"))
    assert system_text(parcel, plain, "agent") == parcel.policy
    assert system_text(parcel, ticket, "agent") == parcel.policy, "it is heard, not read in the policy"
    assert system_text(parcel, ticket, "user") == render_scenario(ticket.user)


def test_seats_share_no_tool(parcel: Domain):
    agent, user = ({tool.name for tool in seat_tools(parcel, seat)} for seat in ("agent", "user"))
    assert agent and user and not agent & user
    assert agent | user == set(parcel.tools)


def test_silent_turns_of_the_other_seat_are_hidden():
    call = (ToolCall(id="1", name="x"),)
    turns = [
        Turn(seat="agent", content="hello"),
        Turn(seat="user", tool_calls=call),
        Turn(seat="user", content="hi"),
        Turn(seat="agent", content="aside", tool_calls=call),
        Turn(seat="agent", content=""),
    ]
    assert visible_turns(turns, "agent") == (turns[0], turns[2], turns[3], turns[4])
    assert visible_turns(turns, "user") == (turns[0], turns[1], turns[2])
