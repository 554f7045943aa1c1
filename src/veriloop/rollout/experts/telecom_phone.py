"""Technical support as the telecom workflow has it: what to look at in which order, and what to do about it."""

import json
import re
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from veriloop.core.message import Message
from veriloop.rollout.experts.talk import HandOverError, call, confirm, say
from veriloop.rollout.wording import Forms, find_told


@dataclass(frozen=True, slots=True)
class Step:
    """Something to be done on the phone: the name of its tool and the arguments."""

    tool: str
    arguments: dict[str, Any]


Talk = Generator[Message | Step, str, Any]
"""Yields what to say, call or have done and is sent what came of it: a tool's result or what the user said."""
_TODAY = re.compile(r"current time is (\d{4}-\d{2}-\d{2})")
_AWAY = re.compile(r"abroad, in \w+|\babroad\b", re.IGNORECASE)
_AMOUNT = re.compile(r"\b(\d+(?:\.\d+)?) GB\b")
_LEAVE = re.compile(r"\bpa(y|id|yments?)\b", re.IGNORECASE)
STEPS = {
    "check_status_bar": "look at your status bar",
    "check_network_status": "check your network connection status",
    "check_network_mode_preference": "check which preferred network mode is chosen",
    "set_network_mode_preference": "choose another preferred network mode",
    "run_speed_test": "run a speed test",
    "toggle_airplane_mode": "switch airplane mode",
    "check_sim_status": "check whether your SIM card is active, missing or locked",
    "reseat_sim_card": "take your SIM card out and reseat it",
    "toggle_data": "flip the mobile data switch",
    "toggle_roaming": "turn roaming around on your handset",
    "check_data_restriction_status": "check for restrictions such as data saver",
    "toggle_data_saver_mode": "switch data saver mode",
    "check_apn_settings": "check the APN settings and the MMSC address",
    "reset_apn_settings": "reset APN settings to their defaults",
    "check_wifi_calling_status": "check whether Wi-Fi Calling is enabled",
    "toggle_wifi_calling": "switch Wi-Fi calling mode",
    "check_vpn_status": "check whether a VPN is connected",
    "disconnect_vpn": "disconnect from the VPN",
    "check_app_permissions": "check which permissions this app has",
    "grant_app_permission": "grant this app another permission",
    "can_send_mms": "check whether picture messages can be sent",
    "reboot_device": "restart your phone",
    "check_payment_request": "check whether there is a payment request",
    "make_payment": "make the payment that was requested",
}
"""What the user is asked to do, by the name of their tool."""
BEST_MODE = "4g_5g_preferred"
MAX_GB = 2.0


@dataclass
class Desk:
    """What is known in one dialogue. heard: what the user has said of the present wish. forms: how facts are told.

    alone: there is a ticket and nobody to ask.
    """

    system: str
    heard: list[str]
    forms: dict[str, Forms] = field(default_factory=dict)
    customer: dict[str, Any] = field(default_factory=dict)
    number: str = ""
    alone: bool = False

    @property
    def said(self) -> str:
        """All that the user has said of the present wish."""
        return " ".join(self.heard)

    def find_fact(self, label: str) -> str | None:
        """Return what the user said last a thing is."""
        texts = find_told(self.said, label, self.forms.get(label))
        return texts[-1] if texts else None

    def is_past(self, day: str | None) -> bool:
        """Return whether a day is over, by the policy's date."""
        today = _TODAY.search(self.system)
        return bool(day and today and day < today[1])

    def read_lines(self) -> Talk:
        """Return the customer's lines."""
        lines = list[dict[str, Any]]()
        for line_id in self.customer["line_ids"]:
            details = yield call("get_details_by_id", id=line_id)
            lines.append(json.loads(details))
        return lines


def ask(step: str, /, **arguments: str) -> Step:
    """Return a step to be done on the phone."""
    return Step(step, arguments)


def word_step(step: Step) -> Message:
    """Return the sentence that asks the user for a step."""
    chosen = f" ({', '.join(step.arguments.values())})" if step.arguments else ""
    return say(f"Please do this on your phone: {STEPS[step.tool]}{chosen}")


def repair(desk: Desk, symptom: str) -> Talk:
    """Get rid of a symptom; raises HandOverError when that cannot be done here."""
    line = yield from _find_line(desk)
    path = {"service": _restore_service, "internet": _restore_internet, "mms": _restore_mms}[symptom]
    yield from path(desk, line)


def _find_line(desk: Desk) -> Talk:
    for line_id in desk.customer["line_ids"]:
        line = json.loads((yield call("get_details_by_id", id=line_id)))
        if line["phone_number"] == desk.number:
            return line
    raise HandOverError("The customer's phone number is on none of their lines.")


def _has_service(bar: str) -> bool:
    return "No Signal" not in bar and "Airplane Mode" not in bar


def _restore_service(desk: Desk, line: dict[str, Any]) -> Talk:
    if _has_service((yield ask("check_status_bar"))):
        return
    if "Airplane Mode: ON" in (yield ask("check_network_status")):
        yield ask("toggle_airplane_mode")
    sim = yield ask("check_sim_status")
    if "No SIM card" in sim:
        yield ask("reseat_sim_card")
        sim = yield ask("check_sim_status")
    if "locked" in sim:
        raise HandOverError("The SIM card is locked.")
    if "broken" in (yield ask("check_apn_settings")):
        yield from _reset_apn()
    if line["status"] == "Suspended":
        yield from _settle_debt(desk, line)
        yield from lift_suspension(desk, line)
        yield ask("reboot_device")
    if not _has_service((yield ask("check_status_bar"))):
        raise HandOverError("There is still no service.")


def _reset_apn() -> Talk:
    yield ask("reset_apn_settings")
    yield ask("reboot_device")


def _settle_debt(desk: Desk, line: dict[str, Any]) -> Talk:
    """Have all overdue bills paid, one after the other; raises HandOverError where that would not help.

    Alone, it looks at the line once more: what is decided on then was read last, which is easier to learn from.
    """
    customer_id = desk.customer["customer_id"]
    bills = json.loads((yield call("get_bills_for_customer", customer_id=customer_id)))
    if desk.alone:
        line = json.loads((yield call("get_details_by_id", id=line["line_id"])))
    if desk.is_past(line["contract_end_date"]):
        raise HandOverError("The line's contract has ended.")
    if desk.alone and not _LEAVE.search(desk.said):
        raise HandOverError("The ticket gives no permission to make payments.")
    for bill in (bill for bill in bills if bill["status"] == "Overdue"):
        yield from confirm(f"Bill {bill['bill_id']} of {bill['total_due']} USD is overdue.{_repeat(desk)}")
        yield call("send_payment_request", customer_id=customer_id, bill_id=bill["bill_id"])
        yield ask("check_payment_request")
        yield ask("make_payment")
        if json.loads((yield call("get_details_by_id", id=bill["bill_id"])))["status"] != "Paid":
            raise HandOverError("An overdue bill is not paid.")


def lift_suspension(desk: Desk, line: dict[str, Any]) -> Talk:
    """Resume a line."""
    yield call("resume_line", customer_id=desk.customer["customer_id"], line_id=line["line_id"])


def _repeat(desk: Desk) -> str:
    """Return what the user said of their place and of data to add, so that a yes is a yes to all of it."""
    said = desk.said
    facts = [found[0] for pattern in (_AWAY, re.compile("at home", re.I), _AMOUNT) if (found := pattern.search(said))]
    return f" ({', '.join(facts)})" if facts else ""


def _restore_internet(desk: Desk, line: dict[str, Any]) -> Talk:
    speed = yield ask("run_speed_test")
    if "No Connection" in speed:
        yield from _restore_data(desk, line)
        speed = yield ask("run_speed_test")
    if "Excellent" not in speed:
        if "Data Saver mode is ON" in (yield ask("check_data_restriction_status")):
            yield ask("toggle_data_saver_mode")
        if BEST_MODE not in (yield ask("check_network_mode_preference")):
            yield ask("set_network_mode_preference", mode=BEST_MODE)
        if "connected." in (yield ask("check_vpn_status")):
            yield ask("disconnect_vpn")
        speed = yield ask("run_speed_test")
    if "Excellent" not in speed:
        raise HandOverError(f"The speed is not excellent: {speed}")


def _restore_data(desk: Desk, line: dict[str, Any]) -> Talk:
    """Get mobile data going, at whatever speed."""
    yield from _restore_service(desk, line)
    status = yield ask("check_network_status")
    if "Mobile Data Enabled: No" in status:
        yield ask("toggle_data")
    yield from _ask_place(desk)
    if _AWAY.search(desk.said):
        if "Data Roaming Enabled: No" in status:
            yield ask("toggle_roaming")
        ids = {"customer_id": desk.customer["customer_id"], "line_id": line["line_id"]}
        if not json.loads((yield call("get_details_by_id", id=line["line_id"])))["roaming_enabled"]:
            yield call("enable_roaming", **ids)
    yield from _refuel(desk, line)


def _ask_place(desk: Desk) -> Talk:
    said = desk.said
    if not (_AWAY.search(said) or "at home" in said):
        yield say("Could you tell me your current location?")


def _refuel(desk: Desk, line: dict[str, Any]) -> Talk:
    """Add data where the plan's is used up; raises HandOverError where no more may be added."""
    ids = {"customer_id": desk.customer["customer_id"], "line_id": line["line_id"]}
    usage = json.loads((yield call("get_data_usage", **ids)))
    used, limit, added = (float(usage[name]) for name in ("data_used_gb", "data_limit_gb", "data_refueling_gb"))
    if used < limit + added:
        return
    amount = yield from _find_amount(desk, MAX_GB - added)
    if not 0 < amount <= MAX_GB - added:
        raise HandOverError("The data is used up and no more can be added.")
    plan = json.loads((yield call("get_details_by_id", id=line["plan_id"])))
    price = plan["data_refueling_price_per_gb"]
    yield from confirm(f"Your data is used up. Adding data has a price of {price} USD per GB.{_repeat(desk)}")
    yield call("refuel_data", **ids, gb_amount=amount)


def _find_amount(desk: Desk, most: float) -> Talk:
    """Return how many GB to add, 0 where that is not told.

    Who works alone adds all that may be added where the ticket names no amount: the policy for that wants leave for
    payments, and for data no more than to know how much.
    """
    if desk.alone and not _AMOUNT.search(desk.said):
        return most
    if not _AMOUNT.search(desk.said):
        yield say("Your data is used up. What is the amount of data to add if that is needed?")
    amount = _AMOUNT.search(desk.said)
    return float(amount[1]) if amount else 0.0


def _restore_mms(desk: Desk, line: dict[str, Any]) -> Talk:
    if "cannot" not in (yield ask("can_send_mms")):
        return
    yield from _restore_data(desk, line)
    if "2g" in (yield ask("check_network_mode_preference")).lower():
        yield ask("set_network_mode_preference", mode=BEST_MODE)
    if "turned ON" in (yield ask("check_wifi_calling_status")):
        yield ask("toggle_wifi_calling")
    granted = yield ask("check_app_permissions", app_name="messaging")
    for permission in ("storage", "sms"):
        if permission not in granted:
            yield ask("grant_app_permission", app_name="messaging", permission=permission)
    if "Not Set" in (yield ask("check_apn_settings")):
        yield from _reset_apn()
    if "cannot" in (yield ask("can_send_mms")):
        raise HandOverError("Picture messages still cannot be sent.")
