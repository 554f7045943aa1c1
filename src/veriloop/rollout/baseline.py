"""Players that know nothing: the floor every score is read against."""

import random
import re
from collections.abc import Sequence
from typing import Any

from veriloop.core.base import derive_seed
from veriloop.core.message import Message, ToolCall
from veriloop.rollout.player import View

_VALUE = re.compile(r"[\w.@#+-]*\d[\w.@#+-]*")
CLOSING = "Is there anything else I can help you with?"


class Noop:
    """Never calls a tool; says that all is settled."""

    name = "noop"

    def reply(self, views: Sequence[View]) -> list[Message]:
        """Answer every view with the closing question."""
        return [Message(content=CLOSING) for _ in views]


class Transfer:
    """Hands everybody to a person at once, by the domain's transfer tool where it has one."""

    name = "transfer"

    def reply(self, views: Sequence[View]) -> list[Message]:
        """Call the transfer tool first, then announce the transfer."""
        return [_transfer(view) for view in views]


class RandomCaller:
    """Calls a random tool with arguments of the right type, taken from the dialogue where it can, half of the time."""

    name = "random"

    def reply(self, views: Sequence[View]) -> list[Message]:
        """Answer each view from its own seed."""
        return [_call_randomly(view) for view in views]


def _transfer(view: View) -> Message:
    tool = next((tool for tool in view.tools if "transfer" in tool.name), None)
    if tool is None or any(call.name == tool.name for turn in view.turns for call in turn.tool_calls):
        return Message(content="You are being transferred to a human agent. Please hold on.")
    arguments: dict[str, Any] = dict.fromkeys(tool.parameters.get("required", ()), "customer asks for a person")
    return Message(tool_calls=(ToolCall(id="transfer", name=tool.name, arguments=arguments),))


def _call_randomly(view: View) -> Message:
    rng = random.Random(derive_seed("random", view.key, len(view.turns)))
    if rng.random() < 0.5 or not view.tools:
        return Message(content=CLOSING if rng.random() < 0.3 else "Could you tell me more, please?")
    tool = rng.choice(view.tools)
    properties: dict[str, dict[str, Any]] = tool.parameters.get("properties", {})
    seen = find_values(view)
    arguments = {name: draw_argument(schema, seen, rng) for name, schema in properties.items()}
    return Message(tool_calls=(ToolCall(id=f"random_{len(view.turns)}", name=tool.name, arguments=arguments),))


def find_values(view: View) -> list[str]:
    """Return what looks like a value in all that was said and read so far; "0" where nothing does."""
    return [value for turn in view.turns for text in _texts(turn) for value in _VALUE.findall(text)] or ["0"]


def _texts(turn: Any) -> list[str]:
    return [turn.content, *(result.content for result in turn.results)]


def draw_argument(schema: dict[str, Any], seen: Sequence[str], rng: random.Random) -> Any:
    """Return a value of a JSON schema's type, a string from what was seen."""
    if "enum" in schema:
        return rng.choice(schema["enum"])
    kind = schema.get("type")
    if kind == "integer":
        return rng.randint(0, 12)
    if kind == "number":
        return round(rng.uniform(0, 100), 2)
    if kind == "boolean":
        return rng.random() < 0.5
    if kind == "array":
        return [draw_argument(schema.get("items", {}), seen, rng)]
    return rng.choice(seen)
