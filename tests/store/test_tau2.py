"""Tasks of ours in tau2's format, read back by the package's own model."""

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import veriloop.domains.tau2  # noqa: F401 it quiets tau2 before that is imported
from veriloop.core.message import ToolCall
from veriloop.domains.task import Fact, Initial, Request, SeatCall, Tags, Task, UserScenario
from veriloop.store.tau2 import plain_info, to_tau2_task

# isort: split
from tau2.data_model.tasks import RewardType
from tau2.data_model.tasks import Task as Tau2Task

USER = UserScenario(
    persona="You are brief.",
    reason_for_call="You want to cancel an order.",
    known_info="Your name is Ada.",
    unknown_info="",
    task_instructions="Say nothing else.",
    identity=(Fact(label="email", text="a@b.c", value="a@b.c", kind="email"),),
    requests=(Request(topic="cancel an order"),),
)
READ = SeatCall(seat="agent", call=ToolCall(id="call_0", name="get_order_details", arguments={"order_id": "#W1"}))
WRITE = SeatCall(
    seat="agent",
    call=ToolCall(
        id="call_1", name="return_delivered_order_items", arguments={"order_id": "#W1", "item_ids": ["1", "2"]}
    ),
)
STEP = SeatCall(seat="user", call=ToolCall(id="call_2", name="toggle", arguments={"on": True, "level": 3}))


def make_task(**fields: Any) -> Task:
    given_: dict[str, Any] = {"domain": "tau2/retail", "initial": Initial(database="train-0"), "user": USER, **fields}
    return Task(**{"gold": (READ, WRITE), **given_})


def test_the_packages_model_takes_it_and_keeps_everything() -> None:
    task = make_task(told=("$1,234.50",), tags=Tags(clauses=("R1", "R2"), tier="compound"))
    exported = to_tau2_task(task)
    model = Tau2Task.model_validate(exported)
    assert model.model_dump(mode="json", exclude_none=True) == _without_none(exported)
    assert model.id == task.id
    assert model.evaluation_criteria is not None
    assert model.evaluation_criteria.reward_basis == [RewardType.DB, RewardType.COMMUNICATE]
    assert model.evaluation_criteria.communicate_info == ["$1234.50"]


def test_gold_calls_keep_order_seat_and_arguments() -> None:
    model = Tau2Task.model_validate(to_tau2_task(make_task(gold=(READ, STEP, WRITE))))
    assert model.evaluation_criteria is not None
    actions = model.evaluation_criteria.actions or []
    assert [(a.requestor, a.name, a.arguments) for a in actions] == [
        ("assistant", "get_order_details", {"order_id": "#W1"}),
        ("user", "toggle", {"on": True, "level": 3}),
        ("assistant", "return_delivered_order_items", {"order_id": "#W1", "item_ids": ["1", "2"]}),
    ]
    assert len({a.action_id for a in actions}) == 3


def test_the_scenario_is_the_users() -> None:
    model = Tau2Task.model_validate(to_tau2_task(make_task()))
    instructions = model.user_scenario.instructions
    assert not isinstance(instructions, str)
    assert (instructions.domain, instructions.reason_for_call) == ("retail", USER.reason_for_call)
    assert (instructions.known_info, instructions.unknown_info) == (USER.known_info, None)
    assert model.user_scenario.persona == USER.persona


def test_initial_calls_become_initialization_actions() -> None:
    assert to_tau2_task(make_task())["initial_state"] is None
    task = make_task(initial=Initial(database="train-0", calls=(STEP,), ticket="It is off."))
    model = Tau2Task.model_validate(to_tau2_task(task))
    assert model.ticket == "It is off."
    assert model.initial_state is not None
    actions = model.initial_state.initialization_actions or []
    assert [(a.env_type, a.func_name, a.arguments) for a in actions] == [("user", "toggle", {"on": True, "level": 3})]


@given(st.text(st.characters(codec="ascii"), max_size=30), st.text(st.characters(codec="ascii"), max_size=20))
def test_what_must_be_told_is_found_by_the_packages_matching(value: str, around: str) -> None:
    """tau2 looks for the value, lower-cased, in the message without its commas, lower-cased."""
    said = f"{around} {value}".lower().replace(",", "")
    assert plain_info(value).lower() in said


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


def test_equal_tasks_export_equal_json() -> None:
    shuffled = list(USER.model_dump().items())
    random.Random(1).shuffle(shuffled)
    again = make_task(user=UserScenario(**dict(shuffled)))
    assert to_tau2_task(again) == to_tau2_task(make_task())


HOLD = SeatCall(
    seat="user", call=ToolCall(id="holds_0", name="assert_service_status", arguments={"expected_status": "x"})
)
HAND = SeatCall(seat="agent", call=ToolCall(id="call_3", name="transfer_to_human_agents", arguments={"summary": "s"}))


def test_what_holds_at_the_end_is_judged_instead_of_the_state() -> None:
    found = to_tau2_task(make_task(holds=(HOLD,)))["evaluation_criteria"]
    assert found["reward_basis"] == ["ENV_ASSERTION"]
    assert found["env_assertions"] == [
        {"env_type": "user", "func_name": "assert_service_status", "arguments": {"expected_status": "x"}}
    ]
    assert len(found["actions"]) == 2


def test_a_hand_over_counts_whatever_its_words() -> None:
    task = make_task(holds=(HOLD,), gold=(READ, HAND), tags=Tags(no_write=True))
    model = Tau2Task.model_validate(to_tau2_task(task))
    assert model.evaluation_criteria is not None
    assert model.evaluation_criteria.reward_basis == [RewardType.ENV_ASSERTION, RewardType.ACTION]
    [action] = model.evaluation_criteria.actions or []
    assert (action.name, action.compare_args) == ("transfer_to_human_agents", [])


def test_a_database_of_ours_comes_with_the_task() -> None:
    data = {"agent_data": {"lines": []}, "user_data": None}
    assert to_tau2_task(make_task())["initial_state"] is None
    assert to_tau2_task(make_task(), data)["initial_state"]["initialization_data"] == data
    model = Tau2Task.model_validate(to_tau2_task(make_task(), data))
    assert model.initial_state is not None
