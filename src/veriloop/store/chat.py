"""A dialogue as one seat sees it, in OpenAI's terms; arguments and tools are JSON text, which no reader pads."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from veriloop.core.message import Seat, Turn
from veriloop.domains.domain import Domain
from veriloop.domains.perspective import seat_tools, system_text, visible_turns
from veriloop.domains.task import Task

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chat:
    """A dialogue as one seat sees it, in OpenAI's terms: the seat is the assistant, the other seat the user.

    produced: positions in `messages` that the seat's player produced (the fixed greeting is not among them).
    """

    messages: list[Row]
    produced: list[int]


def to_chat(domain: Domain, task: Task, turns: tuple[Turn, ...], seat: Seat) -> Chat:
    """Return a dialogue in a seat's view."""
    messages: list[Row] = [{"role": "system", "content": system_text(domain, task, seat)}]
    produced = []
    greeting = turns[0] if turns else None
    for turn in visible_turns(turns, seat):
        if turn.seat != seat:
            messages.append({"role": "user", "content": turn.spoken})
            continue
        if turn is not greeting:
            produced.append(len(messages))
        messages += _own_messages(turn)
    return Chat(messages, produced)


def dump_tools(domain: Domain, seat: Seat, *, alone: bool = False) -> str:
    """Return a seat's tools as OpenAI function schemas in JSON text; alone: see `seat_tools`."""
    return json.dumps([tool.schema() for tool in seat_tools(domain, seat, alone=alone)], ensure_ascii=False)


def _own_messages(turn: Turn) -> Iterator[Row]:
    message: Row = {"role": "assistant", "content": turn.content}
    if turn.thinking:
        message["reasoning_content"] = turn.thinking
    if turn.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)},
            }
            for call in turn.tool_calls
        ]
    yield message
    for result in turn.results:
        yield {"role": "tool", "tool_call_id": result.call_id, "content": result.content}
