"""Tasks in the format of tau2's task files, so that its own orchestrator and evaluator can run them."""

from typing import Any

from veriloop.core.message import Seat
from veriloop.domains.task import SeatCall, Task, UserScenario

REQUESTOR: dict[Seat, str] = {"agent": "assistant", "user": "user"}


def to_tau2_task(task: Task) -> dict[str, Any]:
    """Return the task as JSON of tau2's `Task` model.

    The gold calls of both seats are its actions. The reward is on the end state and on what has to be told; a task
    without writes therefore passes there by doing nothing, which our own checker does not accept.
    """
    return {
        "id": task.id,
        "description": {"purpose": f"{task.tags.tier} task", "relevant_policies": ", ".join(task.tags.clauses) or None},
        "user_scenario": {"persona": task.user.persona or None, "instructions": _instruct(task.domain, task.user)},
        "ticket": task.initial.ticket,
        "initial_state": _set_up(task.initial.calls),
        "evaluation_criteria": {
            "actions": [_act(task.id, position, step) for position, step in enumerate(task.gold)],
            "communicate_info": [plain_info(value) for value in task.told],
            "reward_basis": ["DB", "COMMUNICATE"],
        },
    }


def plain_info(value: str) -> str:
    """Return a value to be told without commas: tau2 takes them out of what was said, but not out of the value."""
    return value.replace(",", "")


def _instruct(domain: str, user: UserScenario) -> dict[str, Any]:
    return {
        "domain": domain.removeprefix("tau2/"),
        "reason_for_call": user.reason_for_call,
        "known_info": user.known_info or None,
        "unknown_info": user.unknown_info or None,
        "task_instructions": user.task_instructions,
    }


def _set_up(calls: tuple[SeatCall, ...]) -> dict[str, Any] | None:
    if not calls:
        return None
    actions = [
        {"env_type": REQUESTOR[step.seat], "func_name": step.call.name, "arguments": step.call.arguments}
        for step in calls
    ]
    return {"initialization_data": None, "initialization_actions": actions, "message_history": None}


def _act(task_id: str, position: int, step: SeatCall) -> dict[str, Any]:
    return {
        "action_id": f"{task_id}_{position}",
        "requestor": REQUESTOR[step.seat],
        "name": step.call.name,
        "arguments": step.call.arguments,
    }
