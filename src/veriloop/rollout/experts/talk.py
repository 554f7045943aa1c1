"""What experts that are written as one conversation share: messages, and what came of each one of them."""

from collections.abc import Sequence
from typing import Any

from veriloop.core.message import Message, ToolCall, Turn


def say(text: str) -> Message:
    """Return a message to the user."""
    return Message(content=text)


def call(tool: str, /, **arguments: Any) -> Message:
    """Return a call of one of the agent's tools."""
    return Message(tool_calls=(ToolCall(id=f"call_{tool}", name=tool, arguments=arguments),))


def observe(turns: Sequence[Turn]) -> list[str]:
    """Return what the agent learnt after each of its messages: a tool's result, or what the user then said."""
    found: list[str] = []
    for turn in turns:
        if turn.seat == "agent":
            found.append(" ".join(result.content for result in turn.results))
        elif found:
            found[-1] = f"{found[-1]} {turn.spoken}".strip()
    return found
