"""Which model plays a role, where it is served and what it costs."""

from typing import Literal

from pydantic import Field, JsonValue

from veriloop.core.base import Frozen

Role = Literal[
    "planner", "synthesiser", "task_verifier", "user", "agent", "trajectory_verifier", "reflector", "solver", "judge",
]  # fmt: skip
ROLES: tuple[Role, ...] = (
    "planner", "synthesiser", "task_verifier", "user", "agent", "trajectory_verifier", "reflector",
)  # fmt: skip
"""Who makes the data; a model for all roles plays each of these."""
SOLVER: Role = "solver"
"""Who tries proved tasks to see how hard they are."""
JUDGE: Role = "judge"
"""Who says what it thinks of dialogues, and decides nothing."""
BY_NAME = (SOLVER, JUDGE)
"""Roles that nobody plays unless they are asked for by name."""


class RoleModel(Frozen):
    """The model that plays a role.

    base_url: where it is served, empty for OpenAI's own. key_env: name of the environment variable with the key.
    prices: US dollars per million tokens, of prompts and of completions. prompts: folder of edited prompts, empty for
    ours. options: further fields of every request (temperature, max_tokens, ...). width: requests in flight at most.
    timeout: seconds for one attempt. attempts: how often a request is sent before the endpoint counts as down.
    """

    model: str = Field(min_length=1)
    base_url: str = ""
    key_env: str = "OPENAI_API_KEY"
    prices: tuple[float, float] = (0.0, 0.0)
    prompts: str = ""
    options: dict[str, JsonValue] = {}
    width: int = Field(default=16, ge=1)
    timeout: float = Field(default=120.0, gt=0)
    attempts: int = Field(default=8, ge=1)


RoleModels = dict[Role, RoleModel]
"""The roles that models play; a script plays the others."""
