"""One function from a dialogue and a seat to token ids, loss mask and turn spans."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from veriloop.core.message import Seat, Turn
from veriloop.local.chat import ChatFormat, ChatMessage, turn_to_chat
from veriloop.local.codec import AliasCodec, Codec, PlainCodec


@dataclass(slots=True)
class Rendered:
    """A dialogue as a model of one seat reads it.

    ids: token ids. mask: 1 on the tokens the seat produced (its end token included), same length. spans: [start, end)
    of each of the seat's turns that count.
    """

    ids: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)

    def add(self, ids: Sequence[int], *, own: bool) -> None:
        """Append tokens."""
        if own:
            self.spans.append((len(self.ids), len(self.ids) + len(ids)))
        self.ids += ids
        self.mask += [int(own)] * len(ids)


class Renderer:
    """Renders one seat's dialogues for one tokenizer.

    aliases: replace identifiers by alias tokens, ids_only: and nothing else (see `codec`). The system text is what the
    caller gives: policy in full, in short, or none.
    """

    def __init__(
        self,
        tokenizer: Any,
        seat: Seat,
        *,
        tools: Sequence[dict[str, Any]] = (),
        aliases: bool = False,
        ids_only: bool = False,
    ) -> None:
        self.tokenizer, self.aliases, self.ids_only = tokenizer, aliases, ids_only
        self.seat: Seat = seat
        self.form = ChatFormat(tokenizer, tools)
        self.end: str = tokenizer.eos_token
        self.prompt = self.encode(self.form.prompt)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without any token added."""
        return self.tokenizer.encode(text, add_special_tokens=False)

    def make_codec(self) -> Codec:
        """Return the codec of one dialogue."""
        return AliasCodec(ids_only=self.ids_only) if self.aliases else PlainCodec()

    def start(self, system: str) -> "Transcript":
        """Return the empty transcript of a dialogue."""
        return Transcript(self, system, self.make_codec())

    def render(self, system: str, turns: Sequence[Turn]) -> Rendered:
        """Render a whole dialogue as the seat saw it: `turns` are the visible ones (see `domains.perspective`).

        The agent's opening greeting is not its own work and carries no loss. Sampled turns keep their exact ids.
        """
        transcript = self.start(system)
        for turn in turns:
            transcript.add_turn(turn)
        return transcript.rendered


class Transcript:
    """A dialogue rendered as it goes; appending never changes what was rendered before."""

    def __init__(self, renderer: Renderer, system: str, codec: Codec) -> None:
        self._renderer, self.codec = renderer, codec
        self.rendered = Rendered()
        self.turns = 0
        self._messages: list[ChatMessage] = [{"role": "system", "content": system}] if system else []
        head = renderer.form.head(codec.encode(system))
        if head:
            self.rendered.add(renderer.encode(head), own=False)

    def add_turn(self, turn: Turn) -> None:
        """Append a visible turn with the results of its calls."""
        own = turn.seat == self._renderer.seat
        for message in turn_to_chat(turn, self._renderer.seat):
            if message["role"] == "assistant" and own:
                self._add_own(turn, message)
            else:
                self._add_text(self._segment(message), own=False)
        self.turns += 1

    def prompted(self) -> list[int]:
        """Return the ids with the opening of the seat's next turn."""
        return self.rendered.ids + self._renderer.prompt

    def _add_own(self, turn: Turn, message: ChatMessage) -> None:
        text = self._segment(message)
        if self.turns == 0 and turn.seat == "agent":
            self._add_text(text, own=False)
            return
        body, end, rest = text.removeprefix(self._renderer.form.prompt).rpartition(self._renderer.end)
        self.rendered.add(self._renderer.prompt, own=False)
        if turn.sampled is not None:
            self.rendered.add(turn.sampled.token_ids, own=True)
        else:
            self._add_text(body + end, own=True)
        if rest:
            self._add_text(rest, own=False)

    def _segment(self, message: ChatMessage) -> str:
        encoded = _encode_message(message, self.codec)
        text = self._renderer.form.segment(self._messages, encoded)
        self._messages.append(encoded)
        return text

    def _add_text(self, text: str, *, own: bool) -> None:
        self.rendered.add(self._renderer.encode(text), own=own)


def _encode_message(message: ChatMessage, codec: Codec) -> ChatMessage:
    encoded = {**message, "content": codec.encode(message["content"])}
    if calls := message.get("tool_calls"):
        encoded["tool_calls"] = [
            {**call, "function": {**call["function"], "arguments": _encode_value(call["function"]["arguments"], codec)}}
            for call in calls
        ]
    return encoded


def _encode_value(value: Any, codec: Codec) -> Any:
    if isinstance(value, str):
        return codec.encode(value)
    if isinstance(value, dict):
        return {key: _encode_value(item, codec) for key, item in value.items()}
    if isinstance(value, list):
        return [_encode_value(item, codec) for item in value]
    return value
