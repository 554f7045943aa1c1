from pathlib import Path

import pytest

from veriloop.core.errors import InputError
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.engine.synthesize import SynthConfig
from veriloop.pipeline.synthesis import make_bench, run_synthesis
from veriloop.rollout.oracle import Oracle
from veriloop.store.manifest import find_differences, hash_files
from veriloop.store.run import open_run, read_config


def test_run_directory_is_complete(small_run: Path, tasks: list[Task]):
    assert len(tasks) == 8
    assert find_differences(small_run) == []
    config = read_config(small_run)
    assert (config["domain"], config["n"], config["seed"], config["evolve"]) == ("parcel", 8, 5, False)
    with open_run(small_run) as run:
        assert run.ledger.get_meta("config") == config
        assert run.ledger.get_meta("versions")["veriloop"]


def test_resuming_a_finished_run_changes_nothing(small_run: Path, tmp_path: Path):
    config = SynthConfig(n=3, seed=1, rounds=0, evolve=False)
    first = run_synthesis("parcel", tmp_path / "run", config)
    before = hash_files(tmp_path / "run")
    again = run_synthesis("parcel", tmp_path / "run", config, resume=True)
    assert hash_files(tmp_path / "run") == before
    assert again.model_dump(exclude={"seconds"}) == first.model_dump(exclude={"seconds"})


def test_splits_share_no_database(tmp_path: Path, tasks: list[Task]):
    run_synthesis("parcel", tmp_path / "run", SynthConfig(n=2, rounds=0, evolve=False, split="test"))
    with open_run(tmp_path / "run") as run:
        made = [entry.payload["initial"]["database"] for entry in run.ledger.entries("synth", "done")]
    assert made and all(name.startswith("test-") for name in made)
    assert all(task.initial.database.startswith("train-") for task in tasks)


def test_bad_domain_makes_no_directory(tmp_path: Path):
    with pytest.raises(InputError):
        run_synthesis("parcle", tmp_path / "run", SynthConfig(n=1))
    assert not (tmp_path / "run").exists()


def test_expert_demonstrates_where_there_is_one(parcel: Domain, tasks: list[Task]):
    assert make_bench(parcel).agent.name == "expert"

    class Renamed:
        name = "unheard-of"

        def __getattr__(self, name: str):
            return getattr(parcel, name)

    assert isinstance(make_bench(Renamed()).agent(tasks[0]), Oracle)  # pyright: ignore[reportArgumentType]
