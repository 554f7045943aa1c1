import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from veriloop.cli import main
from veriloop.cli.main import COMMANDS, run
from veriloop.cli.output import Result, align_table, show_progress, write_error, write_note
from veriloop.core.errors import BudgetError, GateError, InputError, PlayerError, VeriloopError
from veriloop.domains.task import Task
from veriloop.store.artefact import read_tasks
from veriloop.store.manifest import find_differences, hash_files

SAME = ("synth", "parcel", "-n", "12", "--seed", "3", "--rounds", "0", "--no-evolve", "--json", "--out")


def call(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> dict:
    """Run a command with --json and return its one object."""
    assert run([*map(str, arguments), "--json"]) == code
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    assert captured.err == ""
    return json.loads(captured.out)


def test_domains(capsys: pytest.CaptureFixture[str]):
    assert "parcel" in {domain["name"] for domain in call(capsys, "domains")["domains"]}


def test_synth_export_eval_report(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    out = tmp_path / "run"
    made = call(capsys, "synth", "parcel", "-n", 6, "--seed", 2, "--plans", 2, "--rounds", 0, "--out", out)
    assert made["proved"] == 6 <= made["attempted"]
    assert {"run", "no_write", "mutation_score", "seconds", "rounds"} <= made.keys()
    assert made["rounds"][0]["round"] == 0
    assert len(list((out / "tasks").iterdir())) == len(list((out / "checkers").iterdir())) == 6
    assert find_differences(out) == []

    exported = call(capsys, "export", out, "--to", "turns", "--seat", "user")
    rows = Path(exported["path"]).read_text().splitlines()
    assert exported["rows"] == len(rows) > 6
    areal = call(capsys, "export", out, "--to", "areal")
    files = Path(areal["path"]).glob("*.jsonl")
    assert areal["rows"] == sum(len(file.read_text().splitlines()) for file in files) > 12

    oracle = call(capsys, "eval", "parcel", "--agent", "oracle", "--tasks", out, "--trials", 2)
    assert oracle["pass_hat"] == {"1": 1.0, "2": 1.0}
    assert (oracle["tasks"], oracle["trials"], oracle["passed"], oracle["official"]) == (6, 2, 12, False)
    assert oracle["interval_95"]["1"] == [1.0, 1.0]
    gold = call(capsys, "eval", "parcel", "--agent", "gold", "--tasks", out, "--trials", 1)
    assert gold["passed"] == 6, "gold asks for no yes, but it is the tasks that it tests"
    noop = call(capsys, "eval", "parcel", "--agent", "noop", "--tasks", out, "--trials", 1)
    assert noop["passed"] == 0
    assert sorted(path.name for path in (out / "evals").glob("*.json")) == [
        f"{name}-scripted.json" for name in ("gold", "noop", "oracle")
    ]

    page = Path(call(capsys, "report", out)["path"])
    assert page.name == "report.html" and "noop" in page.read_text()


@pytest.mark.parametrize("split", ["train", "test"])
def test_synth_takes_databases_of_a_split(capsys: pytest.CaptureFixture[str], tmp_path: Path, split: str):
    out = tmp_path / "run"
    call(capsys, "synth", "parcel", "-n", 3, "--split", split, "--seed", 4, "--rounds", 0, "--out", out)
    assert {task.initial.database.partition("-")[0] for task in read_tasks(out)} == {split}


def test_text_for_people(capsys: pytest.CaptureFixture[str], small_run: Path, tmp_path: Path):
    assert (
        run(
            [
                "eval",
                "parcel",
                "--agent",
                "oracle",
                "--tasks",
                str(small_run),
                "--trials",
                "1",
                "--out",
                str(tmp_path / "e.json"),
            ]
        )
        == 0
    )
    head = "8 tasks, 1 dialogues each, against the user scripted\n"
    place = f"results: {tmp_path / 'e.json'}"
    assert capsys.readouterr().out == f"{head}agent   pass^1\noracle  1.000 [1.000, 1.000]\n{place}\n"


def test_check_names_what_to_mend(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    file = tmp_path / "clock.py"
    file.write_text(
        "import time\n"
        "from typing import Annotated\n"
        "from veriloop.domains.database import Database, Row, Table\n"
        "from veriloop.domains.domain import Caller, ToolkitDomain\n"
        "from veriloop.domains.source import Yield, ref\n"
        "from veriloop.domains.tool import tool\n"
        "class Clock(Row):\n    name: str\n    set_at: float = 0.0\n"
        "class House(Database):\n    clocks: Table[Clock]\n"
        "class Desk:\n"
        "    def __init__(self, db): self.db = db\n"
        "    @tool('read', yields=(Yield('clock', 'name'),))\n"
        "    def look(self, name: Annotated[str, ref('clock')]) -> Clock:\n"
        "        '''Look.'''\n"
        "        return self.db.clocks[name]\n"
        "    @tool('write', topics=('set a clock',))\n"
        "    def adjust(self, name: Annotated[str, ref('clock')]) -> Clock:\n"
        "        '''Set.'''\n"
        "        return self.db.clocks.update(name, set_at=time.perf_counter())\n"
        "domain = ToolkitDomain('clock', '1. Be on time.', Desk, House,\n"
        "    lambda database: {'clocks': {database: Clock(name=database)}},\n"
        "    lambda db: [Caller('ada', 'Ada', {'clock': next(iter(db.clocks)).name})], (), {'clock': ref('clock')})\n"
    )
    found = call(capsys, "check", file, code=1)
    assert found["ok"] is False
    [finding] = found["findings"]
    assert finding["where"] == "tool adjust"
    assert "differently on two fresh sessions" in finding["what"] and "no clock" in finding["fix"]


def test_check_of_a_sound_domain(capsys: pytest.CaptureFixture[str]):
    assert call(capsys, "check", "parcel") == {"ok": True, "findings": []}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("x"), 2),
        (GateError("x"), 1),
        (BudgetError("x"), 3),
        (PlayerError("x"), 1),
        (VeriloopError("two\nlines"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
):
    monkeypatch.setattr(main, "make_app", lambda: raising(error))
    assert run(["domains"]) == code
    assert capsys.readouterr().err.count("\n") == 1


def raising(error: BaseException):
    class App:
        def meta(self, *_: object, **__: object):
            raise error

    return App()


def test_defects_are_not_hidden(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(main, "make_app", lambda: raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        run(["domains"])


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]):
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(command in text for command in COMMANDS)
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == "0.1.0"


def test_entry_point():
    done = subprocess.run(
        [sys.executable, "-m", "veriloop.cli.main", "domains", "--json"], capture_output=True, text=True
    )
    assert done.returncode == 0 and json.loads(done.stdout)["domains"]


def test_libraries_that_print_do_not_spoil_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    from veriloop.cli import domains

    def noisy():
        print("progress: 50 %")
        return []

    monkeypatch.setattr(domains, "list_domains", noisy)
    assert run(["domains", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"domains": []}
    assert "progress" in captured.err


def test_output_pieces(capsys: pytest.CaptureFixture[str]):
    assert (
        align_table(("a", "score"), [("long name", 0.5), ("x", 12.25)])
        == "a           score\nlong name   0.500\nx          12.250"
    )
    assert align_table(("a",), [(None,)]) == "a\n-"
    write_error("two\n  lines")
    with show_progress("work") as progress:
        progress(1, 2)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "veriloop: two lines\n")
    assert Result({}, "x").code == 0


def test_a_run_says_beforehand_how_often_it_may_change_its_plans(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    said = list[str]()
    monkeypatch.setattr("veriloop.cli.synth.write_note", said.append)
    monkeypatch.setattr("veriloop.cli.synth.run_synthesis", lambda *_a, **_k: (_ for _ in ()).throw(InputError("no")))
    asked = (["--rounds", "1"], ["--rounds", "4"], ["--search", "gepa"], ["--rounds", "0"], ["--no-evolve"])
    for flags in asked:
        assert run(["synth", "parcel", "-n", "2", "--out", str(tmp_path / "run"), *flags]) == 2
    assert len(said) == 3
    assert said[0].startswith("the plans will be changed 1 time at most; of fewer than 3") and "--rounds 3" in said[0]
    assert said[1] == "the plans will be changed 4 times at most"
    assert said[2] == "the plans will be changed 1 time at most, each time by the best of 3 proposals"
    write_note("nobody watches")
    assert "nobody" not in capsys.readouterr().err


def test_bar_names_the_part_of_the_work(monkeypatch: pytest.MonkeyPatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stderr", Terminal())
    with show_progress("work") as progress:
        progress(1, 48, "pilot:0")
        shown = sys.stderr
        time.sleep(0.3)
        progress(2, 7)
        time.sleep(0.3)
    text = shown.getvalue()
    assert "work, pilot:0" in text and "1/48" in text and "2/7" in text


def kill_after(out: Path, condition: Callable[[], bool], *extra: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "veriloop.cli.main", *SAME, str(out), *extra], stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not condition() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()


def count_done(out: Path) -> int:
    import sqlite3

    try:
        with sqlite3.connect(f"file:{out / 'ledger.sqlite'}?mode=ro", uri=True, timeout=1) as connection:
            return connection.execute("SELECT count(*) FROM entries WHERE stage = 'synth'").fetchone()[0]
    except sqlite3.Error:
        return 0


def test_killed_twice_and_resumed_ends_byte_identical(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tasks: list[Task]
):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run([*SAME, str(whole)]) == 0
    kill_after(broken, lambda: count_done(broken) >= 2)
    assert not (broken / "manifest.json").exists()
    kill_after(broken, lambda: count_done(broken) >= 6, "--resume")
    assert not (broken / "manifest.json").exists()
    assert run([*SAME, str(broken), "--resume"]) == 0
    for out in (whole, broken):
        for to in ("messages", "turns", "tau2", "areal"):
            assert run(["export", str(out), "--to", to]) == 0
    assert hash_files(broken) == hash_files(whole)
    capsys.readouterr()


def test_another_seed_differs(small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert (
        run(
            [
                "synth",
                "parcel",
                "-n",
                "8",
                "--seed",
                "6",
                "--rounds",
                "0",
                "--no-evolve",
                "--out",
                str(tmp_path / "run"),
            ]
        )
        == 0
    )
    capsys.readouterr()
    ours = {path.name for path in (tmp_path / "run" / "tasks").iterdir()}
    assert not ours & {path.name for path in (small_run / "tasks").iterdir()}


def test_an_agent_that_nobody_serves_is_no_measurement(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert run(["synth", "parcel", "-n", "2", "--no-evolve", "--rounds", "0", "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    nowhere = ["--agent", "openai:m", "--base-url", "http://127.0.0.1:9/v1", "--trials", "1"]
    assert run(["eval", "parcel", *nowhere, "--tasks", str(tmp_path / "run")]) == 1
    said = capsys.readouterr().out
    assert "no dialogue counts: 2 of 2 are void" in said and "connection failed" in said


def test_drafts_given_up_are_told_by_reason(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    easy = ["--solver", "expert", "--trials", "1", "--no-evolve", "--rounds", "0", "--only-tiers", "single"]
    assert run(["synth", "parcel", "-n", "1", *easy, "--out", str(tmp_path / "run")]) == 1
    said = capsys.readouterr().out
    assert "0 tasks proved" in said and "too easy or too hard for the solver (--band)" in said


def test_the_overview_says_what_each_command_does(capsys: pytest.CaptureFixture[str]):
    assert run(["--help"]) == 0
    said = " ".join(capsys.readouterr().out.replace("\u2502", " ").split())
    assert all(what.rstrip(".").split(" with ")[0][:40] in said for what in COMMANDS.values())
    assert run(["synth", "parcel", "--bogus"]) == 2
    assert "see veriloop synth --help" in capsys.readouterr().err


def test_output_that_nobody_reads_to_the_end_is_no_error():
    command = [sys.executable, "-m", "veriloop.cli.main", "domains", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout and process.stderr
    process.stdout.close()
    assert process.wait(60) == main.CLOSED
    assert process.stderr.read() == b""
