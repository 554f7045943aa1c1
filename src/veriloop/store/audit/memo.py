"""Remembering what was found in texts that rows repeat, by digests instead of the texts themselves."""

from collections.abc import Callable, Hashable
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")

DIGEST = 12
"""Bytes of a digest."""
KEPT = 50_000
"""Answers that are kept of one question."""


def digest_text(*parts: str) -> bytes:
    """Return a short digest of texts, in which their borders count."""
    hasher = blake2b(digest_size=DIGEST)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        hasher.update(len(data).to_bytes(8, "big") + data)
    return hasher.digest()


class Memo:
    """Answers to a question about texts; the oldest half is forgotten when there are many."""

    def __init__(self) -> None:
        self._known: dict[Hashable, object] = {}

    def ask(self, question: Callable[[str], T], text: str) -> T:
        """Return `question(text)`, which is asked once for equal texts."""
        key = digest_text(text)
        if key not in self._known:
            if len(self._known) >= KEPT:
                for old in list(self._known)[: KEPT // 2]:
                    del self._known[old]
            self._known[key] = question(text)
        return self._known[key]  # pyright: ignore[reportReturnType]
