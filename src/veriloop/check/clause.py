"""Re-plays a dialogue's calls beside the policy and finds every call that a clause forbids."""

from collections.abc import Sequence

from veriloop.core.base import Frozen
from veriloop.core.message import Seat, ToolCall, Turn
from veriloop.domains.clause import Case, find_denials
from veriloop.domains.domain import Domain
from veriloop.domains.session import Session
from veriloop.domains.task import Initial, SeatCall


class Violation(Frozen):
    """A call that a clause forbids, who made it, and the number of calls made before it."""

    position: int
    seat: Seat
    call: ToolCall
    clause: str
    reason: str


def find_violations(domain: Domain, initial: Initial, turns: Sequence[Turn]) -> list[Violation]:
    """Return the calls of a dialogue that clauses forbid; refused calls changed nothing and are not asked about."""
    session, found = domain.open(initial), list[Violation]()
    history: list[tuple[ToolCall, str]] = []
    for position, turn in enumerate(turns):
        for call, result in zip(turn.tool_calls, turn.results, strict=True):
            if not result.error:
                found += _ask(domain, session, turn.seat, call, history, turns[:position])
            _make(session, turn.seat, call, history)
    return found


def find_gold_violations(domain: Domain, initial: Initial, gold: Sequence[SeatCall]) -> list[Violation]:
    """Return the gold calls that clauses about state forbid; nothing was said, so clauses about words do not apply."""
    session, found = domain.open(initial), list[Violation]()
    history: list[tuple[ToolCall, str]] = []
    for step in gold:
        found += _ask(domain, session, step.seat, step.call, history, ())
        _make(session, step.seat, step.call, history)
    return found


def _ask(
    domain: Domain,
    session: Session,
    seat: Seat,
    call: ToolCall,
    history: list[tuple[ToolCall, str]],
    turns: Sequence[Turn],
) -> list[Violation]:
    case = Case(session.state, seat, call, tuple(history), turns)
    return [
        Violation(position=len(history), seat=seat, call=call, clause=denial.clause, reason=denial.reason)
        for denial in find_denials(domain.clauses, case)
    ]


def _make(session: Session, seat: Seat, call: ToolCall, history: list[tuple[ToolCall, str]]) -> None:
    result = session.call(seat, call)
    if not result.error:
        history.append((call, result.content))
