"""What synthesis must not make, because a benchmark measures on it; kept as digests, from which nothing is read off."""

import re

from veriloop.core.base import Frozen, content_hash
from veriloop.domains.domain import Domain
from veriloop.domains.task import UserScenario

DIGITS = 10
"""Hex digits of a digest."""
SHINGLE = 5
"""Words of a shingle."""


class HeldOut(Frozen):
    """Digests of a benchmark's tasks.

    entities: of the ids, addresses and numbers of the people they are about, and of what is theirs. combinations: of
    what is broken in them, as `Troubles.combine` spells it. instructions, tickets: of each the shingles
    (`digest_shingles`, `digest_words`).
    """

    entities: frozenset[str] = frozenset()
    combinations: frozenset[str] = frozenset()
    instructions: tuple[frozenset[str], ...] = ()
    tickets: tuple[frozenset[str], ...] = ()

    def has_entity(self, value: str) -> bool:
        """Return whether a value belongs to somebody who is held out."""
        return digest(value) in self.entities

    def has_combination(self, key: str) -> bool:
        """Return whether what is broken together, as `Troubles.combine` spells it, is held out."""
        return digest(key) in self.combinations


def find_held_out(domain: Domain) -> HeldOut | None:
    """Return what a domain keeps out of synthesis, None where it declares nothing."""
    return getattr(domain, "held_out", None)


def digest(text: str) -> str:
    """Return the first `DIGITS` hex digits of a text's hash."""
    return content_hash(text, DIGITS)


def split_marks(text: str) -> set[str]:
    """Return the parts of a text that may be an id, a number or an e-mail address."""
    return {part.strip(".") for part in re.findall(r"[#\w@.+-]+", text)}


def digest_shingles(user: UserScenario) -> frozenset[str]:
    """Return digests of what a user is told (see `digest_words`); the persona is left out, it is of a kind."""
    return digest_words(f"{user.reason_for_call} {user.known_info} {user.unknown_info} {user.task_instructions}")


def digest_words(text: str) -> frozenset[str]:
    """Return digests of all runs of `SHINGLE` words of a text, whatever case and punctuation.

    A shorter text is one shingle; one without a word has none.
    """
    words = re.findall(r"\w+", text.lower())
    starts = range(max(1, len(words) - SHINGLE + 1)) if words else ()
    return frozenset(digest(" ".join(words[start : start + SHINGLE])) for start in starts)
