"""Training that several processes share is the training of one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from veriloop.core.errors import InputError
from veriloop.domains.domain import Domain
from veriloop.train import process
from veriloop.train.data import Dialogue
from veriloop.train.process import first_alone, is_first, share_batch
from veriloop.train.sft import SftConfig, train_sft

CONFIG = SftConfig(steps=6, batch=2, learning_rate=3e-3, warmup=1, eval_every=2, patience=2, pretrain=2)
LAUNCH = ("accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--num_machines=1", "--main_process_port=0")
LAUNCH = (*LAUNCH, "--mixed_precision=no", "--dynamo_backend=no")
CHILD = """
import json
import sys
from pathlib import Path
from veriloop.cli.output import Result, write_result
from veriloop.domains.parcel import load_parcel
from veriloop.store.result import iter_dialogues
from veriloop.store.run import open_run
from veriloop.train.data import Dialogue
from veriloop.train.sft import SftConfig, train_sft

with open_run(Path(sys.argv[1])) as run:
    found = [Dialogue(d.task, d.trace) for d in iter_dialogues(run, good=True)]
config = SftConfig.model_validate_json(sys.argv[3])
result = train_sft(load_parcel(), "agent", "pico", (found[2:6], found[:2]), Path(sys.argv[2]), config)
write_result(Result(result.model_dump(mode="json"), ""), as_json=True)
"""


def read_losses(out: Path) -> list[float]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line["eval_loss"] for line in lines if "eval_loss" in line]


def test_two_processes_reach_the_loss_of_one(
    parcel: Domain, dialogues: list[Dialogue], small_run: Path, tmp_path: Path
):
    assert len(dialogues) >= 6
    child = tmp_path / "child.py"
    child.write_text(CHILD)
    command = [sys.executable, "-m", *LAUNCH, str(child), str(small_run), str(tmp_path / "two")]
    ran = subprocess.run(
        [*command, CONFIG.model_dump_json()],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    one = train_sft(parcel, "agent", "pico", (dialogues[2:6], dialogues[:2]), tmp_path / "one", CONFIG)
    assert read_losses(tmp_path / "two") == pytest.approx(read_losses(tmp_path / "one"), abs=1e-4)
    assert len(read_losses(tmp_path / "two")) == 3
    printed = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    assert len(printed) == 1
    assert printed[0]["metrics"]["held_out_loss"] == pytest.approx(one.metrics["held_out_loss"], abs=1e-4)
    assert not list((tmp_path / "two").glob("checkpoint-*"))


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Be the second of three processes; returns what it waited for."""
    waited: list[str] = []

    class State:
        num_processes, is_main_process = 3, False

        def wait_for_everyone(self) -> None:
            waited.append("everyone")

    monkeypatch.setattr(process, "_state", State)
    return waited


def test_a_batch_is_shared_out_evenly_or_refused(three: list[str]):
    assert share_batch(12) == 4
    with pytest.raises(InputError, match="a batch of 8 cannot be shared by 3 processes"):
        share_batch(8)


def test_the_others_wait_for_the_first(three: list[str]):
    with first_alone() as first:
        assert not first
        assert not three
    assert three == ["everyone"]
    assert not is_first()


def test_a_process_alone_is_the_first():
    assert is_first()
    assert share_batch(7) == 7
