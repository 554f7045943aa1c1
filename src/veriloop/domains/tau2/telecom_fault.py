"""What can be wrong with a telecom line or phone, in the order in which the support workflow looks for it."""

from collections.abc import Callable
from typing import Any

from veriloop.core.message import Seat, ToolCall
from veriloop.domains.defect import Defect, Fault, Scene, Symptom, Troubles
from veriloop.domains.domain import Caller
from veriloop.domains.task import Fact, SeatCall
from veriloop.domains.tau2.telecom_clause import MAX_REFUEL_GB
from veriloop.domains.tau2.telecom_session import EXCELLENT_MBPS, PHONE_TABLES
from veriloop.domains.tau2.telecom_ticket import write_ticket

ALL, DATA = ("service", "internet", "mms"), ("internet", "mms")
PLACES = ("France", "Japan", "Brazil", "Kenya", "Portugal", "Canada")
AMOUNTS = (0.5, 1.0, 1.5, 2.0)
NEUTRAL = frozenset(
    {"set_user_info", "set_user_location", "turn_roaming_on", "enable_roaming", "simulate_network_search"}
)


def _call(seat: Seat, name: str, /, **arguments: Any) -> SeatCall:
    return SeatCall(seat=seat, call=ToolCall(id=name, name=name, arguments=arguments))


def _user(name: str, /, **arguments: Any) -> SeatCall:
    return _call("user", name, **arguments)


def _agent(name: str, /, **arguments: Any) -> SeatCall:
    return _call("agent", name, **arguments)


def settle(caller: Caller) -> tuple[SeatCall, ...]:
    """Return the initial call that puts the phone into a caller's hand."""
    return (_user("set_user_info", name=caller.name, phone_number=caller.known["phone_number"]),)


def _line(scene: Scene) -> Any:
    number = scene.caller.known["phone_number"]
    return next(line for line in scene.state.lines if line.phone_number == number)


def _ids(scene: Scene) -> dict[str, str]:
    return {"customer_id": scene.caller.key, "line_id": _line(scene).line_id}


def _show(*names: str, **arguments: Any) -> Callable[[Scene], tuple[SeatCall, ...]]:
    return lambda _: tuple(_user(name, **arguments) for name in names)


def _show_line(scene: Scene) -> tuple[SeatCall, ...]:
    ids = _ids(scene)
    bills = _agent("get_bills_for_customer", customer_id=ids["customer_id"])
    return (_agent("get_details_by_id", id=ids["line_id"]), bills)


def _show_roaming(scene: Scene) -> tuple[SeatCall, ...]:
    return (_user("check_network_status"), _agent("get_details_by_id", id=_line(scene).line_id))


def _show_usage(scene: Scene) -> tuple[SeatCall, ...]:
    return (_agent("get_data_usage", **_ids(scene)),)


def _on_phone(breaks: SeatCall, *cure: SeatCall) -> Callable[[Scene], Fault | None]:
    return lambda _: Fault((breaks,), cure)


def _suspend(contract_ended: bool) -> Callable[[Scene], Fault | None]:
    def find(scene: Scene) -> Fault | None:
        ids, bill = _ids(scene), f"B{scene.rng.randint(60000, 99999)}"
        owner = scene.state.customers.get(ids["customer_id"])
        if any(scene.state.bills.get(key).status == "Overdue" for key in owner.bill_ids):
            return None
        owed = {"new_bill_id": bill, "contract_ended": contract_ended}
        # The phone notices only when it looks for a network again.
        breaks = (_agent("suspend_line_for_overdue_bill", **ids, **owed), _user("simulate_network_search"))
        if contract_ended:
            # Whether the debt is settled before the hand-over is the customer's own choice.
            return Fault(breaks, free=("bills",))
        cure = (
            _agent("send_payment_request", customer_id=ids["customer_id"], bill_id=bill),
            _user("check_payment_request"),
            _user("make_payment"),
            _agent("get_details_by_id", id=bill),
            _agent("resume_line", **ids),
            _user("reboot_device"),
        )
        return Fault(breaks, cure, holds=(_agent("assert_no_overdue_bill", overdue_bill_id=bill),))

    return find


def _roam(*, phone: bool, line: bool) -> Callable[[Scene], Fault | None]:
    """Return the fault of a customer abroad for whom roaming is off on the phone, on the line or on both."""

    def find(scene: Scene) -> Fault | None:
        ids, place = _ids(scene), scene.rng.choice(PLACES)
        away = (_user("set_user_location", abroad=True), _user("turn_roaming_on"), _agent("enable_roaming", **ids))
        breaks = (*away, *((_user("turn_roaming_off"),) if phone else ()))
        breaks += (_agent("disable_roaming", **ids), _user("simulate_network_search")) if line else ()
        cure = ((_user("toggle_roaming"),) if phone else ()) + ((_agent("enable_roaming", **ids),) if line else ())
        return Fault(breaks, cure, facts=(_place(f"abroad, in {place}"),))

    return find


def _exceed(*, refueled: bool) -> Callable[[Scene], Fault | None]:
    """Return the fault of a line whose data is used up, with the refuelling that is allowed used up too if wanted."""

    def find(scene: Scene) -> Fault | None:
        ids, line = _ids(scene), _line(scene)
        amount = max(AMOUNTS) if scene.silent else scene.rng.choice(AMOUNTS)
        limit = scene.state.plans.get(line.plan_id).data_limit_gb
        extra = float(MAX_REFUEL_GB) if refueled else 0.0
        over = scene.rng.uniform(0.1, 0.9 * amount) if scene.alone else amount / 2
        used = _agent("set_data_usage", **ids, data_used_gb=round(limit + extra + over, 2))
        if refueled:
            return Fault((_agent("refuel_data", **ids, gb_amount=extra), used))
        holds = (_agent("assert_data_refueling_amount", **ids, expected_amount=amount),)
        cure = (_agent("refuel_data", **ids, gb_amount=amount),)
        return Fault((used,), cure, facts=(_amount(amount),), holds=holds)

    return find


def _place(text: str) -> Fact:
    return Fact(label="current location", text=text, value=None, kind="location")


def _amount(amount: float) -> Fact:
    return Fact(label="amount of data to add if that is needed", text=f"{amount} GB", value=amount, kind="gb_amount")


def _tell_nothing(_: Scene) -> tuple[Fact, ...]:
    return ()


def _tell(scene: Scene) -> tuple[Fact, ...]:
    return (_place("at home"), _amount(scene.rng.choice(AMOUNTS)))


_GRANT = "grant_app_permission"
_APN = (_user("reset_apn_settings"), _user("reboot_device"))


def _forbid(permission: str) -> Defect:
    which = {"app_name": "messaging", "permission": permission}
    find = _on_phone(_user("remove_app_permission", **which), _user(_GRANT, **which))
    return Defect(f"no_{permission}_permission", ("mms",), _show("check_app_permissions", app_name="messaging"), find)


def _prefer(mode: str, symptoms: tuple[str, ...]) -> Defect:
    cure = _user("set_network_mode_preference", mode="4g_5g_preferred")
    find = _on_phone(_user("set_network_mode_preference", mode=mode), cure)
    return Defect(f"prefers_{mode}", symptoms, _show("check_network_mode_preference"), find, "mode")


DEFECTS = (
    Defect("airplane_mode_on", ALL, _show("check_network_status"),
           _on_phone(_user("turn_airplane_mode_on"), _user("toggle_airplane_mode"))),
    Defect("sim_missing", ALL, _show("check_sim_status"),
           _on_phone(_user("unseat_sim_card"), _user("reseat_sim_card")), "sim"),
    Defect("sim_locked_by_pin", ALL, _show("check_sim_status"),
           _on_phone(_user("lock_sim_card", mode="pin")), "sim", curable=False),
    Defect("sim_locked_by_puk", ALL, _show("check_sim_status"),
           _on_phone(_user("lock_sim_card", mode="puk")), "sim", curable=False),
    Defect("apn_broken", ALL, _show("check_apn_settings"), _on_phone(_user("break_apn_settings"), *_APN), "apn"),
    Defect("line_suspended", ALL, _show_line, _suspend(contract_ended=False), "line"),
    Defect("contract_ended", ALL, _show_line, _suspend(contract_ended=True), "line", curable=False),
    Defect("phone_not_roaming", DATA, _show_roaming, _roam(phone=True, line=False), "roaming"),
    Defect("line_not_roaming", DATA, _show_roaming, _roam(phone=False, line=True), "roaming"),
    Defect("nothing_roaming", DATA, _show_roaming, _roam(phone=True, line=True), "roaming"),
    Defect("data_off", DATA, _show("check_network_status"), _on_phone(_user("turn_data_off"), _user("toggle_data"))),
    Defect("data_used_up", DATA, _show_usage, _exceed(refueled=False), "usage"),
    Defect("refuelling_used_up", DATA, _show_usage, _exceed(refueled=True), "usage", curable=False),
    Defect("data_saver_on", ("internet",), _show("check_data_restriction_status"),
           _on_phone(_user("turn_data_saver_mode_on"), _user("toggle_data_saver_mode"))),
    _prefer("2g_only", DATA),
    _prefer("3g_only", ("internet",)),
    Defect("vpn_slow", ("internet",), _show("check_vpn_status"),
           _on_phone(_user("break_vpn"), _user("disconnect_vpn"))),
    Defect("wifi_calling_on", ("mms",), _show("check_wifi_calling_status"),
           _on_phone(_user("set_wifi_calling", enabled=True, mms_over_wifi=True), _user("toggle_wifi_calling"))),
    _forbid("sms"),
    _forbid("storage"),
    Defect("no_mmsc_address", ("mms",), _show("check_apn_settings"),
           _on_phone(_user("break_apn_mms_setting"), *_APN), "apn"),
)  # fmt: skip


def _speed(expected: float, description: str | None) -> SeatCall:
    return _user("assert_internet_speed", expected_speed=expected, expected_desc=description)


SYMPTOMS = (
    Symptom(
        "service", "service",
        ("get service back on the phone", "have a signal on the phone again", "be able to make calls again",
         "get rid of the no-service sign on the phone"),
        _user("check_status_bar"), _tell_nothing,
        holds=(_user("assert_service_status", expected_status="connected"),),
        lacks=(_user("assert_service_status", expected_status="no_service"),),
    ),
    Symptom(
        "internet", "internet",
        ("get excellent mobile data speed on the phone", "have mobile internet at excellent speed again",
         "get mobile data working at excellent speed", "browse with mobile data at excellent speed again"),
        _user("run_speed_test"), _tell,
        holds=(_user("assert_mobile_data_status", expected_status=True), _speed(EXCELLENT_MBPS, "excellent")),
        lacks=(_user("assert_mobile_data_status", expected_status=False),),
    ),
    Symptom(
        "mms", "mms",
        ("send picture messages again", "be able to send a photo with the messaging app",
         "get picture messages sent", "have MMS working on the phone again"),
        _user("can_send_mms"), _tell,
        holds=(_user("assert_can_send_mms", expected_status=True),),
        lacks=(_user("assert_can_send_mms", expected_status=False),),
    ),
)  # fmt: skip

TROUBLES = Troubles(
    symptoms=SYMPTOMS,
    defects=DEFECTS,
    free=PHONE_TABLES,
    neutral=NEUTRAL,
    identity="phone_number",
    handover=_agent("transfer_to_human_agents", summary="The issue cannot be fixed here."),
    settle=settle,
    write_ticket=write_ticket,
)
