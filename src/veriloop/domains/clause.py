"""Policy clauses as code: given the state, the dialogue so far and a call, allow it or say why not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from veriloop.core.errors import VeriloopError
from veriloop.core.message import Seat, ToolCall, Turn
from veriloop.domains.foreign import blame_code


@dataclass(frozen=True, slots=True)
class Case:
    """One call about to be made.

    state: the database before the call. calls: calls made so far with the text they returned, errors left out.
    turns: the dialogue so far; empty when only the calls are known (gold replay), then clauses about what was
    said do not apply.
    """

    state: Any
    seat: Seat
    call: ToolCall
    calls: Sequence[tuple[ToolCall, str]] = ()
    turns: Sequence[Turn] = ()


@dataclass(frozen=True, slots=True)
class Clause:
    """One numbered rule: `deny` returns the reason when it forbids the case, None when it has no objection.

    tools: names of the tools it constrains. about: `state` needs state and calls only, `dialogue` needs the turns.
    source: where the rule stands (a heading, or file and line of a policy that is not ours).
    read: the read tool that shows the evidence, so that a refusal can be told from silence, or several of which each
    does; empty when none does. also: what else has to be read before one can refuse by it, each a read tool or several
    of which each does. say: what an agent says before the call to keep a rule about words; empty when repeating the
    change and waiting for the yes is enough.
    """

    id: str
    text: str
    tools: tuple[str, ...]
    deny: Callable[[Case], str | None]
    about: Literal["state", "dialogue"] = "state"
    source: str = ""
    read: str | tuple[str, ...] = ""
    say: str = ""
    also: tuple[str | tuple[str, ...], ...] = ()

    @property
    def evidence(self) -> tuple[tuple[str, ...], ...]:
        """All that a refusal rests on: groups of read tools, of each of which one has to be called."""
        groups = (self.reads, *((group,) if isinstance(group, str) else group for group in self.also))
        return tuple(group for group in groups if group)

    @property
    def reads(self) -> tuple[str, ...]:
        """The read tools of which each shows the evidence."""
        return self.read if isinstance(self.read, tuple) else (self.read,) if self.read else ()


@dataclass(frozen=True, slots=True)
class Denial:
    """A clause's objection to a call."""

    clause: str
    reason: str


def find_denials(clauses: Sequence[Clause], case: Case) -> list[Denial]:
    """Return every objection to a case; clauses about the dialogue are asked only when there is one."""
    applicable = [c for c in clauses if case.call.name in c.tools and (c.about == "state" or case.turns)]
    return [Denial(clause.id, reason) for clause in applicable if (reason := _ask(clause, case))]


def _ask(clause: Clause, case: Case) -> str | None:
    try:
        return clause.deny(case)
    except VeriloopError:
        raise
    except Exception as error:  # the boundary to a domain's own code
        raise blame_code(error, f"clause {clause.id}, asked about {case.call.name},") from error
