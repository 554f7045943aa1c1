"""Answers that were paid for are kept, by everything that shaped them, and with them what each one cost.

A run that was killed asks again only what was in flight: all else comes from here. The same file is the account of what
the run's models have used, exact after any number of kills, since an answer and its cost are one row.
"""

import sqlite3
from dataclasses import fields
from pathlib import Path

from pydantic import TypeAdapter

from veriloop.core.base import canonical_json, content_hash
from veriloop.core.errors import InputError
from veriloop.llm.chat import ChatAnswer, ChatRequest
from veriloop.llm.transport import hide_login

_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
  key TEXT UNIQUE,
  role TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  answered INTEGER NOT NULL,
  prompt INTEGER NOT NULL,
  completion INTEGER NOT NULL,
  dollars REAL NOT NULL,
  answer TEXT
)
"""
_ANSWER = TypeAdapter(ChatAnswer)


class Cache:
    """Answers and accounts of one run; one process writes at a time. path: None keeps them in memory."""

    def __init__(self, path: Path | None = None) -> None:
        """Open or make the file; raises InputError when it is something else."""
        self._name = str(path) if path else ":memory:"
        try:
            self._db = sqlite3.connect(self._name, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(_SCHEMA)
        except sqlite3.Error as error:
            raise InputError(f"{self._name!r} cannot be used as a cache: {error}; move it away") from error

    def get(self, key: str) -> ChatAnswer | None:
        """Return the answer kept under a key."""
        row = self._db.execute("SELECT answer FROM calls WHERE key = ?", (key,)).fetchone()
        return _ANSWER.validate_json(row[0]) if row else None

    def put(self, key: str, role: str, answer: ChatAnswer, attempts: int, dollars: float) -> None:
        """Keep an answer with the attempts and dollars it took; the first of two under one key stays."""
        used = answer.usage
        cost = (role, attempts, used.prompt, used.completion, dollars)
        text = canonical_json(_ANSWER.dump_python(answer, mode="json"))
        added = self._db.execute("INSERT OR IGNORE INTO calls VALUES (?, ?, ?, 1, ?, ?, ?, ?)", (key, *cost, text))
        if not added.rowcount:
            # Two asked the same at once: both were paid for.
            self._db.execute("INSERT INTO calls VALUES (NULL, ?, ?, 1, ?, ?, ?, NULL)", cost)

    def note_failure(self, role: str, attempts: int) -> None:
        """Count attempts that ended without an answer."""
        self._db.execute("INSERT INTO calls VALUES (NULL, ?, ?, 0, 0, 0, 0, NULL)", (role, attempts))

    def add_up(self) -> dict[str, dict[str, float]]:
        """Return by role: attempts sent, of which repeated, answers, tokens of prompts and completions, dollars."""
        rows = self._db.execute(
            "SELECT role, SUM(attempts), SUM(attempts) - COUNT(*), SUM(answered), SUM(prompt), SUM(completion), "
            "SUM(dollars) FROM calls GROUP BY role ORDER BY role"
        )
        names = ("attempts", "repeated", "answers", "prompt_tokens", "completion_tokens", "dollars")
        return {role: dict(zip(names, sums, strict=True)) for role, *sums in rows}

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def make_key(model: str, base_url: str | None, request: ChatRequest) -> str:
    """Return what an answer is kept under: the model, where it is served, all that is sent, and which sample it is.

    Login and query of the address are left out: they are secret and change nothing about the answer.
    """
    asked = {field.name: getattr(request, field.name) for field in fields(request)}
    return content_hash([model, hide_login(base_url or ""), asked], length=32)
