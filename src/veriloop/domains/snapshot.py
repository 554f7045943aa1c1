"""Databases as files: what a domain can write of one, and the domain over a database that came from elsewhere."""

import json
import tomllib
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from veriloop.core.errors import InputError
from veriloop.domains.domain import Domain


@runtime_checkable
class Mountable(Protocol):
    """A domain whose databases can be written and read back; those of tau2 in the form of the package's own files."""

    def snapshot(self, database: str) -> dict[str, Any]:
        """Return a whole database as JSON, by table."""
        ...

    def mount(self, content: dict[str, Any], user: dict[str, Any]) -> Domain:
        """Return the domain over one database, whatever id it is opened by; `user` is what the user's side holds."""
        ...


def take_snapshot(domain: Domain, database: str) -> dict[str, Any] | None:
    """Return a database as JSON by table, None where the domain cannot write one."""
    return domain.snapshot(database) if isinstance(domain, Mountable) else None


def find_official(domain: Domain) -> str:
    """Return the id of the database that tasks play on which name none, empty where the domain has no such database."""
    return getattr(domain, "official", "")


def mount(domain: Domain, path: Path | None, start: dict[str, Any] | None = None) -> Domain:
    """Return the domain over the database in a JSON or TOML file, or over its official one.

    start: tau2's `initialization_data`, whose `agent_data` is laid over the database. Raises InputError when the domain
    reads no files, or this one is no database of it.
    """
    if not isinstance(domain, Mountable):
        raise InputError(f"domain {domain.name!r} cannot read a database from a file; give it snapshot() and mount()")
    start = start or {}
    base = take_snapshot(domain, find_official(domain)) if path is None else _read(path)
    content = _overlay(base, start.get("agent_data") or {})
    try:
        return domain.mount(content, start.get("user_data") or {})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        first = str(error).partition("\n")[0]
        raise InputError(
            f"{str(path or 'official')!r} is no database of {domain.name!r}: {first}; check the row's db_path"
        ) from error


def _read(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read the database {str(path)!r}: {error}; check the row's db_path") from error


def _overlay(base: Any, update: Any) -> Any:
    """Return `base` with an update laid over it as tau2 does: objects field by field, all else replaced."""
    if not isinstance(base, dict) or not isinstance(update, dict):
        return update
    return {**base, **{key: _overlay(base.get(key), value) for key, value in update.items()}}
