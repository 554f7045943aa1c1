"""Exports that trainers load as they are: whole dialogues, one row per turn, or tau2 tasks.

Tool arguments and the list of tools are JSON text: columns of nested objects would be padded with nulls by Arrow, and
a model trained on padded calls learns to make them.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from veriloop.core.base import Frozen
from veriloop.core.errors import InputError
from veriloop.core.message import Seat, Turn
from veriloop.domains.domain import Domain
from veriloop.domains.perspective import seat_tools, system_text, visible_turns
from veriloop.domains.task import Task
from veriloop.store.file import write_lines
from veriloop.store.result import Dialogue, iter_all_dialogues, iter_dialogues, iter_tasks
from veriloop.store.run import Run
from veriloop.store.split import Grouping, choose_test_tasks
from veriloop.store.tau2 import find_data, to_tau2_task

Format = Literal["messages", "turns", "tau2"]
Row = dict[str, Any]


class Exported(Frozen):
    """How many rows were written and where."""

    rows: int
    path: str


@dataclass(frozen=True, slots=True)
class Chat:
    """A dialogue as one seat sees it, in OpenAI's terms: the seat is the assistant, the other seat the user.

    produced: positions in `messages` that the seat's player produced (the fixed greeting is not among them).
    """

    messages: list[Row]
    produced: list[int]


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
    """Write the run's dialogues (or its proved tasks, for tau2) and return rows and path; equal runs, equal bytes.

    out: by default `RUN/data/<format>-<seat>.jsonl`, for tau2 `RUN/data/tau2.json`. Raises InputError when the run
    has nothing to export, its tasks cannot be split, or `out` is a directory.
    """
    choice = choice or Choice()
    path = out or run.directory("data") / ("tau2.json" if to == "tau2" else f"{to}-{seat}.jsonl")
    if path.is_dir():
        raise InputError(f"--out {str(path)!r} is a directory; name a file in it")
    if to == "tau2":
        return _export_tau2(domain, run, path)
    held_out = choose_test_tasks(run, choice.split, choice.share) if choice.split else None
    lines = (_dump(row) for dialogue in _choose(run, choice) for row in _write(domain, dialogue, seat, to, held_out))
    return _finish(run, path, lines)


def to_chat(domain: Domain, task: Task, turns: tuple[Turn, ...], seat: Seat) -> Chat:
    """Return a dialogue in a seat's view."""
    messages: list[Row] = [{"role": "system", "content": system_text(domain, task, seat)}]
    produced = []
    greeting = turns[0] if turns else None
    for turn in visible_turns(turns, seat):
        if turn.seat != seat:
            messages.append({"role": "user", "content": turn.spoken})
            continue
        if turn is not greeting:
            produced.append(len(messages))
        messages += _own_messages(turn)
    return Chat(messages, produced)


def dump_tools(domain: Domain, seat: Seat) -> str:
    """Return a seat's tools as OpenAI function schemas in JSON text."""
    return json.dumps([tool.schema() for tool in seat_tools(domain, seat)], ensure_ascii=False)


def _own_messages(turn: Turn) -> Iterator[Row]:
    message: Row = {"role": "assistant", "content": turn.content}
    if turn.thinking:
        message["reasoning_content"] = turn.thinking
    if turn.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)},
            }
            for call in turn.tool_calls
        ]
    yield message
    for result in turn.results:
        yield {"role": "tool", "tool_call_id": result.call_id, "content": result.content}


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
    split = {} if held_out is None else {"split": "test" if dialogue.task.id in held_out else "train"}
    for row in _ROWS[to](domain, dialogue, seat):
        yield {**row, **split}


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
        "success": dialogue.findings.get("success", True),
        "tools": dump_tools(domain, seat),
    }


_ROWS: dict[str, Callable[[Domain, Dialogue, Seat], Iterator[Row]]] = {"messages": _message_rows, "turns": _turn_rows}


def _export_tau2(domain: Domain, run: Run, path: Path) -> Exported:
    """Write one JSON list, the form of tau2's own task files, one task per line."""
    tasks = (_dump(to_tau2_task(task, find_data(domain, task))) for _, task in iter_tasks(run))
    exported = _finish(run, path, _as_list(tasks))
    return Exported(rows=exported.rows - 2, path=exported.path)


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
