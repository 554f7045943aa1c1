"""Calls and their results: tools that there are, arguments that they take, results right behind their calls."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from referencing import Registry
from referencing.exceptions import Unresolvable

from veriloop.core.base import canonical_json
from veriloop.core.message import Seat
from veriloop.domains.domain import Domain
from veriloop.store.audit.memo import Memo, digest_text
from veriloop.store.audit.sample import Sample
from veriloop.store.chat import Row
from veriloop.store.fault import Fault, Note, RowError
from veriloop.store.file import parse_json

_SHOWN = 120
"""Characters that are shown of what a schema does not allow."""


@dataclass(frozen=True)
class Toolbox:
    """Validators of a list of tools by name. key: the same for equal lists only."""

    key: str
    validators: Mapping[str, Draft202012Validator]

    def find_problem(self, name: str, arguments: dict[str, Any]) -> str:
        """Return why a tool takes no such arguments, empty when it does; raises RowError for a schema that is none."""
        validator = self.validators[name]
        schema: Any = validator.schema
        if "additionalProperties" not in schema and isinstance(declared := schema.get("properties"), dict):
            unknown = sorted(arguments.keys() - declared.keys())
            if unknown:
                return f"there is no parameter {', '.join(unknown)}"
        try:
            error = best_match(validator.iter_errors(arguments))
        except (Unresolvable, RecursionError, re.error, TypeError, AttributeError) as problem:
            raise RowError(Fault.BAD_TOOLS, f"the schema of {name} cannot be followed: {problem}") from problem
        if error is None:
            return ""
        place = ".".join(str(part) for part in error.absolute_path)
        return f"{place + ': ' if place else ''}{error.message[:_SHOWN]}"


class Calls:
    """Checks the calls of samples; what concerns a list of tools is found out once."""

    def __init__(self) -> None:
        self._toolboxes, self._answers = Memo(), Memo()
        self._of_domains: dict[tuple[str, Seat], Toolbox] = {}

    def check(self, sample: Sample, note: Note) -> None:
        """Note calls of unknown tools or with arguments that they do not take; raises RowError for tools that are none.

        A row with neither tools nor a domain that has any is not checked.
        """
        toolbox = self._find_toolbox(sample)
        if toolbox is None:
            return
        other = {n for n, t in sample.domain.tools.items() if t.seat != sample.seat} if sample.domain else set[str]()
        for place, message in enumerate(sample.messages):
            for call in message.get("tool_calls", ()) if message["role"] == "assistant" else ():
                name, text = call["function"]["name"], call["function"]["arguments"]
                if name not in toolbox.validators:
                    if name not in other:
                        note(Fault.UNKNOWN_TOOL, f"message {place} calls {name!r}, which is none of the tools")
                    continue
                problem = self._answers.ask(
                    lambda _, toolbox=toolbox, name=name, text=text: toolbox.find_problem(name, json.loads(text)),
                    f"{toolbox.key}\n{name}\n{text}",
                )
                if problem:
                    note(Fault.BAD_ARGUMENTS, f"message {place} calls {name}: {problem}")

    def _find_toolbox(self, sample: Sample) -> Toolbox | None:
        given = sample.tools
        if given is None or given in ("", "[]", []):
            return self._take_domain(sample.domain, sample.seat) if sample.domain else None
        found = self._toolboxes.ask(_try_tools, given if isinstance(given, str) else canonical_json(given))
        if isinstance(found, str):
            raise RowError(Fault.BAD_TOOLS, found)
        return found

    def _take_domain(self, domain: Domain, seat: Seat) -> Toolbox:
        key = (domain.name, seat)
        if key not in self._of_domains:
            own = {name: _make_validator(tool.parameters) for name, tool in domain.tools.items() if tool.seat == seat}
            self._of_domains[key] = Toolbox(f"{domain.name} {seat}", own)
        return self._of_domains[key]


def check_order(sample: Sample, note: Note) -> None:
    """Note results that do not stand behind their call, and calls without a result, but for those at the end."""
    for place, what in find_disorder(sample.messages):
        note(Fault.TOOL_ORDER, f"message {place} {what}")


def find_disorder(messages: list[Row]) -> Iterator[tuple[int, str]]:
    """Yield (place, what is wrong) where calls and results do not follow on each other."""
    open_calls: list[str] = []
    caller = 0
    for place, message in enumerate(messages):
        if message["role"] == "tool":
            given = message.get("tool_call_id", "")
            if given in open_calls:
                open_calls.remove(given)
            else:
                yield place, "is a result of no call right before it"
            continue
        if open_calls:
            yield caller, "has a call that no result follows"
        open_calls = [call["id"] for call in message.get("tool_calls", ())]
        caller = place
    if open_calls and caller != len(messages) - 1:
        yield caller, "has a call that no result follows"


def check_ids(raw: list[Any], note: Note) -> None:
    """Note calls without an id, or with that of another call of their message, in messages as they stood."""
    for place, message in enumerate(raw):
        calls = message.get("tool_calls") if isinstance(message, dict) else None
        ids = [call.get("id") if isinstance(call, dict) else None for call in calls or ()]
        if any(not isinstance(given, str) or not given for given in ids):
            note(Fault.CALL_IDS, f"message {place} has a call without an id")
        elif len(set(ids)) < len(ids):
            note(Fault.CALL_IDS, f"message {place} has two calls of one id")


def _try_tools(text: str) -> Toolbox | str:
    """Return the toolbox of a list of tools in JSON text, or what is wrong with it."""
    try:
        tools = parse_json(text)
        if not isinstance(tools, list):
            return "the tools are no list"
        return Toolbox(digest_text(text).hex(), dict(_read_tool(tool) for tool in tools))
    except SchemaError as error:
        return f"a tool's parameters are no schema: {error.message[:_SHOWN]}"
    except (ValueError, TypeError, RecursionError) as error:
        return f"the tools cannot be read: {str(error)[:_SHOWN]}"


def _read_tool(tool: Any) -> tuple[str, Draft202012Validator]:
    function = tool.get("function", tool) if isinstance(tool, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(function, dict) or not isinstance(name, str) or not name:
        raise ValueError("a tool has no name")
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    if not isinstance(schema, dict):
        raise ValueError(f"the parameters of {name} are no schema")
    Draft202012Validator.check_schema(schema)
    return name, _make_validator(schema)


def _make_validator(schema: dict[str, Any]) -> Draft202012Validator:
    # A registry of its own: what a schema refers to elsewhere is never fetched.
    return Draft202012Validator(schema, registry=Registry())
