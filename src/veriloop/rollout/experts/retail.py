"""The expert of tau2's retail: follows the policy from the dialogue and tool results alone.

It is written as one conversation from top to bottom (`_serve`): a generator that yields what to say or call and is sent
what came of it. Each answer runs it again over the dialogue so far, so the player itself remembers nothing.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from veriloop.core.message import Message
from veriloop.domains.session import parse_content
from veriloop.domains.tool import Tool
from veriloop.rollout.baseline import CLOSING
from veriloop.rollout.experts.retail_rules import Files, Row, find_objection
from veriloop.rollout.experts.retail_wish import (
    describe,
    describe_payment,
    find_items,
    find_payments,
    find_replaced,
    find_variants,
    names_product,
    read_facts,
    split_items,
)
from veriloop.rollout.experts.talk import (
    HANDED_OVER,
    HandOverError,
    RefusalError,
    Talk,
    ask_for,
    call,
    find_tool,
    join_labels,
    observe,
    say,
    sum_up,
    word_done,
    word_refusal,
)
from veriloop.rollout.player import View
from veriloop.rollout.wording import Forms, collect_forms

_EMAIL = re.compile(r"[\w.+-]+@[\w.-]+\w")
_YES = re.compile(r"^\W*(yes|yeah|yep|sure|ok|okay|correct|go ahead|please do)\b", re.IGNORECASE)
_NAMED = {"first_name": "first name", "last_name": "last name", "zip": "zip code"}
ATTEMPTS = 3
"""Times that the customer is asked who they are, or for a yes, in one request."""
LOOKED_UP = ("order_id", "item_ids", "new_item_ids", "payment_method_id")
"""Arguments whose values are found in what was read; all others are taken as the customer says them."""
COMPLETE = "Please make sure that these are all the items: it can be done only once."


class RetailExpert:
    """Answers each view from its own turns."""

    name = "expert"

    def reply(self, views: Sequence[View]) -> list[Message]:
        """Answer each view of the agent's seat."""
        return [_answer(view) for view in views]


@dataclass
class Desk:
    """What is known in one dialogue. heard: what the user has said of the present wish. forms: how facts are told."""

    tools: tuple[Tool, ...]
    heard: list[str]
    forms: dict[str, Forms]
    files: Files = field(default_factory=Files)

    @property
    def said(self) -> str:
        """All that the user has said of the present wish."""
        return " ".join(self.heard)

    def read(self, tool: str, /, **arguments: str) -> Talk:
        """Return the row that a read shows, None where there is none."""
        row = parse_content((yield call(tool, **arguments)))
        self.files.take(row)
        return row if isinstance(row, dict) else None

    def read_order(self, number: str) -> Talk:
        """Return an order, None where there is none."""
        return self.files.orders.get(number) or (yield from self.read("get_order_details", order_id=number))

    def read_products(self, items: Sequence[Row]) -> Talk:
        """Return the products of items by id; reads those that were not read yet."""
        numbers = [item["product_id"] for item in items]
        for number in numbers:
            if number not in self.files.products:
                yield from self.read("get_product_details", product_id=number)
        return {number: self.files.products[number] for number in numbers}


def _answer(view: View) -> Message:
    seen = observe(view.turns)
    tools = tuple(tool for tool in view.tools if tool.seat == "agent")
    desk = Desk(tools, [seen[0]], collect_forms(tools))
    talk = _serve(desk)
    message = next(talk)
    for text in seen[1:]:
        desk.heard += [] if message.tool_calls else [text]
        message = talk.send(text)
    numbered = tuple(made.model_copy(update={"id": f"call_{len(view.turns)}"}) for made in message.tool_calls)
    return message.model_copy(update={"tool_calls": numbered})


def _serve(desk: Desk) -> Talk:
    """Settle one wish after the other until the user ends the dialogue."""
    user_id = ""
    while True:
        try:
            user_id = user_id or (yield from _identify(desk))
            # A change may have moved the balance of a gift card, so each wish begins with a look at the profile.
            yield from desk.read("get_user_details", user_id=user_id)
            yield from _settle(desk)
            closing = f"{word_done(desk.said)} {CLOSING}"
        except RefusalError as reason:
            closing = f"{word_refusal(reason)} {CLOSING}"
        except HandOverError as reason:
            yield call("transfer_to_human_agents", summary=str(reason))
            closing = HANDED_OVER
        desk.heard.clear()
        yield say(closing)


def _identify(desk: Desk) -> Talk:
    """Look the customer up by what they say, asking until something fits; raises RefusalError where nothing does."""
    tried, sorry = list[Row](), ""
    for _ in range(ATTEMPTS):
        for tool, known in _list_lookups(desk):
            if known not in tried:
                tried.append(known)
                found = yield call(tool, **known)
                if not found.startswith("Error"):
                    return found
                sorry = "I find nobody by that. "
        yield say(f"{sorry}Could you tell me your email address, or your first name, last name and zip code?")
    raise RefusalError("I do not find your profile, and without it nothing can be changed")


def _list_lookups(desk: Desk) -> list[tuple[str, Row]]:
    said = desk.said
    lookups: list[tuple[str, Row]] = [("find_user_id_by_email", {"email": email}) for email in _EMAIL.findall(said)]
    name = read_facts(said, _NAMED, desk.forms)
    return [*lookups, ("find_user_id_by_name_zip", name)] if len(name) == len(_NAMED) else lookups


def _settle(desk: Desk) -> Talk:
    """Carry out one wish; raises RefusalError where the policy forbids it, HandOverError where it is none of ours."""
    tool = find_tool(desk.tools, desk.said)
    if tool is None:
        yield say("What would you like me to do?")
        tool = find_tool(desk.tools, desk.said)
    if tool is None:
        raise HandOverError(f"The customer wants what cannot be done here: {desk.said}")
    for _ in range(ATTEMPTS):
        told, wish = yield from _understand(desk, tool)
        answer = yield sum_up(_describe_change(desk, tool, told, wish))
        # A yes that comes with another value is none to what was summed up.
        if _YES.search(answer) and _read_told(desk, tool)[0] == told:
            yield from _change(desk, tool, wish)
            return
    raise RefusalError("without your yes nothing is changed")


def _change(desk: Desk, tool: Tool, wish: Row) -> Talk:
    request = call(tool.name, **wish)
    result = yield request
    row = parse_content(result)
    if not isinstance(row, dict):
        raise RefusalError(result.removeprefix("Error: ") if result.startswith("Error: ") else "it did not work")
    desk.files.take(row)
    desk.files.made += request.tool_calls


def _understand(desk: Desk, tool: Tool) -> Talk:
    """Return what was told and the one change that the policy allows of all that it can mean.

    Asks once for what is missing where not just one thing can be meant or that is forbidden; raises RefusalError where
    none or several are allowed then.
    """
    told, missing = yield from _hear(desk, tool)
    wishes = yield from _list_wishes(desk, tool, told)
    if missing and (len(wishes) != 1 or find_objection(desk.files, tool.name, wishes[0])):
        yield ask_for(*missing)
        told, missing = yield from _hear(desk, tool)
        wishes = yield from _list_wishes(desk, tool, told)
    reasons = [find_objection(desk.files, tool.name, wish) for wish in wishes]
    allowed = [wish for wish, reason in zip(wishes, reasons, strict=True) if reason is None]
    if len(allowed) == 1:
        return told, allowed[0]
    if reasons and not allowed:
        raise RefusalError(reasons[0])
    raise RefusalError(
        f"I do not find out what is meant; I would have to know {join_labels(missing or ['right details'])}"
    )


def _hear(desk: Desk, tool: Tool) -> Talk:
    """Return what was told and what was not, after asking once more for an order number by which there is nothing."""
    told, missing = _read_told(desk, tool)
    if (number := told.get("order_id")) and (yield from desk.read_order(number)) is None:
        yield say(f"I do not find {number}. Could you tell me the order number once more?")
        told, missing = _read_told(desk, tool)
    return told, missing


def _read_told(desk: Desk, tool: Tool) -> tuple[dict[str, str], list[str]]:
    """Return what was told by argument, and how that is called which was not."""
    labels = _label(tool)
    told = read_facts(desk.said, labels, desk.forms)
    return told, [label for name, label in labels.items() if name not in told]


def _label(tool: Tool) -> dict[str, str]:
    return {name: source.label for name, source in tool.sources.items() if source.told}


def _list_wishes(desk: Desk, tool: Tool, told: dict[str, str]) -> Talk:
    """Return the arguments of every call that what was told can mean, none while something is missing for it."""
    customer = desk.files.customer
    if "order_id" in told:
        order = yield from desk.read_order(told["order_id"])
        if order is None or order["user_id"] != customer["user_id"]:
            raise RefusalError(f"{told['order_id']} is not an order of yours")
    own = {name: text for name, text in told.items() if name not in LOOKED_UP}
    if any(name not in told and not source.implied for name, source in tool.sources.items() if source.told):
        return []
    if "user_id" in tool.sources:
        return [{"user_id": customer["user_id"], **own}]
    orders = list[Row]()
    for number in [told["order_id"]] if "order_id" in told else customer["orders"]:
        orders.append((yield from desk.read_order(number)))
    ways = [{}]
    if "payment_method_id" in tool.sources:
        methods = find_payments(customer["payment_methods"], told.get("payment_method_id"))
        ways = [{"payment_method_id": method} for method in methods]
    chosen = yield from _choose_items(desk, tool, told, orders)
    return [{**items, **own, **way} for items, way in itertools.product(chosen, ways)]


def _choose_items(desk: Desk, tool: Tool, told: dict[str, str], orders: Sequence[Row]) -> Talk:
    """Return the arguments that name an order and its items, in every way that what was told allows."""
    if "item_ids" not in tool.sources:
        return [{"order_id": order["order_id"]} for order in orders]
    text, replacements = told.get("item_ids"), told.get("new_item_ids")
    if replacements is None:
        return [
            {"order_id": order["order_id"], "item_ids": _list_ids(items)}
            for order in orders
            for items in find_items(order, text)
        ]
    if text is not None:
        return (
            yield from _choose_swaps(desk, [(o, items) for o in orders for items in find_items(o, text)], replacements)
        )
    for same in (True, False):
        pairs = [(order, items) for order in orders for items in find_replaced(order, replacements, same=same)]
        swaps = yield from _choose_swaps(desk, pairs, replacements)
        if found := list({_key(swap): swap for swap in reversed(swaps) if _replaces_all(swap)}.values()):
            return found
    return []


def _replaces_all(swap: Row) -> bool:
    """Return whether no item is replaced by itself: nobody who leaves out the item asks for what they have."""
    return all(old != new for old, new in zip(swap["item_ids"], swap["new_item_ids"], strict=True))


def _key(swap: Row) -> tuple[str, ...]:
    """Return what tells swaps apart: which of two items becomes which of two others is all one."""
    return (swap["order_id"], *sorted(swap["item_ids"]), *sorted(swap["new_item_ids"]))


def _choose_swaps(desk: Desk, pairs: Sequence[tuple[Row, list[Row]]], replacements: str) -> Talk:
    """Return the arguments that name an order, items of it and what replaces them; reads the products for it."""
    swaps = list[Row]()
    for order, items in pairs:
        named = [i for i in order["items"] if any(names_product(text, i["name"]) for text in split_items(replacements))]
        if not named:
            continue
        products = yield from desk.read_products([*items, *named])
        swaps += [
            {"order_id": order["order_id"], "item_ids": _list_ids(items), "new_item_ids": new}
            for new in find_variants(items, replacements, products)
        ]
    return swaps


def _list_ids(items: Sequence[Row]) -> list[str]:
    return [item["item_id"] for item in items]


def _describe_change(desk: Desk, tool: Tool, told: dict[str, str], wish: Row) -> str:
    """Return the details of a change, in the customer's own words where there are some."""
    details = {
        **{name: text for name, text in wish.items() if isinstance(text, str)},
        **_name_found(desk, wish),
        **told,
    }
    listed = [f"{source.label}: {details[name]}" for name, source in tool.sources.items() if name in details]
    return " ".join(
        [f"You want to {tool.topics[0]} ({'; '.join(listed)}).", *([COMPLETE] if "item_ids" in wish else [])]
    )


def _name_found(desk: Desk, wish: Row) -> dict[str, str]:
    """Return in words what a change names by ids."""
    words = dict[str, str]()
    if "item_ids" in wish:
        items = desk.files.orders[wish["order_id"]]["items"]
        words["item_ids"] = " and ".join(describe(i, i["name"]) for i in items if i["item_id"] in wish["item_ids"])
    if "payment_method_id" in wish:
        words["payment_method_id"] = describe_payment(desk.files.customer["payment_methods"][wish["payment_method_id"]])
    return words
