"""Blames every failed dialogue on task, agent, user, environment or checker, from executed evidence."""

from enum import StrEnum

from veriloop.check.clause import find_violations
from veriloop.check.sandbox import Sandbox
from veriloop.core.base import Frozen
from veriloop.core.trace import Trace
from veriloop.core.verdict import Outcome, Verdict
from veriloop.domains.domain import Domain
from veriloop.domains.task import SeatCall, Task
from veriloop.proof.replay import closing_words, replay
from veriloop.rollout.quality import UserQuality, measure_user


class Fault(StrEnum):
    """Whose fault a failed dialogue is."""

    TASK = "task"
    """The gold itself fails or a clause forbids it."""
    CHECKER = "checker"
    """The checker broke."""
    ENVIRONMENT = "environment"
    """A tool or an endpoint failed, or a replay of the dialogue ends elsewhere."""
    USER = "user"
    """The simulated user withheld, invented or stopped early."""
    AGENT = "agent"
    """Everything else held, so the agent did it."""


class Blame(Frozen):
    """Whose fault it is and what shows it. opinion: True where nothing executed shows it, but a verifier says so."""

    fault: Fault
    evidence: str
    opinion: bool = False


class Opinion(Frozen):
    """What a model that read a dialogue thinks of it: whether it is a good one, else whose fault that is and why."""

    success: bool
    fault: Fault | None = None
    evidence: str = ""


class Judgement(Frozen):
    """All that is known of one dialogue: the checker's verdict, the trajectory verifier's findings, blame if any.

    success: what the verifiers say, executed rules first, apart from the checker's verdict. opinion: of a model, which
    only ever takes success away. judge: of one that was asked for it alone; nothing rests on it.
    """

    verdict: Verdict
    user: UserQuality
    violations: tuple[str, ...] = ()
    success: bool
    blame: Blame | None = None
    opinion: Opinion | None = None
    judge: Opinion | None = None


def judge_dialogue(
    domain: Domain, task: Task, trace: Trace, verdict: Verdict, sandbox: Sandbox, rubric: frozenset[str]
) -> Judgement:
    """Verify a dialogue against the rubric items named and blame it if checker or verifier objects.

    The rubric decides what counts: an item left out of it is measured and stored but fails nobody.
    """
    user = measure_user(trace, task.user)
    violations = tuple(f"{v.clause}: {v.reason}" for v in find_violations(domain, task.initial, trace.turns))
    objections = {
        "goal_told": not user.goal_told,
        "nothing_contradicted": bool(user.invented),
        "no_early_stop": user.early_stop,
        "clauses_kept": bool(violations),
    }
    success = not trace.void and not any(objections[item] for item in rubric if item in objections)
    blame = None
    if not (verdict.passed and success):
        blame = find_blame(domain, task, trace, verdict, user, sandbox)
        if verdict.passed and blame.fault is Fault.AGENT:
            blame = blame.model_copy(update={"evidence": "; ".join(violations)})
    return Judgement(verdict=verdict, user=user, violations=violations, success=success, blame=blame)


def add_opinion(judgement: Judgement, opinion: Opinion) -> Judgement:
    """Return the judgement with a model's opinion; where nothing executed blames anybody, its blame is taken."""
    blame = judgement.blame
    if blame is None and not opinion.success:
        blame = Blame(fault=opinion.fault or Fault.AGENT, evidence=opinion.evidence, opinion=True)
    update = {"opinion": opinion, "success": judgement.success and opinion.success, "blame": blame}
    return judgement.model_copy(update=update)


def find_blame(
    domain: Domain, task: Task, trace: Trace, verdict: Verdict, user: UserQuality, sandbox: Sandbox
) -> Blame:
    """Return the first fault that evidence shows, in the order environment, checker, task, user, agent."""
    if trace.void:
        return Blame(fault=Fault.ENVIRONMENT, evidence=f"the dialogue is void: {trace.error}")
    if verdict.outcome is Outcome.ERROR:
        return Blame(fault=Fault.CHECKER, evidence=verdict.reason)
    gold = replay(domain, task, task.gold)
    proved = sandbox.run(task.checker, [gold.case(closing_words(task))])[0]
    if gold.errors or not proved.passed:
        return Blame(fault=Fault.TASK, evidence=f"a replay of the gold fails: {proved.reason}")
    calls = [SeatCall(seat=turn.seat, call=call) for turn in trace.turns for call in turn.tool_calls]
    if replay(domain, task, calls).digest != trace.digest:
        return Blame(fault=Fault.ENVIRONMENT, evidence="a replay of the dialogue's calls ends in another state")
    if not user.ok:
        return Blame(fault=Fault.USER, evidence=user.model_dump_json())
    return Blame(fault=Fault.AGENT, evidence=verdict.reason)
