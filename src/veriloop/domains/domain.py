"""What a domain is, and the ordinary way to make one from a toolkit class."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from veriloop.domains.clause import Clause
from veriloop.domains.database import Database, Row
from veriloop.domains.session import Session, ToolkitSession
from veriloop.domains.source import Source
from veriloop.domains.task import Initial
from veriloop.domains.tool import Tool, collect_tools

R = TypeVar("R", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Caller:
    """A person who may call.

    known: what they can say of themselves, by kind (email -> "ada@post.example"). heard: values of other people that
    they have come upon, which they may ask about but must not get changed.
    """

    key: str
    name: str
    known: dict[str, Any]
    heard: dict[str, Any] = field(default_factory=dict)


class Domain(Protocol):
    """Tools of both seats over databases under a policy."""

    @property
    def name(self) -> str:
        """The name by which `load_domain` finds it."""
        ...

    @property
    def policy(self) -> str:
        """Markdown with numbered clauses; the agent's system text."""
        ...

    @property
    def tools(self) -> dict[str, Tool]:
        """Tools of both seats by name."""
        ...

    @property
    def clauses(self) -> tuple[Clause, ...]:
        """The policy's rules as code."""
        ...

    @property
    def kinds(self) -> dict[str, Source]:
        """How values of a kind are called and said when a user knows them (identity facts, references)."""
        ...

    def database(self, split: str, index: int) -> str:
        """Return the id of a database: splits `train` and `test` share none, or none of their callers."""
        ...

    def callers(self, database: str, split: str) -> Sequence[Caller]:
        """Return the people of a database that tasks of a split may be about, in a stable order."""
        ...

    def open(self, initial: Initial) -> Session:
        """Open a fresh session; raises InputError for an unknown database."""
        ...


@dataclass(frozen=True)
class ToolkitDomain:
    """A domain from a toolkit class whose constructor takes its database.

    load: database id -> base tables, cached by the caller. A database id is `SPLIT-INDEX`. unordered: by table, fields
    that hold lists whose order means nothing.
    """

    name: str
    policy: str
    toolkit: type
    database_type: type[Database]
    load: Callable[[str], Mapping[str, Mapping[str, Row]]]
    find_callers: Callable[[Database], Sequence[Caller]]
    clauses: tuple[Clause, ...]
    kinds: dict[str, Source] = field(default_factory=dict)
    unordered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tools: dict[str, Tool] = field(init=False)

    def __post_init__(self) -> None:
        """Read the tools off the toolkit, which checks their hints and docstrings."""
        object.__setattr__(self, "tools", collect_tools(self.toolkit))

    def database(self, split: str, index: int) -> str:
        """Return the id of the split's database number `index`."""
        return f"{split}-{index}"

    def callers(self, database: str, split: str) -> Sequence[Caller]:
        """Return everyone in the database; splits never share one."""
        return self.find_callers(self.database_type(self.load(database)))

    def open(self, initial: Initial) -> Session:
        """Open a session and make the initial calls."""
        session = ToolkitSession(
            initial.database, self.database_type(self.load(initial.database)), self.toolkit, self.tools
        )
        return run_initial(session, initial)

    def snapshot(self, database: str) -> dict[str, Any]:
        """Return a database's rows as JSON by table and key."""
        return dump_rows(self.load(database))

    def mount(self, content: dict[str, Any], user: dict[str, Any]) -> "ToolkitDomain":
        """Return the domain over one database, read back from its snapshot; the user holds nothing of their own."""
        tables = parse_rows(content, self.database_type.row_types())
        return replace(self, load=lambda _: tables)


def dump_rows(tables: Mapping[str, Mapping[str, BaseModel]]) -> dict[str, Any]:
    """Return rows by table and key as JSON."""
    return {name: {key: row.model_dump(mode="json") for key, row in rows.items()} for name, rows in tables.items()}


def parse_rows(content: Mapping[str, Any], types: Mapping[str, type[R]]) -> dict[str, dict[str, R]]:
    """Return rows by table and key from JSON; raises ValueError, KeyError or AttributeError when it does not fit."""
    return {name: {key: row.model_validate(v) for key, v in content[name].items()} for name, row in types.items()}


def find_unordered(domain: Domain) -> Mapping[str, tuple[str, ...]]:
    """Return by table the fields that hold lists whose order means nothing; none where a domain declares nothing."""
    return getattr(domain, "unordered", {})


def agent_writes(domain: Domain) -> list[Tool]:
    """Return the agent's tools that change something."""
    return [tool for tool in domain.tools.values() if tool.kind == "write" and tool.seat == "agent"]


def agent_actions(domain: Domain) -> list[Tool]:
    """Return the agent's tools that people ask for: those that change something, and hand-overs."""
    return [t for t in domain.tools.values() if t.seat == "agent" and (t.kind == "write" or t.is_handover)]


def run_initial(session: Session, initial: Initial) -> Session:
    """Make a task's initial calls on a fresh session."""
    for step in initial.calls:
        session.call(step.seat, step.call)
    return session
