"""The expert of tau2's telecom: follows the policy and the support workflow from the dialogue and tool results alone.

An agent who works alone holds the tools of both seats and has a ticket instead of a user: whatever it would ask is
answered by the ticket, and it makes the steps on the phone itself.

It is written as one conversation from top to bottom (`_serve`): a generator that yields what to say or call and is sent
what came of it. Each answer runs it again over the dialogue so far, so the player itself remembers nothing.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from veriloop.core.message import Message
from veriloop.domains.perspective import STOP, is_alone
from veriloop.rollout.baseline import CLOSING
from veriloop.rollout.experts.talk import (
    HANDED_OVER,
    HandOverError,
    agree,
    ask_for,
    call,
    find_tool,
    observe,
    say,
    settle,
    word_done,
    word_refusal,
)
from veriloop.rollout.experts.telecom_phone import Desk, Step, Talk, lift_suspension, repair, word_step
from veriloop.rollout.player import View
from veriloop.rollout.wording import collect_forms

_NUMBER = re.compile(r"\b\d{3}-\d{3}-\d{4}\b")
_DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")
_AMOUNT = re.compile(r"\b(\d+(?:\.\d+)?) GB\b")
_WHO = "Could you tell me your phone number, or your full name and your date of birth?"
SYMPTOMS = {
    "mms": re.compile(r"picture messag|\bmms\b|photo", re.IGNORECASE),
    "internet": re.compile(r"mobile (data|internet)|browse|speed", re.IGNORECASE),
    "service": re.compile(r"service|signal|make calls", re.IGNORECASE),
}


class TelecomExpert:
    """Answers each view from its own turns."""

    name = "expert"

    def reply(self, views: Sequence[View]) -> list[Message]:
        """Answer each view of the agent's seat."""
        return [_answer(view) for view in views]


def _answer(view: View) -> Message:
    solo = is_alone(view.turns)
    ticket, *seen = [view.turns[0].content, *observe(view.turns[1:])] if solo else observe(view.turns)
    desk = Desk(view.system, [ticket], collect_forms(view.tools), alone=solo)
    talk = _serve(desk, view)
    message = _give(next(talk), solo)
    for text in [*seen, None]:
        while solo and not message.tool_calls and not _ends(message):
            message = _give(talk.send(f"Yes. {ticket}"), solo)
        if text is not None:
            desk.heard += [] if message.tool_calls else [text]
            message = _give(talk.send(text), solo)
    return say(STOP) if solo and not message.tool_calls else message


def _give(what: Message | Step, solo: bool) -> Message:
    """Return the message of what the conversation yields: alone, the expert makes steps on the phone itself."""
    if isinstance(what, Message):
        return what
    return call(what.tool, **what.arguments) if solo else word_step(what)


def _ends(message: Message) -> bool:
    return CLOSING in message.content or message.content == HANDED_OVER


def _serve(desk: Desk, view: View) -> Talk:
    """Settle one wish after the other until the user ends the dialogue."""
    wish = desk.said
    yield from _identify(desk)
    while True:
        try:
            closing = yield from _settle(desk, view, wish)
        except HandOverError as reason:
            yield call("transfer_to_human_agents", summary=str(reason))
            closing = HANDED_OVER
        desk.heard.clear()
        wish = yield say(closing)


def _settle(desk: Desk, view: View, wish: str) -> Talk:
    tool = find_tool(view.tools, wish)
    symptom = next((name for name, pattern in SYMPTOMS.items() if pattern.search(wish)), None)
    if symptom and not tool:
        yield from repair(desk, symptom)
        return f"{word_done(wish)} {CLOSING}"
    if tool is None or tool.kind != "write":
        raise HandOverError(f"The customer wants what cannot be done here: {wish}")
    return (yield from settle(lambda: _change(desk, tool.name)))


def _identify(desk: Desk) -> Talk:
    """Look the customer up by what they say, asking until something fits."""
    while True:
        number = _find_number(desk)
        if number:
            found = yield call("get_customer_by_phone", phone_number=number)
        elif (name := desk.find_fact("full name")) and (born := _DATE.search(desk.said)):
            found = yield call("get_customer_by_name", full_name=name, dob=born[0])
        else:
            yield say(_WHO)
            continue
        customers = _read(found)
        if customers:
            desk.customer = customers[0] if isinstance(customers, list) else customers
            desk.number = number or desk.customer["phone_number"]
            return
        desk.heard.clear()
        yield say(f"I find nobody by that. {_WHO}")


def _find_number(desk: Desk) -> str | None:
    """Return the number that the customer calls theirs; one of which they do not say what it is, where no name is."""
    own = _NUMBER.search(desk.find_fact("phone number") or "")
    if own is None and (desk.find_fact("full name") or desk.find_fact("line")):
        return None
    found = own or _NUMBER.search(desk.said)
    return found[0] if found else None


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None


def _change(desk: Desk, tool: str) -> Talk:
    """Carry out a request about the account, or say which rule forbids it."""
    line = yield from _choose_line(desk)
    arguments: dict[str, Any] = {"customer_id": desk.customer["customer_id"], "line_id": line["line_id"]}
    if tool == "refuel_data":
        arguments["gb_amount"] = yield from _ask_amount(desk)
    if tool == "suspend_line":
        arguments["reason"] = yield from _ask(desk, "reason for suspending")
    refusal = yield from _find_refusal(desk, tool, line, arguments)
    if refusal:
        return f"{word_refusal(refusal)} {CLOSING}"
    said = [line["phone_number"], *(f"{arguments[name]}" for name in ("gb_amount", "reason") if name in arguments)]
    price = " The price per GB of the plan is charged with the next bill." if tool == "refuel_data" else ""
    unit = " GB" if tool == "refuel_data" else ""
    yield from agree(f"You want this for the line: {', '.join(said)}{unit}.{price}")
    if tool == "resume_line":
        yield from lift_suspension(desk, line)
    else:
        yield call(tool, **arguments)
    return f"{word_done(tool)} {CLOSING}"


def _choose_line(desk: Desk) -> Talk:
    lines = yield from desk.read_lines()
    numbers = {line["phone_number"]: line for line in lines}
    if len(lines) == 1:
        return lines[0]
    number = yield from _ask(desk, "line")
    if number not in numbers:
        raise HandOverError(f"The customer has no line {number}.")
    return numbers[number]


def _ask(desk: Desk, label: str) -> Talk:
    if desk.find_fact(label) is None:
        yield ask_for(label)
    told = desk.find_fact(label)
    if told is None:
        raise HandOverError(f"The customer does not say the {label}.")
    return told


def _ask_amount(desk: Desk) -> Talk:
    """Return how many GB are wished, the last number of GB that was told."""
    if not _AMOUNT.search(desk.said):
        yield ask_for("amount of data to add")
    found = _AMOUNT.findall(desk.said)
    if not found:
        raise HandOverError("The customer does not say the amount of data to add.")
    return float(found[-1])


def _find_refusal(desk: Desk, tool: str, line: dict[str, Any], arguments: dict[str, Any]) -> Talk:
    """Return which rule forbids a change, None when it is allowed; reads what shows it."""
    if tool == "refuel_data":
        used = _read((yield call("get_data_usage", customer_id=arguments["customer_id"], line_id=line["line_id"])))
        if float(used["data_refueling_gb"]) + arguments["gb_amount"] > 2:
            return "no more than 2 GB can be refueled"
    if tool == "resume_line":
        bills = _read((yield call("get_bills_for_customer", customer_id=arguments["customer_id"])))
        if any(bill["status"] in ("Overdue", "Awaiting Payment") for bill in bills):
            return "all overdue bills have to be paid first"
        if desk.is_past(line["contract_end_date"]):
            return "the contract of the line has ended"
    return None
