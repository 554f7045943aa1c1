"""A cleaned copy of audited data, with a list of every change; the input is only read."""

import gzip
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from veriloop.core.base import Frozen
from veriloop.core.errors import InputError
from veriloop.store.areal_task import find_database
from veriloop.store.audit.auditor import Rules
from veriloop.store.audit.document import HEAD, SINGLE
from veriloop.store.audit.mend import mend_row
from veriloop.store.audit.result import Gate, Tally, is_gated
from veriloop.store.audit.source import CHANGES, Found, Source, find_sources, read_source
from veriloop.store.chat import Row
from veriloop.store.fault import MENDS, Fault, Mend, RowError, RowNotes
from veriloop.store.file import StoreError

_ACROSS = {
    Fault.NO_ID: "it has no id",
    Fault.DUPLICATE_ID: "an earlier row has its id",
    Fault.DUPLICATE: "an earlier row says the same",
    Fault.BROKEN_DIALOGUE: "it does not begin as the other rows of its dialogue do",
    Fault.CONTRADICTION: "its system text contradicts that of most rows of its domain",
    Fault.CHANGED: "rows of its dialogue are gone",
}
"""What is said of faults that do not show in a row alone."""
_FOLLOWS = "it follows from the row's other changes"
_SHOWN, _LEAD = 160, 40
"""Characters that are shown of what a change was made to, and of these before the first difference."""


class Cleaned(Frozen):
    """What became of the rows, and where the copy and the list of changes are."""

    path: str
    changes: str
    kept: int
    mended: int
    dropped: int


def check_out(path: Path, out: Path) -> None:
    """Raise InputError when a copy may not be written there: over the input, into it, or around it."""
    source, target = path.resolve(), out.resolve()
    if source == target or (target.exists() and target.samefile(source)):
        raise InputError(f"--fix {str(out)!r} is the input itself, which is never changed; name another place")
    if path.is_dir() and (target.is_relative_to(source) or source.is_relative_to(target)):
        raise InputError(f"--fix {str(out)!r} is inside or around the input; name a folder beside it")
    if path.is_dir() and target.is_file():
        raise InputError(f"--fix {str(out)!r} is a file; name a folder, for the input is one")
    if path.is_file() and target.is_dir():
        raise InputError(f"--fix {str(out)!r} is a folder; name a file in it")


class Cleaner:
    """Writes the copy of what was audited.

    gate: rows with a fault as severe that cannot be mended are left out. progress: called with the rows looked
    at, now and then.
    """

    def __init__(
        self, rules: Rules, tally: Tally, gate: Gate, progress: Callable[[int], None] = lambda _done: None
    ) -> None:
        self._rules, self._tally, self._progress = rules, tally, progress
        self._gate: Gate = gate
        self._counts = Counter[str]()

    def write(self, path: Path, out: Path) -> Cleaned:
        """Write the copy and beside it the changes, one JSON object a line; raises InputError as `check_out` does."""
        check_out(path, out)
        changes = out.with_name(out.name + CHANGES)
        with _open(changes) as log:
            for source in find_sources(path):
                target, before = out / source.name if path.is_dir() else out, self._counts["kept"]
                with _open(target) as file:
                    for part in self._lay_out(source, target.parent, log):
                        file.write(part)
                if self._counts["kept"] == before:
                    target.unlink()
        counts = {name: self._counts[name] for name in ("kept", "mended", "dropped")}
        return Cleaned(path=str(out), changes=str(changes), **counts)

    def _lay_out(self, source: Source, folder: Path, log: IO[bytes]) -> Iterator[bytes]:
        rows = self._choose(source, folder, log)
        if source.lines:
            yield from (text for _, text in rows)
        else:
            yield from _write_document(rows)

    def _choose(self, source: Source, folder: Path, log: IO[bytes]) -> Iterator[tuple[Found, bytes]]:
        """Yield the rows that stay, each with its text and the end of its line."""
        head: Row = {}
        for found in read_source(source):
            if found.section == HEAD:
                head = found.value if isinstance(found.value, dict) else {}
                yield found, b""
                continue
            self._counts["seen"] += bool(found.number)
            if self._counts["seen"] % 100 == 0:
                self._progress(self._counts["seen"])
            if found.number and (text := self._treat(found, source, head, log)):
                self._counts["kept"] += 1
                _take_along(found, source, folder)
                yield found, text.rstrip(b"\r\n") + b"\n"

    def _treat(self, found: Found, source: Source, head: Row, log: IO[bytes]) -> bytes:
        """Return the text of a row as it stays, empty where it does not."""
        faults = self._tally.faults(source.name, found.number)
        fatal = [fault for fault in faults if self._is_fatal(fault)]
        notes = RowNotes(source.name, found.number)
        if fatal or isinstance(found.value, RowError):
            self._rules.check(found, source, head, notes)
            return self._drop(found, source, fatal or faults, notes, log)
        stood = found.text or dump_row(found.value)
        if not any(MENDS[fault] is Mend.MENDED for fault in faults):
            return stood
        sample, _ = self._rules.check(found, source, head, notes)
        if sample is None:
            return stood
        fresh, changes = mend_row(found.value, sample)
        again = RowNotes(source.name, found.number)
        self._rules.check(Found(found.number, fresh, found.size, found.section), source, head, again)
        if left := [fault for fault in again.faults if is_gated(fault, self._gate)]:
            return self._drop(found, source, left, again, log)
        for change in changes:
            before, after = show_change(change.before, change.after)
            what = _tell(notes, change.fault) or _FOLLOWS
            _log(
                log, source, found, action="mended", fault=change.fault, what=what,
                place=change.place, before=before, after=after,
            )  # fmt: skip
        self._counts["mended"] += bool(changes)
        return dump_row(fresh) if changes else stood

    def _is_fatal(self, fault: Fault) -> bool:
        return MENDS[fault] is Mend.DROPPED or (MENDS[fault] is Mend.GATED and is_gated(fault, self._gate))

    def _drop(self, found: Found, source: Source, faults: list[Fault], notes: RowNotes, log: IO[bytes]) -> bytes:
        self._counts["dropped"] += 1
        before = found.text.decode("utf-8", "replace") if found.text else json.dumps(_plain(found), ensure_ascii=False)
        for fault in faults:
            shown = before[:_SHOWN]
            _log(log, source, found, action="dropped", fault=fault, what=_tell(notes, fault), before=shown, after="")
        return b""


def dump_row(row: Row) -> bytes:
    """Return a row as one line of JSON."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()


def show_change(before: Any, after: Any) -> tuple[str, str]:
    """Return what was changed as JSON text, where it is long from shortly before the first difference on."""
    old, new = (json.dumps(value, ensure_ascii=False) for value in (before, after))
    if max(len(old), len(new)) <= _SHOWN:
        return old, new
    alike = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), 0)
    start = max(0, alike - _LEAD)
    more = "…" if start else ""
    return more + old[start : start + _SHOWN], more + new[start : start + _SHOWN]


def _plain(found: Found) -> Any:
    return found.value if isinstance(found.value, dict) else None


def _tell(notes: RowNotes, fault: Fault) -> str:
    return notes.tell(fault) or _ACROSS.get(fault, "")


def _log(log: IO[bytes], source: Source, found: Found, **change: Any) -> None:
    log.write(dump_row({"file": source.name, "row": found.number, **change}) + b"\n")


def _take_along(found: Found, source: Source, folder: Path) -> None:
    """Copy the database that a row names next to the rows' copy, unless one is there."""
    named = found.value.get("db_path") if isinstance(found.value, dict) else None
    origin = find_database(named, source.path.parent, lambda *_: None) if named else None
    if origin and not (target := folder / str(named)).exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(origin, target)


def _write_document(rows: Iterator[tuple[Found, bytes]]) -> Iterator[bytes]:
    """Yield a document with the rows: a list, an object of lists as it was, or the only row by itself."""
    section, count, head = "", 0, b""
    for found, text in rows:
        if found.section == HEAD:
            head = head or dump_row(found.value if isinstance(found.value, dict) else {})
            continue
        if found.section == SINGLE:
            yield text
            continue
        if found.section != section or not count:
            yield _begin(found.section, section if count else "", head)
            section = found.section
        else:
            yield b",\n"
        yield text.rstrip(b"\n")
        count += 1
    if count:
        yield b"\n]}\n" if section else b"\n]\n"


def _begin(section: str, before: str, head: bytes) -> bytes:
    if not section:
        return b"[\n"
    start = b"\n],\n" if before else head[:-1] + (b"," if len(head) > 2 else b"")
    return start + json.dumps(section).encode() + b": [\n"


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that appears whole or not at all, packed where its name says so."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as plain:
            if path.name.endswith(".gz"):
                with gzip.GzipFile("", "wb", fileobj=plain, mtime=0) as packed:
                    yield packed  # pyright: ignore[reportReturnType]
            else:
                yield plain
        temporary.replace(path)
    except OSError as error:
        raise StoreError(f"cannot write {str(path)!r}: {error.strerror}; free space or choose another place") from error
    finally:
        temporary.unlink(missing_ok=True)
