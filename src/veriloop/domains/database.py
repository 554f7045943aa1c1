"""Databases of frozen rows: opening one costs nothing, a write replaces a row, changes are what was replaced."""

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict

from veriloop.core.base import content_hash
from veriloop.core.errors import InputError, ToolError
from veriloop.core.message import Change


class Row(BaseModel):
    """One immutable database row; raises InputError for a field that could be changed in place.

    Rows are shared by all sessions, and a change that replaces no row would be seen by every one of them and by no
    checker.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        for name, field in cls.model_fields.items():
            if kind := next((kind for kind in _list_types(field.annotation) if kind in (list, dict, set)), None):
                raise InputError(
                    f"row {cls.__name__}: {name!r} holds a {kind.__name__}, which can be changed in place; make it a "
                    "tuple of values or of rows, and write changes with update()"
                )


def _list_types(annotation: Any) -> Iterator[Any]:
    """Yield a type with all that it is made of."""
    yield get_origin(annotation) or annotation
    for part in get_args(annotation):
        yield from _list_types(part)


R = TypeVar("R", bound=Row)


class Table(Generic[R]):
    """A view of shared base rows with this session's replacements on top."""

    __slots__ = ("_base", "_local", "name", "row")

    def __init__(self, name: str, row: type[R], base: Mapping[str, R]) -> None:
        self.name, self.row = name, row
        self._base = base
        self._local: dict[str, R | None] = {}

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def __getitem__(self, key: str) -> R:
        """Return the row or raise the ToolError an agent may read."""
        row = self.get(key)
        if row is None:
            raise ToolError(f"no {self.row.__name__.lower()} {key!r}")
        return row

    def __iter__(self) -> Iterator[R]:
        """Iterate over the rows in key order of insertion, base rows first."""
        for key, row in self._base.items():
            current = self._local.get(key, row)
            if current is not None:
                yield current
        for key, row in self._local.items():
            if key not in self._base and row is not None:
                yield row

    def get(self, key: str) -> R | None:
        """Return the row or None."""
        return self._local[key] if key in self._local else self._base.get(key)

    def where(self, **fields: Any) -> list[R]:
        """Return the rows whose fields equal the given values."""
        return [row for row in self if all(getattr(row, name) == value for name, value in fields.items())]

    def put(self, key: str, row: R) -> R:
        """Insert or replace a row."""
        self._local[key] = row
        return row

    def update(self, key: str, **fields: Any) -> R:
        """Replace the row by a validated copy with other field values."""
        return self.put(key, self.row.model_validate({**self[key].__dict__, **fields}))

    def remove(self, key: str) -> None:
        """Delete a row."""
        self[key]
        self._local[key] = None

    def fork(self) -> "Table[R]":
        """Return a table with the same content whose later changes are its own."""
        copy = Table(self.name, self.row, self._base)
        copy._local = dict(self._local)
        return copy

    def changes(self) -> list[Change]:
        """Return the rows that differ from the base, by key."""
        found = []
        for key in sorted(self._local):
            before, after = self._base.get(key), self._local[key]
            if before != after:
                found.append(Change(table=self.name, key=key, before=_dump(before), after=_dump(after)))
        return found


class Database:
    """Tables declared as annotations: `class Desk(Database): parcels: Table[Parcel]`."""

    def __init__(self, tables: Mapping[str, Mapping[str, Row]]) -> None:
        """Lay session tables over `tables`, which stays shared and must not be changed by anyone."""
        for name, row in self.row_types().items():
            setattr(self, name, Table(name, row, tables.get(name, {})))

    @classmethod
    def row_types(cls) -> dict[str, type[Row]]:
        """Return the declared tables and the type of their rows."""
        return {name: get_args(hint)[0] for name, hint in get_type_hints(cls).items() if get_args(hint)}

    def tables(self) -> list[Table[Any]]:
        """Return the tables in order of declaration."""
        return [getattr(self, name) for name in self.row_types()]

    def fork(self) -> "Database":
        """Return an independent copy that shares all untouched rows."""
        copy = object.__new__(type(self))
        copy.__dict__.update({name: table.fork() for name, table in self.__dict__.items()})
        return copy

    def changes(self) -> tuple[Change, ...]:
        """Return every row that differs from the base, ordered by table and key."""
        return tuple(change for table in self.__dict__.values() for change in table.changes())


def digest_changes(database: str, changes: tuple[Change, ...]) -> str:
    """Return a digest of a state: the database's id and how the state differs from it, order of writes aside."""
    rows = sorted((change.table, change.key, content_hash({"after": change.after})) for change in changes)
    return content_hash({"database": database, "rows": [list(row) for row in rows]}, 32)


def _dump(row: Row | None) -> dict[str, Any] | None:
    return None if row is None else row.model_dump(mode="json")
