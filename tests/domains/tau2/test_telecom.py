from typing import Any

import pytest

from veriloop.core.errors import InputError
from veriloop.core.message import ToolCall
from veriloop.domains.registry import load_domain
from veriloop.domains.task import Initial, SeatCall
from veriloop.domains.tau2.telecom_fault import settle
from veriloop.domains.tau2.telecom_session import KEYS, SYMPTOM_TABLES
from veriloop.domains.tau2.telecom_world import load_database, split_of

DOMAIN: Any = load_domain("tau2/telecom")


def open_for(place: int, database: str = "train-0", *calls: SeatCall) -> Any:
    caller = DOMAIN.callers(database, database.partition("-")[0])[place]
    return DOMAIN.open(Initial(database=database, calls=(*settle(caller), *calls)))


def act(session: Any, seat: Any, name: str, **arguments: Any) -> Any:
    return session.call(seat, ToolCall(id="1", name=name, arguments=arguments))


def test_both_seats_have_the_packages_tools_and_the_policy_its_manual() -> None:
    seats = [tool.seat for tool in DOMAIN.tools.values()]
    assert (seats.count("agent"), seats.count("user")) == (13, 30)
    assert "Telecom Agent Policy" in DOMAIN.policy
    assert "Troubleshooting MMS Problems" in DOMAIN.policy


def test_databases_are_made_from_their_ids_and_share_nothing() -> None:
    keys: set[str] = set()
    phones: set[str] = set()
    for database in ("train-0", "train-1", "test-0", "test-1", "package-0"):
        tables: Any = load_database(database)[0]
        found = {key for name in KEYS for key in tables[name]}
        numbers = {line.phone_number for line in tables["lines"].values()}
        assert not (keys & found or phones & numbers)
        keys |= found
        phones |= numbers
    first = DOMAIN.callers("train-3", "train")
    load_database.cache_clear()
    assert DOMAIN.callers("train-3", "train") == first


def test_no_person_is_in_both_splits_or_in_the_packages_database() -> None:
    people = {
        split: {caller.name for index in range(30) for caller in DOMAIN.callers(f"{split}-{index}", split)}
        for split in ("train", "test")
    }
    assert not people["train"] & people["test"]
    assert all(split_of(name) == split for split, names in people.items() for name in names)
    package: Any = load_database("package-0")[0]["customers"]
    assert not (people["train"] | people["test"]) & {row.full_name for row in package.values()}
    assert "John Smith" not in {caller.name for caller in DOMAIN.callers("package-0", "test")}, "held out"


def test_a_database_holds_what_its_rows_refer_to_and_every_customer_has_one_draft_bill() -> None:
    for index in range(20):
        tables: Any = load_database(f"train-{index}")[0]
        for customer in tables["customers"].values():
            bills = [tables["bills"][key] for key in customer.bill_ids]
            assert [bill.status for bill in bills].count("Draft") == 1
            assert all(bill.customer_id == customer.customer_id for bill in bills)
            lines = [tables["lines"][key] for key in customer.line_ids]
            assert [line.status for line in lines if line.phone_number == customer.phone_number] == ["Active"]
            for line in lines:
                assert line.data_used_gb < tables["plans"][line.plan_id].data_limit_gb
                assert line.device_id in tables["devices"]


def test_the_phone_that_a_customer_calls_about_is_not_always_on_their_first_line() -> None:
    places = set[int]()
    for index in range(20):
        tables: Any = load_database(f"train-{index}")[0]
        for customer in tables["customers"].values():
            numbers = [tables["lines"][key].phone_number for key in customer.line_ids]
            places.add(numbers.index(customer.phone_number))
    assert places == {0, 1, 2}


def test_refuelling_is_charged_to_the_draft_bill() -> None:
    session = open_for(0)
    customer = next(iter(session.state.customers))
    done = act(
        session, "agent", "refuel_data", customer_id=customer.customer_id, line_id=customer.line_ids[0], gb_amount=1.0
    )
    assert {change.table for change in done.changes} == {"bills", "lines"}
    assert len(list(session.state.bills)) == len(load_database("train-0")[0]["bills"])


def test_what_the_user_notices_is_a_row_that_differs_only_while_it_does() -> None:
    session = open_for(0)
    assert not {change.table for change in session.changes()} & set(SYMPTOM_TABLES)
    act(session, "user", "toggle_airplane_mode")
    assert {change.table for change in session.changes()} >= set(SYMPTOM_TABLES)
    act(session, "user", "toggle_airplane_mode")
    assert not {change.table for change in session.changes()} & set(SYMPTOM_TABLES)


def test_sessions_do_not_share_and_forks_are_independent() -> None:
    one, other = open_for(0), open_for(0)
    fork = one.fork()
    act(one, "user", "toggle_data")
    assert one.digest() != other.digest() == fork.digest()
    act(fork, "user", "toggle_data")
    assert one.digest() == fork.digest()


def test_rows_of_the_phone_are_flat() -> None:
    session = open_for(0)
    act(session, "user", "set_network_mode_preference", mode="2g_only")
    act(session, "user", "set_apn_settings", apn_settings={"mmsc_url": None})
    rows = {change.table: change.after for change in session.changes()}
    assert rows["phone"]["network_mode_preference"] == "2g_only"
    assert rows["phone"]["apn_mmsc_url"] is None


def test_settings_of_the_wrong_type_are_kept_as_the_package_keeps_them() -> None:
    session = open_for(0)
    assert act(session, "user", "set_apn_settings", apn_settings="default").error
    assert act(session, "user", "check_apn_settings").error
    assert {change.table for change in session.changes()} >= {"phone", "mms"}


@pytest.mark.parametrize("database", ["train", "other-1", "train-x", ""])
def test_unknown_databases_are_named(database: str) -> None:
    with pytest.raises(InputError, match="train-N, test-N or package-0"):
        DOMAIN.open(Initial(database=database))


def test_unknown_splits_and_initial_calls_that_fail_are_named() -> None:
    with pytest.raises(InputError, match="unknown split"):
        DOMAIN.database("dev", 0)
    wrong = SeatCall(seat="user", call=ToolCall(id="1", name="no_such_function"))
    with pytest.raises(InputError, match="initial call no_such_function of train-0"):
        open_for(0, "train-0", wrong)


def test_functions_that_are_no_tools_cannot_be_called_in_a_dialogue() -> None:
    answer = act(open_for(0), "user", "unseat_sim_card")
    assert answer.error
    assert answer.content == "Error: Tool 'unseat_sim_card' not found."
