"""The verdict that counts: the checker's on the end and the words, and the policy's on the way there."""

from veriloop.check.clause import find_violations
from veriloop.check.sandbox import judge
from veriloop.core.trace import Trace
from veriloop.core.verdict import Outcome, Verdict
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task


def give_verdict(domain: Domain, task: Task, trace: Trace) -> Verdict:
    """Return the checker's verdict on a dialogue, or a failure where the agent got there by breaking a clause."""
    return judge_way(domain, task, trace, judge(task, trace))


def judge_way(domain: Domain, task: Task, trace: Trace, verdict: Verdict) -> Verdict:
    """Return a verdict, turned into a failure where the dialogue would pass but the agent broke a clause on the way.

    Clauses are the domain's own trusted code, so they are asked here and not in the sandbox.
    """
    if not verdict.passed:
        return verdict
    broken = [found for found in find_violations(domain, task.initial, trace.turns) if found.seat == "agent"]
    if not broken:
        return verdict
    return Verdict(outcome=Outcome.FAIL, reason=f"{broken[0].call.name} breaks {broken[0].clause}: {broken[0].reason}")
