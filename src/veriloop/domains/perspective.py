"""What a seat sees of a task and a dialogue: its system text, its tools, the turns it may know of."""

from collections.abc import Sequence

from veriloop.core.message import Seat, Turn
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task, UserScenario
from veriloop.domains.tool import Tool


def system_text(domain: Domain, task: Task, seat: Seat) -> str:
    """Return the policy, with the ticket if there is one, for the agent; the instruction for the user."""
    if seat == "user":
        return render_scenario(task.user)
    ticket = task.initial.ticket
    return domain.policy if ticket is None else f"{domain.policy}\n\nTicket: {ticket}"


def seat_tools(domain: Domain, seat: Seat) -> tuple[Tool, ...]:
    """Return the tools that a seat owns."""
    return tuple(tool for tool in domain.tools.values() if tool.seat == seat)


def visible_turns(turns: Sequence[Turn], seat: Seat) -> tuple[Turn, ...]:
    """Return the turns a seat sees: all of its own, and what the other seat said aloud."""
    return tuple(turn for turn in turns if turn.seat == seat or turn.spoken)


def render_scenario(user: UserScenario) -> str:
    """Return the user's instruction as one text."""
    parts = {
        "Persona": user.persona,
        "Reason for call": user.reason_for_call,
        "Known info": user.known_info,
        "Unknown info": user.unknown_info,
        "Task instructions": user.task_instructions,
    }
    return "\n".join(f"{title}: {text}" for title, text in parts.items() if text)
