"""An agent that errs now and then, as models do: what finds errors out can only be measured where there are some."""

import random
from collections.abc import Sequence

from veriloop.core.base import derive_seed
from veriloop.core.message import Message, ToolCall
from veriloop.rollout.baseline import draw_argument, find_values
from veriloop.rollout.player import Player, View

CLAIM = "All done, that is settled for you."
REFUSAL = "I am sorry, that is not possible."


class Slipping:
    """Plays like another agent, but spoils the changes in a share of its dialogues, drawn by their keys.

    Instead of making a change it says that it has, or that it cannot, or makes it with one argument mistaken. What it
    does then is no longer what its dialogue says, which is the kind of error that only an executed check finds.
    """

    def __init__(self, inner: Player, rate: float) -> None:
        self.name = f"{inner.name}, slipping"
        self._inner, self._rate = inner, rate

    def reply(self, views: Sequence[View]) -> list[Message]:
        """Answer as the other agent would, or worse."""
        return [self._spoil(view, message) for view, message in zip(views, self._inner.reply(views), strict=True)]

    def _spoil(self, view: View, message: Message) -> Message:
        writes = {tool.name for tool in view.tools if tool.kind == "write"}
        rng = random.Random(derive_seed("slip", view.key))
        if rng.random() >= self._rate or writes.isdisjoint(call.name for call in message.tool_calls):
            return message
        kind = rng.choice(("claim", "refuse", "mistake"))
        if kind == "mistake":
            calls = tuple(_mistake(view, call) if call.name in writes else call for call in message.tool_calls)
            return message.model_copy(update={"tool_calls": calls})
        return Message(content=CLAIM if kind == "claim" else REFUSAL)


def _mistake(view: View, call: ToolCall) -> ToolCall:
    """Return the call with one argument that is something else of its type, from the dialogue where it can be."""
    rng = random.Random(derive_seed("mistake", view.key, call.name))
    schema = next(tool for tool in view.tools if tool.name == call.name).parameters.get("properties", {})
    names = sorted(name for name in call.arguments if name in schema)
    if not names:
        return call
    name, seen = rng.choice(names), find_values(view)
    drawn = [draw_argument(schema[name], seen, rng) for _ in range(8)]
    other = next((value for value in drawn if value != call.arguments[name]), call.arguments[name])
    return call.model_copy(update={"arguments": {**call.arguments, name: other}})
