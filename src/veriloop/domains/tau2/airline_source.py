"""Where the arguments of the airline's tools come from, what its reads yield, and how passengers put their wishes."""

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from veriloop.core.base import derive_seed
from veriloop.domains.source import Scope, Source, Yield, choice, ref, said_as
from veriloop.domains.tau2.airline_data import (
    CABINS,
    count_paid_bags,
    departure,
    destinations_from,
    find_direct,
    find_movable,
    is_flown,
    is_recent,
    legs,
    statuses,
    wished_day,
    wished_trips,
)

CANDIDATES = 30
"""Values offered for one parameter at most."""
MOST_PASSENGERS = 5
BAG_FEE, INSURANCE_FEE = 50, 30

_FIRST = ("Amara", "Bruno", "Clara", "Dmitri", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kaya", "Leandro")
_LAST = ("Abbott", "Borges", "Castellan", "Dorsey", "Eklund", "Ferrante", "Gallo", "Hartmann", "Iversen", "Jankowski")
Pairs = list[tuple[str, Any]]


def _reservation(scope: Scope) -> Any:
    return scope.state.reservations.get(scope.arguments.get("reservation_id"))


def _owner(scope: Scope) -> Any:
    user_id = scope.arguments.get("user_id") or getattr(_reservation(scope), "user_id", None)
    return scope.state.users.get(user_id)


def _open_reservations(scope: Scope) -> list[Any]:
    rows = scope.state.reservations
    return [rows[key] for key in scope.pool.get("reservation_id", {}) if key in rows and rows[key].status is None]


def _list_changeable(scope: Scope) -> list[str]:
    """Return the reservations of which some flight is still ahead."""
    found = [(row.reservation_id, statuses(scope.state, row)) for row in _open_reservations(scope)]
    return [key for key, flights in found if "available" in flights]


def _list_unflown(scope: Scope) -> list[str]:
    return [found.reservation_id for found in _open_reservations(scope) if not is_flown(scope.state, found)]


def _list_cancellable(scope: Scope) -> list[str]:
    """Return the reservations of which it is clear whether they can be cancelled.

    Where it hangs on why, which is no argument of the tool, two readings of the same wish would end differently; where
    a flight was flown a person has to decide.
    """
    return [
        found.reservation_id
        for found in _open_reservations(scope)
        if not is_flown(scope.state, found)
        and (found.insurance == "no" or found.cabin == "business" or is_recent(found) or _has_cancelled(scope, found))
    ]


def _has_cancelled(scope: Scope, reservation: Any) -> bool:
    return "cancelled" in statuses(scope.state, reservation)


def _invent_people(about: str, count: int) -> list[dict[str, str]]:
    """Return invented people, the same ones for the same matter."""
    rng = random.Random(derive_seed("people", about))
    born = [f"{rng.randint(1950, 2005)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}" for _ in range(count)]
    names = zip(rng.sample(_FIRST, count), rng.sample(_LAST, count), born, strict=True)
    return [{"first_name": first, "last_name": last, "dob": dob} for first, last, dob in names]


def _say_person(person: dict[str, str]) -> str:
    return f"{person['first_name']} {person['last_name']} (born {person['dob']})"


def _say_plainly(value: str, _: Scope) -> str:
    return str(value).replace("_", " ")


# What a flight is changed to.


def _list_flights(scope: Scope) -> list[list[dict[str, str]]]:
    """Return what the flights of the chosen reservation may become: the same in another cabin, or one of them moved.

    For a single flight one to another city is among them: a wish that the policy forbids.
    """
    found = _reservation(scope)
    if found is None:
        return []
    now, cabin = legs(found), scope.arguments.get("cabin", found.cabin)
    moved = [
        [*now[:position], other, *now[position + 1 :]]
        for position in find_movable(scope.state, found)
        for other in _find_others(scope, found, position, cabin)
    ]
    return [*([now] if cabin != found.cabin else []), *moved][:CANDIDATES]


def _find_others(scope: Scope, reservation: Any, position: int, cabin: str) -> list[dict[str, str]]:
    flight, seats = reservation.flights[position], len(reservation.passengers)
    day = wished_day(reservation, position)
    others = [leg for found in _open_reservations(scope) if found is not reservation for leg in found.flights]
    # One to or from the same city elsewhere might as well be meant.
    if day is None or any(leg.origin == flight.origin or leg.destination == flight.destination for leg in others):
        return []
    goals = [flight.destination, *_elsewhere(reservation)]
    return [other for goal in goals for other in find_direct(scope.state, flight.origin, goal, day, cabin, seats)]


def _elsewhere(reservation: Any) -> list[str]:
    """Return another city that a single flight might go to instead."""
    if len(reservation.flights) != 1:
        return []
    others = [city for city in destinations_from(reservation.origin) if city != reservation.destination]
    rng = random.Random(derive_seed("elsewhere", reservation.reservation_id))
    return rng.sample(others, min(1, len(others)))


def _say_flights(value: list[dict[str, str]], scope: Scope) -> str:
    found = _reservation(scope)
    now = legs(found) if found else []
    changed = [(old, new) for old, new in zip(now, value, strict=False) if old != new]
    if not changed:
        return "the same flights as now"
    parts = []
    for old, new in changed:
        rows = scope.state.flights
        start, goal = rows[new["flight_number"]].origin, rows[new["flight_number"]].destination
        there = "" if goal == rows[old["flight_number"]].destination else " instead"
        parts.append(f"the direct one from {start} to {goal}{there} on {new['date']} that leaves at {_leaves(new)}")
    return " and ".join(parts)


def _leaves(flight: dict[str, str]) -> str:
    return departure(flight["flight_number"])


def _searches(value: list[dict[str, str]], scope: Scope) -> Pairs:
    """Return the reads that show the present flights and the new ones."""
    found, rows = _reservation(scope), scope.state.flights
    now = legs(found) if found else []
    new = [(rows[flight["flight_number"]], flight["date"]) for flight in value if flight not in now]
    searches = [("search_direct_flight", (flight.origin, flight.destination, day)) for flight, day in new]
    return [*([("get_reservation_details", (found.reservation_id,))] if found else []), *searches]


# Bags.


def _list_bag_totals(scope: Scope) -> list[int]:
    """Return totals a user may wish: up to three more than now, and one less, which the policy forbids."""
    found = _reservation(scope)
    now = found.total_baggages if found else 0
    return [*range(now + 1, now + 4), *([now - 1] if now else [])]


def _list_booked_bags(scope: Scope) -> list[int]:
    people, user = scope.arguments.get("passengers", []), _owner(scope)
    if user is None:
        return []
    cabin = scope.arguments.get("cabin", CABINS[0])
    free = next(n for n in range(99) if count_paid_bags(user, cabin, len(people), n + 1))
    few = range(2 * len(people) + 2)
    return [number for number in sorted({0, len(people), len(people) + 1, free, free + 1}) if number in few]


def _count_paid(scope: Scope) -> list[int]:
    """Return how many of the bags are to be paid, which follows from the policy."""
    found, user = _reservation(scope), _owner(scope)
    if user is None:
        return []
    cabin = found.cabin if found else scope.arguments.get("cabin", CABINS[0])
    people = found.passengers if found else scope.arguments.get("passengers", [])
    return [count_paid_bags(user, cabin, len(people), scope.arguments.get("total_baggages", 0))]


def _rests_on_owner(_: Any, scope: Scope) -> Pairs:
    user = _owner(scope)
    return [("get_user_details", (user.user_id,))] if user else []


# Passengers.


def _list_passengers(scope: Scope) -> list[list[dict[str, str]]]:
    """Return the passengers with one of them replaced, and with one more, which the policy forbids."""
    found = _reservation(scope)
    if found is None:
        return []
    now = [person.model_dump(mode="json") for person in found.passengers]
    invented = _invent_people(found.reservation_id, 3)
    names = [(person["first_name"], person["last_name"]) for person in now]
    alone = [position for position, name in enumerate(names) if names.count(name) == 1]
    replaced = [
        [*now[:position], person, *now[position + 1 :]] for position, person in zip(alone[:2], invented, strict=False)
    ]
    return [*replaced, [*now, invented[2]]]


def _say_passengers(value: list[dict[str, str]], scope: Scope) -> str:
    found = _reservation(scope)
    now = [person.model_dump(mode="json") for person in found.passengers] if found else []
    if len(value) > len(now):
        return " and ".join(f"{_say_person(person)} in addition" for person in value[len(now) :])
    changed = [(old, new) for old, new in zip(now, value, strict=False) if old != new]
    return " and ".join(
        f"{_say_person(new)} in place of {old['first_name']} {old['last_name']}" for old, new in changed
    )


def _list_travellers(scope: Scope) -> list[list[dict[str, str]]]:
    """Return parties for a new trip: alone, with one or two others, and more than the policy allows."""
    user = _owner(scope)
    if user is None:
        return []
    me = {"first_name": user.name.first_name, "last_name": user.name.last_name, "dob": user.dob}
    others = _invent_people(user.user_id, MOST_PASSENGERS)
    return [[me], [me, *others[:1]], [me, *others[1:3]], [me, *others]]


def _say_travellers(value: list[dict[str, str]], _: Scope) -> str:
    return " and ".join(["myself", *map(_say_person, value[1:])])


# Payment.


def _say_payment(value: str, scope: Scope) -> str:
    row = scope.pool.get("payment_id", {}).get(value, {})
    if row.get("source") == "credit_card":
        return f"{row['brand']} credit card ending in {row['last_four']}"
    source = row.get("source", "")
    return f"{source.replace('_', ' ')} ending in {value[-4:]}" if source else str(value)


def _price(scope: Scope) -> int:
    """Return what a new reservation costs in dollars."""
    chosen = scope.arguments
    people = len(chosen["passengers"])
    rows, cabin = scope.state.flights, chosen["cabin"]
    fares = sum(rows[f["flight_number"]].dates[f["date"]].prices[cabin] for f in chosen["flights"])
    insured = INSURANCE_FEE if chosen["insurance"] == "yes" else 0
    return (fares + insured) * people + BAG_FEE * chosen["nonfree_baggages"]


def _list_payments(scope: Scope) -> list[list[dict[str, Any]]]:
    """Return ways to pay for a new reservation: one card, or certificates first and a credit card for the rest.

    Two certificates are one too many.
    """
    user = _owner(scope)
    if user is None or not scope.arguments.get("flights"):
        return []
    # A certificate that came of an earlier wish has no name yet that its owner could say.
    price, known = _price(scope), scope.pool.get("payment_id", {})
    methods = [method for method in user.payment_methods.values() if method.id in known]
    cards = [m for m in methods if m.source == "credit_card"]
    full = [m for m in methods if m.source == "gift_card" and m.amount >= price]
    vouchers = [m for m in methods if m.source == "certificate" and m.amount < price and m.amount == int(m.amount)]
    found = [[_pay(method.id, price)] for method in (*cards, *full)]
    for used in (*((voucher,) for voucher in vouchers), *itertools.combinations(vouchers, 2)):
        rest = price - sum(int(voucher.amount) for voucher in used)
        if cards and rest > 0:
            found.append([*(_pay(voucher.id, int(voucher.amount)) for voucher in used), _pay(cards[0].id, rest)])
    return found[:CANDIDATES]


def _pay(payment_id: str, amount: int) -> dict[str, Any]:
    return {"payment_id": payment_id, "amount": amount}


def _say_payments(value: Sequence[dict[str, Any]], scope: Scope) -> str:
    said = [_say_payment(payment["payment_id"], scope) for payment in value]
    return said[0] if len(said) == 1 else f"the {' and the '.join(said[:-1])} in full, and the rest from the {said[-1]}"


# Compensation.


def _due(scope: Scope) -> dict[int, Any]:
    """Return reservations with a cancelled flight by the dollars that go with it, the first of each amount."""
    found: dict[int, Any] = {}
    for reservation in _open_reservations(scope):
        if _has_cancelled(scope, reservation):
            found.setdefault(100 * len(reservation.passengers), reservation)
    return found


def _say_due(value: int, scope: Scope) -> str:
    return f"what I get for the cancelled flight of reservation {_due(scope)[value].reservation_id}"


def _rests_on_due(value: int, scope: Scope) -> Pairs:
    key = _due(scope)[value].reservation_id
    return [("get_reservation_details", (key,)), *_rests_on_owner(value, scope)]


def _trip_values(field: str, *fixed: str) -> Callable[[Scope], list[str]]:
    """Return what gives one field of the caller's wished trips, of those that fit what was chosen before."""

    def values(scope: Scope) -> list[str]:
        trips = wished_trips(str(scope.caller.get("user_id", "")))
        fitting = [t for t in trips if all(getattr(t, name) == scope.arguments.get(name) for name in fixed)]
        return list(dict.fromkeys(getattr(trip, field) for trip in fitting))

    return values


def _list_trip_flights(scope: Scope) -> list[list[dict[str, str]]]:
    """Return the direct flights of the wished trip, there and, on a round trip, back."""
    chosen = scope.arguments
    for trip in wished_trips(str(scope.caller.get("user_id", ""))):
        if (trip.origin, trip.destination) != (chosen.get("origin"), chosen.get("destination")):
            continue
        cabin = chosen.get("cabin", CABINS[0])
        out = find_direct(scope.state, trip.origin, trip.destination, trip.out, cabin, MOST_PASSENGERS)
        if chosen.get("flight_type") == "one_way":
            return [[flight] for flight in out]
        back = find_direct(scope.state, trip.destination, trip.origin, trip.back, cabin, MOST_PASSENGERS)
        return [list(pair) for pair in itertools.product(out, back)][:CANDIDATES]
    return []


def _say_trip_flights(value: list[dict[str, str]], _: Scope) -> str:
    said = [f"the direct one on {flight['date']} that leaves at {_leaves(flight)}" for flight in value]
    return ", and back ".join(said)


# What is searched for: the flights of wished trips and those that a booked one may be moved to.


def _wished_searches(scope: Scope) -> list[tuple[str, str, str]]:
    found = list[tuple[str, str, str]]()
    if user_id := scope.caller.get("user_id"):
        for trip in wished_trips(str(user_id)):
            found += [(trip.origin, trip.destination, trip.out), (trip.destination, trip.origin, trip.back)]
    for reservation in _open_reservations(scope):
        for position in find_movable(scope.state, reservation):
            flight, day = reservation.flights[position], wished_day(reservation, position)
            found += [(flight.origin, flight.destination, day)] if day else []
    return list(dict.fromkeys(found))


def _searched(position: int, *fixed: str) -> Callable[[Scope], list[str]]:
    def values(scope: Scope) -> list[str]:
        given = tuple(scope.arguments.get(name) for name in fixed)
        return list(dict.fromkeys(found[position] for found in _wished_searches(scope) if found[:position] == given))

    return values


def _flight_days(scope: Scope) -> list[str]:
    """Return the days on which a flight is in one of the caller's reservations."""
    number = scope.arguments.get("flight_number")
    flights = [flight for found in _open_reservations(scope) for flight in found.flights]
    return list(dict.fromkeys(flight.date for flight in flights if flight.flight_number == number))


USER = ref("user_id", "user id")
RESERVATION = said_as(
    replace(choice("reservation_id", _list_changeable, "reservation number"), implied=True),
    "It's about reservation {text}.",
    "The booking is {text}.",
    "I mean reservation {text}.",
    "My confirmation says {text}.",
)
# Always told: the same words might be about trips that are left out here, or about another one with that passenger.
CANCELLED = replace(RESERVATION, values=_list_cancellable, implied=False, free=True)
AHEAD = replace(RESERVATION, values=_list_unflown, implied=False, free=True)
CABIN = said_as(
    choice("cabin", CABINS, "cabin class", say=_say_plainly),
    "Seats in {text} would be good.",
    "The class should be {text}.",
    "I want to sit in {text}.",
)
FLIGHTS = said_as(
    replace(choice("flight", _list_flights, "flight", say=_say_flights, free=True), rests_on=_searches),
    "What suits me is {text}.",
    "I was thinking of {text}.",
    "The times work best with {text}.",
    the_same_flights_as_now=(
        "The flights stay as they are.",
        "I do not want other flights.",
        "The flights themselves suit me.",
    ),
)
PAYMENT = said_as(
    replace(ref("payment_id", "payment method", say=_say_payment), implied=True),
    "Please use my {text}.",
    "My {text} is to be used for it.",
    "It should go through my {text}.",
)
TOTAL = said_as(
    choice("total_baggages", _list_bag_totals, "number of checked bags in all"),
    "Checked bags in all: {text}.",
    "With everything together we check {text} bags.",
    "The total of checked bags should come to {text}.",
)
PAID = replace(choice("nonfree_baggages", _count_paid, told=False), worked_out=True, rests_on=_rests_on_owner)
PASSENGERS = replace(
    choice("passenger", _list_passengers, "change of passengers", say=_say_passengers, free=True),
    unordered="passengers",
)
DUE = replace(
    choice("amount", _due, "compensation", say=_say_due), implied=True, worked_out=True, rests_on=_rests_on_due
)
SEARCH = {
    "origin": choice("origin", _searched(0), "city to leave from"),
    "destination": choice("destination", _searched(1, "origin"), "city to fly to"),
    "date": choice("date", _searched(2, "origin", "destination"), "day"),
}

KINDS: dict[str, Source] = {source.kind: source for source in (USER, RESERVATION)}

SOURCES: dict[str, dict[str, Source]] = {
    "get_user_details": {"user_id": USER},
    "get_reservation_details": {"reservation_id": ref("reservation_id", "reservation number")},
    "get_flight_status": {
        "flight_number": ref("flight.flight_number", "flight number"), "date": choice("date", _flight_days, "day"),
    },
    "search_direct_flight": SEARCH,
    "book_reservation": {
        "user_id": USER,
        # Where no flight back is wished, the trip goes one way.
        "flight_type": replace(choice("flight_type", ("one_way", "round_trip"), told=False), worked_out=True),
        "origin": said_as(
            choice("origin", _trip_values("origin"), "city to leave from", free=True),
            "I start from {text}.",
            "We leave from {text}.",
        ),
        "destination": said_as(
            choice("destination", _trip_values("destination", "origin"), "city to fly to", free=True),
            "I am heading to {text}.",
            "My destination is {text}.",
        ),
        "cabin": CABIN,
        "flights": replace(FLIGHTS, values=_list_trip_flights, say=_say_trip_flights),
        "passengers": said_as(
            replace(PASSENGERS, values=_list_travellers, say=_say_travellers, label="travelling party"),
            "The people on it: {text}.",
            "Those who fly are {text}.",
        ),
        "total_baggages": replace(TOTAL, values=_list_booked_bags),
        "nonfree_baggages": PAID,
        "insurance": said_as(
            choice("insurance", ("yes", "no"), "travel insurance"),
            yes=("Please insure the trip.", "I want the insurance with it.", "And add the insurance."),
            no=("I do not need the insurance.", "Leave the insurance out, please.", "No insurance for me."),
        ),
        "payment_methods": replace(
            choice("payment", _list_payments, "payment method", say=_say_payments, free=True),
            worked_out=True,
            rests_on=_rests_on_owner,
            unordered="payments",
        ),
    },
    "cancel_reservation": {"reservation_id": CANCELLED},
    "update_reservation_flights": {
        "reservation_id": RESERVATION, "cabin": CABIN, "flights": FLIGHTS, "payment_id": PAYMENT,
    },
    "update_reservation_baggages": {
        "reservation_id": AHEAD, "total_baggages": TOTAL, "nonfree_baggages": PAID, "payment_id": PAYMENT,
    },
    "update_reservation_passengers": {"reservation_id": AHEAD, "passengers": PASSENGERS},
    "send_certificate": {"user_id": USER, "amount": DUE},
}  # fmt: skip

YIELDS: dict[str, tuple[Yield, ...]] = {
    "get_user_details": (Yield("reservation_id", "reservations[]"), Yield("payment_id", "payment_methods{}.id")),
    "get_reservation_details": (Yield("flight.flight_number", "flights[].flight_number"),),
    "search_direct_flight": (Yield("flight.flight_number", "[].flight_number"),),
}
