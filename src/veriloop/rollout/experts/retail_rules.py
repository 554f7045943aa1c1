"""The retail policy as the expert reads it: from tool results, in its own words, apart from the clauses' code."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from veriloop.core.message import ToolCall

Row = dict[str, Any]
REASONS = ("no longer needed", "ordered by mistake")
ONCE = ("modify_pending_order_address", "modify_pending_order_payment", "modify_pending_order_items",
        "exchange_delivered_order_items")  # fmt: skip


@dataclass
class Files:
    """Rows as they were last read, by id, and the changes made in this dialogue."""

    customer: Row = field(default_factory=dict)
    orders: dict[str, Row] = field(default_factory=dict)
    products: dict[str, Row] = field(default_factory=dict)
    made: list[ToolCall] = field(default_factory=list)

    def take(self, row: Any) -> None:
        """Put a row where it belongs; anything else is left."""
        if not isinstance(row, dict):
            return
        if "order_id" in row:
            self.orders[row["order_id"]] = row
        elif "variants" in row:
            self.products[row["product_id"]] = row
        elif "payment_methods" in row:
            self.customer = row


def find_objection(files: Files, tool: str, wish: Row) -> str | None:
    """Return the first reason of the policy against a change, or None.

    wish: the arguments of the call; the order and the products of its items have been read.
    """
    if tool == "modify_user_address":
        return None
    order = files.orders[wish["order_id"]]
    if order["user_id"] != files.customer["user_id"]:
        return "that order does not belong to you"
    if tool in ONCE and any(c.name == tool and c.arguments.get("order_id") == wish["order_id"] for c in files.made):
        return "this was changed once already and cannot be changed again"
    if reason := _object_to_status(tool, order["status"]):
        return reason
    return _OBJECTIONS[tool](files, order, wish)


def _object_to_status(tool: str, status: str) -> str | None:
    if "delivered" in tool:
        return None if status == "delivered" else f"the order has the status {status}, it would have to be delivered"
    if status == "pending (item modified)":
        return "its items were modified, after which an order can be neither changed nor cancelled"
    return None if status == "pending" else f"the order has the status {status}, it would have to be pending"


def _object_to_reason(_files: Files, _order: Row, wish: Row) -> str | None:
    if wish["reason"] in REASONS:
        return None
    return f"an order can be cancelled only because it is {REASONS[0]} or was {REASONS[1]}"


def _allow(_files: Files, _order: Row, _wish: Row) -> str | None:
    return None


def _object_to_payment(files: Files, order: Row, wish: Row) -> str | None:
    paid = order["payment_history"][0]
    if wish["payment_method_id"] == paid["payment_method_id"]:
        return "the order is paid that way already"
    return _object_to_balance(files, wish, paid["amount"], "the total of the order")


def _object_to_balance(files: Files, wish: Row, amount: float, what: str) -> str | None:
    method = files.customer["payment_methods"].get(wish["payment_method_id"], {})
    if method.get("source") != "gift_card" or method["balance"] >= amount:
        return None
    return f"the gift card's balance of {method['balance']} does not cover {what}, which is {amount}"


def _object_to_swap(files: Files, order: Row, wish: Row) -> str | None:
    items = {item["item_id"]: item for item in order["items"]}
    difference = 0.0
    for old, new in zip(wish["item_ids"], wish["new_item_ids"], strict=True):
        name, variants = items[old]["name"], files.products[items[old]["product_id"]]["variants"]
        if new == old:
            return f"the {name} would be replaced by itself"
        if new not in variants:
            return f"the {name} can be replaced only by another version of the same product"
        if not variants[new]["available"]:
            return f"that version of the {name} is not available"
        difference += variants[new]["price"] - items[old]["price"]
    return _object_to_balance(files, wish, round(difference, 2), "the price difference")


def _object_to_refund(files: Files, order: Row, wish: Row) -> str | None:
    chosen = wish["payment_method_id"]
    gift = files.customer["payment_methods"].get(chosen, {}).get("source") == "gift_card"
    if gift or chosen == order["payment_history"][0]["payment_method_id"]:
        return None
    return "a refund goes either to the original payment method or to a gift card"


_OBJECTIONS: dict[str, Callable[[Files, Row, Row], str | None]] = {
    "cancel_pending_order": _object_to_reason,
    "modify_pending_order_address": _allow,
    "modify_pending_order_payment": _object_to_payment,
    "modify_pending_order_items": _object_to_swap,
    "exchange_delivered_order_items": _object_to_swap,
    "return_delivered_order_items": _object_to_refund,
}
