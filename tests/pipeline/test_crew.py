"""Items made in other processes are those made here, whatever dies on the way."""

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from veriloop.core.errors import InputError, VeriloopError
from veriloop.engine.plan import Workflow
from veriloop.engine.planner import write_plans
from veriloop.engine.role.model import RoleModel
from veriloop.engine.setting import Order
from veriloop.engine.stream import make_item
from veriloop.engine.synthesize import SynthConfig
from veriloop.pipeline import crew as crews
from veriloop.pipeline.crew import ProcessCrew, Site, Work, make_elsewhere, set_up
from veriloop.pipeline.synthesis import Staff, make_bench, run_synthesis
from veriloop.store.artefact import read_tasks
from veriloop.store.manifest import find_differences

SITE = Site("parcel", verify=True, solver="", band=(0.2, 0.85), trials=4)
CONFIG = SynthConfig(n=24, seed=11, plans=3, pilot=12, databases=6)


def files(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes()
        for folder in ("tasks", "checkers")
        for path in sorted((out / folder).iterdir())
    }


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run that one process makes."""
    out = tmp_path_factory.mktemp("alone") / "run"
    return run_synthesis("parcel", out, CONFIG), out


def same(result, out, alone) -> bool:
    there, folder = alone
    keep = {"run": "", "seconds": 0}
    return result.model_copy(update=keep) == there.model_copy(update=keep) and files(out) == files(folder)


def find_children(name: bytes) -> list[int]:
    """Return the processes below this one whose command line holds a name."""
    found, parents = [], {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat, command = (entry / "stat").read_text(), (entry / "cmdline").read_bytes()
        except OSError:
            continue
        parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
        if name in command:
            found.append(int(entry.name))

    def ours(pid: int) -> bool:
        while pid > 1:
            if pid == os.getpid():
                return True
            pid = parents.get(pid, 0)
        return False

    return [pid for pid in found if ours(pid)]


class Assassin:
    """Kills one process of a name after the first items are in."""

    def __init__(self, name: bytes, after: int = 3) -> None:
        self._name, self._after = name, after
        self.killed: list[int] = []

    def __call__(self, done: int, _wanted: int, _what: str) -> None:
        if not self.killed and done >= self._after:
            self.killed = find_children(self._name)[:1]
            for pid in self.killed:
                os.kill(pid, signal.SIGKILL)


class TestProcesses:
    def test_they_make_what_one_process_makes(self, tmp_path, alone):
        seen = list[tuple[int, int, str]]()
        result = run_synthesis(
            "parcel", tmp_path / "run", CONFIG, staff=Staff(workers=2), progress=lambda *s: seen.append(s)
        )
        assert same(result, tmp_path / "run", alone)
        assert seen[-1] == (24, 24, "") and (12, 12, "pilot:0") in seen
        assert find_children(b"spawn_main") == []

    def test_one_that_is_killed_costs_nothing_but_time(self, tmp_path, alone):
        assassin = Assassin(b"spawn_main")
        result = run_synthesis("parcel", tmp_path / "run", CONFIG, staff=Staff(workers=2), progress=assassin)
        assert assassin.killed and same(result, tmp_path / "run", alone)

    def test_a_run_begun_by_many_is_finished_by_one(self, tmp_path, alone):
        class PulledError(VeriloopError):
            pass

        def pull(done, _wanted, what):
            if not what and done == 7:
                raise PulledError

        with pytest.raises(PulledError):
            run_synthesis("parcel", tmp_path / "run", CONFIG, staff=Staff(workers=2), progress=pull)
        assert same(run_synthesis("parcel", tmp_path / "run", CONFIG, resume=True), tmp_path / "run", alone)

    def test_those_that_die_again_and_again_end_the_run(self, monkeypatch):
        monkeypatch.setattr(crews, "RESTARTS", 2)
        crew = ProcessCrew(dataclasses.replace(SITE, domain="no such domain"), 1)
        crew._site = None  # type: ignore[assignment]
        monkeypatch.setattr(crews, "_start_process", die)
        crew._pool.shutdown()
        crew._pool = crew._open()
        pair = write_plans(set_up(SITE).domain)[0]
        with pytest.raises(VeriloopError, match="died 2 times"):
            asyncio.run(crew.make(pair, Workflow(), Order(1, 0), lambda _: False))
        crew.close()

    def test_what_goes_wrong_in_one_is_told_here(self, tmp_path):
        crew = ProcessCrew(dataclasses.replace(SITE, domain="no such domain"), 1)
        pair = write_plans(set_up(SITE).domain)[0]
        with pytest.raises(InputError, match="no such domain"):
            asyncio.run(crew.make(pair, Workflow(), Order(1, 0), lambda _: False))
        crew.close()

    def test_they_end_with_a_run_that_is_killed(self, tmp_path):
        command = [
            sys.executable, "-m", "veriloop.cli.main", "synth", "parcel", "-n", "200", "--workers", "2",
            "--out", str(tmp_path / "run"),
        ]  # fmt: skip
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while len(workers := find_children(b"spawn_main")) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(workers) == 2
        process.kill()
        process.wait()
        while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def die(_site):
    os._exit(1)


class TestTaken:
    def test_a_task_that_is_taken_is_made_as_it_would_be_here(self, parcel):
        bench, pair, order = make_bench(parcel), write_plans(parcel)[0], Order(seed=41, item=2)

        def make(is_taken):
            return asyncio.run(make_item(bench, pair, Workflow(), order, is_taken))

        first = make(lambda _: False).task.id
        second = make({first}.__contains__).task.id
        asked = list[Work]()

        async def submit(work):
            asked.append(work)
            return await make_item(bench, work.pair, work.workflow, work.order, work.taken.__contains__)

        for taken in (set(), {first}, {first, second}):
            asked.clear()
            found = asyncio.run(make_elsewhere(submit, pair, Workflow(), order, taken.__contains__))
            assert found == make(taken.__contains__)
            assert len(asked) == 1 + len(taken)


class TestRay:
    def test_two_workers_make_what_one_process_makes_even_when_one_is_killed(self, tmp_path, alone, monkeypatch):
        pytest.importorskip("ray")
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
        assassin = Assassin(b"ray::_make_at_site")
        staff = Staff(workers=2, executor="ray")
        result = run_synthesis("parcel", tmp_path / "run", CONFIG, staff=staff, progress=assassin)
        assert assassin.killed and same(result, tmp_path / "run", alone)
        assert find_differences(tmp_path / "run") == []

    def test_what_goes_wrong_in_one_is_told_here(self, tmp_path, monkeypatch):
        pytest.importorskip("ray")
        crew = crews.RayCrew(dataclasses.replace(SITE, domain="no such domain"), 1)
        pair = write_plans(set_up(SITE).domain)[0]
        try:
            with pytest.raises(InputError, match="no such domain"):
                asyncio.run(crew.make(pair, Workflow(), Order(1, 0), lambda _: False))
        finally:
            crew.close()


def test_models_are_asked_from_one_process(tmp_path):
    user = RoleModel(model="m", base_url="http://127.0.0.1:9/v1")
    chosen = CONFIG.model_copy(update={"roles": {"user": user}})
    with pytest.raises(InputError, match="the user is a model"):
        run_synthesis("parcel", tmp_path / "run", chosen, staff=Staff(workers=2))
    assert not (tmp_path / "run").exists()


def test_a_solver_tries_tasks_wherever_they_are_made(tmp_path):
    chosen = SynthConfig(n=3, rounds=0, evolve=False, solver="expert", band=(0.5, 1.0), trials=2)
    here = run_synthesis("parcel", tmp_path / "here", chosen)
    there = run_synthesis("parcel", tmp_path / "there", chosen, staff=Staff(workers=2))
    assert here.solved == there.solved == 1.0
    assert [task.id for task in read_tasks(tmp_path / "here")] == [task.id for task in read_tasks(tmp_path / "there")]
