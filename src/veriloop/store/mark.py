"""The one field of ours in rows of somebody else's format: what that format cannot hold, as JSON text."""

import json
from typing import Any

from veriloop.store.fault import Fault, Note, RowError
from veriloop.store.file import parse_json

FIELD = "veriloop"
VERSION = 1


def write_mark(**content: Any) -> str:
    """Return the field's text."""
    return json.dumps({"version": VERSION, **content}, ensure_ascii=False, separators=(",", ":"))


def read_mark(raw: dict[str, Any], kinds: dict[str, type], note: Note) -> dict[str, Any] | None:
    """Return a row's field, None in rows of others and, noted, where it lacks one of the keys of these types.

    Raises RowError for a field of another version.
    """
    if FIELD not in raw:
        return None
    try:
        mark = parse_json(raw[FIELD])
    except (TypeError, ValueError):
        mark = None
    if isinstance(mark, dict) and all(isinstance(mark.get(key), kind) for key, kind in kinds.items()):
        if mark.get("version") == VERSION:
            return mark
        raise RowError(Fault.NEWER, f"the row's {FIELD!r} field has version {mark.get('version')!r}, not {VERSION}")
    note(Fault.CHANGED, f"the row's {FIELD!r} field cannot be read; the row is taken as one of others")
    return None
