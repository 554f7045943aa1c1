"""The page of an ablation: its arms beside each other, seed by seed, and what their tasks were like."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veriloop.report.page import make_environment, read_style
from veriloop.store.file import write_text

Cell = tuple[float, float, float]
"""A figure with its 95 % interval."""


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One arm on one seed. cells: k -> pass^k. minus_base: the paired difference, None for the base itself."""

    seed: str
    arm: str
    cells: dict[str, Cell]
    minus_base: Cell | None
    data: Mapping[str, Any]


def write_ablation_page(result: Mapping[str, Any], out: Path) -> Path:
    """Write `ablation.html` into an ablation's folder and return its path."""
    rows = list(read_rows(result))
    differences = [cell for row in rows if (cell := row.minus_base)]
    page = make_environment().get_template("ablation.html.j2")
    text = page.render(
        result=result,
        rows=rows,
        pooled=list(_read_pooled(result)),
        columns=sorted({k for row in rows for k in row.cells}, key=int),
        reach=find_reach(differences),
        style=read_style(),
    )
    path = out / "ablation.html"
    write_text(path, text.rstrip("\n"))
    return path


def read_rows(result: Mapping[str, Any]) -> Iterator[ArmRow]:
    """Yield every arm of every seed."""
    name = f"minus_{result['base'].replace('-', '_')}"
    for row in result["table"]:
        for arm in result["arms"]:
            found = row[arm]
            cells = {k: (value, *(found["interval_95"][k] or (value, value))) for k, value in found["pass_hat"].items()}
            yield ArmRow(
                seed=str(row["seed"]),
                arm=arm,
                cells=cells,
                minus_base=_read_cell(found.get(name), found.get(f"{name}_interval_95")),
                data=found.get("data", {}),
            )


def find_reach(differences: list[Cell]) -> float:
    """Return how far a scale around 0 must go for all intervals: a tenth, or as many tenths as it takes."""
    furthest = max((abs(number) for cell in differences for number in cell), default=0.0)
    return max(1, math.ceil(furthest * 10 - 1e-9)) / 10


def _read_pooled(result: Mapping[str, Any]) -> Iterator[tuple[str, Cell, list[float]]]:
    for arm, found in result.get("pooled", {}).items():
        if cell := _read_cell(found["mean"], found["interval_95"]):
            yield arm, cell, found["by_seed"]


def _read_cell(value: float | None, interval: Any) -> Cell | None:
    return None if value is None or interval is None else (value, *interval)
