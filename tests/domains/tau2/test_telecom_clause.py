"""Every clause of telecom with a case it allows and one it denies; every citation against the policy's own files."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from veriloop.core.message import Seat, ToolCall, ToolResult, Turn
from veriloop.domains.clause import Case
from veriloop.domains.perspective import open_alone
from veriloop.domains.task import Initial, SeatCall
from veriloop.domains.tau2.telecom import load_telecom
from veriloop.domains.tau2.telecom_clause import CLAUSES, TRANSFER, WRITES

# isort: split
from tau2.domains.telecom.utils import TELECOM_DATA_DIR

DOMAIN: Any = load_telecom()
CALLER, OTHER = DOMAIN.callers("train-0", "train")[:2]
STATE: Any = DOMAIN.open(Initial(database="train-0")).state
CUSTOMER = STATE.customers.get(CALLER.key)
LINE = next(key for key in CUSTOMER.line_ids if STATE.lines.get(key).phone_number == CUSTOMER.phone_number)
IDS = {"customer_id": CALLER.key, "line_id": LINE}
BY_ID = {clause.id: clause for clause in CLAUSES}


def call(name: str, **arguments: Any) -> ToolCall:
    return ToolCall(id="1", name=name, arguments=arguments)


def suspend(ended: bool) -> Any:
    """Return the state in which the caller's line is suspended for bill B9."""
    broken = call("suspend_line_for_overdue_bill", **IDS, new_bill_id="B9", contract_ended=ended)
    return DOMAIN.open(Initial(database="train-0", calls=(SeatCall(seat="agent", call=broken),))).state


def turn(seat: Seat, content: str, *results: ToolResult) -> Turn:
    return Turn(seat=seat, content=content, results=results)


FOUND = (call("get_customer_by_phone", phone_number="x"), f'{{"customer_id": "{CALLER.key}"}}')
NAMED = (call("get_customer_by_name", full_name="x", dob="y"), f'[{{"customer_id": "{CALLER.key}"}}]')
BILLS = (call("get_bills_for_customer", customer_id=CALLER.key), "[]")
DETAILS = (call("get_details_by_id", id=LINE), "{}")
BILL = (call("get_details_by_id", id="B9"), "{}")
USAGE = (call("get_data_usage", **IDS), "{}")
BAR = (call("check_status_bar"), "Status Bar: No Signal")
NETWORK = (call("check_network_status"), "SIM Card Status: active")
LOCKED = (call("check_sim_status"), "The SIM card is locked with a PIN code.")
SIM = (call("check_sim_status"), "Your SIM card is active and working.")
PAY, RESUME = call("send_payment_request", customer_id=CALLER.key, bill_id="B9"), call("resume_line", **IDS)
ROAM, HAND_OVER = call("enable_roaming", **IDS), call(TRANSFER, summary="x")
HI, WISH = turn("agent", "Hi!"), turn("user", "I want to top up.")
PRICE, YES = turn("agent", "That costs 5 dollars. Shall I?"), turn("user", "Yes, please.")
SUSPENDED, ENDED = suspend(ended=False), suspend(ended=True)


def refuel(amount: float) -> ToolCall:
    return call("refuel_data", **IDS, gb_amount=amount)


def refueled() -> Any:
    session = DOMAIN.open(Initial(database="train-0"))
    session.call("agent", refuel(1.5))
    return session.state


def requested() -> Any:
    session = DOMAIN.open(Initial(database="train-0"))
    session.call("agent", call("send_payment_request", customer_id=CALLER.key, bill_id=CUSTOMER.bill_ids[0]))
    return session.state


@dataclass(frozen=True)
class Try:
    call: ToolCall
    calls: tuple[tuple[ToolCall, str], ...] = ()
    turns: tuple[Turn, ...] = (HI, WISH)
    state: Any = STATE


ALLOWED = {
    "T1": Try(ROAM, (NAMED,)),
    "T2": Try(ROAM, (FOUND,)),
    "T3": Try(ROAM, (FOUND,), (HI, WISH, turn("agent", "", ToolResult(call_id="1", content="{}")))),
    "T4": Try(HAND_OVER),
    "T5": Try(HAND_OVER, (FOUND,)),
    "T6": Try(PAY, state=SUSPENDED),
    "T7": Try(PAY, state=SUSPENDED),
    "T8": Try(PAY, (BILL,)),
    "T9": Try(RESUME),
    "T10": Try(RESUME, state=SUSPENDED),
    "T11": Try(refuel(2.0)),
    "T12": Try(refuel(1.0), turns=(HI, WISH, PRICE, YES)),
    "T13": Try(refuel(1.0), (USAGE,)),
    "T14": Try(ROAM, (DETAILS,)),
    "T15": Try(ROAM, turns=(HI, turn("user", "I am travelling, in France."))),
    "T16": Try(RESUME, (BAR, NETWORK)),
    "T17": Try(PAY, (LOCKED, SIM)),
    "T18": Try(RESUME, (DETAILS,)),
    "T19": Try(PAY, turns=(open_alone("No service. They give permission to pay overdue bills."),)),
}
DENIED = {
    "T1": Try(ROAM, (BILLS,)),
    "T2": Try(call("enable_roaming", customer_id=OTHER.key, line_id="L1"), (FOUND,)),
    "T3": Try(ROAM, (FOUND, BILLS), (HI, WISH, turn("agent", "", ToolResult(call_id="1", content="{}")))),
    "T4": Try(HAND_OVER, turns=(HI,)),
    "T5": Try(HAND_OVER, (BAR,)),
    "T6": Try(call("send_payment_request", customer_id=CALLER.key, bill_id=CUSTOMER.bill_ids[0])),
    "T7": Try(PAY, state=requested()),
    "T8": Try(PAY, (DETAILS,)),
    "T9": Try(RESUME, state=SUSPENDED),
    "T10": Try(RESUME, state=ENDED),
    "T11": Try(refuel(1.0), state=refueled()),
    "T12": Try(refuel(1.0), turns=(HI, WISH, turn("agent", "Shall I?"), YES)),
    "T13": Try(refuel(1.0), (FOUND,)),
    "T14": Try(ROAM, (FOUND,)),
    "T15": Try(ROAM),
    "T16": Try(RESUME, (BAR,)),
    "T17": Try(PAY, (SIM, LOCKED)),
    "T18": Try(RESUME, (BILLS,)),
    "T19": Try(PAY, turns=(open_alone("No service."),)),
}


def ask(clause: str, tried: Try) -> str | None:
    assert tried.call.name in BY_ID[clause].tools
    return BY_ID[clause].deny(Case(tried.state, "agent", tried.call, tried.calls, tried.turns))


def test_every_clause_has_a_case_of_each_kind() -> None:
    assert list(ALLOWED) == list(DENIED) == list(BY_ID)


@pytest.mark.parametrize("clause", list(BY_ID))
def test_it_allows_what_it_should(clause: str) -> None:
    assert ask(clause, ALLOWED[clause]) is None


@pytest.mark.parametrize("clause", list(BY_ID))
def test_it_denies_what_it_should_in_words(clause: str) -> None:
    assert len(ask(clause, DENIED[clause]) or "") > 10


def test_a_yes_without_a_question_or_to_nobody_confirms_nothing() -> None:
    assert ask("T12", Try(refuel(1.0), turns=(HI, YES)))
    assert ask("T12", Try(refuel(1.0), turns=(HI, PRICE, turn("user", "Hm."))))
    assert ask("T12", Try(refuel(1.0), turns=(HI,)))


def test_who_works_alone_has_nobody_to_confirm_a_price_to_and_who_does_not_needs_no_ticket() -> None:
    assert ask("T12", Try(refuel(1.0), turns=(open_alone("They would refuel 1 GB."),))) is None
    assert ask("T19", Try(PAY)) is None


def test_calls_about_rows_that_do_not_exist_are_left_to_the_tools() -> None:
    for clause, made in (
        ("T6", call("send_payment_request", customer_id="C0", bill_id="B0")),
        ("T7", call("send_payment_request", customer_id="C0", bill_id="B0")),
        ("T9", call("resume_line", customer_id="C0", line_id="L0")),
        ("T10", call("resume_line", customer_id="C0", line_id=7)),
        ("T11", call("refuel_data", customer_id="C0", line_id=None, gb_amount="x")),
    ):
        assert ask(clause, Try(made)) is None


def test_the_clauses_are_about_every_write_of_the_agent_and_the_transfer() -> None:
    writes = {name for name, tool in DOMAIN.tools.items() if tool.seat == "agent" and tool.kind != "read"}
    assert {name for clause in CLAUSES for name in clause.tools} == writes == {*WRITES, TRANSFER}
    assert all(read in DOMAIN.tools for clause in CLAUSES for read in clause.reads)


WORDS = {
    "T1": "identify", "T2": "line associated", "T3": "one tool call", "T4": "transfer", "T5": "try your best",
    "T6": "overdue", "T7": "one bill", "T8": "overdue", "T9": "paid all", "T10": "contract end", "T11": "2GB",
    "T12": "Confirm the price", "T13": "exceeds", "T14": "roaming enabled", "T15": "traveling", "T16": "SIM",
    "T17": "Locked", "T18": "suspended", "T19": "permission",
}  # fmt: skip


@pytest.mark.parametrize("clause", list(BY_ID))
def test_the_cited_lines_say_so(clause: str) -> None:
    cited = ""
    for part in BY_ID[clause].source.split(";"):
        file, numbers = part.split(":")
        lines = (Path(TELECOM_DATA_DIR) / file).read_text(encoding="utf-8").splitlines()
        cited += " ".join(lines[int(number) - 1] for number in numbers.split(","))
    assert re.search(WORDS[clause], cited, re.I), cited
