"""The ledger: one row per item and stage in SQLite, so that a run killed at any moment goes on where it was.

Every `put` is one transaction in write-ahead mode: once it returns, killing the process loses nothing of it.
"""

import heapq
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from veriloop.core.base import canonical_json
from veriloop.core.errors import InputError
from veriloop.store.file import StoreError

Status = Literal["started", "done", "rejected", "failed"]
"""started: an attempt is under way or was cut. done: the payload is the result. rejected: it is the reason why the
item goes no further. failed: infrastructure broke; another attempt may succeed."""

LEDGER_VERSION = 2
_PAGE = 64
"""Rows of a stage held in memory while iterating."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    item INTEGER NOT NULL, stage TEXT NOT NULL, status TEXT NOT NULL, attempts INTEGER NOT NULL,
    payload TEXT NOT NULL, seconds REAL NOT NULL, PRIMARY KEY (item, stage)
) WITHOUT ROWID;
DROP INDEX IF EXISTS by_stage;
CREATE INDEX IF NOT EXISTS in_order ON entries (stage, item, status);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. seconds: of the last attempt. text: the payload as JSON text."""

    item: int
    stage: str
    status: Status
    attempts: int
    text: str
    seconds: float

    @property
    def payload(self) -> Any:
        """The payload, parsed."""
        return json.loads(self.text)


class Ledger:
    """An open ledger; use it from one thread, and as a context manager to have it closed."""

    def __init__(self, path: Path) -> None:
        """Open `path`, made when missing; raises InputError for a file that is no ledger this version can read."""
        self.path = path
        self._connection = self._guard(lambda: sqlite3.connect(path, isolation_level=None, timeout=30))
        try:
            self._guard(self._prepare)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what was put stays."""
        self._connection.close()

    def batch(self) -> AbstractContextManager[None]:
        """Return a context in which all writes are one transaction: all are kept or none."""
        return self._transaction()

    def start(self, item: int, stage: str) -> int:
        """Record that an attempt begins and return its number, from 1; worth it where an attempt costs money."""
        sql = (
            "INSERT INTO entries VALUES (?, ?, 'started', 1, 'null', 0) "
            "ON CONFLICT DO UPDATE SET attempts = attempts + 1 RETURNING attempts"
        )
        return self._query(sql, (item, stage))[0][0]

    def put(self, item: int, stage: str, payload: Any, status: Status = "done", seconds: float = 0.0) -> None:
        """Store an attempt's outcome; repeating the same put changes nothing."""
        sql = (
            "INSERT INTO entries VALUES (?, ?, ?, 1, ?, ?) ON CONFLICT DO UPDATE "
            "SET status = excluded.status, payload = excluded.payload, seconds = excluded.seconds"
        )
        self._query(sql, (item, stage, status, canonical_json(payload), seconds))

    def get(self, item: int, stage: str) -> Entry | None:
        """Return the row or None."""
        rows = self._query(f"{_SELECT} WHERE item = ? AND stage = ?", (item, stage))
        return Entry(*rows[0]) if rows else None

    def entries(self, stage: str | None = None, status: Status | None = None) -> Iterator[Entry]:
        """Yield rows by item, then by stage ("rollout:2" before "rollout:10"), in constant memory.

        A stage that ends in `:` stands for all of its numbers. Writing while iterating is allowed.
        """
        where, values = _filter(stage, None)
        stages = [name for (name,) in self._query(f"SELECT DISTINCT stage FROM entries WHERE {where}", values)]
        streams = [self._read_stage(name, status) for name in stages]
        return heapq.merge(*streams, key=lambda entry: (entry.item, len(entry.stage), entry.stage))

    def count(self, stage: str | None = None, status: Status | None = None) -> int:
        """Return the number of rows that `entries` would yield."""
        where, values = _filter(stage, status)
        return self._query(f"SELECT count(*) FROM entries WHERE {where}", values)[0][0]

    def get_meta(self, key: str, default: Any = None) -> Any:
        """Return a run-wide value."""
        rows = self._query("SELECT value FROM meta WHERE key = ?", (key,))
        return json.loads(rows[0][0]) if rows else default

    def put_meta(self, key: str, value: Any) -> None:
        """Store a run-wide value."""
        sql = "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
        self._query(sql, (key, canonical_json(value)))

    def _prepare(self) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > LEDGER_VERSION:
            raise InputError(
                f"ledger {str(self.path)!r} has version {version}, this veriloop reads up to {LEDGER_VERSION}; "
                "upgrade veriloop"
            )
        found = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(found.splitlines()[0])
        self._connection.execute("PRAGMA journal_mode = WAL")
        # Enough against a killed process; only a power cut may cost the last transactions, never the file.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        if version < LEDGER_VERSION:
            self._connection.executescript(_SCHEMA)
            self._connection.execute(f"PRAGMA user_version = {LEDGER_VERSION}")

    def _read_stage(self, stage: str, status: Status | None) -> Iterator[Entry]:
        """Yield the rows of one stage in order of item."""
        where, values = _filter(stage, status)
        sql, last = f"{_SELECT} WHERE {where} AND item > ? ORDER BY item LIMIT {_PAGE}", -1
        while rows := self._query(sql, (*values, last)):
            last = rows[-1][0]
            yield from (Entry(*row) for row in rows)

    def _query(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        return self._guard(lambda: self._connection.execute(sql, values).fetchall())

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._query("BEGIN IMMEDIATE", ())
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:  # a full disk has rolled back already
                self._query("ROLLBACK", ())
            raise
        self._query("COMMIT", ())

    def _guard(self, work: Callable[[], T]) -> T:
        """Do something with the file and say in the run's words what SQLite found wrong."""
        try:
            return work()
        except sqlite3.OperationalError as error:
            raise StoreError(f"ledger {str(self.path)!r}: {error}; {_advise(str(error))}") from error
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"ledger {str(self.path)!r} is corrupt ({error}); restore it from a copy or start a new run"
            ) from error


_SELECT = "SELECT item, stage, status, attempts, payload, seconds FROM entries"


def _filter(stage: str | None, status: Status | None) -> tuple[str, tuple[str, ...]]:
    parts, values = ["true"], list[str]()
    if stage is not None:
        parts.append("stage GLOB ?" if stage.endswith(":") else "stage = ?")
        values.append(f"{stage}*" if stage.endswith(":") else stage)
    if status is not None:
        parts.append("status = ?")
        values.append(status)
    return " AND ".join(parts), tuple(values)


def _advise(problem: str) -> str:
    if "full" in problem:
        return "free space and resume; what was stored before is kept"
    if "locked" in problem:
        return "another process is writing to this run; wait for it to end"
    return "check that the directory can be written"
