"""The one field of ours in rows of somebody else's format: what that format cannot hold, as JSON text.

It also holds a hash of every other field, by which a row that was edited since is known.
"""

import contextlib
import json
from typing import Any

from veriloop.core.base import content_hash
from veriloop.store.fault import Fault, Note, RowError
from veriloop.store.file import parse_json

FIELD = "veriloop"
VERSION = 2
_DIGITS = 12


def write_mark(row: dict[str, Any], **content: Any) -> str:
    """Return the field's text for a row that has all its other fields."""
    hashes = {name: _hash(value) for name, value in row.items()}
    mark = {"version": VERSION, "fields": hashes, **content}
    return json.dumps(mark, ensure_ascii=False, separators=(",", ":"))


def read_mark(raw: dict[str, Any], kinds: dict[str, type], note: Note) -> dict[str, Any] | None:
    """Return a row's field, None in rows of others and, noted, where it lacks one of the keys of these types.

    Fields of the row that are not as they were exported are noted. Raises RowError for a field of another version.
    """
    if FIELD not in raw:
        return None
    try:
        mark = parse_json(raw[FIELD])
    except (TypeError, ValueError):
        mark = None
    version = mark.get("version") if isinstance(mark, dict) else None
    if isinstance(version, int) and version != VERSION:
        raise RowError(Fault.NEWER, f"the row's {FIELD!r} field has version {version}, not {VERSION}")
    kinds = {"version": int, "fields": dict, **kinds}
    if not isinstance(mark, dict) or not all(isinstance(mark.get(key), kind) for key, kind in kinds.items()):
        note(Fault.CHANGED, f"the row's {FIELD!r} field cannot be read; the row is taken as one of others")
        return None
    if changed := [name for name, told in mark["fields"].items() if _hash(raw.get(name)) != told]:
        note(Fault.CHANGED, f"changed since the export: {', '.join(sorted(changed))}")
    return mark


def _hash(value: Any) -> str:
    """Return a hash that no padding with nulls changes, nor JSON text read as an object."""
    if isinstance(value, str) and value.startswith("{"):
        with contextlib.suppress(ValueError):
            value = parse_json(value)
    return content_hash(_strip(value), _DIGITS)


def _strip(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _strip(inner) for key, inner in value.items() if inner is not None}
    return [_strip(inner) for inner in value] if isinstance(value, list) else value
