"""What looks like the data of a real person.

Not counted is what cannot be anybody's: addresses at names that are reserved (RFC 2606), telephone numbers with the
unused code 555, social security numbers that are never issued, cards that payment providers publish for tests. Nor
is what the row's own tools returned: that comes from its database, and whether this is real nobody but its owner knows.
"""

import re
from collections.abc import Iterator

from veriloop.store.audit.memo import Memo
from veriloop.store.audit.sample import Sample
from veriloop.store.fault import Fault, Note

_EMAIL = re.compile(r"[\w.+-]+@((?:[\w-]+\.)+[a-zA-Z]{2,})\b")
_RESERVED = re.compile(r"(?:^|\.)(?:example(?:\.\w+)?|test|invalid|localhost)$", re.IGNORECASE)
_PHONE = re.compile(
    r"(?<![\w#.+-])(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{2,4}(?:[ .-]\d{2,4}){1,4}"
    r"|\(\d{3}\) ?\d{3}[ .-]\d{4}|\d{3}[.-]\d{3}[.-]\d{4})(?![\w-])"
)
_CARD = re.compile(r"(?<![\w#.-])(?:\d{4}[ -]?){3}\d{1,7}(?![\w-])")
_SSN = re.compile(r"(?<![\w#.-])(\d{3})-(\d{2})-(\d{4})(?![\w-])")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_TEST_CARDS = ("4111111111111111", "4242424242424242", "5555555555554444", "5105105105105100", "4012888888881881")
_SIGNS = re.compile(r"@|\d[\d .()-]{7,}\d|[A-Z]{2}\d{2}")
"""What every pattern needs, to pass over the rest quickly."""


class Privacy:
    """Looks for patterns of personal data in everything that a row says."""

    def __init__(self) -> None:
        self._texts = Memo()

    def check(self, sample: Sample, note: Note) -> None:
        """Note values that look like somebody's; shown is their kind and beginning, not the value."""
        found: dict[str, str] = {}
        for text in _list_texts(sample):
            found |= self._texts.ask(lambda text: dict(find_personal(text)), text)
        if found:
            returned = [m["content"] for m in sample.messages if m["role"] == "tool"]
            for value, kind in found.items():
                if not any(value in text for text in returned):
                    note(Fault.PERSONAL_DATA, f"what looks like {kind} ({value[:3]}...)")


def find_personal(text: str) -> Iterator[tuple[str, str]]:
    """Yield (value, kind) of everything in a text that looks like a person's."""
    if not _SIGNS.search(text):
        return
    for match in _EMAIL.finditer(text):
        if not _RESERVED.search(match.group(1)):
            yield match.group(), "an e-mail address"
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match.group())
        if digits not in _TEST_CARDS and passes_luhn(digits):
            yield match.group(), "a payment card"
    for match in _SSN.finditer(text):
        area, group, serial = match.groups()
        if area not in ("000", "666") and area < "900" and group != "00" and serial != "0000":
            yield match.group(), "a social security number"
    for match in _IBAN.finditer(text):
        if passes_iban(match.group().replace(" ", "")):
            yield match.group(), "a bank account"
    for match in _PHONE.finditer(text):
        if "555" not in re.sub(r"\D", "", match.group())[-10:-4]:
            yield match.group(), "a telephone number"


def passes_luhn(digits: str) -> bool:
    """Return whether the last digit is the check digit of the others (ISO/IEC 7812-1), 0000... apart."""
    values = [int(digit) for digit in reversed(digits)]
    doubled = sum(sum(divmod(2 * value, 10)) for value in values[1::2])
    return any(values) and (sum(values[::2]) + doubled) % 10 == 0


def passes_iban(account: str) -> bool:
    """Return whether the check digits of an account number fit (ISO 13616)."""
    moved = account[4:] + account[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


def _list_texts(sample: Sample) -> Iterator[str]:
    for message in sample.messages:
        yield message["content"]
        yield from (call["function"]["arguments"] for call in message.get("tool_calls", ()))
    if sample.task:
        user = sample.task.task.user
        yield from (user.persona, user.reason_for_call, user.known_info, user.unknown_info, user.task_instructions)
