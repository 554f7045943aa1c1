"""Scripts in the seats of models, behind meters: what a run would send and get, before any of it is paid for.

Prompts are the real ones. Answers are as long as the scripts' are, each is usable at once, and nobody thinks aloud; a
synthesiser tries every call of its task once before it hands the task in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from veriloop.core.base import canonical_json, content_hash
from veriloop.core.message import Message, Usage
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.engine.plan import PlanPair
from veriloop.engine.role.cast import DraftError, Drafting, Synthesiser
from veriloop.engine.role.model import Role
from veriloop.engine.role.synthesiser import SUBMIT, ModelDrafting, ModelSynthesiser
from veriloop.engine.setting import Order
from veriloop.llm.chat import ChatAnswer, ChatRequest
from veriloop.llm.client import Client, Endpoint
from veriloop.rollout.endpoint import write_call, write_messages
from veriloop.rollout.player import Player, View


@dataclass(slots=True)
class Use:
    """Requests of one role, with the characters of what they send and of what they get."""

    calls: int = 0
    sent: int = 0
    got: int = 0


@dataclass(frozen=True, slots=True)
class Meter:
    """Adds up what roles use. A request that was made before costs nothing: a run's cache answers it."""

    uses: dict[Role, Use] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def note(self, role: Role, messages: Sequence[Any], tools: Sequence[Any], answer: str) -> None:
        """Count one request and its answer."""
        key = content_hash([role, list(messages), list(tools)])
        if key in self._seen:
            return
        self._seen.add(key)
        use = self.uses.setdefault(role, Use())
        use.calls += 1
        use.sent += sum(len(_read(message)) for message in messages)
        use.sent += len(canonical_json(list(tools))) if tools else 0
        use.got += len(answer)


class MeteredPlayer:
    """A scripted player who is counted as the model that would sit in the seat."""

    def __init__(self, script: Player, role: Role, meter: Meter, guidelines: str | None = None) -> None:
        """Take the script. guidelines: what the model is told before all else, as `EndpointPlayer` has it."""
        self.name = script.name
        self._role: Role = role
        self._script, self._meter, self._guidelines = script, meter, guidelines

    def reply(self, views: Sequence[View]) -> list[Message]:
        """Answer as the script does."""
        messages = self._script.reply(views)
        for view, message in zip(views, messages, strict=True):
            asked, tools = write_messages(view, self._guidelines), [tool.schema() for tool in view.tools]
            self._meter.note(self._role, asked, tools, _write(message))
        return messages


class MeteredSynthesiser:
    """A scripted synthesiser who is counted as a model that looks around, tries what it has in mind and hands in."""

    def __init__(self, script: Synthesiser, model: ModelSynthesiser, meter: Meter) -> None:
        self._script, self._model, self._meter = script, model, meter

    def start(self, domain: Domain, pair: PlanPair, order: Order) -> "_MeteredDrafting":
        """Begin an attempt."""
        script, model = self._script.start(domain, pair, order), self._model.start(domain, pair, order)
        return _MeteredDrafting(script, model, domain, self._meter)


class _MeteredDrafting:
    def __init__(self, script: Drafting, model: ModelDrafting, domain: Domain, meter: Meter) -> None:
        self._script, self._model, self._domain, self._meter = script, model, domain, meter

    async def draft(self, problems: Sequence[str]) -> Task | None:
        """Draft as the script does."""
        try:
            task = await self._script.draft(problems)
        except DraftError as error:
            self._note(str(error))
            raise
        if task:
            self._converse(task)
        return task

    def _converse(self, task: Task) -> None:
        session = self._domain.open(task.initial)
        for step in task.gold:
            self._note(_write(Message(tool_calls=(step.call,))))
            result = session.call(step.seat, step.call).content
            self._model.messages += [
                {"role": "assistant", "content": "", "tool_calls": [write_call(step.call)]},
                {"role": "tool", "tool_call_id": step.call.id, "content": result},
            ]
        self._note(f"{SUBMIT} {_write_submission(task)}")

    def _note(self, said: str) -> None:
        self._meter.note("synthesiser", self._model.messages, self._model.tools, said)


class StandIn(Client):
    """A client that is asked as any other and gives one fixed answer, which costs nothing."""

    def __init__(self, role: Role, meter: Meter, answer: str) -> None:
        """Take the role that asks and what it always hears."""
        super().__init__(Endpoint("rehearsal"), role=role)
        self._counted: Role = role
        self._meter, self._said = meter, answer

    async def complete(self, request: ChatRequest) -> ChatAnswer:
        """Count the request and give the answer."""
        self._meter.note(self._counted, request.messages, request.tools, self._said)
        return ChatAnswer(self._said, None, (), "stop", Usage())


def _read(message: dict[str, Any]) -> str:
    calls = message.get("tool_calls")
    return f"{message.get('content') or ''}{canonical_json(calls) if calls else ''}"


def _write(message: Message) -> str:
    calls = [write_call(call) for call in message.tool_calls]
    return f"{message.content}{canonical_json(calls) if calls else ''}"


def _write_submission(task: Task) -> str:
    """Return about what a model writes to hand a task in."""
    wishes = [{"topic": wish.topic, "facts": [fact.label for fact in wish.facts]} for wish in task.user.requests]
    gold = [{"seat": step.seat, "name": step.call.name, "arguments": step.call.arguments} for step in task.gold]
    wanted = [{"name": call.name, "arguments": call.arguments} for call in task.wanted]
    identity = [fact.kind for fact in task.user.identity]
    return canonical_json({"identity": identity, "requests": [wishes, wanted], "gold": gold})
