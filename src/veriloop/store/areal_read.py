"""Rows of AReaL's tau2 data, ours or released by others, read one by one with every fault named.

The forms are those of `store/areal.py`. A fault that costs the row stands in its place; others come before their row,
and what is told once for a file comes after its last.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from veriloop.core.errors import InputError
from veriloop.domains.domain import Domain
from veriloop.store.areal_task import TaskRow, read_task_row
from veriloop.store.areal_turn import TurnRow, read_turn_row
from veriloop.store.chat import Row
from veriloop.store.fault import Fault, Finding, Note, RowError, RowNotes
from veriloop.store.file import parse_json


@dataclass(frozen=True, slots=True)
class Joined:
    """A dialogue put together from its turns: `messages` and the positions in it that were answers to learn."""

    dialogue: str
    messages: list[Row]
    produced: list[int]
    last: TurnRow


def read_areal(path: Path, domain: Domain | None = None) -> Iterator[TaskRow | TurnRow | Finding]:
    """Yield the rows of a JSONL file, or of all in a folder, and what is wrong with them.

    One line is held at a time, with the ids seen. domain: its user's tools are told from the agent's in dialogues.
    Raises InputError when there is nothing to read.
    """
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise InputError(f"{str(path)!r} is no .jsonl file nor a folder with any; check the path")
    tools = domain.tools if domain else {}
    user_tools = frozenset(name for name, tool in tools.items() if tool.seat == "user")
    for file in files:
        yield from _File(file, user_tools).read()


def join_dialogues(rows: Iterable[TaskRow | TurnRow | Finding], *, together: bool = True) -> Iterator[Joined | Finding]:
    """Yield whole dialogues from their turns; whatever else comes along is passed over.

    A dialogue whose rows do not follow from one another is a finding and not yielded. together: the rows of a dialogue
    stand together, so that one dialogue is held at a time; else all rows are held until the last is read.
    """
    turns = (row for row in rows if isinstance(row, TurnRow))
    if not together:
        groups: dict[str, list[TurnRow]] = {}
        for row in turns:
            groups.setdefault(row.dialogue, []).append(row)
        yield from map(_join, groups.values())
        return
    seen: set[str] = set()
    for name, members in groupby(turns, key=lambda row: row.dialogue):
        group = list(members)
        yield _report_broken(group[0], f"{name} goes on after others") if name in seen else _join(group)
        seen.add(name)


def _join(group: list[TurnRow]) -> Joined | Finding:
    group = sorted(group, key=lambda row: len(row.messages))
    last = group[-1]
    messages, produced = [*last.messages, last.answer, *last.after], []
    said = _said(messages)
    for row in group:
        place = len(row.messages)
        if _said([*row.messages, row.answer]) != said[: place + 1] or place in produced:
            return _report_broken(row, f"the row is no beginning of {row.dialogue} as its longest row has it")
        produced.append(place)
        messages[place] = row.answer
    return Joined(last.dialogue, messages, produced, last)


def _report_broken(row: TurnRow, what: str) -> Finding:
    return Finding(file=row.file, row=row.row, fault=Fault.BROKEN_DIALOGUE, what=what)


def _said(messages: list[Row]) -> list[Row]:
    """Return messages without their thoughts, which later rows do not repeat."""
    return [{key: value for key, value in message.items() if key != "reasoning_content"} for message in messages]


@dataclass(slots=True)
class _Tally:
    """What is told once for a file or dialogue: its first row, how many there are, and how many there should be."""

    row: int = 0
    count: int = 0
    wanted: int = 0

    def add(self, row: int) -> None:
        self.row, self.count = self.row or row, self.count + 1


class _File:
    """Reads one file and remembers what concerns all of its rows."""

    def __init__(self, path: Path, user_tools: frozenset[str]) -> None:
        self._path, self._user_tools = path, user_tools
        self._ids: set[str | tuple[str, int | None]] = set()
        self._dialogues: set[str] = set()
        self._turns, self._repeated, self._unbased = _Tally(), _Tally(), _Tally()
        self._own: dict[str, _Tally] = {}

    def read(self) -> Iterator[TaskRow | TurnRow | Finding]:
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield from self._read_line(line, number)
        yield from self._sum_up()

    def _read_line(self, line: bytes, number: int) -> Iterator[TaskRow | TurnRow | Finding]:
        notes = RowNotes(self._path.name, number)
        read: TaskRow | TurnRow | None = None
        try:
            read = self._read_row(load_row(line), number, notes.add)
            self._remember(read, notes.add)
        except RowError as error:
            notes.add(error.fault, error.what)
        except RecursionError:
            notes.add(Fault.BAD_ROW, "the row is nested too deeply")
        yield from notes.findings()
        if read is not None:
            yield read

    def _read_row(self, raw: Row, number: int, note: Note) -> TaskRow | TurnRow:
        if "messages" in raw:
            return read_turn_row(raw, self._path, number, note, self._user_tools)
        if "user_scenario" in raw:
            return read_task_row(raw, self._path, number, note)
        raise RowError(Fault.BAD_ROW, "neither a dialogue (`messages`) nor a task (`user_scenario`)")

    def _remember(self, read: TaskRow | TurnRow, note: Note) -> None:
        key = read.id if isinstance(read, TaskRow) else (read.dialogue, read.turn)
        if key in self._ids:
            told = key if isinstance(key, str) else f"turn {key[1]} of {key[0]}"
            note(Fault.DUPLICATE_ID, f"{told} stands in an earlier row too")
        if key:
            self._ids.add(key)
        if isinstance(read, TurnRow) and read.own:
            self._own.setdefault(read.dialogue, _Tally(wanted=read.turns)).add(read.row)
        elif isinstance(read, TurnRow):
            self._turns.add(read.row)
            if read.dialogue in self._dialogues:
                self._repeated.add(read.row)
            self._dialogues.add(read.dialogue)
            self._unbased.add(read.row)

    def _sum_up(self) -> Iterator[Finding]:
        turns, whole = self._turns.count, len(self._dialogues)
        told = (
            (self._repeated, Fault.TURN_ROWS, turns, f"{turns} rows are turns of {whole} dialogues"),
            (self._unbased, Fault.NOT_REPLAYABLE, turns, f"{turns} rows of dialogues name no database"),
        )
        for tally, fault, count, what in told:
            if tally.count:
                yield Finding(file=self._path.name, row=tally.row, fault=fault, what=what, count=count)
        for name, tally in self._own.items():
            if tally.count < tally.wanted:
                what = f"{tally.wanted - tally.count} of the {tally.wanted} rows of {name} are gone"
                yield Finding(file=self._path.name, row=tally.row, fault=Fault.CHANGED, what=what)


def load_row(line: bytes) -> dict[str, Any]:
    """Return the object of a line; raises RowError when it holds none."""
    try:
        raw = parse_json(line.decode("utf-8"))
    except ValueError as error:
        raise RowError(Fault.BAD_JSON, f"the line is no JSON: {error}") from error
    if not isinstance(raw, dict):
        raise RowError(Fault.BAD_JSON, f"the line is no JSON object but a {type(raw).__name__}")
    return raw
