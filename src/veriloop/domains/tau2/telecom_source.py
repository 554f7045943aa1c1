"""Where the arguments of telecom's tools come from, what its reads yield and how people name what its writes do."""

from dataclasses import replace
from typing import Any

from veriloop.domains.source import Scope, Source, Yield, choice, ref, said_as


def _say_line(value: Any, scope: Scope) -> str:
    line = scope.state.lines.get(value)
    return line.phone_number if line else str(value)


def _say_amount(value: Any, _: Scope) -> str:
    return f"{value} GB"


def _list_records(scope: Scope) -> list[Any]:
    return [value for kind in ("line_id", "plan_id") for value in scope.pool.get(kind, {})]


PHONE_NUMBER = ref("phone_number", "phone number")
FULL_NAME = ref("full_name", "full name")
BIRTH = ref("date_of_birth", "date of birth")
CUSTOMER = ref("customer_id", "customer id", told=False)
LINE = said_as(
    replace(ref("line_id", "line", say=_say_line), implied=True),
    "It's about the line {text}.",
    "I mean the line with {text}.",
)
BILL = ref("bill_id", "bill", told=False)
RECORD = choice("record", _list_records, "record", told=False)
AMOUNT = said_as(
    choice("gb_amount", (0.5, 1.0, 1.5, 2.0, 3.0), "amount of data to add", say=_say_amount),
    "{text} more should do.",
    "I was thinking of {text}.",
    "Let's say {text}.",
)
REASON = said_as(
    choice(
        "reason",
        ("traveling for a while", "phone lost", "phone being repaired", "line not needed at the moment"),
        "reason for suspending",
    ),
    "Put down {text} as the reason.",
    "It's because of this: {text}.",
)
# What users are told to choose on their phone stands in the policy; no user decides it.
MODE = choice("mode", ("4g_5g_preferred", "4g_only", "3g_only", "2g_only"), "network mode", told=False)
APP = choice("app_name", ("messaging", "browser"), "app", told=False)
PERMISSION = choice("permission", ("sms", "storage", "phone", "network"), "permission", told=False)

KINDS: dict[str, Source] = {source.kind: source for source in (PHONE_NUMBER, FULL_NAME, BIRTH, AMOUNT)}

_LINE = {"customer_id": CUSTOMER, "line_id": LINE}
SOURCES: dict[str, dict[str, Source]] = {
    "get_customer_by_phone": {"phone_number": PHONE_NUMBER},
    "get_customer_by_id": {"customer_id": CUSTOMER},
    "get_customer_by_name": {"full_name": FULL_NAME, "dob": BIRTH},
    "get_details_by_id": {"id": RECORD},
    "get_bills_for_customer": {"customer_id": CUSTOMER},
    "get_data_usage": _LINE,
    # Bills have no source here: a request to pay takes a step of the user's *after* the write, so a defect asks for it.
    "send_payment_request": {"customer_id": CUSTOMER},
    "refuel_data": {**_LINE, "gb_amount": AMOUNT},
    "enable_roaming": _LINE,
    "disable_roaming": _LINE,
    "suspend_line": {**_LINE, "reason": REASON},
    "resume_line": _LINE,
    "transfer_to_human_agents": {
        "summary": choice("summary", ("The customer asks for what I cannot do.",), told=False)
    },
    "set_network_mode_preference": {"mode": MODE},
    "grant_app_permission": {"app_name": APP, "permission": PERMISSION},
    "check_app_permissions": {"app_name": APP},
    "check_app_status": {"app_name": APP},
}

_OF_CUSTOMER = (Yield("customer_id", "customer_id"), Yield("line_id", "line_ids[]"))
YIELDS: dict[str, tuple[Yield, ...]] = {
    "get_customer_by_phone": _OF_CUSTOMER,
    "get_customer_by_name": (Yield("customer_id", "[].customer_id"), Yield("line_id", "[].line_ids[]")),
    "get_details_by_id": (Yield("line_id", "line_id"), Yield("plan_id", "plan_id")),
    "get_bills_for_customer": (Yield("bill_id", "[].bill_id"),),
}

TOPICS: dict[str, tuple[str, ...]] = {
    "refuel_data": (
        "add data to a line", "refuel the data of a line", "buy more data for a line", "top up the data of a line",
    ),
    "enable_roaming": (
        "have roaming enabled on a line", "use a line abroad", "get a line ready for data roaming",
        "switch on international roaming for a line",
    ),
    "disable_roaming": (
        "have roaming disabled on a line", "stop a line from roaming", "stop all international roaming of a line",
        "make sure that a line does not roam",
    ),
    "suspend_line": (
        "suspend a line", "put a line on hold", "pause a line for a while", "have a line suspended",
    ),
    "resume_line": (
        "resume a suspended line", "have a line's suspension lifted", "get a suspended line working again",
        "reactivate a line that was suspended",
    ),
    "transfer_to_human_agents": (
        "change the plan of a line", "dispute a charge on a bill", "get more time to pay a bill",
        "close a line for good",
    ),
    "check_status_bar": ("look at your status bar",),
    "check_network_status": ("check your network connection status",),
    "check_network_mode_preference": ("check which preferred network mode is chosen",),
    "set_network_mode_preference": ("choose another preferred network mode",),
    "run_speed_test": ("run a speed test",),
    "toggle_airplane_mode": ("switch airplane mode",),
    "check_sim_status": ("check whether your SIM card is active, missing or locked",),
    "reseat_sim_card": ("take your SIM card out and reseat it",),
    "toggle_data": ("flip the mobile data switch",),
    "toggle_roaming": ("turn roaming around on your handset",),
    "check_data_restriction_status": ("check for restrictions such as data saver",),
    "toggle_data_saver_mode": ("switch data saver mode",),
    "check_apn_settings": ("check the APN settings and the MMSC address",),
    "reset_apn_settings": ("reset APN settings to their defaults",),
    "set_apn_settings": ("enter other access point names by hand",),
    "check_wifi_status": ("check your wireless connection",),
    "toggle_wifi": ("switch the wireless radio",),
    "check_wifi_calling_status": ("check whether Wi-Fi Calling is enabled",),
    "toggle_wifi_calling": ("switch Wi-Fi calling mode",),
    "check_vpn_status": ("check whether a VPN is connected",),
    "connect_vpn": ("connect to your VPN profile",),
    "disconnect_vpn": ("disconnect from the VPN",),
    "check_installed_apps": ("list your installed apps",),
    "check_app_status": ("check the details of this app",),
    "check_app_permissions": ("check which permissions this app has",),
    "grant_app_permission": ("grant this app another permission",),
    "can_send_mms": ("check whether picture messages can be sent",),
    "reboot_device": ("restart your phone",),
    "check_payment_request": ("check whether there is a payment request",),
    "make_payment": ("make the payment that was requested",),
}  # fmt: skip
"""How writes are asked for, and how the user is asked for steps on the phone."""
