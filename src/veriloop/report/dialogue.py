"""The whole dialogues that a report shows: a few demonstrations of each kind, and wins and losses of each agent."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veriloop.core.message import Change, Turn
from veriloop.core.trace import Trace
from veriloop.core.verdict import Verdict
from veriloop.domains.perspective import render_scenario
from veriloop.domains.task import Task
from veriloop.report.agreement import READERS, tell_opinion
from veriloop.store.result import iter_dialogues
from veriloop.store.run import Run

SCANNED = 400
"""Demonstrations looked through for one of each tier."""
LONGEST = 3000
"""Characters of one tool result that are shown."""
LONGEST_FIELD = 300
"""Characters of one changed field."""
BRIEF = 60
"""Characters of the arguments on a folded call's line."""
ONE_LINE = 90
"""Characters up to which arguments stay on one line."""
_BASELINES = frozenset({"noop", "transfer", "random", "gold", "oracle"})


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of a changed row; an inserted row has no `before`, a deleted one no `after`."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class RowChange:
    """One changed row with the fields that differ. verb: inserted, deleted or changed."""

    place: str
    verb: str
    fields: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class CallLine:
    """One tool call: its name, its arguments in short and as JSON, what came back."""

    name: str
    brief: str
    arguments: str
    result: str
    error: bool


@dataclass(frozen=True, slots=True)
class TurnLine:
    """One turn with its calls, and the rows that they changed."""

    seat: str
    content: str
    silent: bool
    thinking: str | None
    malformed: str | None
    calls: tuple[CallLine, ...]
    changes: tuple[RowChange, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """One dialogue as the page has it. links: title -> relative path, only of files that exist."""

    title: str
    players: str
    stop: str
    error: str | None
    verdict: Verdict | None
    notes: tuple[str, ...]
    scenario: str
    turns: tuple[TurnLine, ...]
    net: tuple[RowChange, ...]
    links: dict[str, str]


def pick_demonstrations(run: Run) -> list[Shown]:
    """Return the first passed demonstration of each tier and the first one that failed, if any did."""
    found: dict[str, Shown] = {}
    for dialogue in itertools.islice(iter_dialogues(run), SCANNED):
        kind = dialogue.task.tags.tier if dialogue.verdict.passed else "failed"
        if kind not in found:
            notes = _read_findings(dialogue.findings)
            found[kind] = show(f"{kind}", dialogue.trace, dialogue.verdict, run.path, dialogue.task, notes)
    return [found[kind] for kind in sorted(found)]


def pick_played(run: Path) -> list[Shown]:
    """Return the first win and the first loss of each evaluated agent that is no baseline.

    What the tau2 package wrote of the same dialogues in its own form is passed over.
    """
    found: list[Shown] = []
    for file in sorted(set((run / "evals").glob("*.jsonl")) - set((run / "evals").glob("*.tau2.jsonl"))):
        wanted = {"won", "lost"}
        for line in _iter_lines(file):
            if not wanted or line["trace"]["players"].get("agent") in _BASELINES:
                break
            verdict = Verdict.model_validate(line["verdict"]) if line["verdict"] else None
            kind = "won" if verdict and verdict.passed else "lost"
            if verdict and kind in wanted:
                wanted.discard(kind)
                trace = Trace.model_validate(line["trace"])
                found.append(show(f"{file.stem}, {kind}", trace, verdict, run))
    return found


def show(
    title: str, trace: Trace, verdict: Verdict | None, run: Path, task: Task | None = None, notes: tuple[str, ...] = ()
) -> Shown:
    """Return a dialogue as the page has it."""
    places = {"task": f"tasks/{trace.task_id}.json", "checker": f"checkers/{trace.task_id}.py"}
    return Shown(
        title=title,
        players=", ".join(f"{seat}: {name}" for seat, name in sorted(trace.players.items())),
        stop=trace.stop.value,
        error=trace.error,
        verdict=verdict,
        notes=notes,
        scenario=render_scenario(task.user) if task else "",
        turns=tuple(_show_turn(turn) for turn in trace.turns),
        net=tuple(show_change(change) for change in trace.changes),
        links={f"{name} {trace.task_id}": place for name, place in places.items() if (run / place).is_file()},
    )


def show_change(change: Change) -> RowChange:
    """Return a change with the fields that differ, nested ones by their path (`items[0].price`)."""
    verb = "inserted" if change.before is None else "deleted" if change.after is None else "changed"
    fields = tuple(_differ(change.before or {}, change.after or {}))
    return RowChange(f"{change.table} {change.key}", verb, fields)


_ABSENT = object()


def _differ(before: Any, after: Any, path: str = "") -> Iterator[FieldChange]:
    """Yield the smallest places where two JSON values differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys([*before, *after]):
            inner = f"{path}.{name}" if path else name
            yield from _differ(before.get(name, _ABSENT), after.get(name, _ABSENT), inner)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for position, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _differ(old, new, f"{path}[{position}]")
    elif before != after or type(before) is not type(after):
        yield FieldChange(path, _spell(before), _spell(after))


def _show_turn(turn: Turn) -> TurnLine:
    calls = []
    for position, call in enumerate(turn.tool_calls):
        result = turn.results[position] if position < len(turn.results) else None
        arguments = _write_arguments(call.arguments)
        content = _shorten(result.content) if result else "not run"
        brief = ", ".join(str(value) for value in call.arguments.values())
        calls.append(CallLine(call.name, _cut(brief, BRIEF), arguments, content, bool(result and result.error)))
    changes = tuple(show_change(change) for result in turn.results for change in result.changes)
    return TurnLine(
        turn.seat, turn.content, bool(turn.tool_calls), turn.thinking, turn.malformed, tuple(calls), changes
    )


def _read_findings(findings: dict[str, Any]) -> tuple[str, ...]:
    notes = [f"clause broken: {text}" for text in findings.get("violations", ())]
    if blame := findings.get("blame"):
        notes.append(f"blamed on the {blame['fault']}: {blame['evidence']}")
    for key, reader in READERS.items():
        if opinion := findings.get(key):
            notes.append(f"the {reader} says {tell_opinion(opinion)}")
    return tuple(notes)


def _spell(value: Any) -> str | None:
    if value is _ABSENT:
        return None
    return _shorten(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), LONGEST_FIELD)


def _write_arguments(arguments: dict[str, Any]) -> str:
    """Return arguments as JSON, on one line where they fit."""
    line = json.dumps(arguments, ensure_ascii=False)
    return line if len(line) <= ONE_LINE else json.dumps(arguments, ensure_ascii=False, indent=2)


def _shorten(text: str, most: int = LONGEST) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _iter_lines(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)
