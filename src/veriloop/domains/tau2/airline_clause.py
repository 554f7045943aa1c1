"""The rules of the airline's policy that constrain a write or a transfer, as code, each citing its lines.

Why somebody cancels is no argument of the tool: whether an insurance covers it is left to the dialogue.
"""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from veriloop.domains.clause import Case, Clause
from veriloop.domains.tau2.airline_data import (
    count_paid_bags,
    find_owner,
    find_reservation,
    is_flown,
    is_recent,
    legs,
    rows_of,
    statuses,
)
from veriloop.domains.tau2.dialogue import deny_early_transfer, deny_parallel, deny_unconfirmed

BOOK, CANCEL, COMPENSATE = "book_reservation", "cancel_reservation", "send_certificate"
FLIGHTS, BAGS, PASSENGERS = (
    "update_reservation_flights",
    "update_reservation_baggages",
    "update_reservation_passengers",
)
UPDATES = (FLIGHTS, BAGS, PASSENGERS)
WRITES = (BOOK, CANCEL, *UPDATES, COMPENSATE)
TRANSFER = "transfer_to_human_agents"
MOST = {"certificate": 1, "credit_card": 1, "gift_card": 3}
"""Payment methods of each kind in one reservation at most (line 78)."""
MOST_PASSENGERS = 5
READ, PROFILE, STATUS = "get_reservation_details", "get_user_details", "get_flight_status"

_REASON = re.compile(r"\b(reason|because|why|since|due to)\b", re.I)
_COMPENSATION = re.compile(r"compensat|certificate|voucher|refund|reimburse|make (it )?up", re.I)


def _said_by_user(case: Case) -> str:
    return " ".join(turn.spoken for turn in case.turns if turn.seat == "user").lower()


def _deny_unnamed(case: Case) -> str | None:
    owner = find_owner(case.state, case.call.arguments)
    if owner is None or owner.user_id.lower() in _said_by_user(case):
        return None
    return "the customer has not given the user id it belongs to"


def _deny_foreign(case: Case) -> str | None:
    looked_up = [call.arguments.get("user_id") for call, _ in case.calls if call.name == PROFILE]
    owner = find_owner(case.state, case.call.arguments)
    if not looked_up or owner is None or owner.user_id in looked_up:
        return None
    return "it belongs to a user other than the one who was looked up"


def _deny_crowd(case: Case) -> str | None:
    people = case.call.arguments.get("passengers")
    many = isinstance(people, list) and len(people) > MOST_PASSENGERS
    return f"a reservation has at most {MOST_PASSENGERS} passengers" if many else None


def _deny_too_many_methods(case: Case) -> str | None:
    owner = find_owner(case.state, case.call.arguments)
    payments = rows_of(case.call.arguments.get("payment_methods"), ("payment_id",))
    methods = owner.payment_methods if owner else {}
    used = [methods[key].source for payment in payments if (key := str(payment["payment_id"])) in methods]
    over = [source for source, most in MOST.items() if used.count(source) > most]
    return f"a reservation takes no more than {MOST[over[0]]} {over[0].replace('_', ' ')}" if over else None


def _deny_unsaved_method(case: Case) -> str | None:
    owner = find_owner(case.state, case.call.arguments)
    given = [case.call.arguments.get("payment_id")] if "payment_id" in case.call.arguments else []
    given += [p["payment_id"] for p in rows_of(case.call.arguments.get("payment_methods"), ("payment_id",))]
    unknown = [key for key in given if owner is not None and str(key) not in owner.payment_methods]
    return f"payment method {unknown[0]} is not in the profile" if unknown else None


def _deny_wrong_bags(case: Case) -> str | None:
    """Deny a number of paid bags that is not what the allowance leaves, in bookings and updates."""
    arguments = case.call.arguments
    owner, found = find_owner(case.state, arguments), find_reservation(case.state, arguments)
    total, paid = arguments.get("total_baggages"), arguments.get("nonfree_baggages")
    cabin = found.cabin if found else arguments.get("cabin")
    people = found.passengers if found else arguments.get("passengers")
    if owner is None or not isinstance(total, int) or not isinstance(people, list):
        return None
    if cabin not in ("basic_economy", "economy", "business"):
        return None
    right = count_paid_bags(owner, cabin, len(people), total)
    return None if paid == right else f"{right} of the bags are to be paid, not {paid}"


def _deny_unwanted_bags(case: Case) -> str | None:
    total = case.call.arguments.get("total_baggages")
    said = any(re.search(rf"\b{total}\b|bag|luggage|suitcase", turn.spoken, re.I) for turn in case.turns)
    return None if not total or said else "nobody has spoken of checked bags"


def _deny_unoffered_insurance(case: Case) -> str | None:
    spoken = any("insurance" in turn.spoken.lower() for turn in case.turns)
    return None if spoken else "nobody has spoken of the travel insurance"


def _deny_unreasoned(case: Case) -> str | None:
    told = any(turn.seat == "user" and _REASON.search(turn.spoken) for turn in case.turns)
    asked = any(turn.seat == "agent" and _REASON.search(turn.spoken) for turn in case.turns[:-1])
    return None if told or asked else "the customer has neither told nor been asked the reason for cancelling"


def _deny_unasked(case: Case) -> str | None:
    asked = _COMPENSATION.search(_said_by_user(case))
    return None if asked else "the customer has not asked for a compensation"


def _deny_unchecked(case: Case) -> str | None:
    read = any(call.name == READ for call, _ in case.calls)
    return None if read else "the reservation that the complaint is about has not been looked at"


def _deny_undeserving(case: Case) -> str | None:
    owner = find_owner(case.state, case.call.arguments)
    if owner is None or owner.membership != "regular":
        return None
    own = [case.state.reservations[key] for key in owner.reservations]
    entitled = any(r.insurance == "yes" or r.cabin == "business" for r in own if _dues(case, r))
    return None if entitled else "a regular member without insurance or business class is not compensated"


def _deny_undue(case: Case) -> str | None:
    owner, amount = find_owner(case.state, case.call.arguments), case.call.arguments.get("amount")
    if owner is None:
        return None
    dues = [due for key in owner.reservations for due in _dues(case, case.state.reservations[key])]
    return None if amount in dues else f"{amount} dollars are due for no flight that was cancelled or delayed"


def _dues(case: Case, reservation: Any) -> list[int]:
    """Return the dollars that a reservation's cancelled flights, or delayed ones once it was changed, call for."""
    found, people = statuses(case.state, reservation), len(reservation.passengers)
    changes = [call for call, _ in case.calls if call.name in (CANCEL, FLIGHTS)]
    changed = any(call.arguments.get("reservation_id") == reservation.reservation_id for call in changes)
    # Once the flights were replaced, only what was read before tells of the delay.
    delayed = "delayed" in found or any(call.name == STATUS and text == "delayed" for call, text in case.calls)
    return [100 * people] * ("cancelled" in found) + [50 * people] * (delayed and changed)


def _deny_basic(case: Case, reservation: Any) -> str | None:
    changed = _wanted(case) != legs(reservation)
    return "flights in basic economy cannot be modified" if changed and reservation.cabin == "basic_economy" else None


def _deny_other_trip(case: Case, reservation: Any) -> str | None:
    rows = case.state.flights
    wanted = [rows[n] for flight in _wanted(case) if (n := flight["flight_number"]) in rows]
    if len(wanted) != len(_wanted(case)) or not wanted:
        return None
    joined = all(one.destination == other.origin for one, other in pairwise(wanted))
    goal = reservation.destination if reservation.flight_type == "one_way" else reservation.origin
    stops = {flight.destination for flight in wanted}
    kept = wanted[0].origin == reservation.origin and wanted[-1].destination == goal
    if joined and kept and reservation.destination in stops:
        return None
    return "it would be another trip: origin, destination and type have to stay"


def _wanted(case: Case) -> list[dict[str, Any]]:
    rows = rows_of(case.call.arguments.get("flights"), ("flight_number", "date"))
    return [{"flight_number": str(row["flight_number"]), "date": str(row["date"])} for row in rows]


def _deny_late_cabin(case: Case, reservation: Any) -> str | None:
    late = case.call.arguments.get("cabin") != reservation.cabin and is_flown(case.state, reservation)
    return "the cabin cannot be changed once a flight was flown" if late else None


def _deny_certificate(case: Case, reservation: Any) -> str | None:
    methods = case.state.users[reservation.user_id].payment_methods
    key = str(case.call.arguments.get("payment_id"))
    bad = key in methods and methods[key].source == "certificate"
    return "changes are paid with a gift card or a credit card" if bad else None


def _deny_removal(case: Case, reservation: Any) -> str | None:
    total = case.call.arguments.get("total_baggages")
    fewer = isinstance(total, int) and total < reservation.total_baggages
    return "checked bags can be added, not removed" if fewer else None


def _deny_other_number(case: Case, reservation: Any) -> str | None:
    people = case.call.arguments.get("passengers")
    other = isinstance(people, list) and len(people) != len(reservation.passengers)
    return "the number of passengers cannot be changed" if other else None


def _deny_flown(case: Case, reservation: Any) -> str | None:
    return "a part of it was flown already" if is_flown(case.state, reservation) else None


def _deny_uncancellable(case: Case, reservation: Any) -> str | None:
    free = reservation.cabin == "business" or is_recent(reservation) or reservation.insurance == "yes"
    if free or "cancelled" in statuses(case.state, reservation):
        return None
    return "it is older than a day, not in business class, not insured, and the airline cancelled none of its flights"


def _rule(name: str, lines: str, tools: tuple[str, ...], text: str, deny: Callable[[Case, Any], str | None]) -> Clause:
    """Return a clause about a reservation; `deny` is asked only when that exists."""

    def ask(case: Case) -> str | None:
        reservation = find_reservation(case.state, case.call.arguments)
        return deny(case, reservation) if reservation else None

    return Clause(name, text, tools, ask, source=f"policy.md:{lines}", read=READ)


def _said(
    name: str, lines: str, tools: tuple[str, ...], text: str, deny: Callable[[Case], str | None], say: str = ""
) -> Clause:
    return Clause(name, text, tools, deny, about="dialogue", source=f"policy.md:{lines}", say=say)


CLAUSES: tuple[Clause, ...] = (
    _said("A1", "7", WRITES, "Tell the customer what is about to be changed and get a yes.", deny_unconfirmed),
    _said("A2", "11", (*WRITES, TRANSFER), "Make one tool call at a time.", deny_parallel),
    _said("A3", "15", (TRANSFER,), "Transfer only a customer whose request cannot be handled here.",
          deny_early_transfer),
    _said("A4", "65,105,106,135,136", WRITES, "The customer gives the user id first.", _deny_unnamed),
    Clause("A5", "Change nothing that belongs to a user other than the one who was looked up.", WRITES, _deny_foreign,
           source="policy.md:106,136", read=READ),
    Clause("A6", "A reservation has at most five passengers.", (BOOK,), _deny_crowd, source="policy.md:73",
           read=PROFILE),
    Clause("A7", "A reservation is paid with one certificate, one credit card and three gift cards at most.", (BOOK,),
           _deny_too_many_methods, source="policy.md:78", read=PROFILE),
    Clause("A8", "Payment methods are those in the user's profile.", (BOOK, FLIGHTS, BAGS), _deny_unsaved_method,
           source="policy.md:80,131"),
    Clause("A9", "Bags beyond the allowance of membership and cabin are paid, and no others.", (BOOK, BAGS),
           _deny_wrong_bags, source="policy.md:82,95"),
    _said("A10", "97", (BOOK, BAGS), "Add no checked bags that the customer does not need.", _deny_unwanted_bags),
    _said("A11", "100", (BOOK,), "Ask whether the customer wants the travel insurance.", _deny_unoffered_insurance,
          "The travel insurance costs 30 dollars a passenger; you have told me whether you want it."),
    _rule("A12", "110", (FLIGHTS,), "Flights in basic economy cannot be modified.", _deny_basic),
    _rule("A13", "111", (FLIGHTS,), "Origin, destination and type of the trip stay.", _deny_other_trip),
    _rule("A14", "116", (FLIGHTS,), "The cabin cannot be changed once any flight was flown.", _deny_late_cabin),
    _rule("A15", "131", (FLIGHTS,), "Changed flights are paid with one gift card or credit card.", _deny_certificate),
    _rule("A16", "123", (BAGS,), "Checked bags can be added but not removed.", _deny_removal),
    _rule("A17", "127,128", (PASSENGERS,), "The number of passengers cannot be modified.", _deny_other_number),
    _said("A18", "139", (CANCEL,), "Learn the reason for cancelling.", _deny_unreasoned),
    _rule("A19", "141", (CANCEL,), "Nothing is cancelled of which a part was flown.", _deny_flown),
    _rule("A20", "143", (CANCEL,), "Cancel what is a day old, business, insured or cancelled by the airline.",
          _deny_uncancellable),
    _said("A21", "155", (COMPENSATE,), "Compensate nobody who does not ask for it.", _deny_unasked),
    _said("A22", "159", (COMPENSATE,), "Confirm the facts before compensating.", _deny_unchecked),
    Clause("A23", "Compensate silver and gold members, the insured and who flies business.", (COMPENSATE,),
           _deny_undeserving, source="policy.md:157,161", read=READ, also=(PROFILE,)),
    Clause("A24", "100 dollars a passenger for a cancelled flight, 50 for a delayed one that was changed.",
           (COMPENSATE,), _deny_undue, source="policy.md:163,165,167", read=READ),
)  # fmt: skip
