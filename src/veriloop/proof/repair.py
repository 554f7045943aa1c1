"""The proof's part about tasks in which something is broken: it is, the gold cures it, and by nothing needless."""

from veriloop.core.message import Change
from veriloop.domains.defect import Troubles, find_troubles, keep_bound
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.proof.instruction import find_underived
from veriloop.proof.replay import Replay


def check_repair(domain: Domain, task: Task, gold: Replay, needless: int) -> list[str]:
    """Return what is wrong with the task.

    gold: its calls, made. needless: gold writes without which it ends the same. Where the task ends with a
    hand-over, what was tried before it is no part of the right end, so it is not counted.
    """
    troubles = find_troubles(domain)
    if troubles is None:
        return [f"repair: {domain.name} declares nothing that could be broken"]
    handed_over = bool(task.gold) and task.gold[-1].call.name == troubles.handover.call.name
    healthy = domain.open(troubles.heal(task.initial)).changes()
    broken = domain.open(task.initial).changes()
    problems = find_underived(domain, task, gold)
    if _shown(troubles, task, healthy):
        problems.append("repair: the symptom is there before anything is broken")
    if not _shown(troubles, task, broken):
        problems.append("repair: what is broken does not show")
    if _shown(troubles, task, gold.changes) != handed_over:
        problems.append(f"repair: after the gold the symptom is {'gone' if handed_over else 'still there'}")
    if needless and not handed_over:
        problems.append(f"repair: {needless} writes of the gold are not needed")
    return problems


def _shown(troubles: Troubles, task: Task, changes: tuple[Change, ...]) -> bool:
    tables = {symptom.table for symptom in troubles.symptoms}
    return any(change.table in tables for change in keep_bound(changes, task.free))
