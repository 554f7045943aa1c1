"""The parcel policy as the expert reads it: from tool results, in its own words, apart from the clauses' code."""

from collections.abc import Callable
from typing import Any

Objection = Callable[[dict[str, Any], dict[str, Any], Any, dict[str, Any]], str | None]
"""(customer, parcel, told value, extra reads) -> why the change is forbidden, or None."""


def find_objection(
    tool: str, customer: dict[str, Any], parcel: dict[str, Any] | None, value: Any, extra: dict[str, Any]
) -> str | None:
    """Return the first reason of the policy against a change, or None."""
    if parcel is None:
        return None
    if parcel["customer_id"] != customer["customer_id"]:
        return "that parcel is not addressed to you"
    return _OBJECTIONS[tool](customer, parcel, value, extra)


def _reschedule(_customer: Any, parcel: Any, value: Any, extra: Any) -> str | None:
    if parcel["status"] != "at_depot":
        return "a new day can be set only while the parcel is at the depot"
    if parcel["attempts"] >= 3:
        return "after three failed attempts there is no further delivery to the door"
    if value not in extra["days"]:
        return "the van does not drive there on that day"
    return None


def _locker(_customer: Any, parcel: Any, _value: Any, extra: Any) -> str | None:
    if parcel["status"] not in ("at_depot", "in_transit"):
        return "only a parcel at the depot or in transit can go to a locker"
    if parcel["weight_kg"] > 10:
        return "a parcel of more than 10 kg does not go to a locker"
    if parcel["cash_on_delivery"]:
        return "a parcel with cash on delivery does not go to a locker"
    if extra["locker"] is None:
        return "there is no such locker in your area"
    return None


def _neighbour(_customer: Any, parcel: Any, _value: Any, _extra: Any) -> str | None:
    if parcel["status"] not in ("at_depot", "in_transit"):
        return "a neighbour can take a parcel only while it is at the depot or in transit"
    if parcel["attempts"] >= 3:
        return "after three failed attempts there is no further delivery to the door"
    if parcel["insured"]:
        return "an insured parcel is never left with a neighbour"
    if parcel["cash_on_delivery"]:
        return "a parcel with cash on delivery does not go to a neighbour"
    return None


def _address(_customer: Any, parcel: Any, _value: Any, _extra: Any) -> str | None:
    if parcel["status"] not in ("registered", "in_transit"):
        return "the address can be changed only before the parcel reaches the depot"
    return None


def _hold(customer: Any, parcel: Any, value: Any, _extra: Any) -> str | None:
    if parcel["status"] != "at_depot":
        return "the depot holds a parcel only while it is there"
    if int(value) > (10 if customer["plan"] == "plus" else 5):
        return "your plan does not allow so many days"
    return None


def _return(_customer: Any, parcel: Any, _value: Any, _extra: Any) -> str | None:
    if parcel["status"] in ("delivered", "returned"):
        return "a parcel that was delivered or returned cannot be sent back"
    return None


def _damage(_customer: Any, parcel: Any, _value: Any, _extra: Any) -> str | None:
    days = parcel["days_since_delivery"]
    if days is None or days > 7:
        return "a damage claim is for a parcel delivered at most 7 days ago"
    return _claimed(parcel)


def _loss(_customer: Any, parcel: Any, _value: Any, _extra: Any) -> str | None:
    if parcel["status"] != "in_transit" or parcel["days_since_scan"] < 10:
        return "a loss claim is for a parcel in transit that was not scanned for 10 days"
    return _claimed(parcel)


def _claimed(parcel: Any) -> str | None:
    return "there is a claim on that parcel already" if parcel["claim"] else None


def _refund(_customer: Any, parcel: Any, _value: Any, _extra: Any) -> str | None:
    if parcel["service"] != "express" or parcel["days_late"] < 1:
        return "the express fee is paid back only for a late express parcel"
    return "the express fee was paid back already" if parcel["fee_refunded"] else None


_OBJECTIONS: dict[str, Objection] = {
    "reschedule_delivery": _reschedule,
    "redirect_to_locker": _locker,
    "leave_with_neighbour": _neighbour,
    "change_address": _address,
    "hold_parcel": _hold,
    "return_to_sender": _return,
    "file_damage_claim": _damage,
    "file_loss_claim": _loss,
    "refund_express_fee": _refund,
}
