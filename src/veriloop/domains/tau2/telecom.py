"""The telecom domain: tools of both seats, the account in sync with the phone, databases invented from seeds."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from tau2.domains.telecom.environment import TelecomEnvironment, get_environment

from veriloop.core.errors import InputError, ToolError
from veriloop.core.message import Seat
from veriloop.domains.clause import Clause
from veriloop.domains.defect import Troubles
from veriloop.domains.domain import Caller, Domain
from veriloop.domains.held_out import HeldOut
from veriloop.domains.session import Session
from veriloop.domains.source import Source
from veriloop.domains.task import Initial, SeatCall
from veriloop.domains.tau2.held_out import load_held_out
from veriloop.domains.tau2.telecom_clause import CLAUSES
from veriloop.domains.tau2.telecom_fault import TROUBLES
from veriloop.domains.tau2.telecom_session import Phone, Telecom, TelecomSession
from veriloop.domains.tau2.telecom_source import KINDS, SOURCES, TOPICS, YIELDS
from veriloop.domains.tau2.telecom_world import (
    PACKAGE,
    SPLITS,
    Tables,
    dump_accounts,
    dump_database,
    load_database,
    read_database,
)
from veriloop.domains.tool import Tool, ToolKind


def load_telecom() -> Domain:
    """Return the domain; the package's own database is read on first use."""
    return TelecomDomain()


@dataclass(frozen=True)
class TelecomDomain:
    """tau2's telecom on invented databases; the package's own has the id `official`."""

    name: str = "tau2/telecom"
    clauses: tuple[Clause, ...] = CLAUSES
    kinds: dict[str, Source] = field(default_factory=lambda: dict(KINDS))
    troubles: Troubles = TROUBLES
    official: str = PACKAGE
    """Id of the database on which the package's own tasks play."""
    load: Callable[[str], tuple[Tables, Phone]] = load_database

    @property
    def policy(self) -> str:
        """The package's policy with its manual for technical support, to the letter."""
        return _load_package().get_policy()

    @property
    def policy_alone(self) -> str:
        """The package's policy for an agent who has a ticket instead of a user, to the letter."""
        return _load_package(alone=True).get_policy()

    @property
    def tools(self) -> dict[str, Tool]:
        """The package's tools of both seats with their own schemas and our declarations, by name."""
        return _wrap_tools()

    @property
    def held_out(self) -> HeldOut:
        """What the package's own tasks are about."""
        return load_held_out(self.name)

    def database(self, split: str, index: int) -> str:
        """Return the id of the split's database number `index`."""
        if split not in SPLITS:
            raise InputError(f"unknown split {split!r} of tau2/telecom; use one of {', '.join(SPLITS)}")
        return f"{split}-{index}"

    def callers(self, database: str, split: str) -> Sequence[Caller]:
        """Return the customers of a database who are not held out; each holds the phone of their first line."""
        rows: dict[str, Any] = dict(self.load(database)[0]["customers"])
        users = [row for key, row in rows.items() if row.line_ids and not self.held_out.has_entity(key)]
        return [Caller(row.customer_id, row.full_name, _known(row)) for row in users]

    def dump_database(self, database: str) -> dict[str, Any] | None:
        """Return a database as tau2's `initialization_data`; None for the package's own."""
        return dump_database(database)

    def snapshot(self, database: str) -> dict[str, Any]:
        """Return a database's accounts in the form of the package's file; the phone is no part of that."""
        return dump_accounts(self.load(database)[0])

    def mount(self, content: dict[str, Any], user: dict[str, Any]) -> "TelecomDomain":
        """Return the domain over accounts in the form of the package's file, and its phone with what `user` changes."""
        found = read_database(content, user)
        return replace(self, load=lambda _: found)

    def open(self, initial: Initial) -> Session:
        """Open a session on the shared rows and set the scene."""
        phone = self.load(initial.database)[1]
        spelling = tuple((step.seat, step.call.name, repr(step.call.arguments)) for step in initial.calls)
        state = _set_scene(_Start(self.load, initial.database, spelling, initial.calls))
        return TelecomSession(initial.database, phone, state, self.tools)


@dataclass(frozen=True, slots=True)
class _Start:
    """Where sessions start; equal where the calls are spelled alike, since 1 and 1.0 make different answers."""

    load: Callable[[str], tuple[Tables, Phone]]
    database: str
    spelling: tuple[tuple[str, ...], ...]
    calls: tuple[SeatCall, ...] = field(compare=False)


@functools.lru_cache(maxsize=256)
def _set_scene(start: _Start) -> Telecom:
    """Return the state after the initial calls, which a proof opens again and again; shared, never to be changed."""
    tables, phone = start.load(start.database)
    session = TelecomSession(start.database, phone, Telecom.of(tables, phone), _wrap_tools())
    for step in start.calls:
        session.prepare(step)
    return session.state


def _known(row: Any) -> dict[str, Any]:
    """Return what customers can say of themselves; nobody knows their customer id."""
    return {"phone_number": row.phone_number, "full_name": row.full_name, "date_of_birth": row.date_of_birth}


@functools.lru_cache(maxsize=2)
def _load_package(*, alone: bool = False) -> TelecomEnvironment:
    return get_environment(solo_mode=alone)


@functools.lru_cache(maxsize=1)
def _wrap_tools() -> dict[str, Tool]:
    package = _load_package()
    seats: tuple[tuple[Seat, Any], ...] = (("agent", package.tools), ("user", package.user_tools))
    return {
        name: _wrap_tool(seat, toolkit, name, made)
        for seat, toolkit in seats
        for name, made in toolkit.get_tools().items()
    }


def _wrap_tool(seat: Seat, toolkit: Any, name: str, made: Any) -> Tool:
    function = made.openai_schema["function"]
    return Tool(
        name=name,
        seat=seat,
        kind=cast(ToolKind, toolkit.tool_type(name).value),
        description=function["description"],
        parameters=function["parameters"],
        run=_refuse_bare,
        sources=SOURCES.get(name, {}),
        yields=YIELDS.get(name, ()),
        topics=TOPICS.get(name, ()),
    )


def _refuse_bare(*_: Any) -> str:
    """Refuse: a call needs account and phone in sync, which only a session has."""
    raise ToolError("telecom's tools are called through a session")
