"""What a model wrote, as an answer that nothing is made up for."""

import re
from dataclasses import dataclass
from typing import Literal

from veriloop.core.message import ToolCall, Usage
from veriloop.local.chat import parse_reply

_CALL = re.compile(r"<tool_call>|<\|call\|>")


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that a reply under way is sure to go on with."""

    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole reply. malformed: why what the model wrote cannot be read, and is given as text."""

    content: str
    calls: tuple[ToolCall, ...]
    finish: Literal["stop", "tool_calls", "length"]
    usage: Usage
    malformed: str | None = None


def read_answer(text: str, usage: Usage, *, mark: str, offered: bool) -> Answer:
    """Return a complete text as an answer.

    mark: what the ids of calls end with, so that none comes twice in a dialogue. offered: whether tools were.
    """
    read = parse_reply(text)
    malformed = read.malformed
    if read.tool_calls and not offered:
        malformed = "a tool is called, and the request offers none"
    if malformed or not read.tool_calls:
        return Answer(text.strip(), (), "stop", usage, malformed)
    calls = tuple(call.model_copy(update={"id": f"{call.id}_{mark}"}) for call in read.tool_calls)
    return Answer(_CALL.split(text)[0].strip(), calls, "tool_calls", usage)


def find_certain(text: str) -> str:
    """Return how any answer that begins with this text begins: up to what may open a call, and no half of a letter."""
    return text.lstrip().partition("<")[0].rstrip("\ufffd").rstrip()
