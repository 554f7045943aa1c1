"""From a name on the command line to a player: a script, an endpoint's model, or a model folder."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from veriloop.core.errors import InputError
from veriloop.core.extra import needs_extra
from veriloop.core.message import Seat
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.llm.client import Client, Endpoint
from veriloop.rollout.baseline import Noop, RandomCaller, Transfer
from veriloop.rollout.endpoint import EndpointPlayer
from veriloop.rollout.experts import load_expert
from veriloop.rollout.oracle import Gold, Oracle
from veriloop.rollout.player import AsyncPlayer, Player
from veriloop.rollout.scripted import ScriptedUser

AnyPlayer = Player | AsyncPlayer


@dataclass(frozen=True, slots=True)
class Casting:
    """What a name may need to become a player: the domain, its tasks (for players that see the gold), an endpoint.

    max_tokens: of an endpoint's answer. temperature: of endpoints and local models; None leaves it to them.
    """

    domain: Domain
    tasks: Mapping[str, Task] = field(default_factory=dict)
    base_url: str | None = None
    key_env: str = "OPENAI_API_KEY"
    max_tokens: int = 512
    temperature: float | None = None


AGENTS: dict[str, Callable[[Casting], Player]] = {
    "gold": lambda casting: Gold(casting.domain, casting.tasks),
    "oracle": lambda casting: Oracle(casting.domain, casting.tasks),
    "expert": lambda casting: load_expert(casting.domain.name),
    "noop": lambda _: Noop(),
    "transfer": lambda _: Transfer(),
    "random": lambda _: RandomCaller(),
}
BARE = "gold"
"""The agent that makes bare calls: it tests tasks, and no policy about words is held against it."""
SEE_GOLD = (BARE, "oracle")
"""Agents that are told what to do."""
USERS: dict[str, Callable[[Casting], Player]] = {"scripted": lambda _: ScriptedUser()}
SCRIPTS: dict[Seat, dict[str, Callable[[Casting], Player]]] = {"agent": AGENTS, "user": USERS}


def find_player(name: str, seat: Seat, casting: Casting) -> AnyPlayer:
    """Return the player of a name for a seat; raises InputError for a name that is none.

    A name is a script of that seat, `openai:MODEL`, or a folder that holds a model.
    """
    scripts = SCRIPTS[seat]
    if name in scripts:
        return scripts[name](casting)
    if name.startswith("openai:"):
        return _find_endpoint(name.removeprefix("openai:"), casting)
    path = Path(name)
    if path.is_dir():
        return load_model_player(path, seat, casting)
    close = difflib.get_close_matches(name, scripts, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"use {', '.join(scripts)}, openai:MODEL or a model folder"
    raise InputError(f"there is no player {name!r} for the {seat}'s seat; {hint}")


def load_model_player(path: Path, seat: Seat, casting: Casting) -> Player:
    """Return the player of a model folder; raises InputError when it holds no model or the `train` extra is missing."""
    if not (path / "config.json").is_file():
        raise InputError(f"{str(path)!r} holds no model (no config.json); give the folder that `veriloop sft` wrote")
    with needs_extra("train"):
        from veriloop.local.player import LocalPlayer, Sampling
        from veriloop.local.process import keep_memory
    keep_memory()
    sampling = Sampling() if casting.temperature is None else Sampling(temperature=casting.temperature)
    return LocalPlayer.load(path, seat, sampling=sampling)


def _find_endpoint(model: str, casting: Casting) -> EndpointPlayer:
    if not model:
        raise InputError("openai: names no model; write openai:MODEL")
    options: dict[str, float] = {"max_tokens": casting.max_tokens}
    if casting.temperature is not None:
        options["temperature"] = casting.temperature
    client = Client(Endpoint(model, casting.base_url, key_env=casting.key_env))
    return EndpointPlayer(model, casting.base_url, options=options, client=client)
