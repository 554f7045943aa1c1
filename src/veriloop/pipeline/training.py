"""Training from a run directory: its judged dialogues for fine-tuning, its tasks for reinforcement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from veriloop.check.verdict import give_verdict
from veriloop.core.errors import InputError
from veriloop.core.extra import needs_extra
from veriloop.core.message import Seat
from veriloop.domains.registry import load_domain
from veriloop.pipeline.worker import open_pool
from veriloop.rollout.player import Player
from veriloop.store.result import iter_dialogues, iter_tasks
from veriloop.store.run import open_run

with needs_extra("train"):
    from veriloop.local.process import keep_memory
    from veriloop.train.data import Dialogue
    from veriloop.train.grpo import RlConfig, train_rl
    from veriloop.train.metrics import TrainResult
    from veriloop.train.sft import SftConfig, train_sft

Progress = Callable[[int, int], None]
HELD_OUT = 10
"""Every tenth item of a run is held out: its dialogue from fine-tuning, its task from reinforcement."""
VALIDATION_TASKS = 48
"""Tasks at most on which reinforcement chooses its best weights."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which dialogues of a run to train on.

    limit: so many at most, 0 for all. Those held out stay the same, so that losses can be compared. good: only those
    worth imitating.
    """

    limit: int = 0
    good: bool = True


def train_sft_on_run(
    run: Path,
    seat: Seat,
    model: str,
    out: Path,
    config: SftConfig,
    *,
    choice: Choice | None = None,
    progress: Progress | None = None,
) -> TrainResult:
    """Fine-tune a seat on a run's dialogues, by default all the good ones; see `train_sft`."""
    keep_memory()
    choice = choice or Choice()
    with open_run(run) as opened:
        domain, chosen = load_domain(opened.domain), iter_dialogues(opened, good=choice.good)
        found = [(found.item, Dialogue(found.task, found.trace)) for found in chosen]
    train, held_out = split_items(found)
    return train_sft(domain, seat, model, (train[: choice.limit or None], held_out), out, config, progress)


@dataclass(frozen=True, slots=True)
class SeatJob:
    """One seat's fine-tuning on a run; the arguments of `train_sft_on_run`."""

    run: Path
    seat: Seat
    model: str
    out: Path
    config: SftConfig


def train_seats(jobs: Sequence[SeatJob]) -> None:
    """Fine-tune seats side by side, each in a process of its own; a finished one is not repeated."""
    missing = [job for job in jobs if not (job.out / "result.json").exists()]
    if not missing:
        return
    with open_pool(len(missing)) as pool:
        for future in [pool.submit(_train_seat, job) for job in missing]:
            future.result()


def _train_seat(job: SeatJob) -> None:
    train_sft_on_run(job.run, job.seat, job.model, job.out, job.config)


def train_rl_on_run(
    run: Path, agent: str, user: str | Player, out: Path, config: RlConfig, *, progress: Progress | None = None
) -> TrainResult:
    """Train the agent on a run's tasks with a user, mostly a trained one's folder; see `train_rl`."""
    with open_run(run) as opened:
        domain = load_domain(opened.domain)
        tasks = list(iter_tasks(opened))
    train, held_out = split_items(tasks)
    if not train:
        raise InputError(
            f"run {str(run)!r} holds no task besides every tenth, which is held out; make more with `veriloop synth`"
        )
    return train_rl(
        domain,
        (train, held_out[:VALIDATION_TASKS]),
        (agent, user),
        out,
        config,
        score=partial(give_verdict, domain),
        progress=progress,
    )


def split_items(items: Sequence[tuple[int, T]]) -> tuple[list[T], list[T]]:
    """Split (item, value) pairs into those to train on and those held out, by item number alone."""
    train = [value for item, value in items if item % HELD_OUT]
    held_out = [value for item, value in items if item % HELD_OUT == 0]
    return train, held_out
