"""The retail domain: 500 customers, 1,000 orders and 50 products of the package, split by customer."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast

from pydantic import BaseModel
from tau2.domains.retail.data_model import RetailDB
from tau2.domains.retail.tools import RetailTools
from tau2.domains.retail.utils import RETAIL_DB_PATH, RETAIL_POLICY_PATH
from tau2.environment.environment import Environment

from veriloop.core.base import content_hash
from veriloop.core.errors import InputError, ToolError
from veriloop.domains.clause import Clause
from veriloop.domains.domain import Caller, Domain, run_initial
from veriloop.domains.session import Session
from veriloop.domains.source import Source
from veriloop.domains.task import Initial
from veriloop.domains.tau2.retail_clause import CLAUSES
from veriloop.domains.tau2.retail_source import KINDS, SOURCES, TOPICS, YIELDS
from veriloop.domains.tau2.rows import Rows, Store
from veriloop.domains.tau2.session import Tau2Session
from veriloop.domains.tool import Tool, ToolKind

TABLES = ("orders", "products", "users")
SPLITS = ("train", "test")
TEST_SHARE = 5
"""One customer in so many is held out."""
HEARD_SHARE = 4
"""One caller in so many also has the number of an order that is not theirs."""


def load_retail() -> Domain:
    """Return the domain; its database is read from the package on first use."""
    return RetailDomain()


@dataclass(frozen=True)
class RetailDomain:
    """tau2's retail. There is one database; its ids `train-0` and `test-0` differ in who calls."""

    name: str = "tau2/retail"
    clauses: tuple[Clause, ...] = CLAUSES
    kinds: dict[str, Source] = field(default_factory=lambda: dict(KINDS))

    @property
    def policy(self) -> str:
        """The package's policy, to the letter."""
        return _read_policy()

    @property
    def tools(self) -> dict[str, Tool]:
        """The package's tools with their own schemas and our declarations, by name."""
        return _wrap_tools()

    def database(self, split: str, index: int) -> str:
        """Return the split's only database."""
        if split not in SPLITS:
            raise InputError(f"unknown split {split!r} of tau2/retail; use one of {', '.join(SPLITS)}")
        return f"{split}-0"

    def callers(self, database: str, split: str) -> Sequence[Caller]:
        """Return the split's customers who have ordered something, in the package's order."""
        return _find_callers(split)

    def open(self, initial: Initial) -> Session:
        """Open a session on the shared rows and make the initial calls."""
        split, _, index = initial.database.partition("-")
        if split not in SPLITS or index != "0":
            raise InputError(f"unknown database {initial.database!r} of tau2/retail; it has train-0 and test-0")
        store = Store({name: Rows(rows) for name, rows in load_tables().items()})
        return run_initial(Tau2Session(initial.database, store, RetailTools, self.tools), initial)


@functools.lru_cache(maxsize=1)
def load_tables() -> Mapping[str, Mapping[str, BaseModel]]:
    """Return the package's rows by table and key, parsed once per process; shared, never to be changed."""
    db = RetailDB.load(str(RETAIL_DB_PATH))
    return MappingProxyType({name: MappingProxyType(getattr(db, name)) for name in TABLES})


def split_of(user_id: str) -> str:
    """Return the split a customer belongs to, from a hash of the id alone."""
    return "test" if int(content_hash(user_id), 16) % TEST_SHARE == 0 else "train"


@functools.lru_cache(maxsize=2)
def _find_callers(split: str) -> tuple[Caller, ...]:
    rows: Mapping[str, Any] = load_tables()["users"]
    users = [user for key, user in rows.items() if user.orders and split_of(key) == split]
    callers = []
    for position, user in enumerate(users):
        other = users[(position * 7 + 3) % len(users)]
        heard = {"order_id": other.orders[0]} if position % HEARD_SHARE == 0 and other is not user else {}
        callers.append(Caller(user.user_id, f"{user.name.first_name} {user.name.last_name}", _known(user), heard))
    return tuple(callers)


def _known(user: Any) -> dict[str, Any]:
    """Return what customers can say of themselves; e-mail addresses and names with zip codes are unique."""
    name, address = user.name, user.address
    return {"email": user.email, "first_name": name.first_name, "last_name": name.last_name, "zip": address.zip}


@functools.lru_cache(maxsize=1)
def _read_policy() -> str:
    return RETAIL_POLICY_PATH.read_text(encoding="utf-8")


@functools.lru_cache(maxsize=1)
def _wrap_tools() -> dict[str, Tool]:
    toolkit = RetailTools(cast(Any, None))
    return {name: _wrap_tool(toolkit, name, made) for name, made in toolkit.get_tools().items()}


def _wrap_tool(toolkit: RetailTools, name: str, made: Any) -> Tool:
    function = made.openai_schema["function"]
    return Tool(
        name=name,
        seat="agent",
        kind=cast(ToolKind, toolkit.tool_type(name).value),
        description=function["description"],
        parameters=function["parameters"],
        run=functools.partial(_run_tool, name),
        sources=SOURCES.get(name, {}),
        yields=YIELDS.get(name, ()),
        topics=TOPICS.get(name, ()),
    )


def _run_tool(name: str, toolkit: Any, arguments: dict[str, Any]) -> str:
    try:
        return Environment.to_json_str(toolkit.use_tool(tool_name=name, **arguments))
    except Exception as error:  # boundary: the package's tools refuse by raising anything
        raise ToolError(str(error)) from error
