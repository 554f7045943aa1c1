"""What experts written as one conversation share: a generator yields messages and is sent what came of them."""

import re
from collections.abc import Generator, Sequence
from typing import Any

from veriloop.core.message import Message, ToolCall, Turn
from veriloop.domains.tool import Tool

Talk = Generator[Message, str, Any]
"""Yields what to say or call and is sent what came of it: a tool's result or what the user said."""
HANDED_OVER = "YOU ARE BEING TRANSFERRED TO A HUMAN AGENT. PLEASE HOLD ON."
"""What tau2's policies have an agent say after a transfer."""
_WORD = re.compile(r"[a-z]+")
_SENTENCE = re.compile(r"[^.?!]+")
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


def find_tool(tools: Sequence[Tool], wish: str) -> Tool | None:
    """Return the agent's tool of which a sentence has most of a wording's longer words, three of four at least."""
    sentences = [set(_WORD.findall(sentence)) for sentence in _SENTENCE.findall(wish.lower())]
    topics = [
        (wanted, tool)
        for tool in tools
        if tool.seat == "agent"
        for topic in tool.topics
        # Why somebody wants something says nothing of what it is.
        if (wanted := {word for word in _WORD.findall(topic.lower().partition(" because ")[0]) if len(word) > 3})
    ]
    shares = [(len(wanted & words) / len(wanted), len(wanted), tool) for wanted, tool in topics for words in sentences]
    share, _, tool = max(shares, key=lambda found: found[:2], default=(0.0, 0, None))
    return tool if share >= 0.75 else None


def observe(turns: Sequence[Turn]) -> list[str]:
    """Return what the agent learnt after each of its messages: a tool's result, or what the user then said."""
    found: list[str] = []
    for turn in turns:
        if turn.seat == "agent":
            found.append(" ".join(result.content for result in turn.results))
        elif found:
            found[-1] = f"{found[-1]} {turn.spoken}".strip()
    return found
