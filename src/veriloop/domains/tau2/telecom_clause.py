"""The rules of the telecom policy that constrain a write or a transfer, as code, each citing its lines.

Rules on what was looked up, checked or said are about the dialogue: a bare list of calls is no record of it. The order
of checks is that of the package's workflow for technical support.
"""

import re
from collections.abc import Callable
from typing import Any

from tau2.domains.telecom.utils import get_today

from veriloop.domains.clause import Case, Clause
from veriloop.domains.perspective import is_alone
from veriloop.domains.session import parse_content

LINE_WRITES = ("refuel_data", "enable_roaming", "disable_roaming", "suspend_line", "resume_line")
WRITES = ("send_payment_request", *LINE_WRITES)
TRANSFER = "transfer_to_human_agents"
LOOKUPS = ("get_customer_by_phone", "get_customer_by_name", "get_customer_by_id")
MAX_REFUEL_GB = 2

_YES = re.compile(r"\b(yes|yeah|yep|sure|correct|go ahead|please do|proceed|that's right|ok|okay|confirm(ed)?)\b", re.I)
_PRICE = re.compile(r"\b(price|cost|costs|charge|charged|\$ ?\d+|dollars?)\b|\$", re.I)
_PAYING = re.compile(r"\b(pay|paid|payments?)\b", re.I)
_TRAVEL = re.compile(r"\b(abroad|travel\w*|roam\w*|trip|holiday|vacation|foreign|outside)\b", re.I)


def find_identified(case: Case) -> set[str]:
    """Return the ids of the customers that look-ups returned so far."""
    found: set[str] = set()
    for call, text in case.calls:
        if call.name in LOOKUPS:
            rows = parse_content(text)
            found |= {row["customer_id"] for row in (rows if isinstance(rows, list) else [rows])}
    return found


def _argument(case: Case, name: str) -> Any:
    return case.call.arguments.get(name)


def _made(case: Case, *names: str) -> bool:
    return any(call.name in names for call, _ in case.calls)


def _read(case: Case, key: str) -> bool:
    """Return whether the details of the row that the call names under `key` were read."""
    details = [call.arguments.get("id") for call, _ in case.calls if call.name == "get_details_by_id"]
    return _argument(case, key) in details


def _deny_unidentified(case: Case) -> str | None:
    return None if find_identified(case) else "the customer has not been looked up"


def _deny_foreign(case: Case) -> str | None:
    found = find_identified(case)
    foreign = found and _argument(case, "customer_id") not in found
    return "it belongs to a customer other than the one who was looked up" if foreign else None


def _deny_parallel(case: Case) -> str | None:
    recorded = sum(not result.error for turn in case.turns for result in turn.results)
    return "another call was made in the same message" if len(case.calls) > recorded else None


def _deny_early_transfer(case: Case) -> str | None:
    asked = any(turn.seat == "user" and turn.spoken for turn in case.turns)
    return None if asked else "the customer has not asked for anything yet"


def _deny_blind_transfer(case: Case) -> str | None:
    return None if find_identified(case) else "nothing was tried: not even the customer has been looked up"


def _deny_not_overdue(case: Case) -> str | None:
    bill = case.state.bills.get(_argument(case, "bill_id"))
    return None if bill is None or bill.status == "Overdue" else f"the bill is not overdue but {bill.status.value}"


def _deny_second_request(case: Case) -> str | None:
    waiting = [bill.bill_id for bill in _bills(case) if bill.status == "Awaiting Payment"]
    return f"bill {waiting[0]} is awaiting payment already" if waiting else None


def _deny_unread_bill(case: Case) -> str | None:
    checked = _made(case, "get_bills_for_customer") or _read(case, "bill_id")
    return None if checked else "the bill's status and amount have not been checked"


def _deny_debt(case: Case) -> str | None:
    unpaid = [bill.bill_id for bill in _bills(case) if bill.status in ("Overdue", "Awaiting Payment")]
    return f"bill {unpaid[0]} is not paid yet" if unpaid else None


def _deny_ended_contract(case: Case) -> str | None:
    line = case.state.lines.get(_argument(case, "line_id"))
    end = line.contract_end_date if line else None
    return f"the line's contract ended on {end}" if end is not None and end < get_today() else None


def _deny_too_much(case: Case) -> str | None:
    line, amount = case.state.lines.get(_argument(case, "line_id")), _argument(case, "gb_amount")
    if line is None or not isinstance(amount, int | float) or line.data_refueling_gb + amount <= MAX_REFUEL_GB:
        return None
    return f"no more than {MAX_REFUEL_GB} GB can be refueled; the line has {line.data_refueling_gb} GB already"


def _deny_unconfirmed(case: Case) -> str | None:
    """Deny what nobody has said yes to; an agent who works alone has nobody to ask."""
    if is_alone(case.turns):
        return None
    spoken = [turn for turn in case.turns if turn.spoken]
    last = next((place for place in reversed(range(len(spoken))) if spoken[place].seat == "user"), None)
    if last is None or not _YES.search(spoken[last].spoken):
        return "the customer has not said yes"
    asked = any(turn.seat == "agent" and _PRICE.search(turn.spoken) for turn in spoken[1:last])
    return None if asked else "the customer was not told of the price before saying yes"


def _deny_unpermitted(case: Case) -> str | None:
    """Deny an agent who works alone what its ticket gives no permission for."""
    silent = is_alone(case.turns) and not _PAYING.search(case.turns[0].content)
    return "the ticket gives no permission to make payments" if silent else None


def _deny_unread_usage(case: Case) -> str | None:
    checked = _made(case, "get_data_usage") or _read(case, "line_id")
    return None if checked else "the line's data usage has not been checked"


def _deny_unread_line(case: Case) -> str | None:
    return None if _read(case, "line_id") else "it has not been checked how the line stands"


def _deny_at_home(case: Case) -> str | None:
    away = any(turn.seat == "user" and _TRAVEL.search(turn.spoken) for turn in case.turns)
    return None if away else "the customer has not said that they are traveling"


def _deny_before_phone(case: Case) -> str | None:
    """Deny lifting a suspension while the phone is being looked into and its SIM card has not been."""
    support = _made(case, "check_status_bar", "run_speed_test", "can_send_mms")
    checked = _made(case, "check_sim_status", "check_network_status")
    return "airplane mode and SIM card come before the line" if support and not checked else None


def _deny_locked_sim(case: Case) -> str | None:
    texts = [text for call, text in case.calls if call.name == "check_sim_status"]
    locked = bool(texts) and "locked" in texts[-1]
    return "the SIM card is locked, which only technical support can lift" if locked else None


def _bills(case: Case) -> list[Any]:
    customer = case.state.customers.get(_argument(case, "customer_id"))
    return [case.state.bills.get(key) for key in customer.bill_ids] if customer else []


Deny = Callable[[Case], str | None]


def _rule(name: str, source: str, tools: tuple[str, ...], text: str, deny: Deny, *read: str) -> Clause:
    return Clause(name, text, tools, deny, source=source, read=read)


def _said(name: str, source: str, tools: tuple[str, ...], text: str, deny: Deny, say: str = "") -> Clause:
    return Clause(name, text, tools, deny, about="dialogue", source=source, say=say)


CLAUSES: tuple[Clause, ...] = (
    _said("T1", "main_policy.md:159", WRITES, "Identify the customer before any change.", _deny_unidentified),
    _rule("T2", "main_policy.md:138,159", WRITES,
          "Change nothing that belongs to a customer other than the one who was looked up.", _deny_foreign,
          "get_details_by_id"),
    _said("T3", "main_policy.md:9", (*WRITES, TRANSFER), "Make one tool call at a time.", _deny_parallel),
    _said("T4", "main_policy.md:13", (TRANSFER,), "Transfer only a customer whose request cannot be handled here.",
          _deny_early_transfer),
    _said("T5", "main_policy.md:15,159", (TRANSFER,), "Try to resolve the issue before a transfer.",
          _deny_blind_transfer),
    _rule("T6", "main_policy.md:105,117", ("send_payment_request",), "Payment is requested for overdue bills only.",
          _deny_not_overdue, "get_bills_for_customer"),
    _rule("T7", "main_policy.md:116", ("send_payment_request",), "Only one bill at a time can be awaiting payment.",
          _deny_second_request, "get_bills_for_customer"),
    _said("T8", "main_policy.md:105,106,117", ("send_payment_request",),
          "Check a bill's status and amount before requesting payment.", _deny_unread_bill),
    _rule("T9", "main_policy.md:125", ("resume_line",),
          "A suspension is lifted only after all overdue bills were paid.", _deny_debt, "get_bills_for_customer"),
    _rule("T10", "main_policy.md:126", ("resume_line",),
          "A suspension is not lifted when the line's contract has ended.", _deny_ended_contract, "get_details_by_id"),
    _rule("T11", "main_policy.md:134", ("refuel_data",), "No more than 2 GB can be refueled.", _deny_too_much,
          "get_data_usage"),
    _said("T12", "main_policy.md:136,137", ("refuel_data",), "Confirm the price with the customer before refueling.",
          _deny_unconfirmed, "The price per GB of the plan is charged with the next bill."),
    _said("T13", "main_policy.md:132;tech_support_workflow.md:177", ("refuel_data",),
          "Check the data usage before refueling.", _deny_unread_usage),
    _said("T14", "main_policy.md:155;tech_support_workflow.md:159", ("enable_roaming",),
          "Check whether the line is roaming enabled before enabling it.", _deny_unread_line),
    _said("T15", "main_policy.md:154,155", ("enable_roaming",),
          "Roaming is offered to users who are traveling outside their home network.", _deny_at_home),
    _said("T16", "tech_support_workflow.md:67,77,102", ("send_payment_request", "resume_line"),
          "Where service is missing, airplane mode and SIM card are checked before the line.", _deny_before_phone),
    _said("T17", "tech_support_manual.md:85;tech_support_workflow.md:85", WRITES,
          "A locked SIM card is escalated, whatever else is wrong.", _deny_locked_sim),
    _said("T18", "main_policy.md:119,121;tech_support_manual.md:95", ("resume_line",),
          "Look into why a line is suspended before lifting it.", _deny_unread_line),
    _said("T19", "main_policy_solo.md:100,106", ("send_payment_request",),
          "Alone with a ticket, pay bills only if it says that the user has given the permission.", _deny_unpermitted),
)  # fmt: skip
