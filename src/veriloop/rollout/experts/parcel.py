"""The parcel expert: works from policy, tools and dialogue alone, and re-reads the dialogue at every turn."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from veriloop.core.base import derive_seed
from veriloop.core.message import Message, ToolCall, ToolResult
from veriloop.domains.session import parse_content
from veriloop.domains.tool import Tool
from veriloop.rollout.experts.parcel_rules import find_objection
from veriloop.rollout.experts.talk import find_tool
from veriloop.rollout.player import View
from veriloop.rollout.wording import Forms, collect_forms, find_told

_CLOSINGS = ("Is there anything else I can help you with?", "Anything else I can do for you?", "Anything else?")
_DONE = ("That is done.", "Done.", "It is done.")
_CLOSED = re.compile(r"\banything else\b", re.IGNORECASE)
_CONFIRM = ("Shall I go ahead?", "Should I go ahead?", "Is that correct?")
_CONFIRMED = re.compile(r"\b(shall i go ahead|should i go ahead|is that correct)\b", re.IGNORECASE)
_YES = re.compile(r"^\W*yes\b", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+-]+@[\w.-]+\w")
_PHONE = re.compile(r"\b555-\d{3}-\d{4}\b")
_TRACKING = re.compile(r"\bVP\d{8}\b")
_DAY = re.compile(r"\b(monday|tuesday|wednesday|thursday|friday|saturday|sunday)\b", re.IGNORECASE)
_STREET = re.compile(r"\b([A-Z][a-z]+ (?:Lane|Road|Street|Way|Row|Hill) \d+)\b")
_DAYS = re.compile(r"\b(\d+) days\b")
_LOCKER = re.compile(r"\b([A-Z][a-z]+ (?:Square|Gate|Court|Corner))\b")

NEW_PHONE = "new phone number"
_ASK_WISH = "What would you like me to do?"
TURN_ON_LOCKER = "please turn on locker pickup in your app."
TAKE_PHOTO = "please take a photo of the damage in your app."


@dataclass(frozen=True, slots=True)
class Intent:
    """What a customer may want: the tool for it, words that give it away, what must be told, how it is repeated.

    pattern: of what must be told, or the label under which it is.
    """

    tool: str
    words: re.Pattern[str]
    argument: str = ""
    pattern: re.Pattern[str] | str = ""
    question: str = ""
    summary: str = ""


def _intent(tool: str, words: str, summary: str, argument: str = "", pattern: Any = "", question: str = "") -> Intent:
    return Intent(tool, re.compile(words, re.IGNORECASE), argument, pattern, question, summary)


INTENTS = (
    _intent("update_phone", "phone number (on|for|you have)|update (the|my) phone|new phone number",
            "set your phone number to {value}", "phone", NEW_PHONE, "What is the new phone number?"),
    _intent("redirect_to_locker", "locker", "send parcel {tracking} to the locker at {value}", "locker_id", _LOCKER,
            "Which locker should it go to?"),
    _intent("leave_with_neighbour", "neighbour", "leave parcel {tracking} with your neighbour {value}", "neighbour",
            "neighbour's name", "What is the neighbour's name?"),
    _intent("file_damage_claim", "damage|broken", "file a damage claim for parcel {tracking}"),
    _intent("file_loss_claim", "lost|loss|never came", "file a loss claim for parcel {tracking}"),
    _intent("refund_express_fee", "fee|express", "pay back the express fee of parcel {tracking}"),
    _intent("return_to_sender", "sender|back|return", "send parcel {tracking} back to the sender"),
    _intent("hold_parcel", "hold|depot", "keep parcel {tracking} at the depot for {value} days", "days", _DAYS,
            "For what number of days should we hold it?"),
    _intent("change_address", "address of|another address|new address|delivery address",
            "deliver parcel {tracking} to {value}", "street", _STREET, "What is the new address?"),
    _intent("reschedule_delivery", "day|reschedule", "deliver parcel {tracking} on {value}", "day", _DAY,
            "Which delivery day would you like?"),
)  # fmt: skip


@dataclass(slots=True)
class Memory:
    """What the dialogue has shown: who calls, and what was said and read since the last request was closed.

    tools: those of the agent. forms: how facts are told.
    """

    tools: Sequence[Tool]
    forms: dict[str, Forms]
    customer: dict[str, str] | None = None
    tried: set[str] = field(default_factory=set)
    all_said: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    answers: list[tuple[ToolCall, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    read_since_ask: bool = False

    def find_told(self, label: str) -> list[str]:
        """Return what was told under a label since the last request was closed."""
        return find_told(" ".join(self.said), label, self.forms.get(label))

    def answer(self, name: str, **arguments: Any) -> Any:
        """Return the latest result of a call made for this request, or None."""
        matching = [result for call, result in self.answers if call.name == name and call.arguments == arguments]
        return matching[-1] if matching else None


class ParcelExpert:
    """A rule-following agent for the parcel desk."""

    name = "expert"

    def __init__(self) -> None:
        """Take nothing: everything it knows comes through the view."""

    def reply(self, views: Sequence[View]) -> list[Message]:
        """Answer each view of the agent's seat."""
        return [_decide(view) for view in views]


def _decide(view: View) -> Message:
    memory = _remember(view)
    voice = random.Random(derive_seed("expert", view.key, len(view.turns)))
    for step in (_identify, _understand):
        result = step(memory, voice)
        if isinstance(result, Message):
            return _number(result, view)
    intent = _find_intent(memory)
    assert intent is not None
    return _number(_serve(memory, intent, voice), view)


def _number(message: Message, view: View) -> Message:
    calls = tuple(call.model_copy(update={"id": f"call_{len(view.turns)}"}) for call in message.tool_calls)
    return message.model_copy(update={"tool_calls": calls})


def _remember(view: View) -> Memory:
    memory = Memory(view.tools, collect_forms(view.tools))
    for turn in view.turns[1:]:
        if turn.seat == "user":
            memory.said.append(turn.spoken)
            memory.all_said.append(turn.spoken)
            continue
        for call, result in zip(turn.tool_calls, turn.results, strict=True):
            parsed = None if result.error else parse_content(result.content)
            if call.name.startswith("find_customer"):
                memory.tried.update(map(str, call.arguments.values()))
                memory.customer = parsed or memory.customer
            memory.answers.append((call, result if parsed is None else parsed))
            memory.read_since_ask = True
        if turn.spoken:
            memory.asked.append(turn.spoken)
            memory.read_since_ask = False
            if _CLOSED.search(turn.spoken):
                memory.said, memory.answers, memory.asked = [], [], []
    return memory


def _identify(memory: Memory, voice: random.Random) -> Message | None:
    if memory.customer:
        return None
    told, new = " ".join(memory.all_said), memory.find_told(NEW_PHONE)
    for pattern, tool, argument in ((_EMAIL, "find_customer", "email"), (_PHONE, "find_customer_by_phone", "phone")):
        for value in reversed(pattern.findall(told)):
            if value not in memory.tried and value not in new:
                return _call(tool, **{argument: value})
    sorry = "I could not find you by that. " if memory.tried else ""
    ask = ("Could you give me your email address or phone number?", "What is your email address or phone number?")
    return Message(content=sorry + voice.choice(ask))


def _understand(memory: Memory, voice: random.Random) -> Message | None:
    intent = _find_intent(memory)
    if intent is None:
        return _hand_over(memory)
    if intent.tool == "update_phone" or _find_tracking(memory):
        return None
    ask = ("What is the tracking number of the parcel?", "Could you tell me the tracking number?")
    number = (memory.customer or {})["customer_id"]
    if any(text in ask for text in memory.asked) and memory.answer("list_parcels", customer_id=number) is None:
        return _call("list_parcels", customer_id=number)
    return Message(content=voice.choice(ask))


def _hand_over(memory: Memory) -> Message:
    """Ask again what the customer wants, and hand them to a person when it is still nothing that the desk can do."""
    if any(call.name == "transfer_to_human" for call, _ in memory.answers):
        return Message(content="You are being transferred to a person who can help you with that.")
    if _ASK_WISH in memory.asked:
        return _call("transfer_to_human", reason="the desk cannot do what the customer wants")
    return Message(content=_ASK_WISH)


def _find_tracking(memory: Memory) -> str | None:
    """Return the parcel that was named, or the only one there is for a customer who names none."""
    listed = memory.answer("list_parcels", customer_id=(memory.customer or {}).get("customer_id"))
    only = listed[0]["tracking"] if isinstance(listed, list) and len(listed) == 1 else None
    return _last(_TRACKING, memory.said) or only


def _find_intent(memory: Memory) -> Intent | None:
    for text in memory.said:
        if tool := find_tool(memory.tools, text):
            return next((intent for intent in INTENTS if intent.tool == tool.name), None)
        for intent in INTENTS:
            if intent.words.search(text):
                return intent
    return None


def _serve(memory: Memory, intent: Intent, voice: random.Random) -> Message:
    """Read what the rules need, ask for what is missing, refuse or confirm, and make the change."""
    customer = memory.customer or {}
    tracking = _find_tracking(memory)
    parcel: Any = None
    if intent.tool != "update_phone":
        parcel = memory.answer("get_parcel", tracking=tracking)
        if parcel is None:
            return _call("get_parcel", tracking=tracking)
        if not isinstance(parcel, dict):
            return _refuse_or_ask_again(memory, f"there is no parcel {tracking}", voice)
    value = _find_value(memory, intent.pattern)
    if intent.pattern and value is None:
        return Message(content=intent.question)
    extra = _check_extra(memory, intent, customer, parcel, value)
    if isinstance(extra, Message):
        return extra
    reason = find_objection(intent.tool, customer, parcel, value, extra)
    if reason:
        return _refuse(reason, voice)
    if step := _ask_user(memory, intent.tool, parcel, extra):
        return step if step.content else _refuse("the step in your app is missing", voice)
    if not _is_confirmed(memory):
        summary = intent.summary.format(tracking=tracking, value=value)
        return Message(content=f"I will {summary}. {voice.choice(_CONFIRM)}")
    return _change(memory, intent, _target(intent, customer, tracking, value, extra), voice)


def _refuse_or_ask_again(memory: Memory, reason: str, voice: random.Random) -> Message:
    """Ask for the tracking number once more: anybody mistypes one."""
    again = f"Sorry, {reason}. Could you check the tracking number?"
    asked = any(text.endswith("Could you check the tracking number?") for text in memory.asked)
    return _refuse(reason, voice) if asked else Message(content=again)


def _find_value(memory: Memory, pattern: re.Pattern[str] | str) -> str | None:
    """Return what was said last that fits a pattern, or was told under a label."""
    if isinstance(pattern, re.Pattern):
        return _last(pattern, memory.said)
    told = memory.find_told(pattern) if pattern else []
    return told[-1] if told else None


def _check_extra(memory: Memory, intent: Intent, customer: Any, parcel: Any, value: str | None) -> Any:
    """Return what a further read shows (delivery days, lockers, the app), or the message that reads it."""
    number = customer["customer_id"]
    if intent.tool == "reschedule_delivery":
        days = memory.answer("list_delivery_days", tracking=parcel["tracking"])
        return {"days": days} if days is not None else _call("list_delivery_days", tracking=parcel["tracking"])
    extra: dict[str, Any] = {}
    if intent.tool == "redirect_to_locker":
        lockers = memory.answer("find_lockers", customer_id=number)
        if lockers is None:
            return _call("find_lockers", customer_id=number)
        extra["locker"] = next((locker for locker in lockers if locker["name"] == value), None)
    if intent.tool in ("redirect_to_locker", "file_damage_claim"):
        app = memory.answer("get_app_status", customer_id=number)
        if app is None or (_asked_user(memory) and not memory.read_since_ask):
            return _call("get_app_status", customer_id=number)
        extra["app"] = app
    return extra


def _ask_user(memory: Memory, tool: str, parcel: Any, extra: Any) -> Message | None:
    """Return the request that the user act in their app, an empty message when they were asked in vain, or None."""
    missing = None
    if tool == "redirect_to_locker" and not extra["app"]["locker_pickup"]:
        missing = f"Locker pickup is off, {TURN_ON_LOCKER}"
    if tool == "file_damage_claim" and parcel["tracking"] not in extra["app"]["photos"]:
        missing = f"We need a photo, {TAKE_PHOTO}"
    if missing is None:
        return None
    return Message(content="" if any(_asks_user(text) for text in memory.asked) else missing)


def _asks_user(text: str) -> bool:
    return TURN_ON_LOCKER in text or TAKE_PHOTO in text


def _asked_user(memory: Memory) -> bool:
    return bool(memory.asked) and _asks_user(memory.asked[-1])


def _is_confirmed(memory: Memory) -> bool:
    asked = bool(memory.asked) and bool(_CONFIRMED.search(memory.asked[-1]))
    return asked and bool(memory.said) and bool(_YES.search(memory.said[-1]))


def _change(memory: Memory, intent: Intent, target: dict[str, Any], voice: random.Random) -> Message:
    """Make the change that `target` spells out, or report how it went once it was tried."""
    tried = memory.answer(intent.tool, **target)
    if tried is None:
        return _call(intent.tool, **target)
    if isinstance(tried, ToolResult):
        return _refuse(tried.content.removeprefix("Error: "), voice)
    return Message(content=f"{voice.choice(_DONE)} {voice.choice(_CLOSINGS)}")


def _target(intent: Intent, customer: Any, tracking: str | None, value: str | None, extra: Any) -> dict[str, Any]:
    if intent.tool == "update_phone":
        return {"customer_id": customer["customer_id"], "phone": value}
    told = {"locker_id": extra["locker"]["locker_id"]} if intent.argument == "locker_id" else {}
    if intent.argument and not told:
        told = {intent.argument: int(value or 0) if intent.argument == "days" else value}
    return {"tracking": tracking, **told}


def _refuse(reason: str, voice: random.Random) -> Message:
    return Message(content=f"I am sorry, I cannot do that: {reason}. {voice.choice(_CLOSINGS)}")


def _call(name: str, **arguments: Any) -> Message:
    return Message(tool_calls=(ToolCall(id="", name=name, arguments=arguments),))


def _last(pattern: re.Pattern[str], said: Sequence[str]) -> str | None:
    """Return what was said last that fits the pattern."""
    found = pattern.findall(" ".join(said))
    if not found:
        return None
    return found[-1].lower() if pattern is _DAY else found[-1]
