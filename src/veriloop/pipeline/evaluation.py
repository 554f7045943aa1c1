"""An evaluation from names: domain, players, and tasks of a run or of the benchmark."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from veriloop.check.sandbox import judge
from veriloop.check.verdict import give_verdict
from veriloop.core.errors import InputError
from veriloop.core.extra import needs_extra
from veriloop.core.message import Seat
from veriloop.domains.registry import load_domain
from veriloop.domains.task import Task
from veriloop.evaluate.own import EvalConfig, evaluate_tasks
from veriloop.pipeline.players import AGENTS, BARE, Casting, find_player
from veriloop.rollout.scripted import ScriptedUser
from veriloop.store.artefact import read_tasks
from veriloop.store.file import write_json

Progress = Callable[[int, int], None]
BASELINES = ("noop", "transfer")
"""Agents that know nothing; what they pass is told beside every official score."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where `openai:` players are served, and how they and local models answer."""

    base_url: str | None = None
    key_env: str = "OPENAI_API_KEY"
    max_tokens: int = 512
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class Contest:
    """Who plays what: names of domain and players, the run whose tasks are played."""

    domain: str
    agent: str
    user: str
    tasks: Path


def run_evaluation(
    contest: Contest,
    config: EvalConfig,
    *,
    endpoint: Endpoint | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Play a run's tasks and return the summary, stored in the run's `evals` folder unless `out` names a file."""
    domain = load_domain(contest.domain)
    tasks = list(read_tasks(contest.tasks))
    players = _cast(contest, {task.id: task for task in tasks}, endpoint)
    file = out or default_file(contest)
    score = judge if contest.agent == BARE else partial(give_verdict, domain)
    return evaluate_tasks(domain, tasks, players, config, score=score, out=file, progress=progress)


def run_official_evaluation(
    contest: Contest,
    config: EvalConfig,
    *,
    solo: bool = False,
    endpoint: Endpoint | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Play with tau2's own orchestrator and evaluator: a run's tasks, or the benchmark's (`official:base|train|test`).

    The result file of the benchmark's own tasks goes to `out`, which must be given then. The summary's `baselines` are
    pass^1 of doing nothing and of transferring at once, one dialogue a task with the scripted user. Their files lie
    beside it under names that tell what they depend on, so that later evaluations of the same tasks find them.
    solo: the agent works alone; raises InputError where a task has no ticket for that.
    """
    with needs_extra("tau2"):
        from veriloop.evaluate.official import (
            OfficialConfig,
            digest_settings,
            official_tasks,
            run_official,
            wrap_tasks,
        )
    domain = load_domain(contest.domain)
    split = official_split(contest.tasks)
    tasks = official_tasks(domain, split) if split else wrap_tasks(domain, list(read_tasks(contest.tasks)))
    file = out or default_file(contest, officially=True)
    if file is None:
        raise InputError("tasks that lie in no run have no place for the result; name a file with --out")
    players = _cast(contest, {task.id: task.task for task in tasks}, endpoint)
    settings = OfficialConfig(config.trials, config.width, config.seed, solo=solo)
    if config.limits:
        settings = replace(settings, max_steps=config.limits.turns)
    casting = Casting(domain)
    seats: dict[Seat, Any] = {} if solo else {"user": ScriptedUser()}
    baselines, once = dict[str, float](), replace(settings, trials=1)
    for name in BASELINES:
        idle: dict[Seat, Any] = {**seats, "agent": AGENTS[name](casting)}
        beside = file.with_name(f"{name}-{digest_settings(domain, tasks, idle, once)}.json")
        floor = run_official(domain, tasks, idle, once, out=beside)
        if floor["counted"]:
            baselines[name] = floor["pass_hat"]["1"]
    if solo:
        del players["user"]
    summary = {**run_official(domain, tasks, players, settings, out=file, progress=progress), "baselines": baselines}
    write_json(file, summary)
    return summary


def official_split(tasks: Path) -> str | None:
    """Return the benchmark's split that `official` or `official:SPLIT` names, None for a path."""
    name, _, split = str(tasks).partition(":")
    return (split or "base") if name == "official" else None


def _cast(contest: Contest, tasks: Mapping[str, Task], endpoint: Endpoint | None) -> dict[Seat, Any]:
    served = endpoint or Endpoint()
    casting = Casting(
        load_domain(contest.domain),
        tasks,
        base_url=served.base_url,
        key_env=served.key_env,
        max_tokens=served.max_tokens,
        temperature=served.temperature,
    )
    seats: dict[Seat, str] = {"agent": contest.agent, "user": contest.user}
    return {seat: find_player(name, seat, casting) for seat, name in seats.items()}


def name_evaluation(agent: str, user: str) -> str:
    """Return a file name for an evaluation of two players."""
    return "-".join(re.sub(r"\W+", "_", Path(name).name if "/" in name else name).strip("_") for name in (agent, user))


def default_file(contest: Contest, *, officially: bool = False) -> Path | None:
    """Return where a run's evaluation goes; tasks that lie in no run have no such place."""
    is_run = (contest.tasks / "run.toml").is_file()
    name = f"{'official-' if officially else ''}{name_evaluation(contest.agent, contest.user)}"
    return contest.tasks / "evals" / f"{name}.json" if is_run else None
