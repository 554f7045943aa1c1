"""A session over both toolkits of telecom: account and phone stay in sync after every call, as in the package.

The package's tools read lists and change whatever they find there, so a call that may write gets a draft of the tables
and of the phone; reads are answered from the shared rows.
"""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from tau2.data_model.message import ToolCall as Tau2Call
from tau2.data_model.tasks import EnvFunctionCall
from tau2.domains.telecom.user_data_model import MockPhoneAttributes, UserSurroundings, VpnDetails
from tau2.domains.telecom.user_tools import TelecomUserTools
from tau2.environment.environment import Environment

from veriloop.core.errors import InputError
from veriloop.core.message import Change, Seat, ToolCall, ToolResult
from veriloop.domains.database import digest_changes
from veriloop.domains.task import SeatCall
from veriloop.domains.tau2.replica import Memo, copy_deeply
from veriloop.domains.tau2.rows import Rows
from veriloop.domains.tau2.session import REQUESTORS
from veriloop.domains.tau2.telecom_desk import Desk
from veriloop.domains.tool import Tool

KEYS = {"plans": "plan_id", "customers": "customer_id", "lines": "line_id", "bills": "bill_id", "devices": "device_id"}
"""Tables of the account with the field that names a row."""
EXCELLENT_MBPS = 200
"""Speed that an excellent connection has at least."""
PHONE_TABLES = ("apps", "phone", "surroundings")
"""Tables of what the user holds in their hand."""
SYMPTOM_TABLES = ("internet", "mms", "service")
"""Tables of what the user notices of it: one row each that differs exactly when it is no longer as it was."""


def unshare_vpn() -> None:
    """Give every toolkit a VPN profile of its own.

    The package keeps one for the whole process, and `break_vpn` makes it slow for all environments there will be.
    """
    own = functools.cached_property(_copy_profile)
    own.__set_name__(TelecomUserTools, "default_vpn_details")
    TelecomUserTools.default_vpn_details = own  # pyright: ignore[reportAttributeAccessIssue]


_PROFILE = TelecomUserTools.default_vpn_details.model_copy()


def _copy_profile(_: Any) -> VpnDetails:
    return _PROFILE.model_copy()


unshare_vpn()


class Shelf:
    """A table as the package's telecom tools see it: a list of rows that may grow."""

    __slots__ = ("_key", "_read", "rows")

    def __init__(self, key: str, rows: Rows, *, peeking: bool = False) -> None:
        """peeking: hand out rows for looking only, which spares a draft its copies."""
        self._key, self.rows = key, rows
        self._read = rows.peek if peeking else rows.__getitem__

    def __iter__(self) -> Iterator[Any]:
        return map(self._read, self.rows)

    def append(self, row: Any) -> None:
        """Add a row at the end."""
        self.rows[getattr(row, self._key)] = row

    def get(self, key: Any) -> Any:
        """Return a row or None."""
        try:
            return self._read(key)
        except (KeyError, TypeError):  # TypeError: no key at all, such as a list
            return None


@dataclass(frozen=True, eq=False)
class Phone:
    """The user's database as the package's tools see it, with the VPN profile that their class would share."""

    device: MockPhoneAttributes
    surroundings: UserSurroundings
    vpn: VpnDetails

    @classmethod
    def of(cls, device: MockPhoneAttributes) -> "Phone":
        """Return a phone that belongs to nobody yet."""
        return cls(device, UserSurroundings.model_validate({}), _PROFILE.model_copy())

    def draft(self) -> "Phone":
        """Return a phone that may be written to; one VPN profile in two places stays one profile."""
        memo: Memo = {}
        return Phone(copy_deeply(self.device, memo), copy_deeply(self.surroundings, memo), copy_deeply(self.vpn, memo))

    def equals(self, other: "Phone") -> bool:
        """Return whether another phone holds the same."""
        return self.device == other.device and self.surroundings == other.surroundings and self.vpn == other.vpn

    @functools.cached_property
    def tables(self) -> dict[str, dict[str, dict[str, Any]]]:
        """What it holds as flat rows by table and key; not to be asked of a draft, since it is worked out once."""
        device = _dump(self.device)
        apps = device.pop("app_statuses")
        apn = device.pop("active_apn_settings")
        device |= {f"apn_{name}": value for name, value in apn.items()} if isinstance(apn, dict) else {"apn": apn}
        return {
            "apps": {name: app["permissions"] for name, app in apps.items()},
            "phone": {"phone": {**device, "vpn_profile": _dump(self.vpn)}},
            "surroundings": {"phone": _dump(self.surroundings)},
            **{name: {"phone": row} for name, row in self._notice().items()},
        }

    def _notice(self) -> dict[str, dict[str, Any]]:
        tools = TelecomUserTools(self)  # pyright: ignore[reportArgumentType]
        try:
            return {
                "service": {"connected": tools.assert_service_status("connected")},
                "internet": {
                    "works": tools.assert_mobile_data_status(True),
                    "excellent": tools.assert_internet_speed(EXCELLENT_MBPS, "excellent"),
                },
                "mms": {"works": tools.assert_can_send_mms(True)},
            }
        except AttributeError:  # the package stores settings of the wrong type before it refuses them
            return {name: {"broken": True} for name in SYMPTOM_TABLES}


@dataclass(frozen=True, slots=True)
class Telecom:
    """The account's tables and the phone: what the agent's toolkit reads as its database, and clauses as the state."""

    plans: Shelf
    customers: Shelf
    lines: Shelf
    bills: Shelf
    devices: Shelf
    phone: Phone

    @classmethod
    def of(cls, tables: Mapping[str, Mapping[str, BaseModel]], phone: Phone) -> "Telecom":
        """Lay a state over shared rows and a shared phone, which are never changed."""
        return cls(**{name: Shelf(key, Rows(tables[name])) for name, key in KEYS.items()}, phone=phone)

    def draft(self) -> "Telecom":
        """Return a state that may be written to without changing this one."""
        shelves = {name: Shelf(key, getattr(self, name).rows.draft()) for name, key in KEYS.items()}
        return Telecom(**shelves, phone=self.phone.draft())

    def peek(self) -> "Telecom":
        """Return this state for looking only."""
        shelves = {name: Shelf(key, getattr(self, name).rows, peeking=True) for name, key in KEYS.items()}
        return Telecom(**shelves, phone=self.phone)

    def commit(self) -> "Telecom":
        """Return a state for reading that holds this draft's changes."""
        shelves = {name: Shelf(key, getattr(self, name).rows.commit()) for name, key in KEYS.items()}
        return Telecom(**shelves, phone=self.phone)


class TelecomSession:
    """One dialogue's state. Every answer is what the package's environment returns, to the letter.

    The package also keeps what a refused call had changed before it raised (a network mode that is no text), and so do
    we: later answers would differ otherwise.
    """

    __slots__ = ("_base", "_database", "_desk", "_tools", "state")

    def __init__(self, database: str, base: Phone, state: Telecom, tools: dict[str, Tool]) -> None:
        self._database, self._base, self._tools = database, base, tools
        self._desk = Desk()
        self.state = state

    def prepare(self, step: SeatCall) -> None:
        """Make one of the calls that set the scene, which may be functions that no seat has as a tool.

        Raises InputError when the package cannot make it.
        """
        draft = self.state.draft()
        self._run_function(draft, step, f"initial call {step.call.name} of {self._database} fails")
        self.state = draft.commit()

    def holds(self, step: SeatCall) -> bool:
        """Return what one of the package's assertions says of the state; raises InputError when it cannot be asked."""
        return self._run_function(self.state.draft(), step, f"assertion {step.call.name} cannot be made") is True

    def call(self, seat: Seat, call: ToolCall) -> ToolResult:
        """Make a call on a draft when it may write, else on the shared rows."""
        tool = self._tools.get(call.name)
        if tool is None or tool.kind != "write" or tool.seat != seat:
            return _respond(self._desk.read(self.state), seat, call)
        before, draft = self.state, self.state.draft()
        result = _respond(self._desk.write(draft), seat, call)
        self.state = draft.commit()
        return result if result.error else result.model_copy(update={"changes": _compare_all(before, draft)})

    def changes(self) -> tuple[Change, ...]:
        """Return the net changes."""
        rows = [change for name in KEYS for change in getattr(self.state, name).rows.changes(name)]
        return _order([*rows, *_compare_phones(self._base, self.state.phone)])

    def digest(self) -> str:
        """Return the digest of the state."""
        return digest_changes(self._database, self.changes())

    def fork(self) -> "TelecomSession":
        """Return an independent session; committed states are never changed, so both may hold the same."""
        return TelecomSession(self._database, self._base, self.state, self._tools)

    def _run_function(self, draft: Telecom, step: SeatCall, trouble: str) -> Any:
        env_type: Any = REQUESTORS[step.seat]
        arguments = copy_deeply(step.call.arguments)
        asked = EnvFunctionCall(env_type=env_type, func_name=step.call.name, arguments=arguments)
        try:
            return self._desk.write(draft).run_env_function_call(asked)
        except (ValueError, TypeError, AttributeError, AssertionError) as error:
            raise InputError(f"{trouble}: {error}; correct the task") from error


def _respond(environment: Environment, seat: Seat, call: ToolCall) -> ToolResult:
    arguments = copy_deeply(call.arguments)
    answer = environment.get_response(
        Tau2Call(id=call.id, name=call.name, arguments=arguments, requestor=REQUESTORS[seat])
    )
    return ToolResult(call_id=call.id, content=answer.content or "", error=answer.error)


def _compare_all(before: Telecom, draft: Telecom) -> tuple[Change, ...]:
    rows = [change for name in KEYS for change in getattr(draft, name).rows.step_changes(name)]
    return _order([*rows, *_compare_phones(before.phone, draft.phone)])


def _compare_phones(before: Phone, after: Phone) -> Iterator[Change]:
    if before is after or before.equals(after):
        return
    old, new = before.tables, after.tables
    for table in old:
        for key in old[table].keys() | new[table].keys():
            start, end = old[table].get(key), new[table].get(key)
            if start != end:
                yield Change(table=table, key=key, before=start, after=end)


def _order(changes: list[Change]) -> tuple[Change, ...]:
    return tuple(sorted(changes, key=lambda change: (change.table, change.key)))


def _dump(row: BaseModel) -> dict[str, Any]:
    return row.model_dump(mode="json", warnings=False)
