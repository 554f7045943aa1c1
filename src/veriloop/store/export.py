"""Exports that trainers load as they are: whole dialogues, one row per turn, tau2 tasks, or what AReaL trains on.

Tool arguments and the list of tools are JSON text: columns of nested objects would be padded with nulls by Arrow, and
a model trained on padded calls learns to make them.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from veriloop.core.base import Frozen
from veriloop.core.errors import InputError
from veriloop.core.message import Seat
from veriloop.domains.domain import Domain
from veriloop.domains.snapshot import take_snapshot
from veriloop.store.areal import DATABASES, RL_FILE, SFT_FILE, list_user_tools, name_snapshot, to_areal_rl, to_areal_sft
from veriloop.store.chat import Row, dump_tools, to_chat
from veriloop.store.file import write_lines, write_text
from veriloop.store.result import Dialogue, iter_all_dialogues, iter_dialogues, iter_tasks
from veriloop.store.run import Run
from veriloop.store.split import Grouping, choose_test_tasks
from veriloop.store.tau2 import find_data, to_tau2_task

Format = Literal["messages", "turns", "tau2", "areal"]


class Exported(Frozen):
    """How many rows were written and where."""

    rows: int
    path: str


class Choice(Frozen):
    """Which dialogues are written, and which of them are for testing.

    keep: `good` needs the checker's pass and the trajectory verifier's success, `passed` the checker's alone, `all`
    neither. split: hold out whole groups of tasks, about `share` of them.
    """

    keep: Literal["good", "passed", "all"] = "good"
    split: Grouping | None = None
    share: float = 0.1


def export(
    run: Run, domain: Domain, to: Format, *, seat: Seat = "agent", out: Path | None = None, choice: Choice | None = None
) -> Exported:
    """Write the run's dialogues (its proved tasks for tau2, both for areal); equal runs, equal bytes.

    out: by default `RUN/data/<format>-<seat>.jsonl`, for tau2 `RUN/data/tau2.json`; for areal a folder, by default
    `RUN/data/areal-<seat>`. Raises InputError when the run has nothing to export, its tasks cannot be split, or `out`
    is a directory where a file is due or the other way round.
    """
    choice = choice or Choice()
    path = out or run.directory("data") / _NAMES.get(to, f"{to}-{seat}.jsonl").format(seat=seat)
    if to == "areal" and path.is_file():
        raise InputError(f"--out {str(path)!r} is a file; name a folder, for this writes rows and databases")
    if to != "areal" and path.is_dir():
        raise InputError(f"--out {str(path)!r} is a directory; name a file in it")
    if to == "tau2":
        return _export_tau2(domain, run, path)
    held_out = choose_test_tasks(run, choice.split, choice.share) if choice.split else None
    lines = (_dump(row) for dialogue in _choose(run, choice) for row in _write(domain, dialogue, seat, to, held_out))
    if to == "areal":
        return _export_areal(domain, run, path, lines, held_out)
    return _finish(run, path, lines)


def _choose(run: Run, choice: Choice) -> Iterator[Dialogue]:
    if choice.keep == "good":
        yield from iter_dialogues(run, good=True)
        return
    for dialogue in iter_all_dialogues(run):
        if choice.keep == "all" or dialogue.verdict.passed:
            yield dialogue


def _write(
    domain: Domain, dialogue: Dialogue, seat: Seat, to: Format, held_out: frozenset[str] | None
) -> Iterator[Row]:
    split = _mark_split(dialogue.task.id, held_out)
    for row in _ROWS[to](domain, dialogue, seat):
        yield {**row, **split}


def _mark_split(task_id: str, held_out: frozenset[str] | None) -> Row:
    return {} if held_out is None else {"split": "test" if task_id in held_out else "train"}


def _message_rows(domain: Domain, dialogue: Dialogue, seat: Seat) -> Iterator[Row]:
    """One row per dialogue; `loss_on` holds the positions of the messages to learn."""
    chat = to_chat(domain, dialogue.task, dialogue.trace.turns, seat)
    if chat.produced:
        yield {**_origin(domain, dialogue, seat), "messages": chat.messages, "loss_on": chat.produced}


def _turn_rows(domain: Domain, dialogue: Dialogue, seat: Seat) -> Iterator[Row]:
    """One row per turn of the seat: all before it as the prompt, the turn as the completion to learn."""
    chat = to_chat(domain, dialogue.task, dialogue.trace.turns, seat)
    for number, position in enumerate(chat.produced):
        prompt, completion = chat.messages[:position], [chat.messages[position]]
        yield {**_origin(domain, dialogue, seat), "turn": number, "prompt": prompt, "completion": completion}


def _origin(domain: Domain, dialogue: Dialogue, seat: Seat) -> Row:
    return {
        "domain": domain.name,
        "task_id": dialogue.task.id,
        "trial": dialogue.trial,
        "database": dialogue.task.initial.database,
        "plan": dialogue.task.provenance.plan,
        "seat": seat,
        "verdict": dialogue.verdict.outcome.value,
        "success": dialogue.findings.get("success", dialogue.verdict.passed),
        "opinion": dialogue.read_opinion("opinion"),
        "judge": dialogue.read_opinion("judge"),
        "tools": dump_tools(domain, seat, alone=dialogue.task.initial.ticket is not None),
    }


_ROWS: dict[str, Callable[[Domain, Dialogue, Seat], Iterator[Row]]] = {
    "messages": _message_rows,
    "turns": _turn_rows,
    "areal": to_areal_sft,
}
_NAMES = {"tau2": "tau2.json", "areal": "areal-{seat}"}
"""What is written by default, where that is no file of rows."""


def _export_tau2(domain: Domain, run: Run, path: Path) -> Exported:
    """Write one JSON list, the form of tau2's own task files, one task per line."""
    tasks = (_dump(to_tau2_task(task, find_data(domain, task))) for _, task in iter_tasks(run))
    exported = _finish(run, path, _as_list(tasks))
    return Exported(rows=exported.rows - 2, path=exported.path)


def _export_areal(
    domain: Domain, run: Run, folder: Path, turns: Iterator[str], held_out: frozenset[str] | None
) -> Exported:
    """Write tasks, turns, and each database that a task plays on once."""
    databases: dict[str, str | None] = {}

    def rows() -> Iterator[str]:
        for _, task in iter_tasks(run):
            database = task.initial.database
            if database not in databases:
                databases[database] = _export_database(domain, database, folder)
            row = to_areal_rl(task, find_data(domain, task), databases[database], list_user_tools(domain))
            yield _dump({**row, **_mark_split(task.id, held_out)})

    tasks = _finish(run, folder / RL_FILE, rows()).rows
    return Exported(rows=tasks + write_lines(folder / SFT_FILE, turns), path=str(folder))


def _export_database(domain: Domain, database: str, folder: Path) -> str | None:
    """Return the path that rows name a database by, None when the domain cannot write it."""
    content = take_snapshot(domain, database)
    if content is None:
        return None
    path = f"{DATABASES}/{name_snapshot(domain.name, database)}"
    write_text(folder / path, _dump(content))
    return path


def _as_list(items: Iterator[str]) -> Iterator[str]:
    """Yield a JSON list line by line; nothing at all when there is no item."""
    previous = next(items, None)
    if previous is None:
        return
    yield "["
    for item in items:
        yield previous + ","
        previous = item
    yield previous
    yield "]"


def _finish(run: Run, path: Path, lines: Iterator[str]) -> Exported:
    first = next(lines, None)
    if first is None:
        raise InputError(f"run {str(run.path)!r} has nothing to export; finish it with `veriloop synth ... --resume`")

    def every() -> Iterator[str]:
        yield first
        yield from lines

    return Exported(rows=write_lines(path, every()), path=str(path))


def _dump(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))
