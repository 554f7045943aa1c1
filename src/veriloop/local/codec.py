"""Aliases for identifiers and numbers, so that a small model copies them in one token instead of learning them by heart.

In one seat's dialogue every word of three or more characters that holds a digit (ids, e-mail addresses, phone numbers,
dates, amounts) is replaced by one of `ALIASES` alias tokens, drawn at random per dialogue, and put back when the model
speaks. It is part of the player, not of the domain: a folder that uses it says so in `veriloop.json`.
"""

import random
import re
from typing import Protocol

ALIASES = 40
_WORD = re.compile(r"(?<![\w<])[A-Za-z0-9](?:[\w@+-]|\.(?=\w))*")
_ALIAS = re.compile(r"<v(\d+)>")


def alias_token(number: int) -> str:
    """Return the spelling of an alias."""
    return f"<v{number}>"


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
    """Aliases of one dialogue, drawn without replacement in an order that depends on `seed` alone.

    When all are taken further words stay as they are. An alias that was never given out decodes to itself, which
    every tool refuses: a visible mistake of the model.
    """

    def __init__(self, seed: int, table: dict[str, str] | None = None) -> None:
        """Start empty, or with a table kept from an earlier turn."""
        self._words: dict[str, str] = dict(table or {})
        self._back = {word: alias for alias, word in self._words.items()}
        self._free = [alias_token(number) for number in random.Random(seed).sample(range(ALIASES), ALIASES)]
        self._free = [alias for alias in self._free if alias not in self._words]
        self._free.reverse()

    def encode(self, text: str) -> str:
        """Replace each word with a digit by its alias, giving out new ones as they come up."""
        return _WORD.sub(self._replace, text)

    def decode(self, text: str) -> str:
        """Put the words back."""
        return _ALIAS.sub(lambda match: self._words.get(match.group(), match.group()), text)

    def table(self) -> dict[str, str]:
        """Return alias -> word."""
        return dict(self._words)

    def _replace(self, match: re.Match[str]) -> str:
        word = match.group()
        if len(word) < 3 or not any(letter.isdigit() for letter in word):
            return word
        alias = self._back.get(word)
        if alias is None:
            if not self._free:
                return word
            alias = self._free.pop()
            self._words[alias], self._back[word] = word, alias
        return alias
