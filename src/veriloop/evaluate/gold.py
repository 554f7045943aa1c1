"""The benchmark's gold as an oracle from outside: for the fidelity of our sessions and for our clauses."""

from collections.abc import Callable
from dataclasses import dataclass

from veriloop.core.message import ToolCall
from veriloop.domains.clause import Case, find_denials
from veriloop.domains.domain import Domain
from veriloop.evaluate.official import official_tasks, score_turns
from veriloop.rollout.driver import play
from veriloop.rollout.episode import Episode, Limits
from veriloop.rollout.oracle import Gold
from veriloop.rollout.scripted import ScriptedUser


@dataclass(frozen=True, slots=True)
class GoldReplay:
    """One official task's gold played in our session and re-executed by the package: its reward, or what differed."""

    task_id: str
    reward: float
    errors: int
    mismatch: str = ""


def replay_official_gold(domain: Domain, progress: Callable[[str], None] | None = None) -> list[GoldReplay]:
    """Play every official task's gold through our Episode and have the package's evaluator re-execute the dialogue.

    The evaluator raises where an answer of ours differs from its own by a character; that becomes `mismatch`. Gold
    calls that the tools refuse (the benchmark swallows them) stay in the dialogue as refused calls.
    """
    found = []
    for task in official_tasks(domain):
        gold = Gold(domain, lambda _, task=task: task.task)
        trace = play(
            Episode(domain, task.task, limits=Limits(turns=400, errors=100)), {"agent": gold, "user": ScriptedUser()}
        )
        errors = sum(result.error for turn in trace.turns for result in turn.results)
        try:
            found.append(GoldReplay(task.id, score_turns(domain, task, trace.turns).reward, errors))
        except ValueError as error:
            found.append(GoldReplay(task.id, 0.0, errors, str(error)))
        if progress:
            progress(task.id)
    return found


@dataclass(frozen=True, slots=True)
class GoldDenial:
    """A gold write that a clause forbids; `refused` when the tool refuses it as well, so that it writes nothing."""

    task_id: str
    call: ToolCall
    clause: str
    reason: str
    refused: bool


@dataclass(frozen=True, slots=True)
class ClauseAudit:
    """Gold writes asked of the clauses on state: how many there are, how many the tools refuse, what is denied."""

    writes: int
    refused: int
    denials: tuple[GoldDenial, ...]

    @property
    def allowed_share(self) -> float:
        """Share of the gold writes that take effect which every clause allows; refused calls write nothing."""
        effective = self.writes - self.refused
        denied = {(denial.task_id, denial.call.id) for denial in self.denials if not denial.refused}
        return (effective - len(denied)) / effective


def audit_clauses_on_gold(domain: Domain) -> ClauseAudit:
    """Ask the clauses about every official gold write, in the state that the gold before it leads to.

    Clauses about the dialogue are not asked: the gold lists calls, no conversation, and often leaves reads out.
    """
    writes, refused, denials = 0, 0, list[GoldDenial]()
    for task in official_tasks(domain):
        session, history = domain.open(task.task.initial), list[tuple[ToolCall, str]]()
        for step in task.task.gold:
            case = Case(session.state, step.seat, step.call, tuple(history))
            result = session.call(step.seat, step.call)
            if not result.error:
                history.append((step.call, result.content))
            if domain.tools[step.call.name].kind == "write":
                writes, refused = writes + 1, refused + result.error
                for denial in find_denials(domain.clauses, case):
                    denials.append(GoldDenial(task.id, step.call, denial.clause, denial.reason, result.error))
    return ClauseAudit(writes, refused, tuple(denials))
