"""The package's environments over a state of telecom, made once a session instead of once a call."""

import functools
from collections.abc import Callable
from typing import Any

from tau2.domains.telecom.environment import TelecomEnvironment
from tau2.domains.telecom.tools import TelecomTools
from tau2.domains.telecom.user_data_model import TelecomUserDB
from tau2.domains.telecom.user_tools import TelecomUserTools
from tau2.environment.environment import Environment
from tau2.environment.toolkit import ToolKitBase


class Desk:
    """The package's environments, laid over one state after the other; for one call at a time."""

    __slots__ = ("_agent", "_reading", "_user", "_writing")

    def __init__(self) -> None:
        nothing: Any = None
        self._agent, self._user = _AgentTools(nothing), _UserTools(TelecomUserDB())
        self._reading = Environment("", "", self._agent, self._user)
        self._writing = TelecomEnvironment("", "", self._agent, self._user)

    def read(self, state: Any) -> Environment:
        """Return an environment that changes nothing, not even to bring account and phone in sync."""
        self._lay(state)
        return self._reading

    def write(self, draft: Any) -> Environment:
        """Return an environment that brings account and phone in sync after each call, as the package's does."""
        self._lay(draft)
        return self._writing

    def _lay(self, state: Any) -> None:
        self._agent.db = state
        self._user.db, self._user.default_vpn_details = state.phone, state.phone.vpn


def _gather(toolkit: ToolKitBase) -> Any:
    return super(type(toolkit), toolkit).tools  # pyright: ignore[reportAttributeAccessIssue]


class _AgentTools(TelecomTools):
    """The package's toolkit, which gathers its tools for every call and looks for a row through all rows before it.

    The rows here have keys, and a draft copies whatever it hands out: only what was looked for must be.
    """

    db: Any
    tools: Any = functools.cached_property(_gather)

    def _get_plan_by_id(self, plan_id: str) -> Any:
        return self.db.plans.get(plan_id) or super()._get_plan_by_id(plan_id)

    def _get_line_by_id(self, line_id: str) -> Any:
        return self.db.lines.get(line_id) or super()._get_line_by_id(line_id)

    def _get_bill_by_id(self, bill_id: str) -> Any:
        return self.db.bills.get(bill_id) or super()._get_bill_by_id(bill_id)

    def _get_line_by_phone(self, phone_number: str) -> Any:
        return self.db.lines.get(self._peek(super()._get_line_by_phone, phone_number).line_id)

    @functools.wraps(TelecomTools.get_customer_by_id)
    def get_customer_by_id(self, customer_id: str) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.db.customers.get(customer_id) or super().get_customer_by_id(customer_id)

    @functools.wraps(TelecomTools.get_customer_by_phone)
    def get_customer_by_phone(self, phone_number: str) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.db.customers.get(self._peek(super().get_customer_by_phone, phone_number).customer_id)

    def _get_bills_awaiting_payment(self, customer: Any) -> list[Any]:
        return [self.db.bills.get(bill.bill_id) for bill in self._peek(super()._get_bills_awaiting_payment, customer)]

    def _peek(self, find: Callable[[Any], Any], sought: Any) -> Any:
        """Return what the package finds among rows that are for looking only."""
        state = self.db
        self.db = state.peek()
        try:
            return find(sought)
        finally:
            self.db = state


class _UserTools(TelecomUserTools):
    """The package's toolkit, which gathers its tools for every call."""

    tools: Any = functools.cached_property(_gather)
