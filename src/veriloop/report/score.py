"""Evaluations as rows of a table, learning curves as groups of lines, and two runs beside each other."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veriloop.core.metric import bootstrap_interval
from veriloop.report.chart import Point
from veriloop.store.result import read_curves, read_evals

FAMILIES = {
    "Loss": re.compile(r"loss"),
    "Pass rate": re.compile(r"pass_\d"),
    "Reward per trajectory": re.compile(r"reward"),
    "Groups": re.compile(r"kept|dropped|group|refill"),
    "Entropy": re.compile(r"entropy"),
}
"""Figure -> which logged numbers it shows; the others are shown folded, one figure each."""
_AXES = {"step", "phase"}
_SERIES = 6


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One evaluation. cells: k -> (pass^k, low, high); a missing k was not measured."""

    name: str
    agent: str
    user: str
    tasks: int
    counted: int
    passed: int
    void: int
    cells: dict[str, tuple[float, float, float]]
    stops: dict[str, int]


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Evaluations that may be compared: the same tasks, the same user, the same evaluator."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[ScoreRow, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """The lines of one chart."""

    title: str
    series: dict[str, list[Point]]


@dataclass(frozen=True, slots=True)
class Curves:
    """The figures of one model: those of known families, and the rest."""

    model: str
    figures: tuple[Figure, ...]
    others: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """An evaluation of one run against that of the same name of another, paired by task; None without shared tasks."""

    name: str
    ours: float
    theirs: float
    tasks: int
    paired: float | None
    interval: tuple[float, float] | None


def read_scores(run: Path) -> list[ScoreTable]:
    """Return the tables of a run's evaluations; within one the rows rise by pass^1."""
    groups: dict[tuple[Any, ...], list[tuple[str, dict[str, Any]]]] = {}
    for name, summary in _read_summaries(run).items():
        tasks = tuple(sorted(summary["per_task"]))
        groups.setdefault((summary["domain"], summary["official"], summary["user"], tasks), []).append((name, summary))
    tables = []
    for (domain, official, user, tasks), members in groups.items():
        rows = sorted((_make_row(name, summary) for name, summary in members), key=_rank)
        columns = tuple(sorted({k for row in rows for k in row.cells}, key=int))
        kind = "official evaluator" if official else "own checkers"
        tables.append(ScoreTable(f"{domain}: {len(tasks)} tasks, user {user}, {kind}", columns, tuple(rows)))
    return tables


def read_figures(run: Path) -> list[Curves]:
    """Return the learning curves of every model, the phases of one training as lines of their own."""
    return [make_curves(model, steps) for model, steps in read_curves(run).items()]


def make_curves(model: str, steps: Sequence[Mapping[str, Any]]) -> Curves:
    """Return the figures of logged steps, each a mapping with `step` and numbers."""
    phases = {str(step.get("phase", "")) for step in steps}
    series: dict[tuple[str, str], list[Point]] = {}
    for position, step in enumerate(steps):
        at = step.get("step", position)
        for key, value in step.items():
            if key not in _AXES and _is_number(value) and _is_number(at):
                name = f"{key} ({step.get('phase')})" if len(phases) > 1 else key
                series.setdefault((key, name), []).append((float(at), float(value)))
    figures: dict[str, dict[str, list[Point]]] = {}
    others: list[Figure] = []
    for (key, name), points in series.items():
        family = next((title for title, names in FAMILIES.items() if names.search(key)), None)
        if family is not None and len(figures.setdefault(family, {})) < _SERIES:
            figures[family][name] = points
        else:
            others.append(Figure(name, {name: points}))
    known = tuple(Figure(title, figures[title]) for title in FAMILIES if figures.get(title))
    return Curves(model, known, tuple(others))


def compare_evals(ours: Path, theirs: Path) -> list[Difference]:
    """Return the evaluations that both runs have by the same name, ours minus theirs."""
    left, right = _read_summaries(ours), _read_summaries(theirs)
    return [_compare(name, left[name], right[name]) for name in left if name in right]


def _read_summaries(run: Path) -> dict[str, dict[str, Any]]:
    """Return the evaluations; other JSON files that lie among them are left out."""
    found = read_evals(run).items()
    return {name: summary for name, summary in found if isinstance(summary, dict) and "per_task" in summary}


def _compare(name: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Difference:
    shared = [task for task in ours["per_task"] if ours["per_task"][task] and theirs["per_task"].get(task)]
    gaps = [_rate(ours["per_task"][task]) - _rate(theirs["per_task"][task]) for task in shared]
    paired = sum(gaps) / len(gaps) if gaps else None
    first, second = (summary["pass_hat"].get("1", math.nan) for summary in (ours, theirs))
    return Difference(name, first, second, len(shared), paired, bootstrap_interval(gaps))


def _rate(trials: Sequence[bool]) -> float:
    return sum(trials) / len(trials)


def _make_row(name: str, summary: Mapping[str, Any]) -> ScoreRow:
    cells = {}
    for k, value in summary["pass_hat"].items():
        low, high = summary["interval_95"].get(k) or (value, value)
        cells[k] = (value, low, high)
    return ScoreRow(
        name=name,
        agent=summary["agent"],
        user=summary["user"],
        tasks=summary["tasks"],
        counted=sum(map(len, summary["per_task"].values())),
        passed=summary["passed"],
        void=summary.get("void", summary["stops"].get("player_error", 0)),
        cells=cells,
        stops=summary["stops"],
    )


def _rank(row: ScoreRow) -> tuple[float, str]:
    return row.cells.get("1", (-1.0,))[0], row.name


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
