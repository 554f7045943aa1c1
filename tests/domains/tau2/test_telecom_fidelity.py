"""Our telecom sessions against the package's own environment: the same answers to the byte, both seats in sync."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from veriloop.core.message import Seat, ToolCall
from veriloop.domains.session import Session
from veriloop.domains.task import Initial, SeatCall
from veriloop.domains.tau2.telecom import load_telecom
from veriloop.domains.tau2.telecom_fault import settle
from veriloop.domains.tau2.telecom_session import KEYS

# isort: split
from tau2.data_model.message import ToolCall as Tau2Call
from tau2.data_model.tasks import EnvFunctionCall, InitializationData
from tau2.domains.telecom.environment import TelecomEnvironment, get_environment

DOMAIN: Any = load_telecom()
REQUESTOR: dict[Seat, Any] = {"agent": "assistant", "user": "user"}
BREAKS = (
    ("turn_airplane_mode_on", {}), ("unseat_sim_card", {}), ("lock_sim_card", {"mode": "puk"}), ("break_vpn", {}),
    ("break_apn_settings", {}), ("break_apn_mms_setting", {}), ("turn_data_off", {}), ("turn_data_saver_mode_on", {}),
    ("set_user_location", {"abroad": True}), ("set_wifi_calling", {"enabled": True, "mms_over_wifi": True}),
    ("remove_app_permission", {"app_name": "messaging", "permission": "sms"}),
)  # fmt: skip


def step(seat: Seat, name: str, **arguments: Any) -> SeatCall:
    return SeatCall(seat=seat, call=ToolCall(id=name, name=name, arguments=arguments))


def make_theirs(initial: Initial) -> TelecomEnvironment:
    """Return the package's environment, set up the way its evaluator does it."""
    theirs = get_environment()
    data = DOMAIN.dump_database(initial.database)
    actions = [
        EnvFunctionCall(env_type=REQUESTOR[s.seat], func_name=s.call.name, arguments=s.call.arguments)
        for s in initial.calls
    ]
    theirs.set_state(InitializationData(**data) if data else None, actions, [])
    return theirs


def draw_initial(rng: random.Random) -> Initial:
    database = rng.choice(("train-0", "train-7", "test-3"))
    caller = rng.choice(DOMAIN.callers(database, database.partition("-")[0]))
    breaks = [step("user", name, **arguments) for name, arguments in rng.sample(BREAKS, rng.randint(0, 3))]
    return Initial(database=database, calls=(*settle(caller), *breaks))


def draw_arguments(name: str, ours: Session, rng: random.Random) -> dict[str, Any]:
    """Return arguments that mostly fit together, in the state as it is."""
    state = ours.state
    customer = rng.choice(list(state.customers))
    found: dict[str, Any] = {
        "customer_id": customer.customer_id,
        "line_id": rng.choice(customer.line_ids),
        # Without its draft bill the package invents a random id for the next charge, and nobody can follow it.
        "bill_id": rng.choice([key for key in customer.bill_ids if state.bills.get(key).status != "Draft"]),
        "id": rng.choice([*customer.line_ids, *customer.bill_ids, "P1", "X", customer.customer_id]),
        "full_name": customer.full_name.upper(),
        "dob": customer.date_of_birth,
        "phone_number": rng.choice([line.phone_number for line in state.lines]),
        "gb_amount": rng.choice((0.5, 2.0, -1, "2")),
        "reason": "away",
        "summary": "they insist",
        "mode": rng.choice(("2g_only", "4g_5g_preferred", "3g_only", "5g", 5, None)),
        "app_name": rng.choice(("messaging", "browser", "mail")),
        "permission": rng.choice(("sms", "Storage", "camera", None)),
        "apn_settings": rng.choice(({"apn_name": "broken"}, {"mmsc_url": None}, {"apn_name": "other"}, {})),
        "limit": rng.choice((1, 12)),
    }
    parameters = DOMAIN.tools[name].parameters["properties"] if name in DOMAIN.tools else {}
    arguments = {key: found[key] for key in parameters}
    if arguments and rng.random() < 0.1:
        del arguments[rng.choice(sorted(arguments))]
    return arguments | ({"extra": 1} if rng.random() < 0.05 else {})


def play(seed: int, length: int = 30) -> dict[str, int]:
    """Make random calls on both sides and compare; return how often each write took effect."""
    rng = random.Random(seed)
    initial = draw_initial(rng)
    ours, theirs = DOMAIN.open(initial), make_theirs(initial)
    effects: dict[str, int] = {}
    writes = [name for name, tool in DOMAIN.tools.items() if tool.kind == "write"]
    for number in range(length):
        name = rng.choice([*DOMAIN.tools, *writes, "no_such_tool"])
        owner = DOMAIN.tools[name].seat if name in DOMAIN.tools else "agent"
        seat: Seat = rng.choice(("agent", "user")) if rng.random() < 0.05 else owner
        arguments = draw_arguments(name, ours, rng)
        answer = ours.call(seat, ToolCall(id=str(number), name=name, arguments=arguments))
        asked = Tau2Call(id=str(number), name=name, arguments=arguments, requestor=REQUESTOR[seat])
        expected = theirs.get_response(asked)
        assert (answer.content, answer.error) == (expected.content, expected.error), (name, arguments)
        effects[name] = effects.get(name, 0) + bool(answer.changes)
    for name in KEYS:
        assert list(getattr(ours.state, name)) == getattr(theirs.tools.db, name)
    assert ours.state.phone.device == theirs.user_tools.db.device
    assert ours.state.phone.surroundings == theirs.user_tools.db.surroundings
    return effects


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**40))
def test_random_calls_of_both_seats_are_answered_as_the_package_does(seed: int) -> None:
    play(seed)


def test_the_random_calls_do_reach_every_write() -> None:
    total: dict[str, int] = {}
    for seed in range(60):
        for name, count in play(seed).items():
            total[name] = total.get(name, 0) + count
    assert all(total.get(name, 0) > 0 for name, tool in DOMAIN.tools.items() if tool.kind == "write"), total
    assert sum(total.get(name, 0) for name, tool in DOMAIN.tools.items() if tool.kind != "write") == 0


def test_a_payment_reaches_the_account_and_a_resumed_line_the_phone() -> None:
    caller = DOMAIN.callers("train-0", "train")[1]
    state = DOMAIN.open(Initial(database="train-0")).state
    line = next(line for line in state.lines if line.phone_number == caller.known["phone_number"])
    ids = {"customer_id": caller.key, "line_id": line.line_id}
    suspend = step("agent", "suspend_line_for_overdue_bill", **ids, new_bill_id="B77", contract_ended=False)
    search = step("user", "simulate_network_search")
    session = DOMAIN.open(Initial(database="train-0", calls=(*settle(caller), suspend, search)))
    assert {change.table for change in session.changes()} >= {"service", "bills", "lines"}

    def call(seat: Seat, name: str, **arguments: Any) -> str:
        return session.call(seat, ToolCall(id=name, name=name, arguments=arguments)).content

    assert call("user", "check_payment_request") == "No payment request has been made."
    call("agent", "send_payment_request", customer_id=caller.key, bill_id="B77")
    assert "B77" in call("user", "check_payment_request")
    call("user", "make_payment")
    assert session.state.bills.get("B77").status == "Paid"
    call("agent", "resume_line", **ids)
    assert "No Signal" in call("user", "check_status_bar")
    call("user", "reboot_device")
    assert {change.table for change in session.changes()} == {"bills", "customers", "phone", "surroundings"}


def test_a_slow_vpn_stays_in_its_own_session() -> None:
    caller = DOMAIN.callers("train-0", "train")[0]
    scene = settle(caller)
    slow = DOMAIN.open(Initial(database="train-0", calls=(*scene, step("user", "break_vpn"))))
    theirs = make_theirs(Initial(database="train-0", calls=(*scene, step("user", "break_vpn"))))
    reconnect = ("disconnect_vpn", "connect_vpn", "run_speed_test")
    for name in reconnect:
        slow.call("user", ToolCall(id="1", name=name))
        theirs.get_response(Tau2Call(id="1", name=name, arguments={}, requestor="user"))
    assert "(Excellent)" not in slow.call("user", ToolCall(id="2", name="run_speed_test")).content
    other = DOMAIN.open(Initial(database="train-0", calls=scene))
    fresh = make_theirs(Initial(database="train-0", calls=scene))
    for name in ("connect_vpn", "run_speed_test"):
        answer = other.call("user", ToolCall(id="1", name=name)).content
        assert fresh.get_response(Tau2Call(id="1", name=name, arguments={}, requestor="user")).content == answer
    assert "(Excellent)" in answer
