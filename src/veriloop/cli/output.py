"""What reaches the terminal: results on stdout, progress and errors on stderr."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@dataclass(frozen=True, slots=True)
class Result:
    """What a command found: `data` for `--json`, `text` for people.

    code: 1 when a gate was not met. then: what goes on after this was printed.
    """

    data: Mapping[str, Any]
    text: str
    code: int = 0
    then: Callable[[], None] | None = None


def write_result(result: Result, *, as_json: bool) -> None:
    """Print a result on stdout: one JSON object on one line, or the text; of processes that train together one does."""
    if _is_first():
        print(json.dumps(result.data, ensure_ascii=False) if as_json else result.text, flush=result.then is not None)


def _is_first() -> bool:
    """Return whether this process speaks for all that train together, as torch's launchers number them."""
    return os.environ.get("RANK", "0") == "0"


def write_error(message: str) -> None:
    """Print one line on stderr."""
    print(f"veriloop: {' '.join(message.split())}", file=sys.stderr)


def write_note(message: str) -> None:
    """Tell somebody who watches, on stderr; nothing where stderr is no terminal."""
    if sys.stderr.isatty():
        print(f"note: {message}", file=sys.stderr)


@contextmanager
def show_progress(label: str) -> Iterator[Callable[..., None]]:
    """Return a callback (done, total, what="") that moves a bar on stderr; silent where stderr is no terminal.

    what: the part of the work that is counted, where it is not the whole.
    """
    if not sys.stderr.isatty() or not _is_first():
        yield lambda _done, _total, _what="": None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)

        def move(done: int, total: int, what: str = "") -> None:
            bar.update(task, completed=done, total=total, description=f"{label}, {what}" if what else label)

        yield move


def align_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table in plain text, columns as wide as their widest cell, numbers to the right."""
    cells = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    right = [bool(rows) and all(isinstance(row[column], int | float) for row in rows) for column in range(len(header))]
    lines = [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    ]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
