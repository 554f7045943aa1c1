"""The tools of a row: what can be called with what, and how the row tells it."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from referencing import Registry
from referencing.exceptions import Unresolvable

from veriloop.core.message import Seat
from veriloop.domains.domain import Domain
from veriloop.store.audit.memo import digest_text
from veriloop.store.chat import Row
from veriloop.store.fault import Fault, RowError
from veriloop.store.file import parse_json

_SHOWN = 120
"""Characters that are shown of what a schema does not allow."""


@dataclass(frozen=True)
class Toolbox:
    """Validators of a list of tools by name. key: the same for equal lists only.

    odd, twice: in words, tools that are not written as OpenAI's are, and tools that are listed twice.
    """

    key: str
    validators: Mapping[str, Draft202012Validator]
    odd: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()

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


def has_tools(given: Any) -> bool:
    """Return whether a row's `tools` are more than nothing or an empty list."""
    return not (given is None or given == [] or (isinstance(given, str) and given.strip() in ("", "[]", "null")))


def read_toolbox(text: str) -> Toolbox | str:
    """Return the toolbox of a list of tools in JSON text, or what is wrong with it."""
    try:
        tools = parse_json(text)
        if not isinstance(tools, list):
            return "the tools are no list"
        read = [_read_tool(tool) for tool in tools]
        counts = Counter(name for name, _ in read)
        return Toolbox(
            digest_text(text).hex(),
            {name: _make_validator(schema) for name, schema in read},
            tuple(_describe_oddity(tool) for tool in tools if is_odd(tool)),
            tuple(f"{name} is listed {count} times" for name, count in counts.items() if count > 1),
        )
    except SchemaError as error:
        return f"a tool's parameters are no schema: {error.message[:_SHOWN]}"
    except (ValueError, TypeError, RecursionError) as error:
        return f"the tools cannot be read: {str(error)[:_SHOWN]}"


def take_toolbox(domain: Domain, seat: Seat) -> Toolbox:
    """Return the toolbox of a seat's tools in a domain."""
    own = {name: _make_validator(tool.parameters) for name, tool in domain.tools.items() if tool.seat == seat}
    return Toolbox(f"{domain.name} {seat}", own)


def name_tools(given: Any) -> frozenset[str]:
    """Return the names of a row's tools, as far as they can be read."""
    try:
        tools = parse_json(given) if isinstance(given, str) else given
    except ValueError:
        return frozenset()
    listed = tools if isinstance(tools, list) else []
    functions = [tool.get("function", tool) for tool in listed if isinstance(tool, dict)]
    names = [function.get("name") for function in functions if isinstance(function, dict)]
    return frozenset(name for name in names if isinstance(name, str))


def is_odd(tool: Any) -> bool:
    """Return whether a tool is not {type, function}, but flat or in Anthropic's form."""
    return isinstance(tool, dict) and "function" not in tool


def respell_tool(tool: Row) -> Row:
    """Return an odd tool as OpenAI has it."""
    rest = {key: value for key, value in tool.items() if key not in ("type", "parameters", "input_schema")}
    schema = tool.get("parameters") or tool.get("input_schema")
    return {"type": "function", "function": {**rest, **({"parameters": schema} if schema else {})}}


def _describe_oddity(tool: Row) -> str:
    how = "with an input_schema" if "input_schema" in tool else "flat, without `function`"
    return f"{tool['name']} is listed {how}"


def _read_tool(tool: Any) -> tuple[str, dict[str, Any]]:
    """Return a tool's name and schema; raises ValueError or SchemaError where it has none."""
    function = tool.get("function", tool) if isinstance(tool, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(function, dict) or not isinstance(name, str) or not name:
        raise ValueError("a tool has no name")
    told = function.get("parameters") or (function.get("input_schema") if is_odd(tool) else None)
    schema = told or {"type": "object", "properties": {}}
    if not isinstance(schema, dict):
        raise ValueError(f"the parameters of {name} are no schema")
    Draft202012Validator.check_schema(schema)
    return name, schema


def _make_validator(schema: dict[str, Any]) -> Draft202012Validator:
    # A registry of its own: what a schema refers to elsewhere is never fetched.
    return Draft202012Validator(schema, registry=Registry())
