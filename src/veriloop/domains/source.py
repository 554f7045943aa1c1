"""Where the arguments of a tool come from, declared beside the tool so that synthesis needs to know no domain.

A read tool declares what it yields: rows of a *kind* at a path of its result. A parameter declares its source: a kind
(the value is one that an earlier read yielded or that the user knows) or a choice the user makes freely.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Pool = dict[str, dict[Any, dict[str, Any]]]
"""kind -> value -> the row it was read from (empty when the user simply knows the value)."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is known when an argument is chosen: the state, values seen so far, arguments chosen before this one."""

    state: Any
    pool: Pool
    arguments: dict[str, Any] = field(default_factory=dict)
    caller: dict[str, Any] = field(default_factory=dict)

    def rows(self, kind: str) -> list[dict[str, Any]]:
        """Return the rows seen of a kind."""
        return list(self.pool.get(kind, {}).values())


@dataclass(frozen=True, slots=True)
class Yield:
    """One kind of value in a read tool's JSON result.

    `at` is a path of field names: `name[]` enters the elements of a list, `name{}` the values of a map, `*` picks the
    element itself, a last `~key` the map's key; the empty path is the whole result. `items[].item_id` yields the
    `item_id` of each item, with the item as its row.
    """

    kind: str
    at: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Where one parameter's value comes from.

    kind: the name values are pooled under. label: how people call it ("tracking number"). values: the candidates
    in a scope; None means the pool of `kind`. say: how a user who cannot know the raw value describes it; None means
    the value itself. told: False for internal values that a user never says (the agent must read them).
    free: the candidates are samples of an unlimited choice (a new phone number), not all there is. implied: a user
    leaves the value out where nothing else could be meant (their only order), and the agent has to find it. worked_out:
    the agent derives the value from what it read, as a fee by the policy; no read shows it. rests_on: what else has to
    be read before the value can be chosen, as (kind, value) pairs or (read tool, its arguments as texts). forms:
    sentences in which people tell it, by the wording of a value; those under "" tell any and hold `{text}`. unordered:
    a name for lists whose elements may come in any order, all lists of a call with that name in the same one; empty
    where the order means something.
    """

    kind: str
    label: str = ""
    values: Callable[[Scope], Iterable[Any]] | None = None
    say: Callable[[Any, Scope], str] | None = None
    told: bool = True
    free: bool = False
    implied: bool = False
    worked_out: bool = False
    rests_on: Callable[[Any, Scope], Iterable[tuple[str, Any]]] | None = None
    forms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unordered: str = ""

    def candidates(self, scope: Scope) -> list[Any]:
        """Return the values this parameter may take in `scope`, in a stable order."""
        if self.values is not None:
            return list(self.values(scope))
        return list(scope.pool.get(self.kind, {}))

    def wording(self, value: Any, scope: Scope) -> str:
        """Return how a user says `value`."""
        return self.say(value, scope) if self.say else str(value)

    def list_forms(self, text: str) -> tuple[str, ...]:
        """Return the sentences that tell a wording; none where its label has to do."""
        return self.forms.get(text) or self.forms.get("", ())


def ref(kind: str, label: str = "", *, told: bool = True, say: Callable[[Any, Scope], str] | None = None) -> Source:
    """Return the source of a parameter that names something a read tool yields."""
    return Source(kind, label or kind.replace("_", " "), None, say, told)


def choice(
    kind: str,
    values: Callable[[Scope], Iterable[Any]] | Iterable[Any],
    label: str = "",
    *,
    say: Callable[[Any, Scope], str] | None = None,
    free: bool = False,
    told: bool = True,
) -> Source:
    """Return the source of a parameter that the user decides, from fixed values or from those a scope offers."""
    fixed = None if callable(values) else tuple(values)
    chosen = values if callable(values) else lambda _scope: fixed or ()
    return Source(kind, label or kind.replace("_", " "), chosen, say, told, free)


def said_as(source: Source, *forms: str, **by_wording: tuple[str, ...]) -> Source:
    """Return the source with sentences in which people tell it.

    forms: with `{text}` for the wording of the value. by_wording: of single wordings, spaces written as underscores.
    """
    own = {text.replace("_", " "): sentences for text, sentences in by_wording.items()}
    return replace(source, forms={**({"": forms} if forms else {}), **own})


def harvest(at: str, result: Any) -> list[tuple[Any, dict[str, Any]]]:
    """Return (value, row) for every place of `result` that the path `at` names."""
    found: list[tuple[Any, Any]] = [(result, result)]
    for part in [part for part in at.split(".") if part]:
        found = [pair for value, row in found for pair in _step(part, value, row)]
    return [(value, row if isinstance(row, dict) else {}) for value, row in found]


def _step(part: str, value: Any, row: Any) -> list[tuple[Any, Any]]:
    if part == "~key":
        return [(key, item) for key, item in value.items()] if isinstance(value, dict) else []
    name, many = (part[:-2], part[-2:]) if part.endswith(("[]", "{}")) else (part, "")
    if name:
        if not isinstance(value, dict) or name not in value:
            return []
        row, value = value, value[name]
    if many == "[]":
        return [(item, item) for item in value] if isinstance(value, list) else []
    if many == "{}":
        return [(item, item) for item in value.values()] if isinstance(value, dict) else []
    return [(value, row)]
