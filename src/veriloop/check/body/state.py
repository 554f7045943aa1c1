"""The end state: what changed is what should have, and nothing else."""

from typing import Any

GOLD: dict[Any, Any] = {}
ALSO: list[dict[Any, Any]] = []
UNORDERED: list[tuple[str, str]] = []
FREE: list[str] = []

# ---
GONE = "(gone)"


def same(one, other):
    """Return whether two values are equal; sums of money may differ in how they were rounded."""
    if isinstance(one, bool) or isinstance(other, bool):
        return isinstance(one, bool) and isinstance(other, bool) and one == other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return abs(one - other) < 0.000001
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(one[place], other[place]) for place in range(len(one)))
    if isinstance(one, dict) and isinstance(other, dict):
        return set(one) == set(other) and all(same(one[name], other[name]) for name in one)
    return one == other


def same_set(one, other):
    """Return whether two lists hold the same values, in whatever order."""
    used = []
    for value in one:
        places = [place for place in range(len(other)) if place not in used and same(value, other[place])]
        if not places:
            return False
        used.append(places[0])
    return len(one) == len(other)


def same_field(table, name, one, other):
    """Return whether two values of a row's field mean the same."""
    if (table, name) in UNORDERED and isinstance(one, list) and isinstance(other, list):
        return same_set(one, other)
    return same(one, other)


def differences(table, before, after):
    """Return the fields that differ, of nested ones what does; all of a new row, None for a row taken away."""
    if after is None or before is None:
        return after
    found = dict()
    for name in before:
        if name not in after:
            found[name] = GONE
    for name, value in after.items():
        if name not in before:
            found[name] = value
        elif isinstance(value, dict) and isinstance(before[name], dict):
            inner = differences("", before[name], value)
            if inner:
                found[name] = inner
        elif not same_field(table, name, before[name], value):
            found[name] = value
    return found


def compare_row(place, wanted, found):
    """Return how a row's changes differ from those wanted, or None."""
    if wanted is None or found is None:
        return None if wanted is found else f"{place} became {found}, expected {wanted}"
    for name in wanted:
        if name not in found:
            return f"{place}: {name} was not changed"
        if not same_field(place[0], name, found[name], wanted[name]):
            return f"{place}: {name} became {found[name]}, expected {wanted[name]}"
    for name in found:
        if name not in wanted:
            return f"{place}: {name} was changed though nobody asked for it"
    return None


def compare_end(found, gold):
    """Return what is wrong with the end state, or None: the wanted changes and no others."""
    for place, wanted in gold.items():
        if place not in found:
            return f"{place} was not changed"
        problem = compare_row(place, wanted, found[place])
        if problem:
            return problem
    for place in found:
        if place not in gold:
            return f"{place} was changed though nobody asked for it"
    return None


def check_state(changes):
    """Return what is wrong with the end state, or None; a row that is as it was is no change, whoever lists it."""
    found, listed = {}, {}
    for change in changes:
        table, before, after = change["table"], change["before"], change["after"]
        place = (table, change["key"])
        if place in listed:
            return f"{place} stands among the changes twice"
        listed[place] = True
        fields = differences(table, before, after)
        if table not in FREE and before != after and (before is None or fields != {}):
            found[place] = fields
    problems = [compare_end(found, gold) for gold in [GOLD, *ALSO]]
    return None if None in problems else problems[0]
