"""Tasks in the format of tau2's task files, so that its own orchestrator and evaluator can run them."""

from collections.abc import Callable
from typing import Any

from veriloop.core.message import Seat
from veriloop.domains.domain import Domain
from veriloop.domains.task import SeatCall, Task, UserScenario

REQUESTOR: dict[Seat, str] = {"agent": "assistant", "user": "user"}


def to_tau2_task(task: Task, data: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the task as JSON of tau2's `Task` model.

    data: tau2's `initialization_data` where the task's database is not the package's own. The gold calls of both seats
    are its actions. The reward is on the end state and on what has to be told, or on what holds at the end where the
    task says so; one without writes therefore passes there by doing nothing, which our own checker does not accept.
    """
    return {
        "id": task.id,
        "description": {"purpose": f"{task.tags.tier} task", "relevant_policies": ", ".join(task.tags.clauses) or None},
        "user_scenario": {"persona": task.user.persona or None, "instructions": _instruct(task.domain, task.user)},
        "ticket": task.initial.ticket,
        "initial_state": _set_up(task.initial.calls, data),
        "evaluation_criteria": _judge(task),
    }


def find_data(domain: Domain, task: Task) -> dict[str, Any] | None:
    """Return the `initialization_data` of a task's database, None where the package has it."""
    dump: Callable[[str], dict[str, Any] | None] | None = getattr(domain, "dump_database", None)
    return dump(task.initial.database) if dump else None


def _judge(task: Task) -> dict[str, Any]:
    actions = [_act(task.id, position, step) for position, step in enumerate(task.gold)]
    told = [plain_info(value) for value in task.told]
    if not task.holds:
        return {"actions": actions, "communicate_info": told, "reward_basis": ["DB", "COMMUNICATE"]}
    holds = [_function(step) for step in task.holds]
    if not task.tags.no_write:
        return {"actions": actions, "env_assertions": holds, "reward_basis": ["ENV_ASSERTION"]}
    # The last call hands over, and which words it does that with does not matter.
    last = {**actions[-1], "compare_args": []}
    return {"actions": [last], "env_assertions": holds, "reward_basis": ["ENV_ASSERTION", "ACTION"]}


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


def _set_up(calls: tuple[SeatCall, ...], data: dict[str, Any] | None) -> dict[str, Any] | None:
    if not calls and not data:
        return None
    actions = [_function(step) for step in calls]
    return {"initialization_data": data, "initialization_actions": actions, "message_history": None}


def _function(step: SeatCall) -> dict[str, Any]:
    return {"env_type": REQUESTOR[step.seat], "func_name": step.call.name, "arguments": step.call.arguments}


def _act(task_id: str, position: int, step: SeatCall) -> dict[str, Any]:
    return {
        "action_id": f"{task_id}_{position}",
        "requestor": REQUESTOR[step.seat],
        "name": step.call.name,
        "arguments": step.call.arguments,
    }
