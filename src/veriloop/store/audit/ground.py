"""Replies that state what nothing before them has: identifiers, addresses, numbers, amounts.

What a sentence means is not read, so that a finding is about a value that cannot have come from anywhere but the
agent's own head. Amounts may be worked out: a sum or difference of two numbers before, or a small multiple of one.
"""

import re
from collections.abc import Iterator

from veriloop.store.audit.sample import Sample
from veriloop.store.fault import Fault, Note

_TOKEN = re.compile(r"[#\w@.+/:-]*\d[#\w@.+/:-]*|[\w.+-]+@[\w-]+\.[\w.-]+")
_DATE = re.compile(r"\d{4}[-/]\d{2}[-/]\d{2}|\d{1,2}[:/.]\d{2}")
_UNIT = re.compile(r"[\d.,:/-]+(?:[a-zA-Z]{1,5}|%)?")
_AMOUNT = re.compile(r"[$€£]\s?(\d[\d,]*(?:\.\d+)?)|(\d[\d,]*\.\d\d)\s?(?:dollars|USD|EUR|euros)\b")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_DIGITS = 6
"""Digits of a number that is no mere count."""
_PHONE = 9
"""Digits of a number in groups that is neither a time nor a range of years."""
_MIXED = 3
"""Digits among the letters of an identifier; fewer stand in names of things such as 4G or A320."""
_TIMES = 12


def check_grounds(sample: Sample, note: Note) -> None:
    """Note values in replies to learn that occur nowhere before: system text, both seats' words, calls, results."""
    if sample.seat != "agent":
        return
    pieces: list[str] = []
    learned = set(sample.learned)
    for place, message in enumerate(sample.messages):
        text = message["content"]
        if place in learned and message["role"] == "assistant" and not message.get("tool_calls"):
            for value in find_baseless(text, pieces):
                note(Fault.UNGROUNDED, f"message {place} states {value!r}, which nothing before it has")
        pieces.append(text.lower())
        pieces += [call["function"]["arguments"].lower() for call in message.get("tool_calls", ())]


def find_baseless(text: str, before: list[str]) -> Iterator[str]:
    """Yield the identifiers and amounts of a text that are not in any of the lower-case texts before it."""
    for value in dict.fromkeys(find_identifiers(text)):
        if not _occurs(value.lower(), before):
            yield value
    amounts = {float(number.replace(",", "")): number for pair in _AMOUNT.findall(text) for number in pair if number}
    if amounts:
        known = {float(number.replace(",", "")) for piece in before for number in _NUMBER.findall(piece)}
        for amount, number in amounts.items():
            if not can_derive(amount, known):
                yield number


def find_identifiers(text: str) -> Iterator[str]:
    """Yield what a text states and nobody can guess: e-mail addresses, identifiers, long numbers."""
    for found in _TOKEN.findall(text):
        token = found.strip(".:/-+")
        if "@" in token or (sum(c.isdigit() for c in token) >= _MIXED and _is_identifier(token)):
            yield token


def can_derive(amount: float, known: set[float]) -> bool:
    """Return whether an amount is a known number, a small multiple of one, or a sum or difference of two."""
    rounded = {round(number, 2) for number in known}
    if any(round(amount / times, 2) in rounded for times in range(1, _TIMES + 1)):
        return True
    return any(round(abs(amount - number), 2) in rounded or round(amount + number, 2) in rounded for number in rounded)


def _is_identifier(token: str) -> bool:
    if _DATE.match(token):
        return False
    if _UNIT.fullmatch(token):
        return sum(character.isdigit() for character in token) >= (_DIGITS if token.isdigit() else _PHONE)
    return True


def _occurs(value: str, before: list[str]) -> bool:
    plain = value.strip("#")
    return any(plain in piece for piece in before)
