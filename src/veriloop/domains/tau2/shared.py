"""What domains over one database of the package have in common: shared rows, split by who calls."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel
from tau2.environment.environment import Environment

from veriloop.core.base import content_hash
from veriloop.core.errors import InputError, ToolError
from veriloop.domains.clause import Clause
from veriloop.domains.domain import Caller, dump_rows, parse_rows, run_initial
from veriloop.domains.held_out import HeldOut
from veriloop.domains.session import Session
from veriloop.domains.source import Source, Yield
from veriloop.domains.task import Initial
from veriloop.domains.tau2.held_out import load_held_out
from veriloop.domains.tau2.rows import Rows, Store
from veriloop.domains.tau2.session import Tau2Session
from veriloop.domains.tool import Tool, ToolKind

SPLITS = ("train", "test")
TEST_SHARE = 5
"""One customer in so many is held out."""


@dataclass(frozen=True)
class Declarations:
    """What synthesis has to know of the package's tools, by name of the tool."""

    sources: Mapping[str, dict[str, Source]]
    yields: Mapping[str, tuple[Yield, ...]]
    topics: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class SharedDomain:
    """A domain of tau2 with one database; its ids `train-0` and `test-0` differ in who calls.

    tables: returns the package's rows by table and key, which are shared and never changed. find_callers: by split.
    unordered: by table, fields that hold lists whose order means nothing.
    """

    name: str
    clauses: tuple[Clause, ...]
    toolkit: type
    policy_path: Path
    tables: Callable[[], Mapping[str, Mapping[str, BaseModel]]]
    find_callers: Callable[[str], Sequence[Caller]]
    declared: Declarations
    kinds: dict[str, Source] = field(default_factory=dict)
    unordered: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    official: str = "train-0"
    """Id of the database on which the package's own tasks play."""
    policy: str = field(init=False)
    """The package's policy, to the letter."""
    tools: dict[str, Tool] = field(init=False)
    """The package's tools with their own schemas and our declarations, by name."""

    def __post_init__(self) -> None:
        """Read the policy and wrap the tools; the database is read on first use."""
        toolkit = self.toolkit(None)
        tools = {name: _wrap_tool(toolkit, name, made, self.declared) for name, made in toolkit.get_tools().items()}
        object.__setattr__(self, "policy", self.policy_path.read_text(encoding="utf-8"))
        object.__setattr__(self, "tools", tools)

    @property
    def held_out(self) -> HeldOut:
        """What the package's own tasks are about."""
        return load_held_out(self.name)

    def database(self, split: str, index: int) -> str:
        """Return the split's only database."""
        if split not in SPLITS:
            raise InputError(f"unknown split {split!r} of {self.name}; use one of {', '.join(SPLITS)}")
        return f"{split}-0"

    def callers(self, database: str, split: str) -> Sequence[Caller]:
        """Return the split's customers who may call, in the package's order; nobody of the package's own tasks."""
        return self.find_callers(split)

    def open(self, initial: Initial) -> Session:
        """Open a session on the shared rows and make the initial calls."""
        split, _, index = initial.database.partition("-")
        if split not in SPLITS or index != "0":
            raise InputError(f"unknown database {initial.database!r} of {self.name}; it has train-0 and test-0")
        store = Store({name: Rows(rows) for name, rows in self.tables().items()})
        return run_initial(Tau2Session(initial.database, store, self.toolkit, self.tools), initial)

    def snapshot(self, database: str) -> dict[str, Any]:
        """Return the package's database in the form of its file."""
        return dump_rows(self.tables())

    def mount(self, content: dict[str, Any], user: dict[str, Any]) -> "SharedDomain":
        """Return the domain over a database in the form of the package's file."""
        types = {name: type(next(iter(rows.values()))) for name, rows in self.tables().items()}
        tables = parse_rows(content, types)
        return replace(self, tables=lambda: tables)


def split_of(user_id: str) -> str:
    """Return the split a customer belongs to, from a hash of the id alone."""
    return "test" if int(content_hash(user_id), 16) % TEST_SHARE == 0 else "train"


def _wrap_tool(toolkit: Any, name: str, made: Any, declared: Declarations) -> Tool:
    function = made.openai_schema["function"]
    return Tool(
        name=name,
        seat="agent",
        kind=cast(ToolKind, toolkit.tool_type(name).value),
        description=function["description"],
        parameters=function["parameters"],
        run=functools.partial(_run_tool, name),
        sources=declared.sources.get(name, {}),
        yields=declared.yields.get(name, ()),
        topics=declared.topics.get(name, ()),
    )


def _run_tool(name: str, toolkit: Any, arguments: dict[str, Any]) -> str:
    try:
        return Environment.to_json_str(toolkit.use_tool(tool_name=name, **arguments))
    except Exception as error:  # boundary: the package's tools refuse by raising anything
        raise ToolError(str(error)) from error
