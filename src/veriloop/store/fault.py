"""What can be wrong with a row of training data, each with what to do about it."""

from collections.abc import Callable
from enum import StrEnum

from veriloop.core.base import Frozen
from veriloop.core.errors import VeriloopError


class Severity(StrEnum):
    """How bad a kind of fault is."""

    NOTE = "note"
    """Worth knowing."""
    WARNING = "warning"
    """Likely to do harm, or found by a rule that may err."""
    ERROR = "error"
    """Whoever trains on it learns something wrong, or the row cannot be used."""

    @property
    def rank(self) -> int:
        """A number that grows with it."""
        return list(Severity).index(self)


class Mend(StrEnum):
    """What a cleaned copy makes of rows with a fault."""

    MENDED = "mended"
    """The row is written anew without it; where that cannot be done, it is treated as gated."""
    DROPPED = "dropped"
    """The row is left out, whatever is asked for."""
    GATED = "gated"
    """The row is left out where the fault's severity is one to fail on."""


class Fault(StrEnum):
    """The kinds of faults; those marked with * cost the row, the others leave it readable."""

    BAD_FILE = "bad_file"
    """The file is no text, is cut off, or holds no row."""
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
    """A row of our own export, or one of its dialogue, was changed or taken out; it is lost where it no longer fits."""
    CALL_IN_TEXT = "call_in_text"
    """A tool call in the text, as `<tool_call>` or in another dialect; it is read as a call."""
    MIXED_SEATS = "mixed_seats"
    """Tool calls of the other seat stand in a seat's view."""
    DIALECT = "dialect"
    """A tool call is not written as OpenAI's are: it is flat, or its arguments are an object that readers pad."""
    CALL_IDS = "call_ids"
    """A tool call has no id, or that of another call of its message."""
    RESULT_IDS = "result_ids"
    """A result has no id where its call has one, or an id that no call has."""
    TOOL_ORDER = "tool_order"
    """Results do not stand behind the calls that they answer, or a call has no result."""
    BAD_TOOLS = "bad_tools"
    """`tools` is no list of functions with schemas."""
    NO_TOOLS = "no_tools"
    """Tools are called, and nobody tells which there are: not the row, nor its domain, nor its system text."""
    TOOL_DIALECT = "tool_dialect"
    """A tool is not written as OpenAI's are: it is flat, or has an `input_schema`."""
    DUPLICATE_TOOL = "duplicate_tool"
    """A tool stands among the row's tools twice."""
    UNKNOWN_TOOL = "unknown_tool"
    """A call of a tool that the row, or its domain, does not have."""
    BAD_ARGUMENTS = "bad_arguments"
    """A call whose arguments the tool's schema does not allow."""
    EMPTY_REPLY = "empty_reply"
    """A reply to learn has neither text nor calls."""
    UNGROUNDED = "ungrounded"
    """A reply to learn states an identifier or amount that nothing before it in the dialogue has."""
    DISAGREEMENT = "disagreement"
    """What the row says of success, such as the judge's `correct` and the checker's `reward`, is not the same."""
    DUPLICATE = "duplicate"
    """An earlier row says the same, but for case, spaces and punctuation."""
    LEAKAGE = "leakage"
    """The row is about people, words or defects of the benchmark's own tasks."""
    CONTRADICTION = "contradiction"
    """System texts demand and forbid the same, or demand calls in two formats."""
    TOO_LONG = "too_long"
    """The row is longer than a model's context."""
    PERSONAL_DATA = "personal_data"
    """The row has what looks like an e-mail address, phone, card, account or social security number of a person."""
    TURN_ROWS = "turn_rows"
    """Rows are turns of fewer dialogues, whose beginnings they repeat."""
    NOT_REPLAYABLE = "not_replayable"
    """Dialogues without a database to replay them on."""
    BROKEN_DIALOGUE = "broken_dialogue"
    """A row is no part of its dialogue as the other rows have it, or does not stand with them."""
    BAD_GOLD = "bad_gold"
    """The gold calls do not replay, or the task's own checker does not pass them."""


FIXES: dict[Fault, str] = {
    Fault.BAD_FILE: "write UTF-8 text, one JSON object a line, plain or gzipped, or fetch the file again",
    Fault.BAD_JSON: "write one JSON object per line, or drop the line",
    Fault.BAD_ROW: "correct the field, or drop the row",
    Fault.BAD_CRITERIA: "write the criteria as tau2 has them, as an object or as its JSON text, or drop the row",
    Fault.BAD_CALL: "correct the call, or drop the row",
    Fault.NEWER: "export it again with this veriloop, or take the row's `veriloop` field out",
    Fault.NO_ID: "give every row an id of its own",
    Fault.DUPLICATE_ID: "drop the later row, or give it an id of its own",
    Fault.NO_DOMAIN: "name it in user_scenario.instructions.domain",
    Fault.NO_DB_PATH: "add the path of its database, relative to the rows' file",
    Fault.UNSAFE_DB_PATH: "put the database into a folder next to the rows' file and name it relative to that",
    Fault.NO_DATABASE: "fetch the database folder along with the rows, or drop the row",
    Fault.NULL_ARGUMENTS: "write the call without them, arguments as JSON text",
    Fault.LOST: "judge such rows with tau2's own evaluator",
    Fault.CHANGED: "export it again from its run, or take its `veriloop` field out to use it as it stands",
    Fault.DIALECT: "write the call as {id, type, function: {name, arguments}}, arguments as JSON text",
    Fault.CALL_IDS: "number the calls, and give each result the number of its call",
    Fault.RESULT_IDS: "give each result the id of the call that it answers, or drop the row",
    Fault.TOOL_ORDER: "put each result right behind the message that calls for it, or drop the row",
    Fault.BAD_TOOLS: "write the tools as OpenAI has them, as a list or as its JSON text, or drop the row",
    Fault.NO_TOOLS: "give the row the tools that it was made with, or name its domain",
    Fault.TOOL_DIALECT: "write the tool as {type, function: {name, description, parameters}}",
    Fault.DUPLICATE_TOOL: "list each tool once; where the two differ, find out which was meant",
    Fault.UNKNOWN_TOOL: "name the tool among the row's tools, or drop the row",
    Fault.BAD_ARGUMENTS: "correct the call, or drop the row",
    Fault.EMPTY_REPLY: "drop the row, or take the reply out of what is learned",
    Fault.UNGROUNDED: "read the reply: where it is made up, drop the row",
    Fault.DUPLICATE: "drop the later row",
    Fault.LEAKAGE: "do not train on it: scores on the benchmark would mean nothing",
    Fault.CONTRADICTION: "give all rows of a domain one policy, and that policy one word on everything",
    Fault.TOO_LONG: "drop the row, or train with a longer context (--max-tokens)",
    Fault.PERSONAL_DATA: "make sure that nobody real is meant, or drop the row",
    Fault.CALL_IN_TEXT: "write all calls as `tool_calls`",
    Fault.MIXED_SEATS: "leave the user's calls and their results out of what the agent is trained on",
    Fault.DISAGREEMENT: "trust neither: replay the dialogue, or drop it",
    Fault.TURN_ROWS: "join them with join_dialogues, and count and split dialogues, not rows",
    Fault.NOT_REPLAYABLE: "train on them unchecked, or make dialogues of tasks that name their database",
    Fault.BROKEN_DIALOGUE: "keep the rows of a dialogue together (or join with together=False), or drop the dialogue",
    Fault.BAD_GOLD: "drop the task: no agent can be right in it",
}

_WARNINGS = (
    Fault.NO_ID, Fault.NO_DOMAIN, Fault.NO_DB_PATH, Fault.CHANGED, Fault.DIALECT, Fault.CALL_IDS, Fault.UNGROUNDED,
    Fault.DISAGREEMENT, Fault.DUPLICATE, Fault.CONTRADICTION, Fault.TOO_LONG, Fault.NO_TOOLS, Fault.TOOL_DIALECT,
    Fault.DUPLICATE_TOOL,
)  # fmt: skip
_NOTES = (Fault.LOST, Fault.TURN_ROWS, Fault.NOT_REPLAYABLE, Fault.PERSONAL_DATA)
SEVERITIES: dict[Fault, Severity] = {
    fault: Severity.WARNING if fault in _WARNINGS else Severity.NOTE if fault in _NOTES else Severity.ERROR
    for fault in Fault
}
_MENDED = (
    Fault.NULL_ARGUMENTS, Fault.CALL_IN_TEXT, Fault.MIXED_SEATS, Fault.DIALECT, Fault.CALL_IDS, Fault.RESULT_IDS,
    Fault.TOOL_ORDER, Fault.CHANGED, Fault.TOOL_DIALECT, Fault.DUPLICATE_TOOL,
)  # fmt: skip
_DROPPED = (Fault.BAD_FILE, Fault.BAD_JSON, Fault.DUPLICATE, Fault.DUPLICATE_ID)
MENDS: dict[Fault, Mend] = {
    fault: Mend.MENDED if fault in _MENDED else Mend.DROPPED if fault in _DROPPED else Mend.GATED for fault in Fault
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

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return SEVERITIES[self.fault]

    def __str__(self) -> str:
        return f"{self.file}:{self.row}: {self.what}; {self.fix}"


class RowError(VeriloopError):
    """A fault that costs the row."""

    def __init__(self, fault: Fault, what: str) -> None:
        super().__init__(f"{what}; {FIXES[fault]}")
        self.fault, self.what = fault, what


Note = Callable[[Fault, str], None]
"""Takes a fault of the row at hand that leaves it readable, in words."""


class RowNotes:
    """What was noted of one row: a finding for each kind of fault, in the words of the first and how many more."""

    def __init__(self, file: str, row: int) -> None:
        self._file, self._row = file, row
        self._found: dict[Fault, list[str]] = {}

    def add(self, fault: Fault, what: str) -> None:
        """Note a fault."""
        self._found.setdefault(fault, []).append(what)

    @property
    def faults(self) -> set[Fault]:
        """The kinds of what was noted so far."""
        return set(self._found)

    def tell(self, fault: Fault) -> str:
        """Return what was noted of a kind in words, empty where nothing was."""
        return _sum_up(self._found[fault]) if fault in self._found else ""

    def findings(self) -> list[Finding]:
        """Return what was noted, in the order of the first of each kind."""
        return [
            Finding(file=self._file, row=self._row, fault=fault, what=_sum_up(found))
            for fault, found in self._found.items()
        ]


def _sum_up(found: list[str]) -> str:
    return found[0] + (f", and {len(found) - 1} more" if len(found) > 1 else "")


def drop_nulls(arguments: dict[str, object], name: str, note: Note) -> dict[str, object]:
    """Return a call's arguments without those that are null, which are noted."""
    padded = [key for key, value in arguments.items() if value is None]
    if padded:
        note(Fault.NULL_ARGUMENTS, f"{name} has null arguments: {', '.join(padded)}")
    return {key: value for key, value in arguments.items() if value is not None}
