"""Tools: typed methods with a seat, a kind, a JSON schema and the sources of their arguments."""

import inspect
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from veriloop.core.errors import InputError, ToolError, VeriloopError
from veriloop.core.message import Seat
from veriloop.domains.foreign import blame_code
from veriloop.domains.source import Source, Yield

ToolKind = Literal["read", "write", "generic"]
_MARK = "__veriloop_tool__"


@dataclass(frozen=True, slots=True)
class Tool:
    """One callable of a seat.

    kind: `read` changes nothing, `write` may, `generic` neither reads nor writes (transfer, calculator).
    parameters: JSON schema. sources: by parameter. yields: what a read's result holds. topics: how a user names what
    a write does ("have a parcel delivered on another day"), several wordings of the same; of a generic tool, what calls
    for it ("complain about a courier": a transfer).
    """

    name: str
    seat: Seat
    kind: ToolKind
    description: str
    parameters: dict[str, Any]
    run: Callable[[Any, dict[str, Any]], str]
    """(toolkit, arguments) -> result text; raises ToolError when the call is refused."""
    sources: dict[str, Source] = field(default_factory=dict)
    yields: tuple[Yield, ...] = ()
    topics: tuple[str, ...] = ()

    @property
    def is_handover(self) -> bool:
        """True where people ask for a call that changes nothing: a generic tool with topics, such as a transfer."""
        return self.kind == "generic" and bool(self.topics)

    def schema(self) -> dict[str, Any]:
        """Return the OpenAI function schema."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class Mark:
    """What a decorator noted on a method."""

    kind: ToolKind
    seat: Seat
    yields: tuple[Yield, ...]
    topics: tuple[str, ...]


def tool(
    kind: ToolKind, *, seat: Seat = "agent", yields: tuple[Yield, ...] = (), topics: tuple[str, ...] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark a method of a toolkit as a tool of `seat`; raises InputError for a kind that is none."""
    if kind not in get_args(ToolKind):
        raise InputError(f"{kind!r} is no kind of tool; it is one of {', '.join(get_args(ToolKind))}")

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        setattr(method, _MARK, Mark(kind, seat, yields, topics))
        return method

    return decorate


def collect_tools(toolkit: type) -> dict[str, Tool]:
    """Return the tools of a toolkit class by name, in order of definition.

    Raises InputError naming the method when a type hint or docstring is missing.
    """
    methods = [(name, member) for base in reversed(toolkit.__mro__) for name, member in vars(base).items()]
    return {name: _build(method, getattr(method, _MARK)) for name, method in methods if hasattr(method, _MARK)}


def dump_result(value: Any) -> str:
    """Return a tool's return value as the text a model reads: strings as they are, the rest as compact JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(_plain(value), ensure_ascii=False, separators=(", ", ": "))


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _build(method: Callable[..., Any], mark: Mark) -> Tool:
    where = f"tool {method.__qualname__!r} in {inspect.getsourcefile(method)}"
    doc = inspect.getdoc(method)
    if not doc:
        raise InputError(f"{where} has no docstring; write one, the agent reads it as the tool's description")
    hints = get_type_hints(method, include_extras=True)
    names = [name for name in inspect.signature(method).parameters if name != "self"]
    if missing := [name for name in names if name not in hints]:
        raise InputError(f"{where} has no type hint for {', '.join(map(repr, missing))}; add one to each parameter")
    arguments = _argument_model(method, names, hints)
    summary, described = _parse_docstring(doc)
    return Tool(
        name=method.__name__,
        seat=mark.seat,
        kind=mark.kind,
        description=summary,
        parameters=_schema(arguments, described),
        run=_runner(method.__name__, arguments),
        sources={name: source for name in names if (source := _find_source(hints[name]))},
        yields=mark.yields,
        topics=mark.topics,
    )


def _argument_model(method: Callable[..., Any], names: list[str], hints: dict[str, Any]) -> type[BaseModel]:
    parameters = inspect.signature(method).parameters
    fields: dict[str, Any] = {}
    for name in names:
        default = parameters[name].default
        fields[name] = (hints[name], ... if default is inspect.Parameter.empty else default)
    return create_model(method.__name__, __config__=ConfigDict(extra="forbid", strict=True), **fields)


def _runner(name: str, arguments: type[BaseModel]) -> Callable[[Any, dict[str, Any]], str]:
    def run(toolkit: Any, given: dict[str, Any]) -> str:
        try:
            checked = arguments.model_validate(given)
        except ValidationError as error:
            raise ToolError(f"invalid arguments for {name}: {_explain(error)}") from None
        try:
            found = getattr(toolkit, name)(**{key: getattr(checked, key) for key in arguments.model_fields})
        except VeriloopError:
            raise
        except Exception as error:  # the boundary to a domain's own code
            raise blame_code(error, f"tool {name}, called with {given!r},") from error
        return _dump(name, found)

    return run


def _dump(name: str, found: Any) -> str:
    try:
        return dump_result(found)
    except (TypeError, ValueError) as error:
        fix = "return strings, numbers, booleans, None, lists, dicts or rows"
        raise InputError(f"tool {name} returned what is no JSON: {error}; {fix}") from error


def _explain(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, item['loc'])) or 'arguments'}: {item['msg']}" for item in error.errors())


def _find_source(hint: Any) -> Source | None:
    if get_origin(hint) is None:
        return None
    return next((extra for extra in get_args(hint)[1:] if isinstance(extra, Source)), None)


def _parse_docstring(doc: str) -> tuple[str, dict[str, str]]:
    """Split a Google-style docstring into its summary and the description of each argument."""
    summary, _, rest = doc.partition("\nArgs:")
    described = {name: text.strip() for name, text in re.findall(r"^\s+(\w+):\s*(.+)$", rest, re.MULTILINE)}
    return " ".join(summary.split()), described


def _schema(arguments: type[BaseModel], described: dict[str, str]) -> dict[str, Any]:
    schema = arguments.model_json_schema()
    for name, entry in schema.get("properties", {}).items():
        entry.pop("title", None)
        if name in described:
            entry["description"] = described[name]
    schema.pop("title", None)
    schema.setdefault("properties", {})
    return schema
