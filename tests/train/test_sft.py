import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from veriloop.core.errors import InputError
from veriloop.domains.domain import Domain
from veriloop.local.model import read_settings
from veriloop.train.data import Dialogue, Rows, TokenRow
from veriloop.train.sft import SftConfig, count_steps, train_sft

QUICK = SftConfig(steps=12, batch=4, learning_rate=3e-3, warmup=1, eval_every=4, patience=2)
CHILD = """
import sys
from pathlib import Path
from veriloop.domains.parcel import load_parcel
from veriloop.store.result import iter_dialogues
from veriloop.store.run import open_run
from veriloop.train.data import Dialogue
from veriloop.train.sft import SftConfig, train_sft

with open_run(Path(sys.argv[1])) as run:
    found = [Dialogue(d.task, d.trace) for d in iter_dialogues(run, good=True)]
config = SftConfig.model_validate_json(sys.argv[3])
train_sft(load_parcel(), "agent", "pico", (found[2:], found[:2]), Path(sys.argv[2]), config)
"""


def read_lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def split(dialogues: list[Dialogue]) -> tuple[list[Dialogue], list[Dialogue]]:
    return dialogues[2:], dialogues[:2]


def test_a_short_run_learns_and_leaves_an_ordinary_folder(parcel: Domain, dialogues: list[Dialogue], tmp_path: Path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    seen: list[tuple[int, int]] = []
    out = tmp_path / "sft"
    result = train_sft(
        parcel, "agent", "pico", split(dialogues), out, QUICK, lambda done, steps: seen.append((done, steps))
    )
    losses = [line["eval_loss"] for line in read_lines(out) if "eval_loss" in line]
    assert len(losses) == 3 and losses[-1] < losses[0]
    assert seen == [(step, 12) for step in range(1, 13)]
    assert result.metrics["rows"] == len(dialogues) - 2
    assert result.metrics["held_out_loss"] == min(losses)
    assert result.metrics["best_step"] == 12 and result.metrics["stopped_at_minimum"] is False
    assert result.steps == 12 and result.tokens > 0
    assert json.loads((out / "result.json").read_text()) == result.model_dump(mode="json")
    assert {line["phase"] for line in read_lines(out)} == {"sft"}
    assert not list(out.glob("checkpoint-*"))
    assert read_settings(out).seat == "agent" and read_settings(out).aliases
    model, tokenizer = AutoModelForCausalLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    assert model.config.vocab_size >= len(tokenizer)
    assert tokenizer.decode(tokenizer.encode("a <V3>")) == "a <V3>"


def measure(loaded: Path, parcel: Domain, held_out: list[Dialogue]) -> float:
    """Return the loss over all own tokens of the held-out dialogues together, computed without TRL."""
    import torch

    from veriloop.local.model import load_model
    from veriloop.train.data import make_rows

    model = load_model(loaded)
    total, count = 0.0, 0
    for row in make_rows(model, parcel, "agent", held_out, length=1400).rows:
        with torch.no_grad():
            logits = model.model(torch.tensor([row.input_ids])).logits[0, :-1]
        target = torch.tensor(row.labels[1:])
        total += torch.nn.functional.cross_entropy(logits, target, reduction="sum").item()
        count += int((target != -100).sum())
    return total / count


def test_it_stops_at_the_held_out_minimum_and_keeps_the_best_weights(
    parcel: Domain, dialogues: list[Dialogue], tmp_path: Path
):
    # Trained on a single dialogue at a high rate the loss on another one soon rises.
    config = SftConfig(steps=200, batch=1, learning_rate=2e-2, warmup=1, eval_every=3, patience=2)
    train, held_out = dialogues[:1], dialogues[1:2]
    result = train_sft(parcel, "agent", "pico", (train, held_out), tmp_path / "sft", config)
    lines = [line for line in read_lines(tmp_path / "sft") if "eval_loss" in line]
    losses = {line["step"]: line["eval_loss"] for line in lines}
    best = min(losses, key=lambda step: losses[step])
    assert result.metrics["stopped_at_minimum"] is True
    assert result.metrics["best_step"] == best
    assert result.steps == max(losses) == best + 6 < 200
    assert result.metrics["last_held_out_loss"] == losses[result.steps] > losses[best]
    assert measure(tmp_path / "sft", parcel, held_out) == pytest.approx(losses[best], rel=1e-3)


class Killed(BaseException):
    """Stands for the end of the process; nothing may catch it."""


def test_patience_goes_on_counting_after_a_kill(parcel: Domain, dialogues: list[Dialogue], tmp_path: Path):
    config = SftConfig(steps=200, batch=1, learning_rate=2e-2, warmup=1, eval_every=3, patience=2)
    data = dialogues[:1], dialogues[1:2]
    whole = train_sft(parcel, "agent", "pico", data, tmp_path / "whole", config)
    best = int(whole.metrics["best_step"] or 0)

    def kill(done: int, steps: int) -> None:
        if done == best + 4:  # one held-out loss without a new minimum is behind, its checkpoint is written
            raise Killed

    with pytest.raises(Killed):
        train_sft(parcel, "agent", "pico", data, tmp_path / "killed", config, kill)
    (tmp_path / "killed" / f"checkpoint-{best + 6}").mkdir()  # and the next one was just begun
    resumed: list[int] = []
    result = train_sft(
        parcel, "agent", "pico", data, tmp_path / "killed", config, lambda done, steps: resumed.append(done)
    )
    assert resumed == list(range(best + 4, best + 7))
    assert (result.steps, result.metrics["best_step"]) == (whole.steps, best)
    assert measure(tmp_path / "killed", parcel, data[1]) == pytest.approx(
        measure(tmp_path / "whole", parcel, data[1]), rel=1e-3
    )


def test_without_patience_all_steps_are_trained_and_nothing_is_held_out(
    parcel: Domain, dialogues: list[Dialogue], agent_folder: Path, tmp_path: Path
):
    config = QUICK.model_copy(update={"patience": 0, "steps": 2})
    result = train_sft(parcel, "agent", agent_folder, (dialogues, []), tmp_path / "sft", config)
    assert result.steps == 2
    assert result.metrics["held_out_loss"] is None and result.metrics["best_step"] in (0, None)


def test_dialogues_that_are_too_long_are_counted(
    parcel: Domain, dialogues: list[Dialogue], agent_folder: Path, tmp_path: Path
):
    from veriloop.local.model import load_model
    from veriloop.train.data import make_rows

    rows = make_rows(load_model(agent_folder), parcel, "agent", dialogues, length=10_000).rows
    limit = sorted(len(row.input_ids) for row in rows)[0]
    config = SftConfig(steps=1, batch=1, patience=0, length=limit)
    result = train_sft(parcel, "agent", agent_folder, (dialogues, []), tmp_path / "sft", config)
    assert result.metrics["rows"] == 1
    assert result.metrics["dropped_for_length"] == len(dialogues) - 1
    assert result.metrics["row_tokens"] == limit


def test_nothing_to_train_on_is_refused(parcel: Domain, dialogues: list[Dialogue], tmp_path: Path):
    with pytest.raises(InputError, match="make more tasks"):
        train_sft(parcel, "agent", "pico", ([], dialogues), tmp_path / "sft", QUICK)
    with pytest.raises(InputError, match="hold out"):
        train_sft(parcel, "agent", "pico", (dialogues, []), tmp_path / "sft", QUICK)
    assert not (tmp_path / "sft").exists()


def test_reading_lessons_come_first_and_are_not_repeated(parcel: Domain, dialogues: list[Dialogue], tmp_path: Path):
    config = QUICK.model_copy(update={"patience": 0, "steps": 3, "pretrain": 2})
    out = tmp_path / "sft"
    first = train_sft(parcel, "agent", "pico", (dialogues, []), out, config)
    lessons = out / "pretrained" / "model.safetensors"
    assert [line["step"] for line in read_lines(out / "pretrained")][-1] == 2
    before = lessons.stat().st_mtime_ns
    tokens = read_lines(out / "pretrained")[-1]["num_input_tokens_seen"]
    assert tokens > 0
    again = train_sft(parcel, "agent", "pico", (dialogues, []), out, config)
    assert first.metrics["pretrain_tokens"] == again.metrics["pretrain_tokens"] == tokens
    assert lessons.stat().st_mtime_ns == before
    assert lessons.read_bytes() != (out / "model.safetensors").read_bytes()


def test_a_killed_run_goes_on_from_its_checkpoint(
    parcel: Domain, dialogues: list[Dialogue], small_run: Path, tmp_path: Path
):
    config = SftConfig(steps=24, batch=2, learning_rate=3e-3, warmup=1, eval_every=3, patience=9)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train_sft(parcel, "agent", "pico", split(dialogues), whole, config)
    command = [sys.executable, "-c", CHILD, str(small_run), str(killed), config.model_dump_json()]
    child = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (killed / "checkpoint-6" / "trainer_state.json").exists():
        assert child.poll() is None and time.monotonic() < deadline, "the run ended before it could be killed"
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (killed / "result.json").exists()
    first: list[int] = []
    train_sft(parcel, "agent", "pico", split(dialogues), killed, config, lambda done, _: first.append(done))
    assert first[0] >= 4 and first[-1] == 24
    assert not list(killed.glob("checkpoint-*"))
    steps = [line["step"] for line in read_lines(killed) if "eval_loss" in line]
    assert steps == [3, 6, 9, 12, 15, 18, 21, 24]
    ends = [[line["eval_loss"] for line in read_lines(out) if "eval_loss" in line] for out in (whole, killed)]
    assert ends[1] == pytest.approx(ends[0], rel=1e-2)


@pytest.mark.parametrize(("rows", "steps"), [(10, 30), (8, 25), (2, 50)])
def test_tokens_become_steps(rows: int, steps: int):
    # Every row has 90 own tokens; a pass over 10 rows takes 3 steps of at most 4 rows; two rows fill half of a step.
    made = Rows([TokenRow([1] * 100, [-100] * 10 + [1] * 90) for _ in range(rows)], 0)
    assert count_steps(made, QUICK.model_copy(update={"own_tokens": 9000})) == steps
    assert count_steps(made, QUICK.model_copy(update={"own_tokens": 1})) == 1
    assert count_steps(made, QUICK) == 12


def test_it_trains_on_so_many_own_tokens(parcel: Domain, dialogues: list[Dialogue], tmp_path: Path):
    config = QUICK.model_copy(update={"own_tokens": 1500, "patience": 0})
    result = train_sft(parcel, "agent", "pico", split(dialogues), tmp_path, config)
    per_step = int(result.metrics["own_tokens"] or 0) / -(-len(dialogues[2:]) // QUICK.batch)
    assert result.steps == max(1, round(1500 / per_step)) != QUICK.steps
