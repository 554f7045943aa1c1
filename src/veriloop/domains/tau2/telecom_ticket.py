"""Tickets: what an agent who works alone is told of a customer's trouble, instead of hearing it from them.

A ticket says who calls, what is wrong and when that counts as settled; where the customer is, if that matters; how much
data they would add, if somebody asked them; and whether their bills may be paid. All wordings are ours.
"""

import random
from collections.abc import Sequence

from veriloop.domains.defect import Scene, Symptom
from veriloop.domains.task import Fact

WRONG = {
    "service": (
        "The user's phone has no service: calls neither go out nor come in.",
        "The customer has no signal and cannot call anybody.",
        "There is trouble with the service of a phone. Its status bar says 'No Service', and no calls can be made.",
        "The phone shows 'No Service'; the user is unable to phone or to be phoned.",
        "The user reports that calling has become impossible, since the phone finds no network.",
        "A customer has lost their cellular service. They cannot make calls or receive any.",
        "Phone service is down for this customer, who can no longer make or get calls.",
    ),
    "internet": (
        "The user's mobile data is not working: they cannot browse the internet on the phone.",
        "The customer has issues with mobile data. Web pages do not load, or load very slowly.",
        "Mobile internet fails on the customer's phone.",
        "There is trouble with mobile data. The phone does not get online, and its status bar says 'No Service'.",
        "The user reports slow or missing mobile data and is unable to use the internet with the phone.",
        "Browsing the internet over mobile data does not work for this customer.",
        "A customer complains about the internet connection of their phone; the status bar may show 'No Service'.",
    ),
    "mms": (
        "The user cannot send picture messages.",
        "MMS messages do not leave the messaging app of the user's phone.",
        "The customer is unable to send photos with the messaging app.",
        "For some hours the messaging app has refused to send any MMS.",
        "Sending MMS fails on the customer's phone.",
        "There is trouble with MMS: the user's messaging app cannot send them.",
        "A customer reports that their messaging app has stopped sending MMS messages since this morning.",
    ),
}
SETTLED = {
    "service": (
        "It is settled once the status bar shows a signal.",
        "They will be content when there is signal in the status bar again.",
        "The issue counts as resolved when the phone has signal.",
    ),
    "internet": (
        "It is settled once a speed test shows excellent speed.",
        "They will be content with excellent speed in a speed test, and with nothing less.",
        "The issue counts as resolved when the speed test says that the internet speed is excellent.",
    ),
    "mms": (
        "It is settled once an MMS can be sent.",
        "They will be content when MMS messages go out again.",
        "The issue counts as resolved when sending an MMS message works.",
    ),
}
WHO = (
    "Customer: {name}, {number}.",
    "Name of the customer: {name}; phone number: {number}.",
    "The customer is called {name} and has the phone number {number}.",
    "{name} calls about the phone with the number {number}.",
    "Caller: {name}, number {number}.",
    "Phone number: {number}, name: {name}.",
)
PLACE = (
    "They are {place}.",
    "Current location: {place}.",
    "Where they are now: {place}.",
    "The customer says that they are {place}.",
    "Location of the customer: {place}.",
)
HOME = ("at home", "at home in the United States", "at home, in their own country")
AMOUNT = (
    "They would refuel {amount} of data if that turns out to be necessary.",
    "If data is used up, they want {amount} refueled.",
    "They agree to {amount} more data where it is needed.",
    "Where necessary, {amount} of data may be added.",
    "They are ready to refuel {amount} of data if need be.",
)
PLAN = ("They do not want another plan.", "Their data plan is to stay as it is.", "They will keep their data plan.", "")
LEAVE = (
    "They give permission to pay whatever bills are overdue.",
    "All overdue bills may be paid, they have given their permission.",
    "They have allowed us to make payments for bills that are overdue.",
    "Overdue bills are to be paid; the permission for that is given.",
)


def write_ticket(symptom: Symptom, scene: Scene, facts: Sequence[Fact], names: Sequence[str]) -> str:
    """Return the ticket of a task; names: of the defects that cause the symptom.

    Sentences stand in any order after what is wrong. Permission to pay is there whenever something has to be paid, and
    often when nothing has.
    """
    rng, caller = scene.rng, scene.caller
    told = {fact.kind: fact.text for fact in facts}
    parts = [rng.choice(WHO).format(name=caller.name, number=caller.known["phone_number"])]
    if place := told.get("location"):
        parts.append(rng.choice(PLACE).format(place=_place(place, rng)))
    wishes = [rng.choice(SETTLED[symptom.name])]
    if (amount := told.get("gb_amount")) and not scene.silent:
        plan = rng.choice(PLAN)
        wishes.append(f"{plan} {rng.choice(AMOUNT).format(amount=amount)}".strip())
    if "line_suspended" in names or rng.random() < (0.7 if symptom.name == "service" else 0.2):
        wishes.append(rng.choice(LEAVE))
    return " ".join([rng.choice(WRONG[symptom.name]), *rng.sample(parts, len(parts)), *rng.sample(wishes, len(wishes))])


def _place(text: str, rng: random.Random) -> str:
    return rng.choice(HOME) if text == "at home" else text.replace(",", rng.choice((",", "")))
