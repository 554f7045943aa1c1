"""A run's tasks beside the benchmark's, through the command, and on the page."""

import json
from pathlib import Path

import pytest

from veriloop.cli.fidelity import fidelity_command
from veriloop.core.errors import InputError
from veriloop.engine.synthesize import SynthConfig
from veriloop.pipeline.fidelity import measure_fidelity
from veriloop.pipeline.synthesis import run_synthesis
from veriloop.report.page import write_report

pytest.importorskip("tau2")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("airline") / "run"
    run_synthesis("tau2/airline", out, SynthConfig(n=6, seed=4, evolve=False))
    return out


def test_a_run_is_laid_beside_the_official_tasks(run: Path) -> None:
    assert "Beside the benchmark" not in write_report(run).read_text()
    shown = fidelity_command(run)
    found = json.loads((run / "fidelity.json").read_text())
    assert shown.data == found
    assert (found["ours"]["tasks"], found["official"]["tasks"], found["split"]) == (6, 50, "base")
    assert found["official"]["no_write"] == pytest.approx(0.4)
    assert found["ours"]["turns"] > 4 and found["official"]["turns"] is None
    assert 0 < found["distance"] < 1
    for said in ("official:base", "book_reservation", "words of an instruction", "40.0%"):
        assert said in shown.text
    page = write_report(run).read_text()
    assert "Beside the benchmark" in page and "official:base" in page
    assert "40.0 %" in page


def test_only_the_benchmarks_domains_and_splits(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no official split"):
        measure_fidelity(run, "all")
    run_synthesis("parcel", tmp_path / "parcel", SynthConfig(n=1, evolve=False))
    with pytest.raises(InputError, match="no domain of tau2"):
        measure_fidelity(tmp_path / "parcel")
