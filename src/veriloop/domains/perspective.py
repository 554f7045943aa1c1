"""What a seat sees of a task and a dialogue: its system text, its tools, the turns it may know of.

A task with a ticket is for an agent who works *alone*: nobody is there to ask, and the tools of both seats are its own.
Its dialogue begins with the ticket, as all that the user will ever say, and each turn stands under the seat whose tools
it calls, so that whoever replays a dialogue needs to know nothing of this.
"""

from collections.abc import Sequence

from veriloop.core.message import Message, Seat, ToolCall, Turn
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task, UserScenario
from veriloop.domains.tool import Tool

TICKET = "Ticket: "
STOP = "###STOP###"
DONE = Tool(
    name="done",
    seat="agent",
    kind="generic",
    description="Call this function when you are done with the task.",
    parameters={"type": "object", "properties": {}},
    run=lambda _, __: "",
)
"""By which an agent that works alone ends its work."""


def system_text(domain: Domain, task: Task, seat: Seat) -> str:
    """Return the policy for the agent, that for working alone where the task has a ticket; the user's instruction."""
    if seat == "user":
        return render_scenario(task.user)
    return domain.policy if task.initial.ticket is None else getattr(domain, "policy_alone", domain.policy)


def seat_tools(domain: Domain, seat: Seat, *, alone: bool = False) -> tuple[Tool, ...]:
    """Return the tools that a seat owns; those of both and `DONE` for an agent who works alone."""
    if alone:
        return (*domain.tools.values(), DONE)
    return tuple(tool for tool in domain.tools.values() if tool.seat == seat)


def open_alone(ticket: str) -> Turn:
    """Return the turn with which the dialogue of an agent who works alone begins."""
    return Turn(seat="user", content=f"{TICKET}{ticket}")


def is_alone(turns: Sequence[Turn]) -> bool:
    """Return whether a dialogue is that of an agent who works alone."""
    return bool(turns) and turns[0].seat == "user" and turns[0].content.startswith(TICKET)


def visible_turns(turns: Sequence[Turn], seat: Seat) -> tuple[Turn, ...]:
    """Return the turns a seat sees: all of its own, and what the other seat said aloud.

    To an agent who works alone every turn after the ticket is its own.
    """
    if seat == "agent" and is_alone(turns):
        return (turns[0], *(turn.model_copy(update={"seat": "agent"}) for turn in turns[1:]))
    return tuple(turn for turn in turns if turn.seat == seat or turn.spoken)


def find_owner(domain: Domain, call: ToolCall) -> Seat:
    """Return whose tool it is that an agent who works alone calls."""
    return domain.tools[call.name].seat if call.name in domain.tools else "agent"


def find_place(domain: Domain, message: Message) -> Seat:
    """Return the seat under which a message of an agent who works alone stands: the owner of the tool called first."""
    return find_owner(domain, message.tool_calls[0]) if message.tool_calls else "agent"


def end_alone(message: Message) -> Message:
    """Return the message of an agent who works alone, with the sign of the end where it ends its work.

    That is done by `DONE`, or by text without a call, since there is nobody to hear it.
    """
    ends = not message.tool_calls or any(call.name == DONE.name for call in message.tool_calls)
    return message.model_copy(update={"content": STOP, "tool_calls": ()}) if ends and not message.malformed else message


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
