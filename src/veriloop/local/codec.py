"""Aliases for identifiers, numbers and names, so that a small model copies them in one token and learns none by heart.

In one seat's dialogue every word of three or more characters that holds a digit (ids, e-mail addresses, phone numbers,
dates, amounts) and every run of capitalised words (names, streets) becomes an alias token: the class of its shape and a
count, in order of first appearance. `ada.b25@post.example` may read `<m0>`, the second parcel number `<V1>`. Aliases
say nothing of what they stand for, and they are put back when the model speaks. The codec is part of the player, not
of the domain: a model folder that uses it says so in `veriloop.json`.

Where a model has to read figures and dates, which an alias hides, only ids are replaced: e-mail addresses, phone
numbers, letters with digits after them, long runs of digits.
"""

import re
from string import ascii_uppercase
from typing import Protocol

PER_CLASS = 10
CLASSES = f"mdfnx{ascii_uppercase}"
"""m: mail. d: groups of digits. f: figures. n: names. x: any other word with a digit. A to Z: letters then digits
(VP123, C90), by their first letter, so that different kinds of ids rarely share a class."""
_SPAN = re.compile(
    r"[A-Z][a-z]+(?: [A-Z][a-z]+)+(?: \d+)?"  # Ada Lovelace, Rowan Lane 30
    r"|(?<![\w<])[A-Za-z0-9](?:[\w@+-]|\.(?=\w))*"
)
_ID = re.compile(r".+@.+|[A-Za-z]+[_-]?\d+|\d{3}-\d{3}-\d{4}|\d{10,}")
"""What stays an alias where only ids are replaced."""
_ALIAS = re.compile(rf"<[{CLASSES}]\d+>")


def alias_tokens() -> list[str]:
    """Return the spelling of every alias."""
    return [f"<{kind}{number}>" for kind in CLASSES for number in range(PER_CLASS)]


class Codec(Protocol):
    """Rewrites the text of one dialogue for a model, and back."""

    def encode(self, text: str) -> str:
        """Return the text as the model reads it."""
        ...

    def decode(self, text: str) -> str:
        """Return what the model wrote as others read it."""
        ...

    def table(self) -> dict[str, str]:
        """Return what is needed to encode the dialogue the same way again."""
        ...


class PlainCodec:
    """Leaves text as it is."""

    def encode(self, text: str) -> str:
        """Return the text."""
        return text

    def decode(self, text: str) -> str:
        """Return the text."""
        return text

    def table(self) -> dict[str, str]:
        """Return nothing: there is nothing to keep."""
        return {}


class AliasCodec:
    """Aliases of one dialogue, given out in order of first appearance.

    When a class is used up further words stay as they are. An alias that was never given out decodes to itself, which
    every tool refuses: a visible mistake of the model. ids_only: names, figures and dates stay as they are.
    """

    def __init__(self, table: dict[str, str] | None = None, *, ids_only: bool = False) -> None:
        """Start empty, or with a table kept from an earlier turn."""
        self._ids_only = ids_only
        self._words: dict[str, str] = dict(table or {})
        self._aliases = {word: alias for alias, word in self._words.items()}

    def encode(self, text: str) -> str:
        """Replace each name and each word with a digit by its alias, giving out new ones as they come up."""
        return _SPAN.sub(self._replace, text)

    def decode(self, text: str) -> str:
        """Put the words back."""
        return _ALIAS.sub(lambda match: self._words.get(match.group(), match.group()), text)

    def table(self) -> dict[str, str]:
        """Return alias -> word."""
        return dict(self._words)

    def _replace(self, match: re.Match[str]) -> str:
        word = match.group()
        known = self._aliases.get(word)
        kind = _classify(word)
        if known or kind is None:
            return known or word
        if self._ids_only and not _ID.fullmatch(word):
            return word
        count = sum(alias[1] == kind for alias in self._words)
        if count >= PER_CLASS:
            return word
        alias = f"<{kind}{count}>"
        self._words[alias], self._aliases[word] = word, alias
        return alias


def _classify(word: str) -> str | None:
    """Return the class of a word's shape, None for a word that stays as it is."""
    if " " in word:
        return "n"
    if len(word) < 3 or not any(letter.isdigit() for letter in word):
        return None
    if "@" in word:
        return "m"
    if re.fullmatch(r"[A-Za-z]+[_-]?\d+", word):
        return word[0].upper()
    if re.fullmatch(r"\d+(?:[-+]\d+)+", word):
        return "d"
    return "f" if re.fullmatch(r"\d+(?:\.\d+)?", word) else "x"
