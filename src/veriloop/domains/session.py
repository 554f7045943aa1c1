"""A live environment of one dialogue: calls by seat, net changes, a digest, and forks to try things out."""

import json
from typing import Any, Protocol

from veriloop.core.errors import ToolError
from veriloop.core.message import Change, Seat, ToolCall, ToolResult
from veriloop.domains.database import Database, digest_changes
from veriloop.domains.tool import Tool


class Session(Protocol):
    """What a domain opens for one dialogue."""

    @property
    def state(self) -> Any:
        """The database as clauses and sources read it."""
        ...

    def call(self, seat: Seat, call: ToolCall) -> ToolResult:
        """Make a call; refusals are results with `error` set and change nothing."""
        ...

    def changes(self) -> tuple[Change, ...]:
        """Return how the state differs from the database as opened."""
        ...

    def digest(self) -> str:
        """Return a digest that is equal exactly for equal states of the same database."""
        ...

    def fork(self) -> "Session":
        """Return an independent session in the same state."""
        ...


class ToolkitSession:
    """A session over a toolkit whose state is a `Database`; costs what the calls touch."""

    __slots__ = ("_database", "_toolkit", "_tools", "state")

    def __init__(self, database: str, state: Database, toolkit: type, tools: dict[str, Tool]) -> None:
        self._database, self._tools = database, tools
        self.state = state
        self._toolkit = toolkit(state)

    def call(self, seat: Seat, call: ToolCall) -> ToolResult:
        """Make a call; a refused one leaves no change behind."""
        try:
            tool = find_tool(self._tools, seat, call.name)
            if tool.kind == "write":
                return self._write(tool, call)
            return ToolResult(call_id=call.id, content=tool.run(self._toolkit, call.arguments))
        except ToolError as error:
            return ToolResult(call_id=call.id, content=f"Error: {error}", error=True)

    def _write(self, tool: Tool, call: ToolCall) -> ToolResult:
        trial = self.state.fork()
        content = tool.run(type(self._toolkit)(trial), call.arguments)
        changes = step_changes(self.state.changes(), trial.changes())
        self.state = trial
        self._toolkit = type(self._toolkit)(trial)
        return ToolResult(call_id=call.id, content=content, changes=changes)

    def changes(self) -> tuple[Change, ...]:
        """Return the net changes."""
        return self.state.changes()

    def digest(self) -> str:
        """Return the digest of the state."""
        return digest_changes(self._database, self.changes())

    def fork(self) -> "ToolkitSession":
        """Return an independent session."""
        return ToolkitSession(self._database, self.state.fork(), type(self._toolkit), self._tools)


def find_tool(tools: dict[str, Tool], seat: Seat, name: str) -> Tool:
    """Return the tool when it exists and belongs to `seat`, else raise the ToolError its caller reads."""
    tool = tools.get(name)
    if tool is None:
        raise ToolError(f"unknown tool {name!r}")
    if tool.seat != seat:
        raise ToolError(f"tool {name!r} belongs to the {tool.seat}, not to the {seat}")
    return tool


def step_changes(before: tuple[Change, ...], after: tuple[Change, ...]) -> tuple[Change, ...]:
    """Return what one call changed, from the net changes before and after it."""
    old = {(change.table, change.key): change for change in before}
    new = {(change.table, change.key): change for change in after}
    found = []
    for place in sorted(old.keys() | new.keys()):
        source, target = old.get(place), new.get(place)
        start = source.after if source else target.before if target else None
        end = target.after if target else source.before if source else None
        if start != end:
            found.append(Change(table=place[0], key=place[1], before=start, after=end))
    return tuple(found)


def parse_content(content: str) -> Any:
    """Return a tool result's text as JSON where it is JSON, else as it is."""
    try:
        return json.loads(content)
    except json.JSONDecodeError:
        return content
