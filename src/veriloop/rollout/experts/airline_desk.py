"""What the airline's expert knows and works out: the profile, the reservations, the policy in its own words."""

import json
from dataclasses import dataclass, field
from typing import Any

from veriloop.rollout.experts.talk import HandOverError, Talk, ask_for, call
from veriloop.rollout.wording import Forms, find_told

TODAY = "2024-05-15"
DAY_AGO = "2024-05-14T15:00:00"
FREE_BAGS = {"regular": 0, "silver": 1, "gold": 2}
CABINS = ("basic_economy", "economy", "business")
BAG, INSURANCE = 50, 30
MOST_PASSENGERS = 5


@dataclass
class Desk:
    """What is known in one dialogue. heard: what the user has said of the present wish. forms: how facts are told."""

    heard: list[str]
    forms: dict[str, Forms] = field(default_factory=dict)
    user: dict[str, Any] = field(default_factory=dict)

    @property
    def said(self) -> str:
        """All that the user has said of the present wish."""
        return " ".join(self.heard)

    def find_fact(self, label: str) -> str | None:
        """Return what the user says a thing is, in any of the ways that people put it."""
        texts = find_told(self.said, label, self.forms.get(label))
        return texts[-1] if texts else None

    def ask(self, label: str, *, needed: bool = True) -> Talk:
        """Return what the user says a thing is, asked for once where it was not told; None where nobody needs it."""
        found = self.find_fact(label)
        if found is None:
            yield ask_for(label)
            found = self.find_fact(label)
        if found is None and needed:
            raise HandOverError(f"The customer does not say the {label}.")
        return found

    def ask_number(self, label: str) -> Talk:
        """Return the number that the user says; raises HandOverError for what is none."""
        text = yield from self.ask(label)
        if not text.isdecimal():
            raise HandOverError(f"The customer says {text!r} as the {label}.")
        return int(text)

    def read_reservation(self, key: str) -> Talk:
        """Return a reservation as the tool shows it; None where there is none."""
        return read((yield call("get_reservation_details", reservation_id=key)))

    def read_all(self) -> Talk:
        """Return the user's reservations that are not cancelled."""
        found = list[dict[str, Any]]()
        for key in self.user["reservations"]:
            reservation = yield from self.read_reservation(key)
            found += [reservation] if reservation and not reservation["status"] else []
        return found

    def read_statuses(self, reservation: dict[str, Any]) -> Talk:
        """Return the status of each flight: those of later days can still be booked and are not looked up."""
        found = list[str]()
        for flight in reservation["flights"]:
            if flight["date"] > TODAY:
                found.append("available")
                continue
            found.append((yield call("get_flight_status", **pick(flight, "flight_number", "date"))))
        return found

    def find_payment(self, text: str | None) -> str:
        """Return the id of the payment method that is meant, the only one where none is named."""
        methods = self.user["payment_methods"]
        fitting = [key for key, method in methods.items() if text is None or _is_meant(method, text)]
        if len(fitting) != 1:
            raise HandOverError(f"It is not clear which payment method is meant by {text!r}.")
        return fitting[0]

    def count_paid_bags(self, cabin: str, people: int, bags: int) -> int:
        """Return how many bags go beyond the allowance of membership and cabin."""
        return max(0, bags - people * (FREE_BAGS[self.user["membership"]] + CABINS.index(cabin)))


def _is_meant(method: dict[str, Any], text: str) -> bool:
    """Return whether a method is the one that ends like this."""
    last = method.get("last_four") or method["id"][-4:]
    return method["source"].replace("_", " ") in text and text.endswith(f"ending in {last}")


def pick(row: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return some fields of a row."""
    return {name: row[name] for name in names}


def read(text: str) -> Any:
    """Return a tool's answer; None where it refused."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None


def is_flown(statuses: list[str]) -> bool:
    """Return whether any flight has taken off."""
    return any(status in ("landed", "flying") for status in statuses)


def list_flights(reservation: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a reservation's flights as the tools take them."""
    return [pick(flight, "flight_number", "date") for flight in reservation["flights"]]
