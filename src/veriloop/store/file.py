"""Files that appear whole or not at all, and errors that say which file and what to do."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from veriloop.core.errors import InputError, VeriloopError


class StoreError(VeriloopError):
    """Writing failed for reasons outside the run: a full disk, a lost mount, a locked ledger."""


def write_lines(path: Path, lines: Iterable[str]) -> int:
    """Write text lines to `path` and return how many; a killed process leaves the old file or the new, never a part."""
    count = 0
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            for line in lines:
                file.write(line + "\n")
                count += 1
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(f"cannot write {str(path)!r}: {error.strerror}; free space or choose another place") from error
    return count


def write_text(path: Path, text: str) -> None:
    """Write `text`, which ends without a newline, to `path` in one step."""
    write_lines(path, [text])


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys: equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False))


def read_json(path: Path) -> Any:
    """Return the JSON of a file; raises InputError naming it when it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}; check the path") from error
    except ValueError as error:
        raise InputError(f"{str(path)!r} is no JSON: {error}; restore it or write it again") from error


def parse_json(text: str) -> Any:
    """Return the value of a JSON text; raises ValueError for all else, NaN and halves of characters too."""
    try:
        value = json.loads(text, parse_constant=refuse_constant)
        check_text(value, text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return value


def check_text(value: Any, text: str) -> None:
    """Raise ValueError when a value has half a character, which JSON `text` can spell but which is no text."""
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode("utf-8")


def refuse_constant(name: str) -> Any:
    """Raise ValueError: NaN and infinities are no JSON."""
    raise ValueError(f"{name} is no JSON")
