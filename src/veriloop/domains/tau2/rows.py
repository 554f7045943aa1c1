"""Tables over shared base rows: reads hand out what is there, writes copy the rows that they touch."""

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from pydantic import BaseModel

from veriloop.core.message import Change
from veriloop.domains.tau2.replica import copy_deeply


class Rows(MutableMapping[str, Any]):
    """One table as tau2's tools see it.

    `base` and `local` (the rows that earlier writes replaced) are shared and never changed. A table made by `draft`
    copies a row before it hands it out, also while iterating, since a tool may change whatever it is given; any other
    table hands out the shared rows and must be given to reads only.
    """

    __slots__ = ("_base", "_copies", "_found", "_local", "_origin")

    def __init__(self, base: Mapping[str, BaseModel], local: Mapping[str, BaseModel] | None = None) -> None:
        self._base = base
        self._local: Mapping[str, BaseModel] = local or {}
        self._copies: dict[str, BaseModel] | None = None
        self._found: dict[str, BaseModel] | None = None
        self._origin = self

    def __getitem__(self, key: str) -> Any:
        """Return the row: the shared one for reading, this draft's own copy for writing."""
        if self._copies is None:
            return self._shared(key)
        if key not in self._copies:
            self._copies[key] = copy_deeply(self._shared(key))
        return self._copies[key]

    def __setitem__(self, key: str, row: Any) -> None:
        if self._copies is None:
            raise TypeError(f"a read tried to set row {key!r}")
        self._copies[key] = row

    def __delitem__(self, key: str) -> None:
        raise TypeError(f"rows cannot be deleted, not even {key!r}")

    def __contains__(self, key: object) -> bool:
        return key in self._local or key in self._base or (self._copies is not None and key in self._copies)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys in the base's order, new ones after."""
        yield from self._base
        fresh = {key: None for rows in (self._local, self._copies or {}) for key in rows if key not in self._base}
        yield from fresh

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def draft(self) -> "Rows":
        """Return a table that may be written to without changing this one."""
        table = Rows(self._base, self._local)
        table._copies = {}
        table._origin = self
        return table

    def peek(self, key: str) -> Any:
        """Return the row as it is now, for looking only: nothing is copied for it."""
        return self._shared(key) if self._copies is None or key not in self._copies else self._copies[key]

    def commit(self) -> "Rows":
        """Return a table for reading that holds this draft's changes; the draft is not to be written to any more."""
        changed = self._changed()
        return Rows(self._base, {**self._local, **changed}) if changed else self._origin

    def step_changes(self, name: str) -> list[Change]:
        """Return what this draft changed since it was made, by key; it is not to be written to any more."""
        return [
            Change(table=name, key=key, before=_dump(self._before(key)), after=_dump(row))
            for key, row in self._changed().items()
        ]

    def changes(self, name: str) -> list[Change]:
        """Return the rows that differ from the base, by key."""
        found = []
        for key in sorted(self._local):
            before, after = self._base.get(key), self._local[key]
            if before != after:
                found.append(Change(table=name, key=key, before=_dump(before), after=_dump(after)))
        return found

    def _shared(self, key: str) -> BaseModel:
        return self._local[key] if key in self._local else self._base[key]

    def _changed(self) -> dict[str, BaseModel]:
        if self._found is None:
            copies = self._copies or {}
            changed = sorted(key for key, row in copies.items() if row != self._before(key))
            self._found = {key: copies[key] for key in changed}
        return self._found

    def _before(self, key: str) -> BaseModel | None:
        return self._local[key] if key in self._local else self._base.get(key)


class Store:
    """Tables by name as attributes, which is how tau2's toolkits read their database."""

    def __init__(self, tables: Mapping[str, Rows]) -> None:
        self._tables = dict(tables)

    def __getattr__(self, name: str) -> Rows:
        """Return a table."""
        try:
            return self.__dict__["_tables"][name]
        except KeyError:
            raise AttributeError(f"no table {name!r}") from None

    def draft(self) -> "Store":
        """Return a store that may be written to without changing this one."""
        return Store({name: rows.draft() for name, rows in self._tables.items()})

    def commit(self) -> "Store":
        """Return a store for reading that holds this draft's changes."""
        return Store({name: rows.commit() for name, rows in self._tables.items()})

    def step_changes(self) -> tuple[Change, ...]:
        """Return what this draft changed since it was made, by table and key."""
        return tuple(change for name, rows in sorted(self._tables.items()) for change in rows.step_changes(name))

    def changes(self) -> tuple[Change, ...]:
        """Return every row that differs from the base, by table and key."""
        return tuple(change for name, rows in sorted(self._tables.items()) for change in rows.changes(name))


def _dump(row: BaseModel | None) -> dict[str, Any] | None:
    return None if row is None else row.model_dump(mode="json", warnings=False)
