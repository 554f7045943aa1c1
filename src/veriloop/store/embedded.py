"""Tool calls that stand in a message's text, in the ways in which several families of models write them.

`<tool_call>` is always a call and is read in `store/message.py`. What is found here could be an example or data as
well, so it counts only where it is whole, has arguments, and names a tool that there is.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from veriloop.store.file import check_text, parse_json, refuse_constant

Knows = Callable[[str], bool]
"""Returns whether there is a tool of that name."""

_START = re.compile(
    r"(?P<fence>```[a-z_]*\s*(?=[\[{]))|(?P<function><function=(?P<named>[^<>\s]+)>\s*)|(?P<tag><\|python_tag\|>\s*)"
    r"|(?P<mistral>\[TOOL_CALLS\]\s*(?:(?P<called>[\w.-]+)(?:\[ARGS\])?\s*(?=\{))?)|(?P<whole>\A\s*(?=[\[{]))"
)
_SIGNS = ("```", "<function=", "<|python_tag|>", "[TOOL_CALLS]")
"""What a text with calls has, unless it is nothing but a call."""
_ENDS = {
    "fence": re.compile(r"\s*```"),
    "function": re.compile(r"\s*</function>"),
    "tag": re.compile(r"\s*(?:<\|eom_id\|>|<\|eot_id\|>)?"),
    "mistral": re.compile(r"\s*(?:</s>)?"),
    "whole": re.compile(r"\s*\Z"),
}
_NAMES = {
    "fence": "a fenced object",
    "function": "<function=...>",
    "tag": "<|python_tag|>",
    "mistral": "[TOOL_CALLS]",
    "whole": "a bare object",
}
_BETWEEN = re.compile(r"\s*;\s*(?=\{)")
_DECODER = json.JSONDecoder(parse_constant=refuse_constant)


@dataclass(frozen=True, slots=True)
class Embedded:
    """A stretch of a text that is nothing but calls, each as (name, arguments), and how they are written there."""

    start: int
    end: int
    calls: tuple[tuple[str, dict[str, Any]], ...]
    dialect: str


def find_embedded(text: str, knows: Knows) -> list[Embedded]:
    """Return the stretches of a text that call tools, in their order."""
    if not (text.lstrip().startswith(("{", "[")) or any(sign in text for sign in _SIGNS)):
        return []
    found: list[Embedded] = []
    for start in _START.finditer(text):
        if found and start.start() < found[-1].end:
            continue
        try:
            one = _read(text, start, str(start.lastgroup), knows)
        except (ValueError, RecursionError):
            continue
        if one:
            found.append(one)
    return found


def cut_out(text: str, found: list[Embedded]) -> str:
    """Return a text without the stretches that were found in it."""
    for one in reversed(found):
        text = text[: one.start] + text[one.end :]
    return text.strip()


def _read(text: str, start: re.Match[str], kind: str, knows: Knows) -> Embedded | None:
    """Return what begins there, None where it is no call; raises ValueError where it is no JSON."""
    named = start["named"] or start["called"]
    if named and not knows(named):
        return None
    values, place = _decode(text, start.end())
    if not values and kind != "function":
        return None
    end = _ENDS[kind].match(text, place)
    if end is None:
        return None
    calls = [(named, value) for value in values or [{}]] if named else list(_read_calls(values))
    if not calls or any(not isinstance(given, dict) or not knows(name) for name, given in calls):
        return None
    return Embedded(start.start(), end.end(), tuple(calls), _NAMES[kind])


def _decode(text: str, place: int) -> tuple[list[Any], int]:
    """Return the JSON values that stand at a place, separated by semicolons, and where they end."""
    values: list[Any] = []
    while text.startswith(("{", "["), place):
        value, end = _DECODER.raw_decode(text, place)
        check_text(value, text[place:end])
        values.append(value)
        between = _BETWEEN.match(text, end)
        if between is None:
            return values, end
        place = between.end()
    return values, place


def _read_calls(values: list[Any]) -> Iterator[tuple[str, Any]]:
    """Yield (name, arguments) of what values call; arguments are no object, and the name empty, where it is no call."""
    for value in values:
        for call in value if isinstance(value, list) else [value]:
            function = call.get("function", call) if isinstance(call, dict) else None
            name = function.get("name") if isinstance(function, dict) else None
            if not isinstance(function, dict) or not isinstance(name, str):
                yield "", None
                continue
            yield name, _read_arguments(function)


def _read_arguments(function: dict[str, Any]) -> Any:
    """Return the arguments of a call; None for the description of a tool, which has parameters of another sense."""
    if "arguments" not in function:
        given = function.get("parameters")
        described = "description" in function or (isinstance(given, dict) and "properties" in given)
        return None if described else given
    given = function["arguments"]
    return parse_json(given) if isinstance(given, str) else given
