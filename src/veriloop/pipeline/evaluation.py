"""An evaluation from names: domain, players, and tasks of a run or of the benchmark."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veriloop.check.sandbox import judge
from veriloop.core.errors import InputError
from veriloop.core.message import Seat
from veriloop.domains.registry import load_domain
from veriloop.evaluate.own import EvalConfig, evaluate_tasks
from veriloop.pipeline.players import AnyPlayer, Casting, find_player
from veriloop.store.artefact import read_tasks

Progress = Callable[[int, int], None]


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
    served = endpoint or Endpoint()
    casting = Casting(
        domain,
        {task.id: task for task in tasks},
        base_url=served.base_url,
        key_env=served.key_env,
        max_tokens=served.max_tokens,
        temperature=served.temperature,
    )
    seats: dict[Seat, str] = {"agent": contest.agent, "user": contest.user}
    players: dict[Seat, AnyPlayer] = {seat: find_player(name, seat, casting) for seat, name in seats.items()}
    file = out or _default_file(contest)
    return evaluate_tasks(domain, tasks, players, config, score=judge, out=file, progress=progress)


def name_evaluation(agent: str, user: str) -> str:
    """Return a file name for an evaluation of two players."""
    return "-".join(re.sub(r"\W+", "_", Path(name).name if "/" in name else name).strip("_") for name in (agent, user))


def _default_file(contest: Contest) -> Path | None:
    """Return where a run's evaluation goes; tasks that lie in no run have no such place."""
    if not contest.tasks.exists():
        raise InputError(f"there is no run {str(contest.tasks)!r}; make one with `veriloop synth DOMAIN --out RUN`")
    is_run = (contest.tasks / "run.toml").is_file()
    return contest.tasks / "evals" / f"{name_evaluation(contest.agent, contest.user)}.json" if is_run else None
