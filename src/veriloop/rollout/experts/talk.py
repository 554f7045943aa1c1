"""What experts written as one conversation share: a generator yields messages and is sent what came of them."""

import re
from collections.abc import Generator, Sequence
from typing import Any

from veriloop.core.message import Message, ToolCall, Turn

Talk = Generator[Message, str, Any]
"""Yields what to say or call and is sent what came of it: a tool's result or what the user said."""
_YES = re.compile(r"^\W*(yes|yeah|sure|ok)\b", re.IGNORECASE)


class HandOverError(Exception):
    """The request cannot be handled here; says why."""


class RefusalError(Exception):
    """The policy forbids the request; says why."""


def say(text: str) -> Message:
    """Return a message to the user."""
    return Message(content=text)


def call(tool: str, /, **arguments: Any) -> Message:
    """Return a call of one of the agent's tools."""
    return Message(tool_calls=(ToolCall(id=f"call_{tool}", name=tool, arguments=arguments),))


def confirm(text: str) -> Talk:
    """Sum up a change and wait for a yes, once more with what the user corrects; raises HandOverError without one."""
    answer = yield say(f"{text} Shall I go ahead?")
    if not _YES.search(answer):
        answer = yield say(f"{text} {answer} Shall I go ahead?")
    if not _YES.search(answer):
        raise HandOverError("The customer does not agree.")


def observe(turns: Sequence[Turn]) -> list[str]:
    """Return what the agent learnt after each of its messages: a tool's result, or what the user then said."""
    found: list[str] = []
    for turn in turns:
        if turn.seat == "agent":
            found.append(" ".join(result.content for result in turn.results))
        elif found:
            found[-1] = f"{found[-1]} {turn.spoken}".strip()
    return found
