"""The expert of tau2's airline: follows the policy from the dialogue and tool results alone.

Like telecom's it is one conversation from top to bottom, run again over the dialogue so far at each turn.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from veriloop.core.message import Message
from veriloop.domains.tool import Tool
from veriloop.rollout.baseline import CLOSING
from veriloop.rollout.experts.airline_desk import (
    BAG,
    CABINS,
    DAY_AGO,
    INSURANCE,
    MOST_PASSENGERS,
    TODAY,
    Desk,
    is_flown,
    list_flights,
    pick,
    read,
)
from veriloop.rollout.experts.talk import (
    HANDED_OVER,
    HandOverError,
    RefusalError,
    Talk,
    agree,
    ask_for,
    call,
    find_tool,
    observe,
    say,
    settle,
    word_done,
    word_refusal,
)
from veriloop.rollout.player import View
from veriloop.rollout.wording import collect_forms

ASKED = 3
"""Questions for the user id until a person takes over."""
_USER_ID = re.compile(r"\b[a-z]+_[a-z]+_\d{4}\b")
_FLIGHT = re.compile(
    r"the direct one(?: from (?P<start>[A-Z]{3}) to (?P<goal>[A-Z]{3})(?P<else> instead)?)? on (?P<day>[\d-]+) "
    r"that leaves at (?P<time>[\d:]+)"
)
_PERSON = re.compile(r"(\w+) (\w+) \(born ([\d-]+)\)")
_OLD_NAME = re.compile(r"in place of (\w+) (\w+)")
_KEY = re.compile(r"\b[A-Z0-9]{6}\b")
_REASON = re.compile(r"\b(because|reason|since|due to)\b", re.IGNORECASE)
_COVERED = re.compile(r"\b(health|ill|sick|hospital|weather|storm|snow)\b", re.IGNORECASE)
_MENTIONED = re.compile(r"\b(?=[A-Z]*\d)[A-Z0-9]{6}\b")
"""A reservation number that can be nothing else, however it is said."""
_METHOD = re.compile(r"(?:credit card|gift card|certificate) ending in \d{4}")


class AirlineExpert:
    """Answers each view from its own turns."""

    name = "expert"

    def reply(self, views: Sequence[View]) -> list[Message]:
        """Answer each view of the agent's seat."""
        return [_answer(view) for view in views]


def _answer(view: View) -> Message:
    wish, *seen = observe(view.turns)
    desk = Desk([wish], collect_forms(view.tools))
    talk = _serve(desk, view.tools)
    message = next(talk)
    for text in seen:
        desk.heard += [] if message.tool_calls else [text]
        message = talk.send(text)
    return message


def _serve(desk: Desk, tools: Sequence[Tool]) -> Talk:
    """Settle one wish after the other until the user ends the dialogue."""
    wish = desk.said
    while True:
        try:
            yield from _identify(desk)
            yield from _settle(desk, tools, wish)
            closing = f"{word_done(wish)} {CLOSING}"
        except RefusalError as reason:
            closing = f"{word_refusal(reason)} {CLOSING}"
        except HandOverError as reason:
            yield call("transfer_to_human_agents", summary=str(reason))
            closing = HANDED_OVER
        desk.heard.clear()
        wish = yield say(closing)


def _identify(desk: Desk) -> Talk:
    """Look the user up by the id that they give, asking for one that exists."""
    tried, asked = set[str](), 0
    while not desk.user:
        found = [key for key in _USER_ID.findall(desk.said) if key not in tried]
        if found:
            tried.add(found[-1])
            desk.user = read((yield call("get_user_details", user_id=found[-1]))) or {}
            continue
        if asked == ASKED:
            raise HandOverError("The customer gives no user id.")
        asked += 1
        yield ask_for("user id of your profile")


def _settle(desk: Desk, tools: Sequence[Tool], wish: str) -> Talk:
    tool = find_tool(tools, wish)
    if tool is None or tool.name not in _TASKS:
        raise HandOverError(f"The customer wants what cannot be done here: {wish}")
    yield from settle(lambda: _TASKS[tool.name](desk))


def _choose(desk: Desk, fits: Callable[[dict[str, Any]], bool], *, ahead: bool = False) -> Talk:
    """Return the reservation that is meant: the one that is named, else the only one that fits what is wished.

    ahead: of trips not begun alone.
    """
    key = _find_mentioned(desk) or (yield from desk.ask("reservation number", needed=False))
    if key:
        reservation = yield from desk.read_reservation(key)
        if reservation is None:
            yield say(f"I do not find reservation {key}. Could you tell me the reservation number once more?")
            key = _find_mentioned(desk) or key
            reservation = yield from desk.read_reservation(key)
        if reservation is None:
            raise RefusalError(f"there is no reservation {key}")
        if reservation["user_id"] != desk.user["user_id"]:
            raise RefusalError(f"reservation {key} is not yours")
        return reservation
    fitting = [reservation for reservation in (yield from desk.read_all()) if fits(reservation)]
    if ahead and len(fitting) > 1:
        flown = list[bool]()
        for reservation in fitting:
            flown.append(is_flown((yield from desk.read_statuses(reservation))))
        fitting = [reservation for reservation, gone in zip(fitting, flown, strict=True) if not gone]
    if len(fitting) != 1:
        raise HandOverError("It is not clear which reservation is meant.")
    return fitting[0]


def _find_mentioned(desk: Desk) -> str | None:
    """Return the reservation number that was told last, else one that was mentioned last, however it was said."""
    named = _KEY.findall(desk.find_fact("reservation number") or "") or _MENTIONED.findall(desk.said)
    return named[-1] if named else None


def _cancel(desk: Desk) -> Talk:
    reservation = yield from _choose(desk, lambda _: True, ahead=True)
    statuses = yield from desk.read_statuses(reservation)
    if is_flown(statuses):
        raise HandOverError("A part of the trip that the customer wants to cancel was flown already.")
    free = reservation["cabin"] == "business" or reservation["created_at"] >= DAY_AGO or "cancelled" in statuses
    if not free and reservation["insurance"] == "no":
        raise RefusalError("it was booked more than a day ago, is neither business nor insured, and is not cancelled")
    if not _REASON.search(desk.said):
        yield say("What is the reason for cancelling: your health, the weather, or something else?")
    if not free and not _COVERED.search(desk.said):
        raise RefusalError("the insurance covers health and weather only")
    yield from agree(f"I will cancel reservation {reservation['reservation_id']}.")
    yield from _make("cancel_reservation", reservation_id=reservation["reservation_id"])


def _make(tool: str, **arguments: Any) -> Talk:
    answer = yield call(tool, **arguments)
    if answer.startswith("Error"):
        raise RefusalError(answer.removeprefix("Error: "))


def _change_bags(desk: Desk) -> Talk:
    total = yield from desk.ask_number("number of checked bags in all")
    reservation = yield from _choose(desk, lambda _: True, ahead=True)
    if total < reservation["total_baggages"]:
        raise RefusalError("checked bags can be added but not removed")
    method, said = yield from _choose_payment(desk)
    paid = desk.count_paid_bags(reservation["cabin"], len(reservation["passengers"]), total)
    key = reservation["reservation_id"]
    cost = f"{paid} of them are paid for in all, at {BAG} dollars each."
    yield from agree(f"I will have {total} checked bags on reservation {key}, with the {said}. {cost}")
    yield from _make(
        "update_reservation_baggages",
        reservation_id=key,
        total_baggages=total,
        nonfree_baggages=paid,
        payment_id=method,
    )


def _choose_payment(desk: Desk) -> Talk:
    """Return the payment method's id and how it is called."""
    methods = desk.user["payment_methods"]
    text = yield from desk.ask("payment method", needed=len(methods) > 1)
    return desk.find_payment(text), text or "payment method of your profile"


def _change_passengers(desk: Desk) -> Talk:
    text = yield from desk.ask("change of passengers")
    new = [_read_person(found) for found in _PERSON.finditer(text)]
    old = _OLD_NAME.search(text)
    if old is None:
        yield from _choose(desk, lambda _: True, ahead=True)
        raise RefusalError("the number of passengers cannot be changed")
    names = old.groups()
    if not new:
        raise HandOverError("It is not clear who is to fly instead.")
    reservation = yield from _choose(desk, lambda found: names in map(_name, found["passengers"]), ahead=True)
    passengers = [new[0] if _name(person) == names else person for person in reservation["passengers"]]
    key = reservation["reservation_id"]
    yield from agree(f"I will put {text} on reservation {key}.")
    yield from _make("update_reservation_passengers", reservation_id=key, passengers=passengers)


def _name(person: dict[str, str]) -> tuple[str, ...]:
    return person["first_name"], person["last_name"]


def _read_person(found: re.Match[str]) -> dict[str, str]:
    return {"first_name": found[1], "last_name": found[2], "dob": found[3]}


def _change_flights(desk: Desk) -> Talk:
    cabin = yield from _ask_cabin(desk)
    text = yield from desk.ask("flight")
    moves = list(_FLIGHT.finditer(text))
    reservation = yield from _choose(desk, lambda found: _fits_flights(found, cabin, moves))
    method, said = yield from _choose_payment(desk)
    if not moves and cabin == reservation["cabin"]:
        raise HandOverError("It is not clear what is to become of the flights.")
    if method.startswith("certificate"):
        raise RefusalError("changes are paid with a gift card or a credit card, not with a certificate")
    if cabin != reservation["cabin"] and is_flown((yield from desk.read_statuses(reservation))):
        raise RefusalError("the cabin cannot be changed once a flight was flown")
    if moves and reservation["cabin"] == "basic_economy":
        raise RefusalError("flights in basic economy cannot be changed")
    if any(move["else"] for move in moves):
        raise RefusalError("the destination of a trip cannot be changed")
    flights = list_flights(reservation)
    for move in moves:
        places = [n for n, old in enumerate(reservation["flights"]) if old["origin"] == move["start"]]
        if not places:
            raise RefusalError(f"no flight of the reservation leaves {move['start']}")
        found = yield from _search(move["start"], move["goal"], move)
        flights[places[0]] = {"flight_number": found["flight_number"], "date": move["day"]}
    key = reservation["reservation_id"]
    yield from agree(f"I will change reservation {key}: {_spell(cabin)}, {text}, with the {said}.")
    yield from _make("update_reservation_flights", reservation_id=key, cabin=cabin, flights=flights, payment_id=method)


def _ask_cabin(desk: Desk) -> Talk:
    cabin = (yield from desk.ask("cabin class")).lower().replace(" ", "_")
    if cabin not in CABINS:
        raise HandOverError(f"There is no cabin class {cabin!r}.")
    return cabin


def _spell(name: str) -> str:
    return name.replace("_", " ")


def _fits_flights(reservation: dict[str, Any], cabin: str, moves: Sequence[re.Match[str]]) -> bool:
    """Return whether a wish can be about a reservation: one not flown to its end, for another cabin or its flights."""
    if all(flight["date"] <= TODAY for flight in reservation["flights"]):
        return False
    if not moves:
        return reservation["cabin"] != cabin
    legs = {(flight["origin"], flight["destination"]) for flight in reservation["flights"]}
    starts = {flight["origin"] for flight in reservation["flights"]}
    return all(move["start"] in starts if move["else"] else (move["start"], move["goal"]) in legs for move in moves)


def _search(start: str, goal: str, wish: re.Match[str]) -> Talk:
    """Return the direct flight of the wished day that leaves at the wished time."""
    found = read((yield call("search_direct_flight", origin=start, destination=goal, date=wish["day"]))) or []
    fitting = [row for row in found if row["scheduled_departure_time_est"].startswith(wish["time"])]
    if len(fitting) != 1:
        raise RefusalError("there is no such flight")
    return fitting[0]


def _book(desk: Desk) -> Talk:
    start = yield from desk.ask("city to leave from")
    goal = yield from desk.ask("city to fly to")
    cabin = yield from _ask_cabin(desk)
    text = yield from desk.ask("flight")
    party = yield from desk.ask("travelling party")
    bags = yield from desk.ask_number("number of checked bags in all")
    insurance = yield from desk.ask("travel insurance")
    said = yield from desk.ask("payment method")
    passengers = [_describe(desk.user), *(_read_person(found) for found in _PERSON.finditer(party))]
    if len(passengers) > MOST_PASSENGERS:
        raise RefusalError(f"a reservation has at most {MOST_PASSENGERS} passengers")
    methods = [desk.find_payment(part) for part in _METHOD.findall(said)]
    if sum(method.startswith("certificate") for method in methods) > 1:
        raise RefusalError("a reservation takes one certificate at most")
    wishes = list(_FLIGHT.finditer(text))
    if not methods or len(wishes) not in (1, 2):
        raise HandOverError("It is not clear which flights are wished, or how they are paid.")
    found = [(yield from _search(start, goal, wishes[0]))]
    if wishes[1:]:
        found.append((yield from _search(goal, start, wishes[1])))
    paid = desk.count_paid_bags(cabin, len(passengers), bags)
    fares = sum(flight["prices"][cabin] for flight in found) + (INSURANCE if insurance == "yes" else 0)
    payments = _share(desk, methods, fares * len(passengers) + BAG * paid)
    kind = "round_trip" if len(wishes) > 1 else "one_way"
    trip = f"a {_spell(kind)} from {start} to {goal} in {_spell(cabin)}, {text}, for {party}, {bags} checked bags"
    yield from agree(f"I will book {trip}, travel insurance: {insurance}, paid with: {said}.")
    yield from _make(
        "book_reservation",
        user_id=desk.user["user_id"],
        origin=start,
        destination=goal,
        flight_type=kind,
        cabin=cabin,
        flights=[
            {"flight_number": row["flight_number"], "date": wish["day"]}
            for row, wish in zip(found, wishes, strict=True)
        ],
        passengers=passengers,
        payment_methods=payments,
        total_baggages=bags,
        nonfree_baggages=paid,
        insurance=insurance,
    )


def _describe(user: dict[str, Any]) -> dict[str, str]:
    return {**pick(user["name"], "first_name", "last_name"), "dob": user["dob"]}


def _share(desk: Desk, methods: Sequence[str], price: int) -> list[dict[str, Any]]:
    """Return what is paid how: all but the last method in full, and the rest with that."""
    payments = list[dict[str, Any]]()
    for method in methods[:-1]:
        payments.append({"payment_id": method, "amount": int(desk.user["payment_methods"][method]["amount"])})
    rest = price - sum(payment["amount"] for payment in payments)
    return [*payments, {"payment_id": methods[-1], "amount": rest}]


def _compensate(desk: Desk) -> Talk:
    text = yield from desk.ask("compensation", needed=False)
    key = _KEY.search(text) if text else None
    reservations = [(yield from desk.read_reservation(key[0]))] if key else (yield from desk.read_all())
    hit = list[dict[str, Any]]()
    for reservation in filter(None, reservations):
        if "cancelled" in (yield from desk.read_statuses(reservation)):
            hit.append(reservation)
    hit = [reservation for reservation in hit if reservation["user_id"] == desk.user["user_id"]]
    if not hit:
        raise RefusalError("the airline cancelled none of your flights")
    if not any(_is_entitled(desk, reservation) for reservation in hit):
        raise RefusalError("regular members without insurance or business class are not compensated")
    amounts = {100 * len(reservation["passengers"]) for reservation in hit}
    if len(amounts) > 1:
        raise HandOverError("It is not clear which cancelled flight is meant.")
    amount = amounts.pop()
    about = f"{text}: " if text else ""
    yield from agree(f"I can send you a certificate, {about}{amount} dollars as compensation.")
    yield from _make("send_certificate", user_id=desk.user["user_id"], amount=amount)


def _is_entitled(desk: Desk, reservation: dict[str, Any]) -> bool:
    insured = reservation["insurance"] == "yes" or reservation["cabin"] == "business"
    return desk.user["membership"] != "regular" or insured


_TASKS: dict[str, Callable[[Desk], Talk]] = {
    "book_reservation": _book,
    "cancel_reservation": _cancel,
    "update_reservation_baggages": _change_bags,
    "update_reservation_flights": _change_flights,
    "update_reservation_passengers": _change_passengers,
    "send_certificate": _compensate,
}
