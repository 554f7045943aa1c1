"""Replaying the gold of rows that came from a file, ours or anybody's."""

from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

from veriloop.check.allow import CheckerError, validate_checker
from veriloop.check.sandbox import Sandbox
from veriloop.core.base import canonical_json
from veriloop.core.errors import InputError
from veriloop.domains.domain import Domain
from veriloop.domains.snapshot import find_official, mount
from veriloop.domains.task import SeatCall, Task
from veriloop.proof.replay import Replay, closing_words, replay
from veriloop.store.areal_task import TaskRow
from veriloop.store.areal_turn import TurnRow
from veriloop.store.fault import Fault, Finding


@runtime_checkable
class Assertive(Protocol):
    """A session that knows functions which hold or do not hold in its state."""

    def holds(self, step: SeatCall) -> bool:
        """Return whether one does; raises InputError when it cannot be asked."""
        ...


_Mounts = dict[str, Domain]
_KEPT = 8
"""Databases from files that are kept for the rows to come."""


def replay_rows(
    domain: Domain, rows: Iterable[TaskRow | TurnRow | Finding], sandbox: Sandbox
) -> Iterator[TaskRow | Finding]:
    """Yield a domain's tasks among what `read_areal` yields, each as its row when its gold replays, else as a finding.

    Dialogues, findings and tasks of other domains are passed over.
    """
    mounts: _Mounts = {}
    for row in rows:
        if isinstance(row, TaskRow) and row.task.domain == domain.name:
            yield replay_row(domain, row, sandbox, mounts) or row


def replay_row(domain: Domain, row: TaskRow, sandbox: Sandbox, mounts: _Mounts | None = None) -> Finding | None:
    """Make a row's gold calls on its database; None when all are carried out and its checker, if any, is content.

    They are made on the file that the row names; where it names none, on the database that a row of ours has the id of,
    or on the one that the domain comes with. What tau2 asserts of the end has to hold where the domain can tell;
    whether the policy allows the calls is not asked. mounts: databases of earlier rows, which this may add to. Raises
    InputError for a row of another domain.
    """
    if row.task.domain != domain.name:
        where = f"{row.file}:{row.row} is a task of {row.task.domain!r}, not of {domain.name!r}"
        raise InputError(f"{where}; replay it on its own domain")
    try:
        there, task = _open(domain, row, {} if mounts is None else mounts)
    except InputError as error:
        return _report(row, Fault.NO_DATABASE, str(error).rpartition("; ")[0])
    try:
        problem = next(_find_problems(task, replay(there, task, task.gold), sandbox), None)
    except InputError as error:
        problem = str(error).rpartition("; ")[0]
    return _report(row, Fault.BAD_GOLD, problem) if problem else None


def can_replay(domain: Domain, row: TaskRow) -> bool:
    """Return whether there is a database to replay a row on."""
    return row.own or row.database is not None or bool(find_official(domain))


def _open(domain: Domain, row: TaskRow, mounts: _Mounts) -> tuple[Domain, Task]:
    if row.database is None and row.own:
        return domain, row.task
    official = find_official(domain)
    if row.database is None and not official:
        raise InputError("the row has no database to replay on; add it")
    database = official if row.database is None else domain.database("train", 0)
    initial = row.task.initial.model_copy(update={"database": database})
    task = row.task.model_copy(update={"initial": initial})
    if row.database is None and not row.start:
        return domain, task
    key = f"{domain.name}\n{row.database}\n{canonical_json(row.start)}"
    if key not in mounts:
        if len(mounts) >= _KEPT:
            mounts.pop(next(iter(mounts)))
        mounts[key] = mount(domain, row.database, row.start)
    return mounts[key], task


def _find_problems(task: Task, made: Replay, sandbox: Sandbox) -> Iterator[str]:
    for number, (step, result) in enumerate(zip(made.calls, made.results, strict=True), 1):
        if result.error:
            name, count = step.call.name, len(made.calls)
            yield f"gold call {number} of {count}, the {step.seat}'s {name}, is refused: {result.content}"
    for step in task.holds:
        if isinstance(made.session, Assertive) and not made.session.holds(step):
            yield f"after the gold, {step.call.name} does not hold"
    if not task.checker:
        return
    try:
        validate_checker(task.checker)
    except CheckerError as error:
        yield f"the checker may not be run: {error}"
        return
    [verdict] = sandbox.run(task.checker, [made.case(closing_words(task))])
    if not verdict.passed:
        yield f"the gold is carried out, but the checker says {verdict.outcome.value}: {verdict.reason}"


def _report(row: TaskRow, fault: Fault, what: str) -> Finding:
    return Finding(file=row.file, row=row.row, fault=fault, what=what)
