"""Agents on tasks of our own: every task several times, pass^k with intervals, resumable per dialogue."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veriloop.core.base import derive_seed
from veriloop.core.errors import InputError
from veriloop.core.message import Seat
from veriloop.core.metric import pass_hat, pass_hat_interval
from veriloop.core.trace import Trace
from veriloop.core.verdict import Outcome, Verdict
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.evaluate.record import Place, Played, Record, Score, score_of
from veriloop.rollout.driver import play_async, play_batch
from veriloop.rollout.episode import Episode, Limits
from veriloop.store.file import write_json

Judge = Callable[[Task, Trace], Verdict]
Progress = Callable[[int, int], None]
"""(dialogues done, dialogues in all)."""


@dataclass(frozen=True, slots=True)
class EvalConfig:
    """How tasks are played: trials of each, dialogues at once, the seed that every dialogue's seed comes from.

    limits: None leaves them to what plays the dialogues.
    """

    trials: int = 4
    width: int = 16
    seed: int = 0
    limits: Limits | None = None


def evaluate_tasks(
    domain: Domain,
    tasks: Sequence[Task],
    players: Mapping[Seat, Any],
    config: EvalConfig,
    *,
    score: Judge,
    out: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Play every task `config.trials` times and return the summary (see `summarise`).

    players: a Player or AsyncPlayer for each seat. out: `evals/<name>.json`; the dialogues go beside it into
    `<name>.jsonl` as they end, and what is there already is not played again, void dialogues excepted. Raises
    InputError for tasks that repeat or belong elsewhere, and when `out` holds dialogues of other players or seeds.
    """
    places = _check_tasks(domain, tasks, config)
    names: dict[Seat, str] = {"agent": players["agent"].name, "user": players["user"].name}
    record = Record(out.with_suffix(".jsonl") if out else None)
    scores = _load_scores(record, names, config, places)
    missing = [place for place in places if place not in scores]
    by_id = {task.id: task for task in tasks}
    episodes = (_open_episode(domain, by_id[task_id], trial, config, names) for task_id, trial in missing)

    def keep(position: int, trace: Trace) -> None:
        task_id, trial = missing[position]
        verdict = None if trace.void else score(by_id[task_id], trace)
        played = Played(task_id=task_id, trial=trial, verdict=verdict, trace=trace)
        record.add(played)
        scores[task_id, trial] = score_of(played)
        if progress:
            progress(len(scores), len(places))

    if missing:
        _play(episodes, players, config.width, keep)
    record.settle(places)
    summary = summarise(domain.name, names, scores, places, config)
    if out:
        write_json(out, summary)
    return summary


def summarise(
    domain: str, names: Mapping[Seat, str], scores: Mapping[Place, Score], places: Sequence[Place], config: EvalConfig
) -> dict[str, Any]:
    """Return the figures of an evaluation.

    per_task: the counted trials of each task, in order. Void dialogues and those whose checker broke count in no
    figure but `void` and `checker_errors`; pass^k is over the tasks that have k counted trials.
    """
    per_task: dict[str, list[bool]] = {task_id: [] for task_id, _ in places}
    for task_id, trial in places:
        passed = scores[task_id, trial].passed
        if passed is not None:
            per_task[task_id].append(passed)
    trials = list(per_task.values())
    found = {str(k): value for k in range(1, config.trials + 1) if (value := pass_hat(trials, k)) is not None}
    intervals = {k: list(pass_hat_interval(trials, int(k), seed=config.seed) or ()) for k in found}
    stops = Counter(str(scores[place].stop) for place in places)
    return {
        "domain": domain,
        "agent": names["agent"],
        "user": names["user"],
        "tasks": len(per_task),
        "trials": config.trials,
        "seed": config.seed,
        "passed": sum(map(sum, trials)),
        "counted": sum(map(len, trials)),
        "void": sum(scores[place].outcome is None for place in places),
        "void_reason": next((scores[place].error for place in places if scores[place].error), ""),
        "checker_errors": sum(scores[place].outcome is Outcome.ERROR for place in places),
        "pass_hat": found,
        "interval_95": intervals,
        "official": False,
        "per_task": per_task,
        "stops": dict(sorted(stops.items())),
    }


def trial_seed(config: EvalConfig, task_id: str, trial: int) -> int:
    """Return the seed of one dialogue; it depends on nothing but the evaluation's seed, the task and the trial."""
    return derive_seed("eval", config.seed, task_id, trial)


def _check_tasks(domain: Domain, tasks: Sequence[Task], config: EvalConfig) -> list[Place]:
    """Return every (task id, trial) in order."""
    if not tasks:
        raise InputError("there are no tasks to evaluate; name a run or a folder that holds some")
    if config.trials < 1 or config.width < 1:
        raise InputError(f"trials and width must be at least 1, not {config.trials} and {config.width}")
    if foreign := next((task for task in tasks if task.domain != domain.name), None):
        raise InputError(f"task {foreign.id} is of domain {foreign.domain!r}, not {domain.name!r}; name its own domain")
    ids = [task.id for task in tasks]
    if repeated := next((id_ for id_, count in Counter(ids).items() if count > 1), None):
        raise InputError(f"task {repeated} is given more than once; list every task once")
    return [(task_id, trial) for task_id in ids for trial in range(config.trials)]


def _load_scores(
    record: Record, names: dict[Seat, str], config: EvalConfig, places: Sequence[Place]
) -> dict[Place, Score]:
    """Return the scores of the dialogues played before; void ones are left out, so that they are played again."""
    wanted, scores = set(places), dict[Place, Score]()
    for place, played in record.load().items():
        if played.trace.players != names or played.trace.seed != trial_seed(config, *place) or place not in wanted:
            raise InputError(
                f"{str(record.path)!r} holds another evaluation (its players are {played.trace.players}, task "
                f"{place[0]}, trial {place[1]}); give the same tasks, players and seed, or another name"
            )
        if not played.trace.void:
            scores[place] = score_of(played)
    return scores


def _open_episode(domain: Domain, task: Task, trial: int, config: EvalConfig, names: dict[Seat, str]) -> Episode:
    return Episode(domain, task, seed=trial_seed(config, task.id, trial), limits=config.limits, names=names)


def _play(
    episodes: Iterator[Episode], players: Mapping[Seat, Any], width: int, keep: Callable[[int, Trace], None]
) -> None:
    """Play with the driver that fits: players that wait for an endpoint together, all others in batches."""
    if any(hasattr(player, "reply_async") for player in players.values()):
        asyncio.run(_play_waiting(episodes, players, width, keep))
        return
    for position, trace in play_batch(episodes, players, width):
        keep(position, trace)


async def _play_waiting(
    episodes: Iterator[Episode], players: Mapping[Seat, Any], width: int, keep: Callable[[int, Trace], None]
) -> None:
    try:
        async with aclosing(play_async(episodes, players, width)) as traces:  # pyright: ignore[reportArgumentType]
            async for position, trace in traces:
                keep(position, trace)
    finally:
        for player in players.values():
            if hasattr(player, "reply_async") and hasattr(player, "close"):
                await player.close()
