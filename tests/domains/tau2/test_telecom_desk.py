"""What makes telecom's sessions cheap changes none of their answers."""

from typing import Any

import pytest

from veriloop.core.message import ToolCall
from veriloop.domains.task import Initial, SeatCall
from veriloop.domains.tau2 import rows, telecom
from veriloop.domains.tau2.telecom import load_telecom
from veriloop.domains.tau2.telecom_desk import Desk
from veriloop.domains.tau2.telecom_fault import settle

# isort: split
from tau2.domains.telecom.data_model import BillStatus

DOMAIN: Any = load_telecom()
CALLER = DOMAIN.callers("train-0", "train")[1]
LINES: Any = DOMAIN.load("train-0")[0]["lines"]
LINE = next(line for line in LINES.values() if line.phone_number == CALLER.known["phone_number"])


def step(seat: Any, name: str, **arguments: Any) -> SeatCall:
    return SeatCall(seat=seat, call=ToolCall(id=name, name=name, arguments=arguments))


def start(*steps: SeatCall) -> Initial:
    return Initial(database="train-0", calls=(*settle(CALLER), *steps))


def say(session: Any, seat: Any, name: str, **arguments: Any) -> str:
    return session.call(seat, ToolCall(id="1", name=name, arguments=arguments)).content


def use_data(amount: float) -> Initial:
    ids = {"customer_id": CALLER.key, "line_id": LINE.line_id}
    return start(step("agent", "set_data_usage", **ids, data_used_gb=amount))


def test_a_scene_is_set_once_and_no_session_changes_it() -> None:
    initial = start(step("user", "turn_data_off"))
    first = DOMAIN.open(initial)
    opened, set_before = first.digest(), telecom._set_scene.cache_info().misses
    say(first, "user", "toggle_data")
    say(first, "agent", "enable_roaming", customer_id=CALLER.key, line_id=LINE.line_id)
    again = DOMAIN.open(initial.model_copy(deep=True))
    assert telecom._set_scene.cache_info().misses == set_before
    assert again.digest() == opened != first.digest()
    assert "Mobile Data Enabled: No" in say(again, "user", "check_network_status")


def test_scenes_that_are_spelled_otherwise_are_others() -> None:
    shown = [say(DOMAIN.open(use_data(amount)), "agent", "get_details_by_id", id=LINE.line_id) for amount in (1, 1.0)]
    assert ['"data_used_gb": 1,' in text for text in shown] == [True, False]


def test_scenes_of_another_database_under_the_same_id_are_others() -> None:
    accounts = DOMAIN.snapshot("train-0")
    for row in accounts["lines"]:
        row["roaming_enabled"] = not row["roaming_enabled"]
    other = DOMAIN.mount(accounts, {})
    shown = [say(one.open(start()), "agent", "get_details_by_id", id=LINE.line_id) for one in (DOMAIN, other)]
    assert shown[0] != shown[1]
    assert shown == [say(one.open(start()), "agent", "get_details_by_id", id=LINE.line_id) for one in (DOMAIN, other)]


def test_a_scene_that_cannot_be_set_is_refused_each_time() -> None:
    for _ in range(2):
        with pytest.raises(Exception, match="initial call no_such_function"):
            DOMAIN.open(start(step("user", "no_such_function")))


def test_reading_brings_nothing_in_sync() -> None:
    session = DOMAIN.open(start())
    draft = session.state.draft()
    draft.phone.surroundings.line_active = False
    answer = Desk().read(draft).make_tool_call("check_status_bar", requestor="user")
    assert answer.startswith("Status Bar")
    assert draft.phone.surroundings.line_active is False
    Desk().write(draft).sync_tools()
    assert draft.phone.surroundings.line_active is True


def test_laying_an_environment_over_a_state_writes_nothing_yet() -> None:
    draft = DOMAIN.open(start()).state.draft()
    draft.phone.surroundings.line_active = False
    Desk().write(draft)
    assert draft.phone.surroundings.line_active is False


def test_both_environments_know_the_packages_tools_and_no_more() -> None:
    desk, state = Desk(), DOMAIN.open(start()).state
    for environment in (desk.read(state), desk.write(state)):
        assert environment.tools is not None
        assert environment.user_tools is not None
        assert {*environment.tools.tools, *environment.user_tools.tools} == set(DOMAIN.tools)
        assert environment.user_tools.tools is environment.user_tools.tools, "gathered once"


def test_a_call_copies_only_the_rows_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    real = rows.copy_deeply

    def count(row: Any) -> Any:
        copied.append(type(row).__name__)
        return real(row)

    session = DOMAIN.open(start())
    monkeypatch.setattr(rows, "copy_deeply", count)
    say(session, "user", "toggle_data")
    assert {name: copied.count(name) for name in ("Bill", "Customer", "Line", "Plan")} == {
        "Bill": 0, "Customer": 1, "Line": 1, "Plan": 1,
    }  # fmt: skip


def test_what_is_looked_for_in_a_draft_is_its_own_row_as_it_is_by_then() -> None:
    draft = DOMAIN.open(start()).state.draft()
    toolkit: Any = Desk().write(draft).tools
    customer = toolkit.get_customer_by_id(CALLER.key)
    customer.phone_number = "555-000-0000"
    assert toolkit.get_customer_by_phone("555-000-0000") is customer is draft.customers.get(CALLER.key)
    bill = toolkit._get_bill_by_id(customer.bill_ids[0])
    bill.status = BillStatus.AWAITING_PAYMENT
    assert [row is bill for row in toolkit._get_bills_awaiting_payment(customer)] == [True]
    line = toolkit._get_line_by_id(LINE.line_id)
    line.phone_number = "555-111-1111"
    assert toolkit._get_line_by_phone("555-111-1111") is line is not LINE
    assert toolkit._get_plan_by_id(LINE.plan_id) is draft.plans.get(LINE.plan_id)
    assert (LINE.phone_number, toolkit.db) == (CALLER.known["phone_number"], draft)


def test_a_search_in_vain_leaves_the_draft_in_its_place() -> None:
    draft = DOMAIN.open(start()).state.draft()
    toolkit: Any = Desk().write(draft).tools
    with pytest.raises(ValueError, match="Line with phone number 1 not found"):
        toolkit._get_line_by_phone("1")
    assert toolkit.db is draft


@pytest.mark.parametrize("name", ["L0", "B0", "P0", "C0"])
def test_rows_that_are_not_there_are_refused_in_the_packages_words(name: str) -> None:
    assert "not found" in say(DOMAIN.open(start()), "agent", "get_details_by_id", id=name)
