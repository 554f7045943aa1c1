"""The rules of the retail policy that constrain a write or a transfer, as code, each citing its lines.

Rules on what was looked up, said or confirmed are about the dialogue: a bare list of calls is no record of it.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from veriloop.domains.clause import Case, Clause
from veriloop.domains.tau2.dialogue import deny_early_transfer, deny_parallel, deny_unconfirmed

ORDER_CHANGES = (
    "modify_pending_order_address",
    "modify_pending_order_payment",
    "modify_pending_order_items",
)
SWAPS = ("modify_pending_order_items", "exchange_delivered_order_items")
DELIVERED = ("return_delivered_order_items", "exchange_delivered_order_items")
PENDING = ("cancel_pending_order", *ORDER_CHANGES)
ORDER_WRITES = (*PENDING, *DELIVERED)
WRITES = (*ORDER_WRITES, "modify_user_address")
TRANSFER = "transfer_to_human_agents"
ORDER, PROFILE, PRODUCT = "get_order_details", "get_user_details", "get_product_details"
REASONS = ("no longer needed", "ordered by mistake")
MODIFIED = "pending (item modified)"

_COMPLETE = re.compile(r"\b(all|only|every|everything|nothing else|any other|anything else|complete)\b", re.I)
_LOOKUPS = ("find_user_id_by_email", "find_user_id_by_name_zip")


def find_authenticated(case: Case) -> list[str]:
    """Return the user ids that look-ups returned so far, in order, each once."""
    return list(dict.fromkeys(text for call, text in case.calls if call.name in _LOOKUPS))


def find_owner(case: Case) -> str | None:
    """Return the id of the user whose data the call changes, None when it names nothing that exists."""
    if case.call.name == "modify_user_address":
        user_id = case.call.arguments.get("user_id")
        return user_id if isinstance(user_id, str) and user_id in case.state.users else None
    order = _order(case)
    return order.user_id if order else None


def _order(case: Case) -> Any:
    order_id = case.call.arguments.get("order_id")
    return case.state.orders.get(order_id) if isinstance(order_id, str) else None


def _gift_card(case: Case, order: Any) -> Any:
    """Return the chosen payment method when it is a gift card of the order's owner, else None."""
    method = case.state.users[order.user_id].payment_methods.get(str(case.call.arguments.get("payment_method_id")))
    return method if method is not None and method.source == "gift_card" else None


def _swaps(case: Case, order: Any) -> list[tuple[Any, Any, str]]:
    """Return (ordered item, its product, new item id) for each position of a swap whose item is in the order."""
    items = {item.item_id: item for item in order.items}
    old, new = case.call.arguments.get("item_ids"), case.call.arguments.get("new_item_ids")
    if not isinstance(old, list) or not isinstance(new, list):
        return []
    pairs = [(items[o], n) for o, n in zip(old, new, strict=False) if isinstance(o, str) and o in items]
    return [(item, case.state.products[item.product_id], str(wanted)) for item, wanted in pairs]


def _deny_unauthenticated(case: Case) -> str | None:
    return None if find_authenticated(case) else "the customer has not been looked up by e-mail or by name and zip code"


def _deny_foreign(case: Case) -> str | None:
    found, owner = find_authenticated(case), find_owner(case)
    if not found or owner is None or owner in found:
        return None
    return "it belongs to a customer other than the one who was looked up"


def _deny_second_customer(case: Case) -> str | None:
    owner = find_owner(case)
    for call, text in case.calls:
        if call.name in WRITES and owner is not None and json.loads(text)["user_id"] != owner:
            return "something was already changed for another customer in this conversation"
    return None


def _deny_unread(case: Case) -> str | None:
    order_id = case.call.arguments.get("order_id")
    reads = [call for call, _ in case.calls if call.name == ORDER]
    seen = any(call.arguments.get("order_id") == order_id for call in reads)
    return None if seen else "the order's status has not been checked"


def _deny_unnamed(case: Case) -> str | None:
    number = str(case.call.arguments.get("order_id", "")).lstrip("#").lower()
    named = any(number in turn.spoken.lower() for turn in case.turns)
    return None if named else "the order's number was never named to be confirmed"


def _deny_incomplete(case: Case) -> str | None:
    reminded = any(turn.seat == "agent" and _COMPLETE.search(turn.spoken) for turn in case.turns[1:])
    return None if reminded else "the customer was not reminded to name all the items"


def _deny_repeated(case: Case) -> str | None:
    order_id = case.call.arguments.get("order_id")
    calls = [call for call, _ in case.calls if call.name == case.call.name]
    made = any(call.arguments.get("order_id") == order_id for call in calls)
    return "this change was already made on the order" if made else None


def _deny_reason(case: Case, _: Any) -> str | None:
    reason = case.call.arguments.get("reason")
    return None if reason in REASONS else f"{reason!r} is no acceptable reason for cancelling"


def _deny_same_payment(case: Case, order: Any) -> str | None:
    same = case.call.arguments.get("payment_method_id") == order.payment_history[0].payment_method_id
    return "this is the payment method of the order already" if same else None


def _deny_uncovered_total(case: Case, order: Any) -> str | None:
    card, total = _gift_card(case, order), order.payment_history[0].amount
    if card is None or card.balance >= total:
        return None
    return f"the gift card holds {card.balance}, the order costs {total}"


def _deny_uncovered_difference(case: Case, order: Any) -> str | None:
    card = _gift_card(case, order)
    difference = sum(p.variants[n].price - i.price for i, p, n in _swaps(case, order) if n in p.variants)
    if card is None or card.balance >= round(difference, 2):
        return None
    return f"the gift card holds {card.balance}, the price difference is {difference:.2f}"


def _deny_other_product(case: Case, order: Any) -> str | None:
    wrong = [wanted for _, product, wanted in _swaps(case, order) if wanted not in product.variants]
    return f"item {wrong[0]} is another product" if wrong else None


def _deny_unavailable(case: Case, order: Any) -> str | None:
    for _, product, wanted in _swaps(case, order):
        if wanted in product.variants and not product.variants[wanted].available:
            return f"item {wanted} is not available"
    return None


def _deny_same_option(case: Case, order: Any) -> str | None:
    same = [wanted for item, _, wanted in _swaps(case, order) if item.item_id == wanted]
    return f"item {same[0]} would be replaced by itself" if same else None


def _deny_refund(case: Case, order: Any) -> str | None:
    original = case.call.arguments.get("payment_method_id") == order.payment_history[0].payment_method_id
    if original or _gift_card(case, order):
        return None
    return "the refund would go neither to the original payment method nor to a gift card"


def _deny_unless(wanted: Callable[[str], bool], reason: str) -> Callable[[Case, Any], str | None]:
    return lambda _, order: None if wanted(order.status) else f"{reason}; its status is {order.status!r}"


def _rule(
    name: str,
    lines: str,
    tools: tuple[str, ...],
    text: str,
    deny: Callable[[Case, Any], str | None],
    *reads: str,
) -> Clause:
    """Return a clause about an order; `deny` sees the case and the order and is asked only when that exists.

    reads: all that show it, the order's details if none is named. Nobody is refused either before they were looked up.
    """
    first, *rest = reads or (ORDER,)

    def ask(case: Case) -> str | None:
        order = _order(case)
        return deny(case, order) if order else None

    return Clause(name, text, tools, ask, source=f"policy.md:{lines}", read=first, also=(*rest, _LOOKUPS))


def _said(
    name: str, lines: str, tools: tuple[str, ...], text: str, deny: Callable[[Case], str | None], say: str = ""
) -> Clause:
    return Clause(name, text, tools, deny, about="dialogue", source=f"policy.md:{lines}", say=say)


CLAUSES: tuple[Clause, ...] = (
    _said("R1", "10", WRITES, "Look the customer up by e-mail, or by name and zip code, before any change.",
          _deny_unauthenticated),
    Clause("R2", "Change nothing that belongs to a customer other than the one who was looked up.", WRITES,
           _deny_foreign, source="policy.md:14", read=ORDER, also=(_LOOKUPS,)),
    Clause("R3", "Changes are made for one customer only in a conversation.", WRITES, _deny_second_customer,
           source="policy.md:14"),
    _said("R4", "16", WRITES, "Tell the customer what is about to be changed and get a clear yes.", deny_unconfirmed),
    _said("R5", "20", (*WRITES, TRANSFER), "Make one tool call at a time.", deny_parallel),
    _said("R6", "24", (TRANSFER,), "Transfer only a customer whose request cannot be handled here.",
          deny_early_transfer),
    Clause("R7", "An order is changed or exchanged once in the same way; collect all that is wanted first.",
           (*ORDER_CHANGES, "exchange_delivered_order_items"), _deny_repeated, source="policy.md:84"),
    _rule("R8", "82,88", ("cancel_pending_order",), "An order can be cancelled only while it is pending.",
          _deny_unless(lambda status: status.startswith("pending"), "the order is not pending")),
    _rule("R9", "90", ("cancel_pending_order",),
          "An order is cancelled only because it is no longer needed or was ordered by mistake.", _deny_reason),
    _rule("R10", "82,96", ORDER_CHANGES, "An order can be modified only while it is pending.",
          _deny_unless(lambda status: status.startswith("pending"), "the order is not pending")),
    _rule("R11", "102", ("modify_pending_order_payment",), "The new payment method must not be the present one.",
          _deny_same_payment),
    _rule("R12", "104", ("modify_pending_order_payment",), "A gift card must cover the order's total.",
          _deny_uncovered_total, PROFILE, ORDER),
    _rule("R13", "110", PENDING, "Once its items were modified, an order can be neither modified nor cancelled.",
          _deny_unless(lambda status: status != MODIFIED, "the items of the order were modified already")),
    _rule("R14", "112,132", SWAPS, "An item can be replaced only by one that is available.", _deny_unavailable,
          PRODUCT),
    _rule("R15", "112,132", SWAPS, "An item can be replaced only by one of the same product.", _deny_other_product,
          PRODUCT, ORDER),
    _rule("R16", "112,132", SWAPS, "An item can be replaced only by one with other options.", _deny_same_option),
    _rule("R17", "114,134", SWAPS, "A gift card must cover the price difference.", _deny_uncovered_difference,
          PROFILE, ORDER, PRODUCT),
    _rule("R18", "82,118", ("return_delivered_order_items",), "Only a delivered order can be returned.",
          _deny_unless(lambda status: status == "delivered", "the order is not delivered")),
    _rule("R19", "124", ("return_delivered_order_items",),
          "A refund goes to the order's payment method or to a gift card.", _deny_refund, PROFILE, ORDER),
    _rule("R20", "82,130", ("exchange_delivered_order_items",), "Only a delivered order can be exchanged.",
          _deny_unless(lambda status: status == "delivered", "the order is not delivered")),
    _said("R21", "88,96,118,130", ORDER_WRITES, "Check an order's status before changing it.", _deny_unread),
    _said("R22", "90,120", ("cancel_pending_order", "return_delivered_order_items"),
          "The customer confirms the order's number.", _deny_unnamed),
    _said("R23", "84,110,130", SWAPS, "Remind the customer to name all the items before they are changed.",
          _deny_incomplete, "Please make sure that these are all the items: it can be done only once."),
)  # fmt: skip
