"""Rows as AReaL's tau2 data has them, without a fault: dialogues of this engine, taken as somebody else's."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veriloop.domains.registry import load_domain
from veriloop.engine.synthesize import SynthConfig
from veriloop.pipeline.synthesis import run_synthesis
from veriloop.store.areal import RL_FILE, SFT_FILE
from veriloop.store.export import export
from veriloop.store.run import open_run

Row = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """A turn's row. calls: in what was said before it. speaks: its answer is text. followers: rows after it."""

    row: int
    dialogue: str
    turn: int
    calls: int
    speaks: bool
    followers: int


def make_clean(folder: Path, counts: dict[str, int], seed: int = 0, rows: int | None = None) -> None:
    """Write turns, tasks and databases of so many dialogues of each domain; `rows`: cut the turns after so many."""
    folder.mkdir(parents=True, exist_ok=True)
    left = rows
    with (folder / SFT_FILE).open("w") as turns, (folder / RL_FILE).open("w") as tasks:
        for domain, count in counts.items():
            part = folder / ".parts" / domain.replace("/", "_")
            run_synthesis(domain, part, SynthConfig(n=count, seed=seed, rounds=0, evolve=False))
            with open_run(part) as run:
                export(run, load_domain(domain), "areal", out=folder / ".parts" / "rows")
            for number, row in enumerate(_read(folder / ".parts" / "rows" / RL_FILE)):
                # Every second task is taken as somebody else's.
                tasks.write(_dump(row if number % 2 else _as_foreign(row)))
            for row in _read(folder / ".parts" / "rows" / SFT_FILE):
                if left is None or left > 0:
                    turns.write(_dump(_as_foreign(row)))
                    left = None if left is None else left - 1
            _move_databases(folder / ".parts" / "rows", folder)


def find_places(folder: Path) -> list[Place]:
    """Return all turns that there are."""
    found: list[tuple[int, str, int, int, bool]] = []
    last: dict[str, int] = {}
    for number, row in enumerate(_read(folder / SFT_FILE), 1):
        about, calls = row["metadata"], sum(len(message.get("tool_calls", ())) for message in row["messages"])
        name = about["source_dialog_id"]
        last[name] = about["turn_index"]
        found.append((number, name, about["turn_index"], calls, not row["answer"]["tool_calls"]))
    return [Place(*place, followers=last[place[1]] - place[2]) for place in found]


def _read(path: Path) -> Iterator[Row]:
    with path.open() as lines:
        for line in lines:
            yield json.loads(line)


def _dump(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _as_foreign(row: Row) -> Row:
    return {key: value for key, value in row.items() if key != "veriloop"}


def _move_databases(source: Path, target: Path) -> None:
    for file in sorted((source / "tau2_rl_database").glob("*")):
        moved = target / "tau2_rl_database" / file.name
        moved.parent.mkdir(exist_ok=True)
        file.replace(moved)
