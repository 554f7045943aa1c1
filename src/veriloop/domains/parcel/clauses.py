"""The numbered clauses of the parcel policy as code."""

import json
import re
from typing import Any

from veriloop.domains.clause import Case, Clause
from veriloop.domains.parcel.rows import Parcel, ParcelDatabase

PARCEL_WRITES = (
    "reschedule_delivery",
    "redirect_to_locker",
    "leave_with_neighbour",
    "change_address",
    "hold_parcel",
    "return_to_sender",
    "file_damage_claim",
    "file_loss_claim",
    "refund_express_fee",
)
WRITES = (*PARCEL_WRITES, "update_phone")
LOOK_UPS = ("find_customer", "find_customer_by_phone")
_YES = re.compile(r"\b(yes|yeah|yep|sure|correct|go ahead|please do|that's right|ok|okay)\b", re.IGNORECASE)


def _db(case: Case) -> ParcelDatabase:
    return case.state


def _parcel(case: Case) -> Parcel | None:
    return _db(case).parcels.get(str(case.call.arguments.get("tracking")))


def found_customers(calls: Any) -> list[str]:
    """Return the customer numbers that look-ups by e-mail or phone returned."""
    return [json.loads(text)["customer_id"] for call, text in calls if call.name in LOOK_UPS]


def _deny_unidentified(case: Case) -> str | None:
    return None if found_customers(case.calls) else "no customer has been found yet"


def _deny_foreign(case: Case) -> str | None:
    found = found_customers(case.calls)
    parcel = _parcel(case)
    owner = parcel.customer_id if parcel else case.call.arguments.get("customer_id")
    if not found or owner is None or owner in found:
        return None
    return "the parcel or account belongs to somebody else"


def _deny_unconfirmed(case: Case) -> str | None:
    said = [turn.spoken for turn in case.turns if turn.seat == "user" and turn.spoken]
    return None if said and _YES.search(said[-1]) else "the customer has not said yes to this change"


def _rule(
    number: int, tools: tuple[str, ...], text: str, deny: Any, read: str | tuple[str, ...] = "get_parcel"
) -> Clause:
    """Return a clause about one parcel; `deny` sees the case and the parcel and is asked only when that exists."""

    def ask(case: Case) -> str | None:
        parcel = _parcel(case)
        return deny(case, parcel) if parcel else None

    return Clause(f"P{number}", text, tools, ask, source=f"policy.md, rule {number}", read=read)


def _unless(allowed: Any, reason: str) -> Any:
    return lambda case, parcel: None if allowed(case, parcel) else reason


def _app_on(case: Case, parcel: Parcel) -> bool:
    return _app(case, parcel).locker_pickup


def _photographed(case: Case, parcel: Parcel) -> bool:
    return parcel.tracking in _app(case, parcel).photos


def _app(case: Case, parcel: Parcel) -> Any:
    return _db(case).apps[_db(case).customers[parcel.customer_id].email]


def _day_offered(case: Case, parcel: Parcel) -> bool:
    area = _db(case).customers[parcel.customer_id].area
    return case.call.arguments.get("day") in _db(case).areas[area].days


def _hold_short_enough(case: Case, parcel: Parcel) -> bool:
    plan = _db(case).customers[parcel.customer_id].plan
    days = case.call.arguments.get("days")
    return isinstance(days, int) and days <= (10 if plan == "plus" else 5)


def confirmation_clause() -> Clause:
    """Return the rule that every change needs the customer's yes."""
    text = "Say what you are about to change and wait for a clear yes."
    return Clause("P3", text, WRITES, _deny_unconfirmed, about="dialogue", source="policy.md, rule 3")


CLAUSES: tuple[Clause, ...] = (
    Clause(
        "P1", "Find the customer before any change or transfer.", (*WRITES, "transfer_to_human"), _deny_unidentified,
        source="policy.md, rule 1",
    ),
    Clause(
        "P2", "Change only what belongs to the customer you found.", WRITES, _deny_foreign,
        source="policy.md, rule 2", read="get_parcel", also=(LOOK_UPS,),
    ),
    confirmation_clause(),
    _rule(4, ("reschedule_delivery",), "A new day only while the parcel is at the depot.",
          _unless(lambda _, p: p.status == "at_depot", "the parcel is not at the depot")),
    _rule(5, ("reschedule_delivery",), "The day must be one that the van drives.",
          _unless(_day_offered, "the van does not drive there on that day"), "list_delivery_days"),
    _rule(6, ("reschedule_delivery", "leave_with_neighbour"), "No delivery to the door after three attempts.",
          _unless(lambda _, p: p.attempts < 3, "three delivery attempts have failed")),
    _rule(7, ("leave_with_neighbour",), "A neighbour only while at the depot or in transit.",
          _unless(lambda _, p: p.status in ("at_depot", "in_transit"), "the parcel is not at the depot or in transit")),
    _rule(8, ("leave_with_neighbour",), "An insured parcel is never left with a neighbour.",
          _unless(lambda _, p: not p.insured, "the parcel is insured")),
    _rule(9, ("leave_with_neighbour", "redirect_to_locker"), "No neighbour or locker with cash on delivery.",
          _unless(lambda _, p: not p.cash_on_delivery, "cash on delivery is due on the parcel")),
    _rule(10, ("change_address",), "A new address only while registered or in transit.",
          _unless(lambda _, p: p.status in ("registered", "in_transit"), "the parcel has reached the depot already")),
    _rule(11, ("hold_parcel",), "A hold only while the parcel is at the depot.",
          _unless(lambda _, p: p.status == "at_depot", "the parcel is not at the depot")),
    _rule(12, ("hold_parcel",), "A hold of at most 5 days on basic, 10 on plus.",
          _unless(_hold_short_enough, "the plan does not allow so many days"), LOOK_UPS),
    _rule(13, ("redirect_to_locker",), "A locker only while at the depot or in transit.",
          _unless(lambda _, p: p.status in ("at_depot", "in_transit"), "the parcel is not at the depot or in transit")),
    _rule(14, ("redirect_to_locker",), "No locker for more than 10 kg.",
          _unless(lambda _, p: p.weight_kg <= 10, "the parcel is heavier than 10 kg")),
    _rule(15, ("redirect_to_locker",), "Locker pickup must be on in the customer's app.",
          _unless(_app_on, "locker pickup is off in the customer's app"), "get_app_status"),
    _rule(16, ("return_to_sender",), "No return of a parcel delivered or returned.",
          _unless(lambda _, p: p.status not in ("delivered", "returned"), "the parcel was delivered or returned")),
    _rule(17, ("file_damage_claim",), "A damage claim within 7 days of delivery.",
          _unless(lambda _, p: p.days_since_delivery is not None and p.days_since_delivery <= 7,
                  "the parcel was not delivered in the last 7 days")),
    _rule(18, ("file_damage_claim",), "A damage claim needs the customer's photo.",
          _unless(_photographed, "there is no photo of the damage"), "get_app_status"),
    _rule(19, ("file_loss_claim",), "A loss claim for a parcel in transit, not scanned for 10 days.",
          _unless(lambda _, p: p.status == "in_transit" and p.days_since_scan >= 10,
                  "the parcel is not in transit without a scan for 10 days")),
    _rule(20, ("file_damage_claim", "file_loss_claim"), "One claim per parcel.",
          _unless(lambda case, p: p.tracking not in _db(case).claims, "there is a claim on the parcel already")),
    _rule(21, ("refund_express_fee",), "The fee back only for a late express parcel.",
          _unless(lambda _, p: p.service == "express" and p.days_late >= 1, "the parcel is not a late express parcel")),
    _rule(22, ("refund_express_fee",), "The fee is paid back once.",
          _unless(lambda _, p: not p.fee_refunded, "the fee was paid back already")),
)  # fmt: skip
