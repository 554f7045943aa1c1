"""Runs say in their manifest whether a task is near to the benchmark's; a leak is named and ends with exit code 1."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from veriloop.cli import synth
from veriloop.cli.main import run
from veriloop.domains.held_out import HeldOut, digest, digest_shingles
from veriloop.domains.task import Task
from veriloop.engine.plan import Scope
from veriloop.engine.synthesize import SynthConfig
from veriloop.pipeline import synthesis
from veriloop.pipeline.synthesis import run_synthesis
from veriloop.store.artefact import read_tasks
from veriloop.store.file import read_json
from veriloop.store.manifest import hash_files

SYNTH = ("synth", "parcel", "-n", "3", "--seed", "1", "--rounds", "0")
CLEAN = {"entities": 0, "instructions": 0, "combinations": 0}


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> Callable[[HeldOut], None]:
    """Return what has runs checked against something else than what synthesis keeps off."""
    return lambda held_out: monkeypatch.setattr(synthesis, "find_held_out", lambda _: held_out)


def run_synth(capsys: pytest.CaptureFixture[str], out: Path, *options: str) -> tuple[int, dict[str, Any]]:
    code = run([*SYNTH, "--out", str(out), "--json", *options])
    return code, json.loads(capsys.readouterr().out)


def make_tasks(out: Path) -> list[Task]:
    run_synthesis("parcel", out, SynthConfig(n=3, seed=1, rounds=0))
    return list(read_tasks(out))


def plant(kind: str, task: Task) -> HeldOut:
    if kind == "entities":
        return HeldOut(entities=frozenset({digest(task.provenance.caller)}))
    return HeldOut(instructions=(digest_shingles(task.user),))


@pytest.mark.parametrize("kind", ["entities", "instructions"])
def test_a_planted_leak_is_named_counted_and_ends_with_exit_code_1(
    kind: str, hold: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = make_tasks(tmp_path / "plain")[1]
    hold(plant(kind, task))
    code, result = run_synth(capsys, tmp_path / "run")
    assert code == 1
    assert result["proved"] == 3
    assert {(leak["task"], leak["kind"]) for leak in result["leakage"]["leaks"]} >= {(task.id, kind)}
    assert read_json(tmp_path / "run" / "manifest.json")["leakage"][kind] >= 1


def test_a_planted_combination_is_found(hold: Any, tmp_path: Path) -> None:
    pytest.importorskip("tau2")
    config = SynthConfig(n=2, seed=1, rounds=0, evolve=False, scope=Scope(tiers=("repair",)))
    run_synthesis("tau2/telecom", tmp_path / "plain", config)
    task = next(read_tasks(tmp_path / "plain"))
    hold(HeldOut(combinations=frozenset({digest(task.tags.combination)})))
    leakage = run_synthesis("tau2/telecom", tmp_path / "run", config).leakage
    assert leakage is not None
    assert (task.id, "combinations") in {(leak.task, leak.kind) for leak in leakage.leaks}


def test_a_clean_run_says_so_and_is_resumed_to_the_same(
    hold: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hold(HeldOut())
    code, first = run_synth(capsys, tmp_path / "run")
    files, manifest = hash_files(tmp_path / "run"), (tmp_path / "run" / "manifest.json").read_bytes()
    assert (code, first["leakage"]) == (0, {"checked": 3, "leaks": []})
    code, again = run_synth(capsys, tmp_path / "run", "--resume")
    assert (code, again["leakage"]) == (0, first["leakage"])
    assert (hash_files(tmp_path / "run"), (tmp_path / "run" / "manifest.json").read_bytes()) == (files, manifest)
    assert read_json(tmp_path / "run" / "manifest.json")["leakage"] == {"checked": 3, **CLEAN}
    assert run([*SYNTH, "--out", str(tmp_path / "told")]) == 0
    assert "none of 3 tasks is near to the benchmark's own" in capsys.readouterr().out


def test_leaks_are_told_in_words_with_their_tasks(
    hold: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synth, "NAMED", 2)
    callers = {task.id: task.provenance.caller for task in make_tasks(tmp_path / "plain")}
    hold(HeldOut(entities=frozenset(map(digest, callers.values()))))
    assert run([*SYNTH, "--out", str(tmp_path / "run")]) == 1
    said = " ".join(capsys.readouterr().out.split())
    named = [task for task, caller in callers.items() if f"LEAK: task {task} is about {caller}, held out" in said]
    assert len(named) == 2
    assert "and 1 more" in said


def test_a_domain_that_holds_nothing_out_has_no_entry(small_run: Path) -> None:
    assert "leakage" not in read_json(small_run / "manifest.json")


@pytest.mark.parametrize("name", ["tau2/airline", "tau2/retail", "tau2/telecom"])
def test_twenty_tasks_of_each_domain_of_tau2_have_no_leak(name: str, tmp_path: Path) -> None:
    pytest.importorskip("tau2")
    result = run_synthesis(name, tmp_path / "run", SynthConfig(n=20, seed=2, rounds=0, evolve=False))
    assert result.leakage is not None
    assert result.leakage.leaks == ()
    assert read_json(tmp_path / "run" / "manifest.json")["leakage"] == {"checked": 20, **CLEAN}
