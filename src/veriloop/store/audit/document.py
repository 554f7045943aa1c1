"""JSON documents, decoded from their beginning on: of their lists one element is held at a time."""

import json
from collections.abc import Iterator
from typing import Any, TextIO

from veriloop.store.file import check_text, refuse_constant

HEAD, TASKS, SIMULATIONS, SINGLE = "head", "tasks", "simulations", "single"
"""What an object has before its lists, the names of these in tau2's results, and an object that has none."""
_CHUNK = 1 << 20
_SPACES = " \t\r\n"
_NEAR = 16
"""A text that breaks off is found faulty at most so many characters before its end."""


class Document:
    """A text of one JSON value, or of several one after the other."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._text, self._place, self._ended = file, "", 0, False
        self._decoder = json.JSONDecoder(parse_constant=refuse_constant)

    def read(self) -> Iterator[tuple[str, Any, int]]:
        """Yield (section, value, characters).

        The elements of a list at the top have the section "", those of an object's `tasks` and `simulations` its name;
        what such an object has before them comes as HEAD. Any other object is a row of its own, a SINGLE one. Raises
        ValueError where the text is no JSON.
        """
        while first := self._peek():
            if first == "[":
                yield from self._elements("")
            elif first == "{":
                yield from self._members()
            else:
                yield "", *self._decode()

    def _members(self) -> Iterator[tuple[str, Any, int]]:
        self._take("{")
        head: dict[str, Any] = {}
        size, listed = 0, False
        while self._peek() != "}":
            key, _ = self._decode()
            self._take(":")
            if key in (TASKS, SIMULATIONS) and self._peek() == "[":
                yield HEAD, head, size
                yield from self._elements(key)
                listed = True
            else:
                head[str(key)], length = self._decode()
                size += length
            self._end_element("}")
        self._take("}")
        if not listed:
            yield SINGLE, head, size

    def _elements(self, section: str) -> Iterator[tuple[str, Any, int]]:
        self._take("[")
        while self._peek() != "]":
            yield section, *self._decode()
            self._end_element("]")
        self._take("]")

    def _end_element(self, closing: str) -> None:
        if self._peek() != closing:
            self._take(",")
            if self._peek() == closing:
                raise ValueError("there is a comma too many")

    def _peek(self) -> str:
        """Return the next character that is no space, "" at the end."""
        while True:
            while self._place < len(self._text):
                character = self._text[self._place]
                if character not in _SPACES:
                    return character
                self._place += 1
            if not self._read(_CHUNK):
                return ""

    def _take(self, expected: str) -> None:
        found = self._peek()
        if found != expected:
            raise ValueError(f"expected {expected!r}, found {found or 'the end'!r}")
        self._place += 1

    def _decode(self) -> tuple[Any, int]:
        """Return the next value and its length."""
        if not self._peek():
            raise ValueError("expected a value, found the end")
        size = _CHUNK
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._place)
            except RecursionError as error:
                raise ValueError("nested too deeply") from error
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos >= len(self._text) - _NEAR
                if not cut or not self._read(size):
                    raise
                size *= 2
                continue
            if end < len(self._text) or not self._read(size):
                check_text(value, self._text[self._place : end])
                length, self._place = end - self._place, end
                return value, length

    def _read(self, size: int) -> bool:
        """Take up more of the text, forgetting what is behind; False at its end."""
        more = "" if self._ended else self._file.read(size)
        self._ended = not more
        self._text, self._place = self._text[self._place :] + more, 0
        return bool(more)
