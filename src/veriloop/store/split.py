"""Which rows of an export are for testing: whole groups of tasks, so that nothing of a group is trained on."""

from collections.abc import Callable
from typing import Literal

from veriloop.core.base import derive_seed
from veriloop.core.errors import InputError
from veriloop.domains.task import Task
from veriloop.store.result import iter_tasks
from veriloop.store.run import Run

Grouping = Literal["database", "entity", "plan"]

GROUPS: dict[Grouping, Callable[[Task], str]] = {
    "database": lambda task: task.initial.database,
    "entity": lambda task: f"{task.initial.database}/{task.provenance.caller or task.user.known_info}",
    "plan": lambda task: task.provenance.plan.partition("@")[0],
}
"""By which database a task plays on, by who calls, or by the family of its plan, whatever the plan's version."""


def choose_test_tasks(run: Run, by: Grouping, share: float) -> frozenset[str]:
    """Return the ids of the tasks to test on: about `share` of the groups, at least one and never all.

    Which groups depends on their names alone, so equal groups of two runs fall on the same side as long as the share of
    groups stays the same. Raises InputError when all tasks are of one group.
    """
    groups: dict[str, list[str]] = {}
    for _, task in iter_tasks(run):
        groups.setdefault(GROUPS[by](task), []).append(task.id)
    if len(groups) < 2:
        raise InputError(f"all tasks of {str(run.path)!r} are of one {by}, so none can be held out; split by another")
    count = min(len(groups) - 1, max(1, round(share * len(groups))))
    chosen = sorted(groups, key=lambda name: derive_seed("split", by, name))[:count]
    return frozenset(task for name in chosen for task in groups[name])
