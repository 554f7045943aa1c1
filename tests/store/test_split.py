"""Held-out rows: whole databases, people or plan families, and what is exported at all."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veriloop.cli.main import run as run_command
from veriloop.core.errors import InputError
from veriloop.domains.domain import Domain
from veriloop.domains.task import Provenance, Task
from veriloop.store.export import Choice, export
from veriloop.store.result import iter_all_dialogues, iter_dialogues
from veriloop.store.run import create_run, open_run
from veriloop.store.split import GROUPS, choose_test_tasks


def rows_of(run: Path, domain: Domain, out: Path, **choice: Any) -> list[dict[str, Any]]:
    with open_run(run) as opened:
        export(opened, domain, "messages", out=out, choice=Choice(**choice))
    return [json.loads(line) for line in out.read_text().splitlines()]


@pytest.mark.parametrize("by", GROUPS)
def test_no_group_is_on_both_sides(small_run: Path, parcel: Domain, tasks: list[Task], tmp_path: Path, by):
    rows = rows_of(small_run, parcel, tmp_path / "rows.jsonl", split=by, share=0.3)
    named = {task.id: GROUPS[by](task) for task in tasks}
    sides = defaultdict(set)
    for row in rows:
        sides[named[row["task_id"]]].add(row["split"])
    assert all(len(side) == 1 for side in sides.values())
    assert set.union(*sides.values()) == {"train", "test"}


def test_rows_are_not_split_unless_asked(small_run: Path, parcel: Domain, tmp_path: Path):
    rows = rows_of(small_run, parcel, tmp_path / "rows.jsonl")
    assert all("split" not in row for row in rows)
    assert {(row["verdict"], row["success"]) for row in rows} == {("pass", True)}
    assert all(row["plan"].startswith("plan-") for row in rows)


def test_people_are_told_apart_by_database_too(tasks: list[Task]):
    task = tasks[0]
    there = task.model_copy(update={"initial": task.initial.model_copy(update={"database": "train-99"})})
    assert GROUPS["entity"](task) != GROUPS["entity"](there)
    assert task.provenance.caller in GROUPS["entity"](task)


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 12), st.floats(0.01, 0.99))
def test_about_the_share_is_held_out_and_never_all_or_nothing(tmp_path_factory, tasks, groups: int, share: float):
    with create_run(tmp_path_factory.mktemp("split") / "run", {"domain": "parcel"}) as run:
        for number in range(groups):
            origin = Provenance(plan=f"plan-{number}@{number % 3}")
            task = tasks[number % len(tasks)].model_copy(update={"provenance": origin, "told": (str(number),)})
            run.ledger.put(number, "synth", task.model_dump(mode="json"))
        chosen = choose_test_tasks(run, "plan", share)
        assert 1 <= len(chosen) <= groups - 1
        assert abs(len(chosen) - share * groups) <= 1
        assert chosen == choose_test_tasks(run, "plan", share)


def test_one_group_cannot_be_split(tasks: list[Task], tmp_path: Path):
    with create_run(tmp_path / "run", {"domain": "parcel"}) as run:
        run.ledger.put(0, "synth", tasks[0].model_dump(mode="json"))
        with pytest.raises(InputError, match="of one database"):
            choose_test_tasks(run, "database", 0.5)


@pytest.fixture
def mixed(small_run: Path, tmp_path: Path) -> Path:
    """A run with a good dialogue, one that only a verifier objects to, one that fails, and one about another draft."""
    with open_run(small_run) as source:
        first, second = list(iter_dialogues(source))[:2]
    task, trace = first.task.model_dump(mode="json"), first.trace.model_dump(mode="json")

    def judge(outcome: str, *, success: bool) -> dict[str, Any]:
        return {"verdict": {"outcome": outcome, "reason": ""}, "success": success, "blame": None}

    with create_run(tmp_path / "mixed", {"domain": "parcel"}) as run:
        run.ledger.put(0, "synth", task)
        run.ledger.put(0, "rollout:0", trace)
        run.ledger.put(0, "verdict:0", judge("pass", success=True))
        failures = [
            {"task": task, "trace": trace, "judgement": judge("pass", success=False)},
            {"task": task, "trace": trace, "judgement": judge("fail", success=False)},
            {
                "task": second.task.model_dump(mode="json"),
                "trace": second.trace.model_dump(mode="json"),
                "judgement": judge("fail", success=False),
            },
        ]
        for number, failure in enumerate(failures):
            run.ledger.put(0, f"failure:{number}", failure)
    return tmp_path / "mixed"


@pytest.mark.parametrize(
    ("keep", "found"),
    [
        ("good", [("pass", True)]),
        ("passed", [("pass", True), ("pass", False)]),
        ("all", [("pass", True), ("pass", False), ("fail", False)]),
    ],
)
def test_either_judge_can_be_left_out(mixed: Path, parcel: Domain, tmp_path: Path, keep, found):
    rows = rows_of(mixed, parcel, tmp_path / "rows.jsonl", keep=keep)
    assert [(row["verdict"], row["success"]) for row in rows] == found
    assert [row["trial"] for row in rows] == list(range(len(found)))


def test_all_of_an_ordinary_run_are_its_demonstrations_first(small_run: Path):
    with open_run(small_run) as run:
        good = [(d.item, d.task.id, d.trace) for d in iter_dialogues(run, good=True)]
        found = [(d.item, d.task.id, d.trace) for d in iter_all_dialogues(run) if d.good]
    assert found == good


def test_the_command(small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "rows.jsonl"
    flags = ["--to", "turns", "--out", str(out), "--split-by", "entity", "--test-share", "0.5", "--keep", "all"]
    assert run_command(["export", str(small_run), *flags]) == 0
    assert {json.loads(line)["split"] for line in out.read_text().splitlines()} == {"train", "test"}
    assert run_command(["export", str(small_run), "--to", "turns", "--split-by", "moon"]) == 2
    assert "moon" in capsys.readouterr().err
