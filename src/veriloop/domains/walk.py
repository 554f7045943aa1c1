"""Exploring a live session: which values can be read from what a caller knows, and by which calls."""

import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from veriloop.core.message import ToolCall
from veriloop.domains.domain import Caller, Domain
from veriloop.domains.session import Session, parse_content
from veriloop.domains.source import Pool, Scope, harvest
from veriloop.domains.tool import Tool

READS_PER_TOOL = 12
"""Calls of one read tool per walk; a caller with more parcels than that is known well enough."""


@dataclass(frozen=True, slots=True)
class Read:
    """A read call that was made and what it returned."""

    call: ToolCall
    content: str


@dataclass(slots=True)
class Walk:
    """What a session shows to someone who starts from a caller's knowledge.

    origins: (kind, value) -> positions in `reads` of calls that returned the value, none for known values; and
    (tool, its arguments as texts) -> the position of that call.
    """

    domain: Domain
    caller: Caller
    pool: Pool = field(default_factory=dict)
    reads: list[Read] = field(default_factory=list)
    origins: dict[tuple[str, Any], list[int]] = field(default_factory=dict)

    def scope(self, session: Session, arguments: dict[str, Any] | None = None) -> Scope:
        """Return the scope in which arguments are chosen on `session`."""
        return Scope(session.state, self.pool, arguments or {}, self.caller.known)

    def history(self) -> list[tuple[ToolCall, str]]:
        """Return the reads as clauses expect them."""
        return [(read.call, read.content) for read in self.reads]

    def opening_reads(self) -> list[int]:
        """Return the reads that need nothing but what the caller knows of themselves, by which they are identified."""
        return [position for position in range(len(self.reads)) if self.known_kinds(position) is not None]

    def known_kinds(self, position: int) -> frozenset[str] | None:
        """Return the kinds of known values a read was called with, or None when some argument was read before."""
        call = self.reads[position].call
        pairs = list(pooled_values(self.domain.tools[call.name], call.arguments))
        if not pairs or any(self.caller.known.get(kind) != value for kind, value in pairs):
            return None
        return frozenset(kind for kind, _ in pairs)

    def chain(self, pairs: Iterable[tuple[str, Any]], start: int, told: frozenset[Any]) -> list[int]:
        """Return the reads, in order, by which (kind, value) pairs are found from the read `start` and told values."""
        found: dict[int, None] = {start: None}
        for kind, value in pairs:
            self._reach(kind, value, told, found)
        return sorted(found, key=lambda position: (position != start, position))

    def _reach(self, kind: str, value: Any, told: frozenset[Any], found: dict[int, None]) -> None:
        origins = self.origins.get((kind, value), [])
        if value in told or not origins or any(position in found for position in origins):
            return
        position = min(origins, key=lambda origin: self._depth(origin, told))
        found[position] = None
        call = self.reads[position].call
        for inner, needed in pooled_values(self.domain.tools[call.name], call.arguments):
            self._reach(inner, needed, told, found)

    def _depth(self, position: int, told: frozenset[Any]) -> tuple[int, int]:
        """Order origins of a value: reads of told values first, then the earliest."""
        call = self.reads[position].call
        return (
            0 if all(v in told for _, v in pooled_values(self.domain.tools[call.name], call.arguments)) else 1,
            position,
        )


def explore(domain: Domain, session: Session, caller: Caller, rng: random.Random) -> Walk:
    """Call every read tool that the caller's knowledge opens, again and again until nothing new comes up."""
    walk = Walk(domain, caller)
    for kind, value in [*caller.known.items(), *caller.heard.items()]:
        walk.pool.setdefault(kind, {})[value] = {}
    tools = [tool for tool in domain.tools.values() if tool.kind == "read" and tool.seat == "agent"]
    rng.shuffle(tools)
    done: set[tuple[str, str]] = set()
    grown = True
    while grown:
        made = [_call_all(walk, session, tool, done) for tool in tools]
        grown = any(made)
    return walk


def pooled_values(tool: Tool, arguments: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    """Return (kind, value) for each argument, the elements of lists one by one, the fields of objects as `kind.field`.

    What the agent works out is none of them.
    """
    for name, value in arguments.items():
        source = tool.sources.get(name)
        if source and not source.worked_out:
            yield from _flatten(source.kind, value)


def _flatten(kind: str, value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, list):
        for item in value:
            yield from _flatten(kind, item)
    elif isinstance(value, dict):
        for field_name, item in value.items():
            yield from _flatten(f"{kind}.{field_name}", item)
    else:
        yield kind, value


def grounds(tool: Tool, arguments: dict[str, Any], scope: Scope) -> Iterable[tuple[str, Any]]:
    """Return the pairs that have to be known before a call: what its values rest on, and the values."""
    for name, value in arguments.items():
        source = tool.sources.get(name)
        if source and source.rests_on:
            yield from source.rests_on(value, scope)
    yield from pooled_values(tool, arguments)


def argument_names(tool: Tool) -> list[str]:
    """Return the names of a tool's parameters in the order they are chosen in: that of their sources, the rest after.

    A source may look at what was chosen before it, and the tool's own order need not suit that.
    """
    return [*tool.sources, *(name for name in tool.parameters["properties"] if name not in tool.sources)]


def draft_arguments(tool: Tool, walk: Walk, session: Session, rng: random.Random) -> dict[str, Any] | None:
    """Return one random choice of a tool's arguments, or None when some parameter has no candidate."""
    arguments: dict[str, Any] = {}
    for name in argument_names(tool):
        source = tool.sources.get(name)
        if source is None:
            if name in tool.parameters.get("required", ()):
                return None
            continue
        candidates = source.candidates(walk.scope(session, dict(arguments)))
        if not candidates:
            return None
        arguments[name] = rng.choice(candidates)
    return arguments


def _call_all(walk: Walk, session: Session, tool: Tool, done: set[tuple[str, str]]) -> bool:
    """Call one tool with every combination of pooled arguments not tried yet; True when some call was made."""
    made = False
    for arguments in _combinations(tool, walk, session):
        key = (tool.name, repr(sorted(arguments.items())))
        if key in done or sum(name == tool.name for name, _ in done) >= READS_PER_TOOL:
            continue
        done.add(key)
        made = True
        _read(walk, session, tool, arguments)
    return made


def _combinations(tool: Tool, walk: Walk, session: Session) -> list[dict[str, Any]]:
    if any(name not in tool.sources for name in tool.parameters.get("required", ())):
        return []
    found: list[dict[str, Any]] = [{}]
    for name, source in tool.sources.items():
        grown = ({**made, name: value} for made in found for value in source.candidates(walk.scope(session, made)))
        found = list(itertools.islice(grown, READS_PER_TOOL))
    return found


def _read(walk: Walk, session: Session, tool: Tool, arguments: dict[str, Any]) -> None:
    call = ToolCall(id=f"read_{len(walk.reads)}", name=tool.name, arguments=arguments)
    result = session.call("agent", call)
    if result.error:
        return
    position = len(walk.reads)
    walk.reads.append(Read(call, result.content))
    walk.origins[tool.name, tuple(map(str, arguments.values()))] = [position]
    parsed = parse_content(result.content)
    for entry in tool.yields:
        for value, row in harvest(entry.at, parsed):
            walk.pool.setdefault(entry.kind, {}).setdefault(value, {}).update(row)
            walk.origins.setdefault((entry.kind, value), []).append(position)
