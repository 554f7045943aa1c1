"""The airline's rows, and what policy and wishes need to know of them: flown flights, free bags, direct flights."""

import functools
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel
from tau2.domains.airline.data_model import FlightDB
from tau2.domains.airline.utils import AIRLINE_DB_PATH

from veriloop.core.base import derive_seed

TABLES = ("flights", "reservations", "users")
NOW = "2024-05-15T15:00:00"
"""The policy's present (line 3)."""
FIRST_DAY, LAST_DAY = 17, 29
"""Days of May that people wish to fly on: all flights of these days can still be booked."""
FLOWN = ("landed", "flying")
CABINS = ("basic_economy", "economy", "business")
FREE_BAGS = {"regular": 0, "silver": 1, "gold": 2}
"""Free checked bags of each passenger in basic economy (policy, lines 82-94); each better cabin has one more."""
TRIPS = 2
"""Trips that a caller may wish to book."""


@functools.lru_cache(maxsize=1)
def load_tables() -> Mapping[str, Mapping[str, BaseModel]]:
    """Return the package's rows by table and key, parsed once per process; shared, never to be changed."""
    db = FlightDB.load(str(AIRLINE_DB_PATH))
    return MappingProxyType({name: MappingProxyType(getattr(db, name)) for name in TABLES})


@dataclass(frozen=True, slots=True)
class Trip:
    """A trip somebody wishes to book; days as YYYY-MM-DD."""

    origin: str
    destination: str
    out: str
    back: str


@functools.lru_cache(maxsize=1)
def _routes() -> Mapping[tuple[str, str], tuple[str, ...]]:
    """Return the numbers of the direct flights by (origin, destination), the earliest departure first."""
    flights: Mapping[str, Any] = load_tables()["flights"]
    found: dict[tuple[str, str], list[str]] = {}
    for number, flight in sorted(flights.items(), key=lambda item: item[1].scheduled_departure_time_est):
        found.setdefault((flight.origin, flight.destination), []).append(number)
    return {route: tuple(numbers) for route, numbers in found.items()}


def departure(number: str) -> str:
    """Return when a flight leaves, as HH:MM."""
    flight: Any = load_tables()["flights"][number]
    return flight.scheduled_departure_time_est[:5]


def destinations_from(origin: str) -> list[str]:
    """Return the cities that have a direct flight from another one."""
    return sorted(destination for start, destination in _routes() if start == origin)


def find_direct(state: Any, origin: str, destination: str, day: str, cabin: str, seats: int) -> list[dict[str, str]]:
    """Return the direct flights of a day that have so many seats left, those alone that leave at a time of their own.

    People tell flights apart by when they leave.
    """
    numbers = _routes().get((origin, destination), ())
    times = [departure(number) for number in numbers]
    alone = [number for number, time in zip(numbers, times, strict=True) if times.count(time) == 1]
    return [{"flight_number": n, "date": day} for n in alone if _has_seats(state, n, day, cabin, seats)]


def _has_seats(state: Any, number: str, day: str, cabin: str, seats: int) -> bool:
    on_day = state.flights[number].dates.get(day)
    return on_day is not None and on_day.status == "available" and on_day.available_seats[cabin] >= seats


def status_of(state: Any, number: str, day: str) -> str:
    """Return a flight's status on a day; empty when there is none."""
    flight = state.flights.get(number)
    return flight.dates[day].status if flight and day in flight.dates else ""


def statuses(state: Any, reservation: Any) -> list[str]:
    """Return the status of each flight of a reservation."""
    return [status_of(state, flight.flight_number, flight.date) for flight in reservation.flights]


def is_flown(state: Any, reservation: Any) -> bool:
    """Return whether any flight of a reservation has taken off already."""
    return any(status in FLOWN for status in statuses(state, reservation))


def count_paid_bags(user: Any, cabin: str, passengers: int, bags: int) -> int:
    """Return how many of the bags are not free (policy, lines 82-95)."""
    free = FREE_BAGS[user.membership] + CABINS.index(cabin)
    return max(0, bags - free * passengers)


def is_recent(reservation: Any) -> bool:
    """Return whether a reservation was made within the last 24 hours."""
    return reservation.created_at >= "2024-05-14" + NOW[10:]


def legs(reservation: Any) -> list[dict[str, str]]:
    """Return a reservation's flights as the tools take them."""
    return [{"flight_number": flight.flight_number, "date": flight.date} for flight in reservation.flights]


def wished_trips(user_id: str) -> list[Trip]:
    """Return trips that a user may wish to book, the same ones for the same user; both ways have direct flights."""
    rng = random.Random(derive_seed("trip", user_id))
    both = [route for route in sorted(_routes()) if route[::-1] in _routes()]
    days = [sorted(rng.sample(range(FIRST_DAY, LAST_DAY + 1), 2)) for _ in range(TRIPS)]
    chosen = rng.sample(both, TRIPS)
    return [
        Trip(origin, destination, _day(out), _day(back))
        for (origin, destination), (out, back) in zip(chosen, days, strict=True)
    ]


def find_movable(state: Any, reservation: Any) -> list[int]:
    """Return the positions of flights that can be moved alone: direct ways of a reservation not begun yet."""
    ways = {"one_way": 1, "round_trip": 2}[reservation.flight_type]
    whole = len(reservation.flights) == ways and set(statuses(state, reservation)) == {"available"}
    return list(range(ways)) if whole else []


def wished_day(reservation: Any, position: int) -> str | None:
    """Return the day that a flight is wished to be moved to, always the same; None where there is none in between."""
    days = [int(flight.date[-2:]) for flight in reservation.flights]
    earliest = days[position - 1] if position else FIRST_DAY
    latest = days[position + 1] if position + 1 < len(days) else LAST_DAY
    choices = [day for day in range(max(earliest, FIRST_DAY), min(latest, LAST_DAY) + 1) if day != days[position]]
    rng = random.Random(derive_seed("day", reservation.reservation_id, position))
    return _day(rng.choice(choices)) if choices else None


def _day(number: int) -> str:
    return f"2024-05-{number:02}"


def find_owner(state: Any, arguments: Mapping[str, Any]) -> Any:
    """Return the user whose data a call is about, by its reservation or by the user's own id; None when there is none.

    Arguments may be anything.
    """
    reservation = find_reservation(state, arguments)
    user_id = reservation.user_id if reservation else arguments.get("user_id")
    return state.users[user_id] if isinstance(user_id, str) and user_id in state.users else None


def find_reservation(state: Any, arguments: Mapping[str, Any]) -> Any:
    """Return the reservation that a call names, None when there is none."""
    key = arguments.get("reservation_id")
    return state.reservations[key] if isinstance(key, str) and key in state.reservations else None


def rows_of(value: Any, fields: Iterable[str]) -> Sequence[dict[str, Any]]:
    """Return an argument's objects where it is a list of objects with these fields; empty otherwise."""
    wanted = set(fields)
    fits = isinstance(value, list) and all(isinstance(item, dict) and wanted <= item.keys() for item in value)
    return value if fits else ()
