"""Runs written as AReaL's rows and read back: the same tasks, the same dialogues, word by word."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from veriloop.core.errors import InputError
from veriloop.domains.domain import Domain
from veriloop.domains.registry import BUILT_IN, load_domain
from veriloop.domains.snapshot import mount, take_snapshot
from veriloop.domains.task import Task
from veriloop.engine.synthesize import SynthConfig
from veriloop.pipeline.synthesis import run_synthesis
from veriloop.store.areal import DATABASES, RL_FILE, SFT_FILE, name_snapshot, to_areal_rl
from veriloop.store.areal_read import Joined, TaskRow, TurnRow, join_dialogues, read_areal
from veriloop.store.chat import to_chat
from veriloop.store.export import Choice, export
from veriloop.store.fault import Fault, Finding
from veriloop.store.result import iter_dialogues, iter_tasks
from veriloop.store.run import create_run, open_run
from veriloop.store.tau2 import find_data

FEW = SynthConfig(n=5, seed=11, rounds=0, evolve=False)


@pytest.fixture(scope="module", params=BUILT_IN)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Domain]:
    """A run of a few tasks of each domain, and its export."""
    folder = tmp_path_factory.mktemp("areal")
    run, out = folder / "run", folder / "rows"
    run_synthesis(request.param, run, FEW)
    domain = load_domain(request.param)
    with open_run(run) as opened:
        done = export(opened, domain, "areal", out=out)
    assert done.path == str(out)
    assert done.rows == sum(len((out / name).read_text().splitlines()) for name in (SFT_FILE, RL_FILE))
    return run, out, domain


def test_tasks_and_dialogues_come_back_as_they_were(made: tuple[Path, Path, Domain]):
    run, out, domain = made
    rows = list(read_areal(out, domain))
    assert [row for row in rows if isinstance(row, Finding)] == []
    with open_run(run) as opened:
        tasks = [task for _, task in iter_tasks(opened)]
        chats = [to_chat(domain, d.task, d.trace.turns, "agent") for d in iter_dialogues(opened, good=True)]
    read = [row for row in rows if isinstance(row, TaskRow)]
    assert [row.task for row in read] == tasks
    assert [row.task.id for row in read] == [task.id for task in tasks]
    assert [row.task.provenance for row in read] == [task.provenance for task in tasks]
    joined = list(join_dialogues(rows))
    assert [(j.messages, j.produced) for j in joined if isinstance(j, Joined)] == [
        (c.messages, c.produced) for c in chats
    ]
    assert len(joined) == len(chats) > 2


def test_every_task_names_a_file_with_its_database(made: tuple[Path, Path, Domain]):
    _, out, domain = made
    for row in read_areal(out / RL_FILE):
        assert isinstance(row, TaskRow)
        assert row.database and row.database.parent == out / DATABASES
        database = row.task.initial.database
        assert take_snapshot(mount(domain, row.database, row.start), "any") == take_snapshot(domain, database)


def test_rows_have_the_fields_that_the_released_ones_have(made: tuple[Path, Path, Domain]):
    _, out, domain = made
    short = domain.name.rpartition("/")[2]
    for line in (out / RL_FILE).read_text().splitlines():
        row = json.loads(line)
        assert row["id"].startswith(f"{short}_")
        assert json.loads(row["evaluation_criteria"])["actions"] is not None
        assert row["db_path"].startswith("tau2_rl_database/")
        assert row["user_scenario"]["instructions"]["domain"] == short
        assert row["user_tools"] == ([t.name for t in domain.tools.values() if t.seat == "user"] or None)
    turns = [json.loads(line) for line in (out / SFT_FILE).read_text().splitlines()]
    for row in turns:
        assert row["messages"][0]["role"] == "system"
        assert set(row["answer"]) == {"role", "content", "thinking", "tool_calls"}
        assert row["answer"]["content"] or row["answer"]["tool_calls"]
        assert (row["metadata"]["correct"], row["metadata"]["reward"]) == (1, 1.0)
    first = [row["metadata"]["turn_index"] for row in turns].index(0, 1)
    assert [row["metadata"]["turn_index"] for row in turns[:first]] == list(range(first))


def test_the_packages_model_takes_the_tasks(made: tuple[Path, Path, Domain]):
    _, out, _ = made
    pytest.importorskip("tau2")
    from tau2.data_model.tasks import Task as Tau2Task

    for line in (out / RL_FILE).read_text().splitlines():
        row = json.loads(line)
        model = Tau2Task.model_validate({**row, "evaluation_criteria": json.loads(row["evaluation_criteria"])})
        assert model.id == row["id"]


def test_without_our_field_the_task_has_what_tau2_holds(made: tuple[Path, Path, Domain], tmp_path: Path):
    _, out, domain = made
    lines = [json.loads(line) for line in (out / RL_FILE).read_text().splitlines()]
    own = [row.task for row in read_areal(out / RL_FILE) if isinstance(row, TaskRow)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps({k: v for k, v in row.items() if k != "veriloop"}) for row in lines))
    rows = [row for row in read_areal(path) if isinstance(row, TaskRow)]
    for row, task in zip(rows, own, strict=True):
        assert not row.own
        assert row.task.domain == domain.name
        assert row.task.user.reason_for_call == task.user.reason_for_call
        assert row.task.user.task_instructions == task.user.task_instructions
        assert row.task.initial.ticket == task.initial.ticket
        steps = [(s.seat, s.call.name, s.call.arguments) for s in task.gold]
        assert [(s.seat, s.call.name, s.call.arguments) for s in row.task.gold] in (steps, steps[-1:])
        assert len(row.task.initial.calls) == len(task.initial.calls)


def test_equal_runs_give_equal_bytes(small_run: Path, parcel: Domain, tmp_path: Path):
    with open_run(small_run) as run:
        for name in "ab":
            export(run, parcel, "areal", out=tmp_path / name)
    files = [sorted(p.relative_to(tmp_path / name) for p in (tmp_path / name).rglob("*.json*")) for name in "ab"]
    assert files[0] == files[1] and len(files[0]) > 2
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files[0])


def test_failed_dialogues_say_so_and_splits_hold_for_both_files(small_run: Path, parcel: Domain, tmp_path: Path):
    with open_run(small_run) as source:
        first = next(iter(iter_dialogues(source)))
    with create_run(tmp_path / "run", {"domain": "parcel"}) as run:
        run.ledger.put(0, "synth", first.task.model_dump(mode="json"))
        for trial, outcome in enumerate(("pass", "fail")):
            run.ledger.put(0, f"rollout:{trial}", first.trace.model_dump(mode="json"))
            judged = {"verdict": {"outcome": outcome, "reason": ""}, "success": True}
            run.ledger.put(0, f"verdict:{trial}", judged)
        export(run, parcel, "areal", out=tmp_path / "good")
        export(run, parcel, "areal", out=tmp_path / "all", choice=Choice(keep="all"))
    rows = list(read_areal(tmp_path / "all" / SFT_FILE))
    turns = [row for row in rows if isinstance(row, TurnRow)]
    assert {(row.correct, row.passed) for row in turns} == {(True, True), (True, False)}
    assert {row.fault for row in rows if isinstance(row, Finding)} == {Fault.DISAGREEMENT}
    assert len(list(read_areal(tmp_path / "good" / SFT_FILE))) == len(turns) / 2
    with open_run(small_run) as run:
        export(run, parcel, "areal", out=tmp_path / "split", choice=Choice(split="entity", share=0.4))
    splits = [
        {json.loads(line)["split"] for line in (tmp_path / "split" / name).read_text().splitlines()}
        for name in (RL_FILE, SFT_FILE)
    ]
    assert splits == [{"train", "test"}, {"train", "test"}]


def test_thoughts_and_the_users_view_survive(small_run: Path, parcel: Domain, tmp_path: Path):
    with open_run(small_run) as source:
        first = next(iter(iter_dialogues(source)))
        done = export(source, parcel, "areal", out=tmp_path / "user", seat="user")
        user = [to_chat(parcel, d.task, d.trace.turns, "user").messages for d in iter_dialogues(source, good=True)]
    rows = list(read_areal(Path(done.path), parcel))
    assert [j.messages for j in join_dialogues(rows) if isinstance(j, Joined)] == user
    turns = tuple(turn.model_copy(update={"thinking": f"thought {n}"}) for n, turn in enumerate(first.trace.turns))
    with create_run(tmp_path / "run", {"domain": "parcel"}) as run:
        run.ledger.put(0, "synth", first.task.model_dump(mode="json"))
        run.ledger.put(0, "rollout:0", first.trace.model_copy(update={"turns": turns}).model_dump(mode="json"))
        run.ledger.put(0, "verdict:0", {"verdict": {"outcome": "pass", "reason": ""}})
        export(run, parcel, "areal")
    folder = tmp_path / "run" / "data" / "areal-agent"
    lines = [json.loads(line) for line in (folder / SFT_FILE).read_text().splitlines()]
    assert all("reasoning_content" not in message for row in lines for message in row["messages"])
    [joined] = join_dialogues(read_areal(folder))
    assert isinstance(joined, Joined)
    expected = to_chat(parcel, first.task, turns, "agent")
    assert [joined.messages[place]["reasoning_content"] for place in joined.produced] == [
        expected.messages[place]["reasoning_content"] for place in expected.produced
    ]


def test_a_domain_that_writes_no_files(tasks: list[Task], parcel: Domain, tmp_path: Path):
    row = to_areal_rl(tasks[0], find_data(parcel, tasks[0]), None)
    assert (row["db_path"], json.loads(row["veriloop"])["db"]) == (None, "package")
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row))
    [read] = read_areal(path)
    assert isinstance(read, TaskRow)
    assert (read.task, read.database, read.own) == (tasks[0], None, True)


def test_the_row_keeps_only_what_the_file_has_not(tasks: list[Task]):
    data: Any = {"agent_data": {"lines": [1]}, "user_data": {"device": {}}}
    start = to_areal_rl(tasks[0], data, "tau2_rl_database/a.json")["initial_state"]["initialization_data"]
    assert start == {"agent_data": None, "user_data": {"device": {}}}
    assert to_areal_rl(tasks[0], data, None)["initial_state"]["initialization_data"] == data


def test_names_of_files_are_safe_and_never_meet():
    assert name_snapshot("tau2/telecom", "train-3") == "telecom_train-3.json"
    odd = {name_snapshot("d", name) for name in ("a/b", "a-b", "a\\b", "../a", "a b")}
    assert len(odd) == 5
    assert all("/" not in name and "\\" not in name for name in odd)


def test_where_it_cannot_be_written(small_run: Path, parcel: Domain, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with open_run(small_run) as run, pytest.raises(InputError, match="is a file; name a folder"):
        export(run, parcel, "areal", out=tmp_path / "file")
    with (
        create_run(tmp_path / "run", {"domain": "parcel"}) as run,
        pytest.raises(InputError, match="nothing to export"),
    ):
        export(run, parcel, "areal")


def test_trainers_library_reads_turns_unpadded(small_run: Path, parcel: Domain, tmp_path: Path):
    datasets = pytest.importorskip("datasets")
    with open_run(small_run) as run:
        folder = Path(export(run, parcel, "areal", out=tmp_path / "rows").path)
    file = folder / SFT_FILE
    originals = [json.loads(line) for line in file.read_text().splitlines()]
    loaded = datasets.load_dataset("json", data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))
    for row, original in zip(loaded, originals, strict=True):
        assert row["veriloop"] == original["veriloop"] and row["tools"] == original["tools"]
        assert row["answer"] == original["answer"]
        assert row["metadata"] == original["metadata"]


PACKAGES = {
    "tau2/airline": ("airline", "FlightDB"),
    "tau2/retail": ("retail", "RetailDB"),
    "tau2/telecom": ("telecom", "TelecomDB"),
}


def test_the_packages_own_environment_plays_the_rows(made: tuple[Path, Path, Domain]):
    """Set up from the row and the file alone: the gold calls are carried out and what is asserted holds."""
    _, out, domain = made
    if domain.name not in PACKAGES:
        pytest.skip("no domain of the package")
    short, database = PACKAGES[domain.name]
    load = getattr(importlib.import_module(f"tau2.domains.{short}.data_model"), database).load
    environments = importlib.import_module(f"tau2.domains.{short}.environment")
    tasks = importlib.import_module("tau2.data_model.tasks")
    asked = 0
    for line in (out / RL_FILE).read_text().splitlines():
        row = json.loads(line)
        task: Any = tasks.Task.model_validate({**row, "evaluation_criteria": json.loads(row["evaluation_criteria"])})
        theirs: Any = environments.get_environment(load(str(out / row["db_path"])))
        start = task.initial_state
        if start:
            theirs.set_state(start.initialization_data, start.initialization_actions, [])
        for action in task.evaluation_criteria.actions:
            theirs.make_tool_call(action.name, requestor=action.requestor, **action.arguments)
            theirs.sync_tools()
        for assertion in task.evaluation_criteria.env_assertions or ():
            assert theirs.run_env_assertion(assertion, raise_assertion_error=False)
            asked += 1
    assert (asked > 0) == (short == "telecom")
