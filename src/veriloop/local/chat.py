"""Dialogues as chat messages and chat templates as independent segments of text; replies parsed back into messages."""

import functools
import itertools
import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from veriloop.core.errors import InputError
from veriloop.core.message import Message, Seat, ToolCall, Turn

NANO_TEMPLATE = (
    "{%- for m in messages -%}"
    "{%- if m.role == 'assistant' -%}<|assistant|>"
    "{%- if m.tool_calls -%}{%- for c in m.tool_calls -%}"
    "<|call|>{{ c.function.name }} {{ c.function.arguments | tojson }}"
    "{%- endfor -%}{%- else -%}{{ m.content }}{%- endif -%}<|end|>"
    "{%- else -%}<|{{ m.role }}|>{{ m.content }}<|end|>{%- endif -%}"
    "{%- endfor -%}{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"
)
"""Every message stands alone, so a longer dialogue's text starts with the shorter one's."""

CHATML_TEMPLATE = (
    "{%- if tools -%}<|im_start|>system\nTools, one JSON object each. To call one write "
    '<tool_call>{"name": ..., "arguments": {...}}</tool_call>.\n'
    "{%- for t in tools -%}{{ t.function | tojson }}\n{%- endfor -%}<|im_end|>\n{%- endif -%}"
    "{%- for m in messages -%}"
    "<|im_start|>{{ 'user' if m.role == 'tool' else m.role }}\n"
    "{%- if m.role == 'tool' -%}<tool_response>{{ m.content }}</tool_response>"
    "{%- elif m.tool_calls -%}{%- for c in m.tool_calls -%}"
    "<tool_call>{{ {'name': c.function.name, 'arguments': c.function.arguments} | tojson }}</tool_call>"
    "{%- endfor -%}{%- else -%}{{ m.content }}{%- endif -%}<|im_end|>\n"
    "{%- endfor -%}{%- if add_generation_prompt -%}<|im_start|>assistant\n{%- endif -%}"
)
"""For models whose own template knows no tools, or rewrites earlier turns."""

_NANO_CALL = re.compile(r"<\|call\|>(\w+) ?(.*?)(?=<\|call\|>|$)", re.DOTALL)
_HERMES_CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)

_FORGED = re.compile(r"<(?=\||\w\d+>)")
"""What opens a control token or an alias."""

ChatMessage = dict[str, Any]


def to_chat(system: str, turns: Sequence[Turn], seat: Seat) -> list[ChatMessage]:
    """Return the seat's view as chat messages: its own turns are the assistant's, the other's the user's."""
    messages: list[ChatMessage] = [{"role": "system", "content": system}] if system else []
    for turn in turns:
        messages += turn_to_chat(turn, seat)
    return messages


def turn_to_chat(turn: Turn, seat: Seat) -> list[ChatMessage]:
    """Return one turn, with the results of its calls, as chat messages."""
    if turn.seat != seat:
        return [{"role": "user", "content": defuse(turn.spoken)}]
    if not turn.tool_calls:
        return [{"role": "assistant", "content": defuse(turn.content)}]
    calls = [
        {"type": "function", "id": call.id, "function": {"name": call.name, "arguments": call.arguments}}
        for call in turn.tool_calls
    ]
    results = [
        {"role": "tool", "tool_call_id": result.call_id, "content": defuse(result.content)} for result in turn.results
    ]
    return [{"role": "assistant", "content": "", "tool_calls": calls}, *results]


def defuse(text: str) -> str:
    """Break up control tokens in text from outside, so that nobody can close a turn or forge a role."""
    return _FORGED.sub("< ", text)


class ChatFormat:
    """A chat template whose text grows by segments; refuses templates that rewrite what they rendered before."""

    def __init__(self, tokenizer: Any, tools: Sequence[dict[str, Any]] = ()) -> None:
        """Probe the template; raises InputError when it is not prefix-preserving."""
        self._tokenizer, self._tools = tokenizer, list(tools) or None
        self.local = self._probe()

    def head(self, system: str) -> str:
        """Return the text before the first turn."""
        messages = [{"role": "system", "content": system}] if system else []
        return self._render(messages) if messages or self._tools else ""

    def segment(self, before: Sequence[ChatMessage], message: ChatMessage) -> str:
        """Return the text that `message` adds after `before`."""
        if self.local:
            return self._render_alone(json.dumps(message))
        return self._render([*before, message])[len(self._render(list(before))) :]

    @functools.cached_property
    def prompt(self) -> str:
        """The text that opens an assistant turn."""
        probe = [{"role": "user", "content": "x"}]
        return self._render(probe, prompt=True)[len(self._render(probe)) :]

    @functools.lru_cache(maxsize=65536)  # noqa: B019 - formats live as long as their player
    def _render_alone(self, message: str) -> str:
        return self._tokenizer.apply_chat_template([json.loads(message)], tokenize=False)

    def _render(self, messages: list[ChatMessage], *, prompt: bool = False) -> str:
        return self._tokenizer.apply_chat_template(
            messages, tools=self._tools, tokenize=False, add_generation_prompt=prompt
        )

    def _probe(self) -> bool:
        """Return whether messages render alone as they do together; raise when longer ones rewrite shorter ones."""
        call = {"type": "function", "id": "c", "function": {"name": "f", "arguments": {"a": 1}}}
        messages: list[ChatMessage] = [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "u"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "r"},
            {"role": "assistant", "content": "a"},
            {"role": "user", "content": "v"},
            {"role": "assistant", "content": "b"},
        ]
        texts = [self._render(messages[: count + 1]) for count in range(len(messages))]
        for number, (short, long) in enumerate(itertools.pairwise(texts)):
            if not long.startswith(short):
                raise InputError(
                    f"the chat template of {self._tokenizer.name_or_path!r} is not prefix-preserving: message "
                    f"{number + 2} changes what stood before it; give the model another chat_template"
                )
        alone = "".join(self._tokenizer.apply_chat_template([message], tokenize=False) for message in messages)
        return not self._tools and alone == texts[-1]


def parse_reply(text: str) -> Message:
    """Return a model's text (end token removed) as a message; calls that cannot be read make it malformed."""
    text = text.strip()
    if text.startswith("<|call|>"):
        return _parse_calls([(name, arguments) for name, arguments in _NANO_CALL.findall(text)])
    if "<tool_call>" in text:
        return _parse_hermes(text)
    if "<|" in text or not text:
        return Message(content=text, malformed="control tokens in text" if text else "empty reply")
    return Message(content=text)


def _parse_hermes(text: str) -> Message:
    found = _HERMES_CALL.findall(text)
    if len(found) != text.count("<tool_call>"):
        return Message(content=text, malformed="a tool call is not closed")
    calls = []
    for body in found:
        try:
            parsed = json.loads(body)
            calls.append((str(parsed["name"]), json.dumps(parsed.get("arguments", {}))))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return Message(content=text, malformed=f"a tool call is no JSON object with a name: {body[:80]!r}")
    return _parse_calls(calls)


def _parse_calls(found: Sequence[tuple[str, str]]) -> Message:
    calls = []
    for position, (name, body) in enumerate(found):
        try:
            arguments = json.loads(body)
            # What Python reads and a file cannot hold: NaN, halves of surrogate pairs.
            json.dumps([name, arguments], ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError):
            return Message(malformed=f"arguments of {name!r} are no JSON: {body[:80]!r}")
        if not isinstance(arguments, dict):
            return Message(malformed=f"arguments of {name} are no JSON object: {body[:80]!r}")
        try:
            calls.append(ToolCall(id=f"call_{position}", name=name, arguments=arguments))
        except ValidationError:
            return Message(malformed=f"arguments of {name} nest too deeply: {body[:80]!r}")
    return Message(tool_calls=tuple(calls)) if calls else Message(malformed="a call without a name")
