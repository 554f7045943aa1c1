"""What makes telecom's sessions cheap changes none of their answers."""

from typing import Any

import pytest

from veriloop.core.message import ToolCall
from veriloop.domains.task import Initial, SeatCall
from veriloop.domains.tau2 import rows, telecom
from veriloop.domains.tau2.telecom import load_telecom
from veriloop.domains.tau2.telecom_desk import Desk
from veriloop.domains.tau2.telecom_fault import settle
from veriloop.domains.tau2.telecom_world import load_database

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
    tables: Any = load_database("train-0")[0]
    assert copied.count("Bill") == len(tables["customers"][CALLER.key].bill_ids) < len(tables["bills"])
    assert copied.count("Plan") == 1


@pytest.mark.parametrize("name", ["L0", "B0", "P0"])
def test_rows_that_are_not_there_are_refused_in_the_packages_words(name: str) -> None:
    assert "not found" in say(DOMAIN.open(start()), "agent", "get_details_by_id", id=name)
