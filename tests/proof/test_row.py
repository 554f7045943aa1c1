"""The gold of rows from a file is replayed on their databases; what does not replay is named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from veriloop.check.sandbox import shared_sandbox
from veriloop.core.errors import InputError
from veriloop.domains.domain import Domain
from veriloop.domains.registry import BUILT_IN, load_domain
from veriloop.engine.synthesize import SynthConfig
from veriloop.pipeline.synthesis import run_synthesis
from veriloop.proof import row as module
from veriloop.proof.row import replay_row, replay_rows
from veriloop.store.areal import RL_FILE
from veriloop.store.areal_read import TaskRow, read_areal
from veriloop.store.export import export
from veriloop.store.fault import Fault, Finding
from veriloop.store.run import open_run

Row = dict[str, Any]
real = module.mount


@pytest.fixture(scope="module", params=BUILT_IN)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Domain]:
    """A folder of rows of each domain."""
    folder = tmp_path_factory.mktemp("rows")
    run_synthesis(request.param, folder / "run", SynthConfig(n=4, seed=23, rounds=0, evolve=False))
    domain = load_domain(request.param)
    with open_run(folder / "run") as run:
        return Path(export(run, domain, "areal", out=folder / "rows").path), domain


@pytest.fixture(scope="module")
def parcels(small_run: Path, parcel: Domain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with open_run(small_run) as run:
        return Path(export(run, parcel, "areal", out=tmp_path_factory.mktemp("parcels")).path)


def rows_of(folder: Path) -> list[Row]:
    return [json.loads(line) for line in (folder / RL_FILE).read_text().splitlines()]


def replay_all(folder: Path, domain: Domain, rows: list[Row], name: str = "changed.jsonl") -> list[Finding | None]:
    path = folder / name
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return [replay_row(domain, row, shared_sandbox()) for row in read_areal(path) if isinstance(row, TaskRow)]


def as_foreign(row: Row) -> Row:
    """Return the row as somebody else would have written it: nothing of ours, the database in its file alone."""
    return {key: value for key, value in row.items() if key != "veriloop"}


def edit_gold(row: Row, change: Callable[[list[Row]], None]) -> Row:
    criteria = json.loads(row["evaluation_criteria"])
    change(criteria["actions"])
    return {**row, "evaluation_criteria": json.dumps(criteria)}


def spoil_last(actions: list[Row]) -> None:
    actions[-1]["name"] = "no_such_tool"


def test_our_rows_replay_and_their_checkers_are_content(made: tuple[Path, Domain]):
    folder, domain = made
    assert replay_all(folder, domain, rows_of(folder)) == [None] * 4


def test_rows_of_others_replay_on_the_file_they_name(made: tuple[Path, Domain]):
    folder, domain = made
    foreign = [as_foreign(row) for row in rows_of(folder)]
    assert replay_all(folder, domain, foreign) == [None] * 4


def test_gold_that_is_refused_is_named(made: tuple[Path, Domain]):
    folder, domain = made
    spoilt = [edit_gold(as_foreign(row), spoil_last) for row in rows_of(folder)]
    for number, finding in enumerate(replay_all(folder, domain, spoilt), 1):
        assert finding is not None
        assert (finding.fault, finding.row) == (Fault.BAD_GOLD, number)
        assert "no_such_tool, is refused: " in finding.what


def test_the_first_refusal_is_told_by_its_place(parcels: Path, parcel: Domain):
    def spoil(actions: list[Row]) -> None:
        actions[0]["arguments"] = dict.fromkeys(actions[0]["arguments"], "nobody")

    [row, *_] = rows_of(parcels)
    count = len(json.loads(row["evaluation_criteria"])["actions"])
    [finding] = replay_all(parcels, parcel, [edit_gold(as_foreign(row), spoil)])
    assert finding is not None
    assert f"gold call 1 of {count}, the agent's " in finding.what


def test_a_checker_that_does_not_pass_its_gold(parcels: Path, parcel: Domain):
    [row, *_] = rows_of(parcels)
    mark = json.loads(row["veriloop"])
    sources = (
        "def check(changes, calls, messages):\n    return {'passed': False, 'reason': 'never'}\n",
        "import os\n",
    )
    findings = [
        finding
        for source in sources
        for finding in replay_all(
            parcels, parcel, [{**row, "veriloop": json.dumps({**mark, "task": {**mark["task"], "checker": [source]}})}]
        )
    ]
    assert [finding and finding.fault for finding in findings] == [Fault.BAD_GOLD] * 2
    assert findings[0] and "the checker says fail: never" in findings[0].what
    assert findings[1] and "the checker may not be run" in findings[1].what


def test_a_row_without_a_usable_database(parcels: Path, parcel: Domain):
    [row, *_] = [as_foreign(row) for row in rows_of(parcels)]
    (parcels / "bad.json").write_text('{"parcels": 3}')
    findings = replay_all(parcels, parcel, [{**row, "db_path": None}, {**row, "db_path": "bad.json"}])
    assert [finding and finding.fault for finding in findings] == [Fault.NO_DATABASE] * 2
    assert findings[0] and findings[0].what == "the row has no database to replay on"
    assert findings[1] and "is no database of 'parcel'" in findings[1].what


def test_a_row_of_another_domain(parcels: Path):
    class Other:
        name = "tau2/retail"

    [row, *_] = [row for row in read_areal(parcels / RL_FILE) if isinstance(row, TaskRow)]
    other: Any = Other()
    with pytest.raises(InputError, match="is a task of 'parcel', not of 'tau2/retail'; replay it on its own domain"):
        replay_row(other, row, shared_sandbox())


def odd_telecom(row: Row, function: str, **arguments: Any) -> Row:
    call = {"env_type": "user", "func_name": function, "arguments": arguments}
    return {**as_foreign(row), "initial_state": {**(row["initial_state"] or {}), "initialization_actions": [call]}}


def test_a_telecom_row_that_cannot_begin(tmp_path: Path):
    pytest.importorskip("tau2")
    domain = load_domain("tau2/telecom")
    run_synthesis("tau2/telecom", tmp_path / "run", SynthConfig(n=8, seed=29, rounds=0, evolve=False))
    with open_run(tmp_path / "run") as run:
        folder = Path(export(run, domain, "areal", out=tmp_path / "rows").path)
    repairs = [r for r in rows_of(folder) if json.loads(r["evaluation_criteria"])["reward_basis"] == ["ENV_ASSERTION"]]
    row = repairs[0]
    assert replay_all(folder, domain, [row, as_foreign(row)]) == [None, None]
    [finding] = replay_all(folder, domain, [odd_telecom(row, "no_such_function")])
    assert finding and finding.fault is Fault.BAD_GOLD
    assert "initial call no_such_function" in finding.what
    actions = json.loads(row["evaluation_criteria"])["actions"]
    undone = edit_gold(as_foreign(row), lambda gold: gold.clear())
    asked = json.loads(row["evaluation_criteria"])["env_assertions"]
    assert actions and asked
    [finding] = replay_all(folder, domain, [undone])
    assert finding and finding.fault is Fault.BAD_GOLD and "does not hold" in finding.what
    odd = [{**asked[0], "func_name": "assert_nothing"}]
    criteria = json.dumps({"actions": actions, "env_assertions": odd})
    [finding] = replay_all(folder, domain, [{**as_foreign(row), "evaluation_criteria": criteria}])
    assert finding and "assertion assert_nothing cannot be made" in finding.what
    lost = odd_telecom(row, "set_user_info", name="Nobody", phone_number="1")
    [finding] = replay_all(folder, domain, [lost])
    assert finding is None or finding.fault is Fault.BAD_GOLD


def test_all_rows_of_a_domain_share_what_was_mounted(parcels: Path, parcel: Domain, monkeypatch: pytest.MonkeyPatch):
    good = [as_foreign(row) for row in rows_of(parcels)]
    paths = {row["db_path"] for row in good}
    bad = edit_gold(good[0], spoil_last)
    other = {**good[0], "user_scenario": {"instructions": {"domain": "retail"}}}
    path = parcels / "many.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in [*good, *good, bad, other]))
    mounted: list[Path] = []
    monkeypatch.setattr(module, "mount", lambda d, file, start: mounted.append(file) or real(d, file, start))
    found = list(replay_rows(parcel, read_areal(path), shared_sandbox()))
    assert [isinstance(x, TaskRow) for x in found] == [True] * 2 * len(good) + [False]
    assert isinstance(found[-1], Finding) and found[-1].row == 2 * len(good) + 1
    assert len(mounted) == len(paths) <= 8
    monkeypatch.setattr(module, "_KEPT", 1)
    mounted.clear()
    assert len(list(replay_rows(parcel, read_areal(path), shared_sandbox()))) == len(found)
    assert len(mounted) > len(paths)
