"""RL rows of AReaL's tau2 data, read: a task of tau2's format that becomes one of ours."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from veriloop.core.message import Seat, ToolCall
from veriloop.domains.task import Initial, SeatCall, Task, UserScenario
from veriloop.store.fault import Fault, Note, RowError, drop_nulls
from veriloop.store.file import parse_json
from veriloop.store.mark import read_mark
from veriloop.store.patch import apply_patch
from veriloop.store.tau2 import REQUESTOR

_SEATS: dict[str, Seat] = {requestor: seat for seat, requestor in REQUESTOR.items()}
_TAU2 = ("airline", "retail", "telecom")


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task with the line it stands on.

    database: the file of its database, None where there is none (that can be used). start: tau2's
    `initialization_data`. own: we exported it, so that `task.initial.database` is an id of the domain.
    """

    file: str
    row: int
    id: str
    task: Task
    database: Path | None
    start: dict[str, Any] | None
    own: bool


class _Instructions(BaseModel):
    domain: str = ""
    reason_for_call: str | None = None
    known_info: str | None = None
    unknown_info: str | None = None
    task_instructions: str | None = None


class _Scenario(BaseModel):
    persona: str | None = None
    instructions: _Instructions | str = _Instructions()


class _Function(BaseModel):
    env_type: Literal["assistant", "user"]
    func_name: str
    arguments: dict[str, JsonValue] | None = None
    assert_value: bool | None = None


class _Action(BaseModel):
    name: str
    requestor: Literal["assistant", "user"] | None = None
    arguments: dict[str, JsonValue] | None = None


class _Start(BaseModel):
    initialization_data: dict[str, JsonValue] | None = None
    initialization_actions: list[_Function] | None = None
    message_history: list[JsonValue] | None = None


class _Criteria(BaseModel):
    actions: list[_Action] | None = None
    communicate_info: list[str] | None = None
    env_assertions: list[_Function] | None = None
    nl_assertions: list[str] | None = None


class _Row(BaseModel):
    user_scenario: _Scenario
    ticket: str | None = None
    initial_state: _Start | None = None


_Model = TypeVar("_Model", bound=BaseModel)


def read_task_row(raw: dict[str, Any], file: Path, number: int, note: Note, *, packaged: bool = False) -> TaskRow:
    """Return the task of an RL row; raises RowError when it cannot be read as one.

    packaged: the row is to name no database, whoever has the domain has it.
    """
    row_id = raw.get("id")
    if not isinstance(row_id, str) or not row_id:
        note(Fault.NO_ID, "the row has no id")
        row_id = ""
    mark = read_mark(raw, {"task": dict}, note)
    task = restore_task(raw, note, own=mark is not None)
    if mark is not None:
        task = _apply_mark(task, mark)
        if row_id != name_task(task):
            note(Fault.CHANGED, f"with its `veriloop` field the row makes task {task.id}, which its id does not name")
    packaged = packaged or (mark is not None and mark.get("db") == "package")
    database = None if packaged else find_database(raw.get("db_path"), file.parent, note)
    start = (raw.get("initial_state") or {}).get("initialization_data")
    return TaskRow(file.name, number, row_id, task, database, start, own=mark is not None)


def restore_task(raw: dict[str, Any], note: Note, *, own: bool) -> Task:
    """Return the task that an RL row's fields of tau2 make; the calls get ids by their place.

    own: null arguments were meant and stay. Raises RowError.
    """
    row, criteria = _parse(_Row, raw, Fault.BAD_ROW, "the row"), _parse_criteria(raw.get("evaluation_criteria"))
    start = row.initial_state or _Start()
    _note_lost(criteria, start, note)
    actions = [_Function(env_type=a.requestor or "assistant", func_name=a.name, arguments=a.arguments)
               for a in criteria.actions or ()]  # fmt: skip
    held = [asked for asked in criteria.env_assertions or () if asked.assert_value is not False]
    db_path = raw.get("db_path")
    return Task(
        domain=_find_domain(row.user_scenario, raw, note),
        initial=Initial(
            database=db_path if isinstance(db_path, str) else "",
            calls=_read_calls("initial", start.initialization_actions or (), note, own),
            ticket=row.ticket,
        ),
        user=_read_scenario(row.user_scenario),
        gold=_read_calls("call", actions, note, own),
        told=tuple(criteria.communicate_info or ()),
        holds=_read_calls("holds", held, note, own),
    )


def _parse(model: type[_Model], value: Any, fault: Fault, what: str) -> _Model:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RowError(fault, f"{what}: {place or 'it'}: {first['msg']}") from error


def _parse_criteria(value: Any) -> _Criteria:
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except ValueError as error:
            raise RowError(Fault.BAD_CRITERIA, f"evaluation_criteria is no JSON: {error}") from error
    return _parse(_Criteria, value, Fault.BAD_CRITERIA, "evaluation_criteria")


def _note_lost(criteria: _Criteria, start: _Start, note: Note) -> None:
    if criteria.nl_assertions:
        note(Fault.LOST, f"{len(criteria.nl_assertions)} nl_assertions, which a judge would have to decide")
    if start.message_history:
        note(Fault.LOST, f"a message_history of {len(start.message_history)}: our dialogues begin at the beginning")
    if any(asked.assert_value is False for asked in criteria.env_assertions or ()):
        note(Fault.LOST, "an env_assertion that has to be false")


def _read_calls(prefix: str, functions: Sequence[_Function], note: Note, own: bool) -> tuple[SeatCall, ...]:
    calls = []
    for place, function in enumerate(functions):
        arguments: Any = function.arguments or {}
        if not own:
            arguments = drop_nulls(arguments, function.func_name, note)
        call = ToolCall(id=f"{prefix}_{place}", name=function.func_name, arguments=arguments)
        calls.append(SeatCall(seat=_SEATS[function.env_type], call=call))
    return tuple(calls)


def _read_scenario(scenario: _Scenario) -> UserScenario:
    told = scenario.instructions
    if isinstance(told, str):
        told = _Instructions(task_instructions=told)
    return UserScenario(
        persona=scenario.persona or "",
        reason_for_call=told.reason_for_call or "",
        known_info=told.known_info or "",
        unknown_info=told.unknown_info or "",
        task_instructions=told.task_instructions or "",
    )


def _find_domain(scenario: _Scenario, raw: dict[str, Any], note: Note) -> str:
    """Return the domain by our name; the released ids begin with tau2's name of it."""
    named = scenario.instructions.domain if isinstance(scenario.instructions, _Instructions) else ""
    prefix = str(raw.get("id")).partition("_")[0]
    name = named or (prefix if prefix in _TAU2 else "")
    if not name:
        note(Fault.NO_DOMAIN, "neither the scenario nor the id names a domain")
    return f"tau2/{name}" if name in _TAU2 else name


def find_database(db_path: Any, folder: Path, note: Note) -> Path | None:
    """Return the file of the database that a row in a folder names; None, noted, where it is none or not safe."""
    if not isinstance(db_path, str) or not db_path:
        note(Fault.NO_DB_PATH, "the row has no db_path")
        return None
    parts = PureWindowsPath(db_path)  # knows both kinds of slashes, and drives
    if parts.drive or parts.root or ".." in parts.parts or "\0" in db_path:
        note(Fault.UNSAFE_DB_PATH, f"db_path {db_path!r} leads out of the folder")
        return None
    try:
        found = (folder / db_path).resolve()
        inside, there = found.is_relative_to(folder.resolve()), found.is_file()
    except (OSError, RuntimeError):  # a name too long for the file system, a loop of links
        inside, there = True, False
    if not inside:
        note(Fault.UNSAFE_DB_PATH, f"db_path {db_path!r} is a link out of the folder")
        return None
    if not there:
        note(Fault.NO_DATABASE, f"there is no database {db_path!r}")
        return None
    return folder / db_path


def _apply_mark(task: Task, mark: dict[str, Any]) -> Task:
    try:
        return Task.model_validate(apply_patch(task.model_dump(mode="json"), mark["task"]))
    except ValueError as error:
        first = str(error).partition("\n")[0]
        raise RowError(Fault.CHANGED, f"the row's `veriloop` field does not fit its other fields: {first}") from error


def name_task(task: Task) -> str:
    """Return the id of a task's row, which begins with the domain as the released ones do."""
    return f"{task.domain.rpartition('/')[2]}_{task.id}"
