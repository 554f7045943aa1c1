"""A player behind an OpenAI-compatible endpoint, for either seat."""

import asyncio
import copy
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from veriloop.core.base import canonical_json, derive_seed
from veriloop.core.message import Message, Seat, ToolCall, Turn
from veriloop.llm.chat import ChatAnswer, ChatRequest, ContextError, RawCall
from veriloop.llm.client import Client, Endpoint
from veriloop.rollout.player import View

USER_GUIDELINES = """\
You play a customer who talks to a support agent. The agent's messages come to you as the other side's; what you write
is what the customer says, and nothing else: no stage directions, no quotation marks, no role names.
- Say who you are and what you want as the script below has it. Never make up a fact that is not in it.
- Tell things when they are asked for or needed, not all at once, unless the script says that you are open.
- Use your own tools only when the agent asks you to do something that they do, then say what came of it.
- When everything you wanted is settled or has been refused for good, answer with ###STOP### and nothing after it.
- When the agent hands you to a person, answer with ###TRANSFER###.
- When the script holds no answer to what you are asked and you cannot go on, answer with ###OUT-OF-SCOPE###.

The script:
"""

_CLOSED_THOUGHT = re.compile(r"\A\s*(?:<think>)?(.*?)</think>", re.DOTALL)
_OPEN_THOUGHT = re.compile(r"<think>(.*)\Z", re.DOTALL)
_UNREAD_CALL = re.compile(r"<tool_call>|<\|tool_call|\[TOOL_CALLS\]|<function=")


class EndpointPlayer:
    """Asks a served model for every turn; it keeps nothing between turns but its connections.

    options: fields of every request body (temperature, max_tokens, ...). send_seed: whether each request carries a seed
    derived from the episode's; switch it off for servers that refuse the field. guidelines: stand before what the seat
    is told; by default `USER_GUIDELINES` for the user and nothing for the agent. samples: answers drawn for a turn
    while they cannot be read or call tools that do not exist; more would flatter an agent that is measured.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        options: dict[str, Any] | None = None,
        send_seed: bool = True,
        guidelines: str | None = None,
        samples: int = 1,
        client: Client | None = None,
    ) -> None:
        """Name the model; `client` replaces the one made from `model` and `base_url` (own limits, key, retries)."""
        self.name = f"openai:{model}"
        self.client = client or Client(Endpoint(model, base_url))
        self._options = options or {}
        self._send_seed = send_seed
        self.guidelines, self._samples = guidelines, samples
        self.advice: tuple[str, ...] = ()

    def advise(self, lines: tuple[str, ...]) -> "EndpointPlayer":
        """Return the same player who also reads these lines, after all else that the seat is told."""
        advised = copy.copy(self)
        advised.advice = lines
        return advised

    async def reply_async(self, view: View) -> Message:
        """Answer one view; raises PlayerError when the endpoint fails, InputError when it refuses key or model."""
        messages, tools = write_messages(view, self.guidelines), [tool.schema() for tool in view.tools]
        messages[0]["content"] += write_advice(self.advice)
        message = Message(malformed="nothing was asked")
        for sample in range(self._samples):
            seed = _draw_seed(view, sample) if self._send_seed else None
            try:
                answer = await self.client.complete(ChatRequest(messages, tools, seed, self._options, sample))
            except ContextError as error:
                return Message(malformed=f"the dialogue is longer than the model's context: {error}")
            message = read_message(answer, view.turns)
            if not message.malformed and {call.name for call in message.tool_calls} <= {t.name for t in view.tools}:
                break
        return message

    def reply(self, views: Sequence[View]) -> list[Message]:
        """Answer every view at once, from code that runs no event loop; one failure fails them all."""
        return asyncio.run(self._reply_all(views))

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()

    async def _reply_all(self, views: Sequence[View]) -> list[Message]:
        try:
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(self.reply_async(view)) for view in views]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            await self.close()
        return [task.result() for task in asked]


def write_messages(view: View, guidelines: str | None = None) -> list[dict[str, Any]]:
    """Return a view as OpenAI messages: the seat's own turns are the assistant's, the other seat's are the user's."""
    if guidelines is None:
        guidelines = USER_GUIDELINES if view.seat == "user" else ""
    system = guidelines + view.system
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}]
    for turn in view.turns:
        messages += _write_turn(turn, view.seat)
    return messages


def write_advice(lines: Sequence[str]) -> str:
    """Return what earlier work taught as the end of a prompt; nothing when it taught nothing."""
    return "".join(["\n\nWhat earlier work taught:", *(f"\n- {line}" for line in lines)]) if lines else ""


def read_message(answer: ChatAnswer, turns: Sequence[Turn] = ()) -> Message:
    """Return an answer as a message; what the model itself got wrong is named in `malformed`.

    turns: the dialogue so far, whose call ids the answer's calls must not repeat.
    """
    thinking, content = split_thinking(answer.content)
    calls: list[ToolCall] = []
    malformed: str | None = None
    used = {call.id for turn in turns for call in turn.tool_calls}
    for raw in answer.calls:
        try:
            calls.append(_read_call(raw, used))
        except ValueError as error:
            malformed = f"tool call {raw.name!r}: {error}"
            break
    if answer.finish == "length":
        malformed = "the answer was cut by the token limit"
    elif answer.malformed:
        malformed = answer.malformed
    elif not calls and _UNREAD_CALL.search(content):
        # Bad JSON, or a server without a parser for this model's calls: never to be spoken to the user.
        malformed = (
            malformed or "the server left a tool call unread in the text (does it know this model's tool format?)"
        )
    elif malformed is None and not calls and not content:
        malformed = f"empty answer (finish reason {answer.finish!r})"
    return Message(
        content=content,
        tool_calls=() if malformed else tuple(calls),
        thinking="\n".join(part for part in (answer.reasoning, thinking) if part) or None,
        malformed=malformed,
        usage=answer.usage,
    )


def split_thinking(content: str) -> tuple[str, str]:
    """Return (thinking, speech) of a text in which a model thinks aloud.

    Templates that put the opening tag into the prompt leave only `</think>`; a cut answer has only `<think>`.
    """
    parts: list[str] = []
    while found := _CLOSED_THOUGHT.match(content):
        parts.append(found[1])
        content = content[found.end() :]
    if found := _OPEN_THOUGHT.search(content):
        parts.append(found[1])
        content = content[: found.start()]
    return "\n".join(text for part in parts if (text := part.strip())), content.strip()


def _write_turn(turn: Turn, seat: Seat) -> Iterator[dict[str, Any]]:
    if turn.seat != seat:
        yield {"role": "user", "content": turn.spoken}
        return
    message: dict[str, Any] = {"role": "assistant", "content": turn.content}
    if turn.tool_calls:
        message["tool_calls"] = [write_call(call) for call in turn.tool_calls]
    yield message
    for result in turn.results:
        yield {"role": "tool", "tool_call_id": result.call_id, "content": result.content}


def write_call(call: ToolCall) -> dict[str, Any]:
    """Return a tool call as OpenAI messages spell it."""
    function = {"name": call.name, "arguments": canonical_json(call.arguments)}
    return {"id": call.id, "type": "function", "function": function}


def _read_call(raw: RawCall, used: set[str]) -> ToolCall:
    """Return a call under an id not in `used`, adding it there; raises ValueError naming what is wrong."""
    if not raw.name:
        raise ValueError("it has no name")
    arguments = _read_arguments(raw.arguments)
    name = raw.id if raw.id and raw.id not in used else f"call_{len(used)}"
    while name in used:
        name += "_"
    used.add(name)
    return ToolCall(id=name, name=raw.name, arguments=arguments)


def _read_arguments(raw: Any) -> dict[str, Any]:
    """Return arguments as an object; nothing at all is how some models spell a call without any."""
    if raw is None or raw == "":
        return {}
    if isinstance(raw, str):
        try:
            raw = json.loads(raw, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"the arguments are no JSON ({str(error)[:200]})") from None
    if not isinstance(raw, dict):
        raise ValueError("the arguments are no JSON object")
    try:
        json.dumps(raw, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise ValueError("the arguments hold numbers or text that JSON cannot spell, or nest too deeply") from None
    return raw


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _draw_seed(view: View, sample: int) -> int:
    """Return a seed for this turn of this episode, within the 31 bits that all servers take."""
    drawn = [sample] if sample else []
    return derive_seed("endpoint", view.key, view.seat, view.seed, len(view.turns), *drawn) & 0x7FFFFFFF
