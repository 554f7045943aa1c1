"""Which ends mean the same: the gold's, and those that differ only in what counts for nothing."""

from collections.abc import Iterator, Sequence
from typing import Any

from veriloop.core.base import canonical_json
from veriloop.core.message import Change
from veriloop.domains.domain import Domain, find_unordered
from veriloop.domains.task import SeatCall, Task
from veriloop.proof.replay import Replay, replay

End = tuple[tuple[str, str, str], ...]


def settle(domain: Domain, task: Task, changes: Sequence[Change]) -> End:
    """Return changes in a form that is equal for ends which mean the same.

    Free tables are left out, lists whose order means nothing are sorted, sums are rounded.
    """
    found = list[tuple[str, str, str]]()
    for change in changes:
        names = find_unordered(domain).get(change.table, ())
        before, after = _settle_row(change.before, names), _settle_row(change.after, names)
        if change.table not in task.free and before != after:
            found.append((change.table, change.key, after))
    return tuple(found)


def _settle_row(row: dict[str, Any] | None, unordered: Sequence[str]) -> str:
    if row is None:
        return ""
    plain = {name: _round(value) for name, value in row.items()}
    lists = {name: sorted(plain[name], key=canonical_json) for name in unordered if isinstance(plain.get(name), list)}
    return canonical_json({**plain, **lists})


def _round(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return round(float(value), 5)
    if isinstance(value, list | tuple):
        return [_round(item) for item in value]
    return {name: _round(item) for name, item in value.items()} if isinstance(value, dict) else value


def find_other_ends(domain: Domain, task: Task) -> Iterator[Replay]:
    """Yield the gold replayed with unordered lists named in another order, each element last once.

    A tool may make more of the last one than it should, and then more than one end is right.
    """
    for position, step in enumerate(task.gold):
        for call in _rotate(domain, step):
            made = replay(domain, task, (*task.gold[:position], call, *task.gold[position + 1 :]))
            if not made.errors:
                yield made


def _rotate(domain: Domain, step: SeatCall) -> Iterator[SeatCall]:
    arguments = step.call.arguments
    sources = domain.tools[step.call.name].sources
    lists = {
        name: value
        for name, value in arguments.items()
        if name in sources and sources[name].unordered and isinstance(value, list)
    }
    for shift in range(1, max((len(value) for value in lists.values()), default=0)):
        turned = {
            name: value[shift % len(value) :] + value[: shift % len(value)] for name, value in lists.items() if value
        }
        yield step.model_copy(update={"call": step.call.model_copy(update={"arguments": {**arguments, **turned}})})
