"""A session over one of tau2's toolkits: its own environment answers, on tables that cost what a call touches."""

import copy
import re
from typing import Any

from tau2.data_model.message import ToolCall as Tau2Call
from tau2.environment.environment import Environment

from veriloop.core.message import Change, Seat, ToolCall, ToolResult
from veriloop.domains.database import digest_changes
from veriloop.domains.tau2.rows import Store
from veriloop.domains.tool import Tool

REQUESTORS: dict[Seat, Any] = {"agent": "assistant", "user": "user"}
_POWER = re.compile(r"\*\*\s*\d{1,3}(?!\d)")


class Tau2Session:
    """One dialogue's state. Every answer is what the package's environment returns, refusals to the letter.

    The package re-executes dialogues and compares the answers, so a wording of our own would void them. A refused call
    changes nothing here; none of retail's tools raises after its first change, so nothing differs from the package.
    """

    __slots__ = ("_database", "_toolkit", "_tools", "state")

    def __init__(self, database: str, state: Store, toolkit: Any, tools: dict[str, Tool]) -> None:
        self._database, self._toolkit, self._tools = database, toolkit, tools
        self.state = state

    def call(self, seat: Seat, call: ToolCall) -> ToolResult:
        """Make a call on a draft when it may write, else on the shared rows."""
        if _is_runaway(call):
            return ToolResult(call_id=call.id, content="Error: Invalid characters in expression", error=True)
        tool = self._tools.get(call.name)
        if tool is None or tool.kind != "write" or tool.seat != seat:
            return self._respond(self.state, seat, call)
        draft = self.state.draft()
        result = self._respond(draft, seat, call)
        if result.error:
            return result
        changes = draft.step_changes()
        if changes:
            self.state = draft.commit()
        return result.model_copy(update={"changes": changes})

    def changes(self) -> tuple[Change, ...]:
        """Return the net changes."""
        return self.state.changes()

    def digest(self) -> str:
        """Return the digest of the state."""
        return digest_changes(self._database, self.changes())

    def fork(self) -> "Tau2Session":
        """Return an independent session; committed states are never changed, so both may hold the same."""
        return Tau2Session(self._database, self.state, self._toolkit, self._tools)

    def _respond(self, state: Store, seat: Seat, call: ToolCall) -> ToolResult:
        environment = Environment(domain_name="", policy="", tools=self._toolkit(state))
        arguments = copy.deepcopy(call.arguments)
        asked = Tau2Call(id=call.id, name=call.name, arguments=arguments, requestor=REQUESTORS[seat])
        answer = environment.get_response(asked)
        return ToolResult(call_id=call.id, content=answer.content or "", error=answer.error)


def _is_runaway(call: ToolCall) -> bool:
    """Return whether a calculation could run for ever: the package evaluates towers of powers as they are."""
    expression = call.arguments.get("expression")
    if call.name != "calculate" or not isinstance(expression, str):
        return False
    powers = expression.count("**")
    return powers > 1 or (powers == 1 and not _POWER.search(expression))
