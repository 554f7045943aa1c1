"""Wrong ends that need no dialogue: a right one with a field, a row or its key altered. A checker has to see each."""

from collections.abc import Iterator, Sequence
from typing import Any

from veriloop.core.message import Change

Ends = tuple[Change, ...]


def damage_end(changes: Sequence[Change], free: Sequence[str]) -> Iterator[tuple[str, str, Ends]]:
    """Yield (class, what is wrong, changes) with one mistake each; tables that are free are left as they are."""
    ends = tuple(changes)
    for position, change in enumerate(ends):
        if change.table in free:
            continue
        before, after = ends[:position], ends[position + 1 :]
        place = f"{change.table} {change.key}"
        yield "missing_row", f"{place} is not changed", (*before, *after)
        yield (
            "wrong_row",
            f"another row than {place} is changed",
            (*before, change.model_copy(update={"key": change.key + "0"}), *after),
        )
        if change.after is None:
            continue
        yield (
            "extra_field",
            f"{place} has a field changed that should not be",
            (*before, _with(change, {**change.after, "unasked": 1}), *after),
        )
        for name in _find_changed(change):
            altered = _alter((change.before or {}).get(name), change.after.get(name))
            wrong = _with(change, {**change.after, name: altered})
            yield "altered_field", f"{place}: {name} becomes {altered!r}", (*before, wrong, *after)
    extra = Change(table="unasked", key="0", before={"value": 1}, after={"value": 2})
    yield "extra_row", "a row is changed that should not be", (*ends, extra)


def _with(change: Change, after: dict[str, Any]) -> Change:
    return change.model_copy(update={"after": after})


def _find_changed(change: Change) -> list[str]:
    before, after = change.before or {}, change.after or {}
    return [name for name in after if change.before is None or before.get(name) != after[name]]


def _alter(before: Any, after: Any) -> Any:
    """Return a value like `after` that means something else: of an object, the part that was changed is altered."""
    if isinstance(after, dict) and after:
        old = before if isinstance(before, dict) else {}
        name = next((name for name in after if old.get(name) != after[name]), next(iter(after)))
        return {**after, name: _alter(old.get(name), after[name])}
    # What was there before would be no change at all, and so no other value of the field.
    return next(value for value in _vary(after) if value != before or isinstance(after, bool))


def _vary(value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (value + 1, value + 2)
    elif isinstance(value, str):
        yield from (value + "x", value + "y")
    elif isinstance(value, list | tuple) and value:
        yield from (value[:-1], [*value, "something else"])
    yield from ("something else", "something else again")
