"""The retail expert's own reading of the policy agrees with the clauses, with which it shares no code."""

import json
import random
from collections import Counter
from typing import Any

import pytest

from veriloop.core.message import ToolCall
from veriloop.domains.clause import Case, find_denials
from veriloop.domains.registry import load_domain
from veriloop.domains.session import Session
from veriloop.domains.task import Initial
from veriloop.rollout.experts.retail_rules import Files, find_objection

pytest.importorskip("tau2")
DOMAIN: Any = load_domain("tau2/retail")
CHANGES = tuple(tool.name for tool in DOMAIN.tools.values() if tool.kind == "write" and "order_id" in tool.sources)
REASONS = ("no longer needed", "ordered by mistake", "found a better price")
ADDRESS = {"address1": "1 Mill Court", "address2": "", "city": "Rome", "state": "GA", "country": "USA", "zip": "30161"}


def read(session: Session, files: Files, tool: str, **arguments: str) -> Any:
    row = json.loads(session.call("agent", ToolCall(id="1", name=tool, arguments=arguments)).content)
    files.take(row)
    return row


def draw_wish(tool: str, order: Any, files: Files, rng: random.Random) -> dict[str, Any]:
    """Return arguments of a call about an order, as often wrong as right."""
    wish: dict[str, Any] = {"order_id": order["order_id"]}
    names = DOMAIN.tools[tool].sources
    items = rng.sample(order["items"], min(len(order["items"]), rng.randint(1, 2)))
    items = list({item["item_id"]: item for item in items}.values())
    if "reason" in names:
        wish["reason"] = rng.choice(REASONS)
    if "address1" in names:
        wish |= ADDRESS
    if "item_ids" in names:
        wish["item_ids"] = [item["item_id"] for item in items]
    if "new_item_ids" in names:
        other = rng.choice(order["items"])["product_id"]
        products = [other if rng.random() < 0.1 else item["product_id"] for item in items]
        wish["new_item_ids"] = [rng.choice(list(files.products[product]["variants"])) for product in products]
    if "payment_method_id" in names:
        wish["payment_method_id"] = rng.choice(list(files.customer["payment_methods"]))
    return wish


def compare(session: Session, files: Files, user_id: str, call: ToolCall, made: list[tuple[ToolCall, str]]) -> bool:
    """Return whether the clauses deny a call, after making sure that the expert does as well or as little."""
    found = (ToolCall(id="0", name="find_user_id_by_email", arguments={"email": "x"}), user_id)
    denials = find_denials(DOMAIN.clauses, Case(session.state, "agent", call, (found, *made)))
    objection = find_objection(files, call.name, call.arguments)
    assert (objection is not None) == bool(denials), (call, denials, objection)
    return bool(denials)


@pytest.mark.parametrize("tool", CHANGES)
def test_its_rules_are_those_of_the_clauses(tool: str) -> None:
    """On orders of every status, each before and after it was changed, expert and clauses say the same."""
    rng, seen = random.Random(tool), Counter[bool]()
    for number in rng.sample(sorted(DOMAIN.open(Initial(database="train-0")).state.orders), 250):
        session, files = DOMAIN.open(Initial(database="train-0")), Files()
        order = read(session, files, "get_order_details", order_id=number)
        read(session, files, "get_user_details", user_id=order["user_id"])
        for item in order["items"]:
            read(session, files, "get_product_details", product_id=item["product_id"])
        made: list[tuple[ToolCall, str]] = []
        for name in (tool, tool, rng.choice(CHANGES), tool):
            call = ToolCall(id="1", name=name, arguments=draw_wish(name, files.orders[number], files, rng))
            denied = compare(session, files, order["user_id"], call, made)
            seen[denied] += name == tool
            result = None if denied else session.call("agent", call)
            if result and not result.error:
                made.append((call, result.content))
                files.made.append(call)
                files.take(json.loads(result.content))
                read(session, files, "get_user_details", user_id=order["user_id"])
    assert min(seen[True], seen[False]) > 10


def test_nobody_changes_what_belongs_to_another_customer() -> None:
    session, files = DOMAIN.open(Initial(database="train-0")), Files()
    order = next(row for row in session.state.orders.values() if row.status == "pending")
    other = next(row.user_id for row in session.state.users.values() if row.user_id != order.user_id)
    read(session, files, "get_order_details", order_id=order.order_id)
    for user_id, denied in ((order.user_id, False), (other, True)):
        read(session, files, "get_user_details", user_id=user_id)
        wish = {"order_id": order.order_id, "reason": REASONS[0]}
        call = ToolCall(id="1", name="cancel_pending_order", arguments=wish)
        assert compare(session, files, user_id, call, []) == denied


def test_the_profile_s_own_address_may_always_be_changed() -> None:
    assert find_objection(Files(), "modify_user_address", {"user_id": "u_1", **ADDRESS}) is None


def test_what_is_no_row_is_kept_nowhere() -> None:
    files = Files()
    for row in (None, "Error: Order not found", [], {"sum": 3}):
        files.take(row)
    assert files == Files()
