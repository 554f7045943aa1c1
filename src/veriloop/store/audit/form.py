"""The forms of rows that an audit knows, told by their fields."""

from enum import StrEnum
from typing import Any

from veriloop.store.audit.document import SIMULATIONS
from veriloop.store.mark import FIELD


class Form(StrEnum):
    """What a row is."""

    MESSAGES = "messages"
    """A whole dialogue, as OpenAI has it: `messages`, mostly with `tools`."""
    TURNS = "turns"
    """A turn: lists of messages `prompt` and `completion`, as TRL takes them."""
    AREAL_SFT = "areal turns"
    """A turn: `messages` before it and the `answer`."""
    AREAL_RL = "areal tasks"
    """A task of tau2's format with the path of its database."""
    TAU2_TASK = "tau2 tasks"
    """A task of tau2's format."""
    SIMULATION = "tau2 simulations"
    """A dialogue of tau2's results."""
    TASK = "tasks"
    """A task file of a run of ours."""

    @property
    def is_task(self) -> bool:
        """True where the row is a task, False where it is a dialogue or a part of one."""
        return self in (Form.AREAL_RL, Form.TAU2_TASK, Form.TASK)

    @property
    def needs_id(self) -> bool:
        """True where the form has a place for an id."""
        return self in (Form.AREAL_SFT, Form.SIMULATION)

    @property
    def is_turn(self) -> bool:
        """True where the rows of a dialogue repeat its beginning."""
        return self in (Form.TURNS, Form.AREAL_SFT)


def tell_form(raw: dict[str, Any], section: str = "") -> Form | None:
    """Return the form of a row, None where it has none that is known."""
    if section == SIMULATIONS or {"messages", "task_id", "reward_info"} <= raw.keys():
        return Form.SIMULATION
    if "messages" in raw:
        return Form.AREAL_SFT if "answer" in raw else Form.MESSAGES
    if "prompt" in raw and "completion" in raw:
        return Form.TURNS
    if "user_scenario" in raw:
        return Form.AREAL_RL if "db_path" in raw or FIELD in raw else Form.TAU2_TASK
    if {"domain", "initial", "user", "gold"} <= raw.keys():
        return Form.TASK
    return None
