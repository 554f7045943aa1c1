"""What can be wrong with a row of training data, each with what to do about it."""

from collections.abc import Callable
from enum import StrEnum

from veriloop.core.base import Frozen
from veriloop.core.errors import VeriloopError


class Fault(StrEnum):
    """The kinds of faults; those marked with * cost the row, the others leave it readable."""

    BAD_JSON = "bad_json"
    """* The line is no JSON object in UTF-8."""
    BAD_ROW = "bad_row"
    """* A field that every row needs is missing or of the wrong type."""
    BAD_CRITERIA = "bad_criteria"
    """* `evaluation_criteria` does not parse."""
    BAD_CALL = "bad_call"
    """* A tool call has no name, or arguments that do not parse."""
    NEWER = "newer"
    """* A row that another version of veriloop exported."""
    NO_ID = "no_id"
    """The row does not say which task or dialogue it is."""
    DUPLICATE_ID = "duplicate_id"
    """An earlier row of the file has the same id, or the same turn of the same dialogue."""
    NO_DOMAIN = "no_domain"
    """Nothing names the domain."""
    NO_DB_PATH = "no_db_path"
    """The row names no database."""
    UNSAFE_DB_PATH = "unsafe_db_path"
    """`db_path` leads out of the folder of the data; it is not followed."""
    NO_DATABASE = "no_database"
    """The database that the row names is not there, or is none of the domain."""
    NULL_ARGUMENTS = "null_arguments"
    """Arguments that are null, as a table of all tools' arguments pads them; they are left out."""
    LOST = "lost"
    """The row asks for something that our tasks cannot hold."""
    CHANGED = "changed"
    """A row of our own export was changed since; it is lost where its parts no longer fit together."""
    CALL_IN_TEXT = "call_in_text"
    """The second dialect of tool calls, `<tool_call>` in the text; it is read as a call."""
    MIXED_SEATS = "mixed_seats"
    """Tool calls of the user stand in the agent's view."""
    DISAGREEMENT = "disagreement"
    """The judge (`correct`) and the checker (`reward`) do not say the same."""
    TURN_ROWS = "turn_rows"
    """Rows are turns of fewer dialogues, whose beginnings they repeat."""
    NOT_REPLAYABLE = "not_replayable"
    """Dialogues without a database to replay them on."""
    BROKEN_DIALOGUE = "broken_dialogue"
    """A row is no part of its dialogue as the other rows have it, or does not stand with them."""
    BAD_GOLD = "bad_gold"
    """The gold calls do not replay, or the task's own checker does not pass them."""


FIXES: dict[Fault, str] = {
    Fault.BAD_JSON: "write one JSON object per line, or drop the line",
    Fault.BAD_ROW: "correct the field, or drop the row",
    Fault.BAD_CRITERIA: "write the criteria as tau2 has them, as an object or as its JSON text, or drop the row",
    Fault.BAD_CALL: "correct the call, or drop the row",
    Fault.NEWER: "upgrade veriloop, or take the row's `veriloop` field out",
    Fault.NO_ID: "give every row an id of its own",
    Fault.DUPLICATE_ID: "drop the later row, or give it an id of its own",
    Fault.NO_DOMAIN: "name it in user_scenario.instructions.domain",
    Fault.NO_DB_PATH: "add the path of its database, relative to the rows' file",
    Fault.UNSAFE_DB_PATH: "put the database into a folder next to the rows' file and name it relative to that",
    Fault.NO_DATABASE: "fetch the database folder along with the rows, or drop the row",
    Fault.NULL_ARGUMENTS: "write the call without them, arguments as JSON text",
    Fault.LOST: "judge such rows with tau2's own evaluator",
    Fault.CHANGED: "export it again from its run, or take its `veriloop` field out to use it as it stands",
    Fault.CALL_IN_TEXT: "write all calls as `tool_calls`",
    Fault.MIXED_SEATS: "leave the user's calls and their results out of what the agent is trained on",
    Fault.DISAGREEMENT: "trust neither: replay the dialogue, or drop it",
    Fault.TURN_ROWS: "join them with join_dialogues, and count and split dialogues, not rows",
    Fault.NOT_REPLAYABLE: "train on them unchecked, or make dialogues of tasks that name their database",
    Fault.BROKEN_DIALOGUE: "keep the rows of a dialogue together (or join with together=False), or drop the dialogue",
    Fault.BAD_GOLD: "drop the task: no agent can be right in it",
}


class Finding(Frozen):
    """A fault of a row, by file name and line (from 1); `count` rows have it where it is told once for a file."""

    file: str
    row: int
    fault: Fault
    what: str
    count: int = 1

    @property
    def fix(self) -> str:
        """What to do about it."""
        return FIXES[self.fault]

    def __str__(self) -> str:
        return f"{self.file}:{self.row}: {self.what}; {self.fix}"


class RowError(VeriloopError):
    """A fault that costs the row."""

    def __init__(self, fault: Fault, what: str) -> None:
        super().__init__(f"{what}; {FIXES[fault]}")
        self.fault, self.what = fault, what


Note = Callable[[Fault, str], None]
"""Takes a fault of the row at hand that leaves it readable, in words."""


def drop_nulls(arguments: dict[str, object], name: str, note: Note) -> dict[str, object]:
    """Return a call's arguments without those that are null, which are noted."""
    padded = [key for key, value in arguments.items() if value is None]
    if padded:
        note(Fault.NULL_ARGUMENTS, f"{name} has null arguments: {', '.join(padded)}")
    return {key: value for key, value in arguments.items() if value is not None}
