"""SFT rows of AReaL's tau2 data, read: one assistant turn with all that was said before it."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veriloop.store.chat import Row
from veriloop.store.fault import Fault, Note, RowError
from veriloop.store.mark import read_mark
from veriloop.store.message import MessageReader


@dataclass(frozen=True, slots=True)
class TurnRow:
    """A turn to learn: `messages` before it and the `answer`, as `export --to messages` has them.

    turn: its number as the row gives it. correct, passed: what a judge and the checker said, None where the row does
    not tell. task, database, turns: ours in rows that we exported (turns: how many rows the dialogue has), else empty.
    after: what followed the dialogue's last turn.
    """

    file: str
    row: int
    dialogue: str
    turn: int | None
    messages: list[Row]
    answer: Row
    tools: str
    correct: bool | None
    passed: bool | None
    task: str = ""
    database: str = ""
    turns: int = 0
    after: tuple[Row, ...] = ()

    @property
    def own(self) -> bool:
        """True for a row that we exported."""
        return bool(self.task)


def read_turn_row(raw: dict[str, Any], file: Path, number: int, note: Note, user_tools: Collection[str]) -> TurnRow:
    """Return the turn of an SFT row; raises RowError when it cannot be read as one.

    user_tools: names of the tools that only the user has, so that their calls can be told from the agent's.
    """
    messages, answer, about = raw.get("messages"), raw.get("answer"), raw.get("metadata")
    if not isinstance(messages, list) or not isinstance(answer, dict):
        raise RowError(Fault.BAD_ROW, "a row of a dialogue needs a list `messages` and an object `answer`")
    about = about if isinstance(about, dict) else {}
    mark = read_mark(raw, {"task": str, "database": str, "turns": int, "after": list}, note)
    reader = MessageReader(note, own=mark is not None, foreign_tools=user_tools)
    correct, passed = _read_flag(about.get("correct")), _read_flag(about.get("reward"))
    if None not in (correct, passed) and correct != passed:
        note(Fault.DISAGREEMENT, f"correct is {about['correct']} and reward is {about['reward']}")
    mark, turn, tools = mark or {}, about.get("turn_index"), raw.get("tools")
    return TurnRow(
        file=file.name,
        row=number,
        dialogue=_read_dialogue(about.get("source_dialog_id"), number, note),
        turn=turn if isinstance(turn, int) else None,
        messages=[reader.read(message, f"message {place}") for place, message in enumerate(messages)],
        answer=reader.read({"role": "assistant", **answer}, "the answer"),
        tools=tools if isinstance(tools, str) else json.dumps(tools or []),
        correct=correct,
        passed=passed,
        task=mark.get("task", ""),
        database=mark.get("database", ""),
        turns=mark.get("turns", 0),
        after=tuple(reader.read(message, "what follows") for message in mark.get("after", ())),
    )


def _read_flag(value: Any) -> bool | None:
    return value == 1 if isinstance(value, bool | int | float) else None


def _read_dialogue(value: Any, number: int, note: Note) -> str:
    if isinstance(value, str) and value:
        return value
    note(Fault.NO_ID, "the row has no metadata.source_dialog_id")
    return f"row {number}"
