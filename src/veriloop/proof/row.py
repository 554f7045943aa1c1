"""Replaying the gold of rows that came from a file, ours or anybody's."""

from collections.abc import Iterator

from veriloop.check.allow import CheckerError, validate_checker
from veriloop.check.sandbox import Sandbox
from veriloop.core.errors import InputError
from veriloop.domains.domain import Domain
from veriloop.domains.snapshot import mount
from veriloop.domains.task import Task
from veriloop.proof.replay import Replay, closing_words, replay
from veriloop.store.areal_task import TaskRow
from veriloop.store.fault import Fault, Finding


def replay_row(domain: Domain, row: TaskRow, sandbox: Sandbox) -> Finding | None:
    """Make a row's gold calls on its database; None when all are carried out and its checker, if any, is content.

    Rows of ours are opened by their database's id, others on the file they name. The gold of a row is right when it
    replays in this sense; whether the policy allows it is another question. Raises InputError for a row of another
    domain.
    """
    if row.task.domain != domain.name:
        where = f"{row.file}:{row.row} is a task of {row.task.domain!r}, not of {domain.name!r}"
        raise InputError(f"{where}; replay it on its own domain")
    try:
        there, task = _open(domain, row)
    except InputError as error:
        return _report(row, Fault.NO_DATABASE, str(error).rpartition("; ")[0])
    try:
        made = replay(there, task, task.gold)
    except InputError as error:
        return _report(row, Fault.BAD_GOLD, f"the task cannot begin: {str(error).rpartition('; ')[0]}")
    problem = next(_find_problems(task, made, sandbox), None)
    return _report(row, Fault.BAD_GOLD, problem) if problem else None


def _open(domain: Domain, row: TaskRow) -> tuple[Domain, Task]:
    if row.own:
        return domain, row.task
    if row.database is None:
        raise InputError("the row has no database to replay on; add it")
    initial = row.task.initial.model_copy(update={"database": domain.database("train", 0)})
    return mount(domain, row.database, row.start), row.task.model_copy(update={"initial": initial})


def _find_problems(task: Task, made: Replay, sandbox: Sandbox) -> Iterator[str]:
    for number, (step, result) in enumerate(zip(made.calls, made.results, strict=True), 1):
        if result.error:
            name, count = step.call.name, len(made.calls)
            yield f"gold call {number} of {count}, the {step.seat}'s {name}, is refused: {result.content}"
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
