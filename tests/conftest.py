"""Runs and tasks that tests of several layers read."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from veriloop.domains.domain import Domain
from veriloop.domains.parcel import load_parcel
from veriloop.domains.task import Task
from veriloop.engine.synthesize import SynthConfig
from veriloop.pipeline.synthesis import run_synthesis
from veriloop.store.artefact import read_tasks

settings.register_profile("veriloop", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("veriloop")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

SMALL = SynthConfig(n=8, seed=5, rounds=0, evolve=False)


@pytest.fixture(scope="session")
def parcel() -> Domain:
    return load_parcel()


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of eight proved parcel tasks; tests must not write to it."""
    out = tmp_path_factory.mktemp("runs") / "small"
    run_synthesis("parcel", out, SMALL)
    return out


@pytest.fixture(scope="session")
def tasks(small_run: Path) -> list[Task]:
    return list(read_tasks(small_run))
