"""Files of anybody's, read row by row: JSON Lines and JSON documents, plain or gzipped, whatever else they hold."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from veriloop.core.errors import InputError
from veriloop.store.areal import DATABASES
from veriloop.store.areal_read import load_row
from veriloop.store.audit.document import HEAD, Document
from veriloop.store.fault import Fault, RowError

CHANGES = ".changes.jsonl"
"""How the name of a list of changes ends, which is no data."""
_LINES = (".jsonl", ".jsonl.gz")
_DOCUMENTS = (".json", ".json.gz")
_START = 4096
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Source:
    """A file with rows. name: its path below the folder that was named, or its own name."""

    path: Path
    name: str

    @property
    def lines(self) -> bool:
        """True for JSON Lines, False for a JSON document."""
        return not self.path.name.endswith(_DOCUMENTS)


@dataclass(frozen=True, slots=True)
class Found:
    """A row as it stood: its number from 1, its value or what is wrong with it.

    size: in bytes or, in a document, characters. section: the list of the document it stands in, as `Document` names
    it. text: the line, where the file has lines.
    """

    number: int
    value: dict[str, Any] | RowError
    size: int = 0
    section: str = ""
    text: bytes = b""


def find_sources(path: Path) -> list[Source]:
    """Return the files to read: the one named, or those of a folder and below it, by path.

    Of a run directory these are its data and tasks. Databases that stand next to rows are none, nor are lists of
    changes. Raises InputError when there is none.
    """
    if path.is_file():
        return [Source(path, path.name)]
    if not path.is_dir():
        raise InputError(f"there is no file or folder {str(path)!r}; check the path")
    roots = [path / "data", path / "tasks"] if (path / "run.toml").is_file() else [path]
    files = sorted(file for root in roots for file in root.rglob("*") if _is_data(file, path))
    if not files:
        wanted = ", ".join((*_LINES, *_DOCUMENTS))
        raise InputError(f"{str(path)!r} holds no data; name a file or a folder with files that end in {wanted}")
    return [Source(file, file.relative_to(path).as_posix()) for file in files]


def _is_data(file: Path, root: Path) -> bool:
    parts = file.relative_to(root).parts
    hidden = any(part.startswith(".") or part == DATABASES for part in parts)
    return file.name.endswith(_LINES + _DOCUMENTS) and not file.name.endswith(CHANGES) and not hidden and file.is_file()


def read_source(source: Source) -> Iterator[Found]:
    """Yield the rows of a file; what cannot be read is a row with a RowError, after which the file may go on or not.

    Raises InputError when the file may not be read.
    """
    number = 0
    try:
        with _open(source.path) as file:
            if problem := _sniff(file):
                yield Found(0, RowError(Fault.BAD_FILE, problem))
                return
            for found in _read_lines(file) if source.lines else _read_document(file):
                number = found.number
                yield found
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        number += 1
        yield Found(number, RowError(Fault.BAD_FILE, f"the compressed file breaks off or is damaged: {error}"))
    except OSError as error:
        raise InputError(f"cannot read {str(source.path)!r}: {error.strerror}; check its permissions") from error
    if not number:
        yield Found(0, RowError(Fault.BAD_FILE, "the file holds no row"))


def _open(path: Path) -> Any:
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
    return gzip.open(path, "rb") if packed else path.open("rb")


def _sniff(file: Any) -> str:
    """Return why a file is no text, if it is none, and go back to its beginning."""
    start = file.read(_START)
    file.seek(0)
    if start.startswith(b"PAR1"):
        return "the file is Parquet, not JSON Lines"
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "the file is UTF-16, not UTF-8"
    return "the file is binary, not text" if b"\0" in start else ""


def _read_lines(file: Any) -> Iterator[Found]:
    for number, line in enumerate(file, 1):
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line.strip():
            continue
        try:
            yield Found(number, load_row(line), len(line), text=line)
        except RowError as error:
            yield Found(number, error, len(line), text=line)


def _read_document(file: Any) -> Iterator[Found]:
    number = 0
    try:
        for section, value, size in Document(TextIOWrapper(file, encoding="utf-8-sig")).read():
            number += section != HEAD
            if isinstance(value, dict):
                yield Found(number, value, size, section)
            else:
                kind = type(value).__name__
                yield Found(number, RowError(Fault.BAD_ROW, f"a row is no object but a {kind}"), size, section)
    except UnicodeDecodeError as error:
        yield Found(number + 1, RowError(Fault.BAD_FILE, f"the file is no UTF-8: {error.reason}"))
    except ValueError as error:
        yield Found(number + 1, RowError(Fault.BAD_JSON, f"the document breaks off or is no JSON: {error}"))
