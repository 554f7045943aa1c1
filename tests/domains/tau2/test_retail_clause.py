"""Every clause of retail with a case it allows and one it denies, on real rows; every citation against the policy."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from veriloop.core.message import Seat, ToolCall, ToolResult, Turn
from veriloop.domains.clause import Case, find_denials
from veriloop.domains.task import Initial
from veriloop.domains.tau2.retail import load_retail
from veriloop.domains.tau2.retail_clause import CLAUSES, TRANSFER, WRITES

DOMAIN = load_retail()
STATE: Any = DOMAIN.open(Initial(database="train-0")).state
BY_ID = {clause.id: clause for clause in CLAUSES}
Calls = list[tuple[ToolCall, str]]


def call(name: str, **arguments: Any) -> ToolCall:
    return ToolCall(id="1", name=name, arguments=arguments)


def turn(seat: Seat, content: str) -> Turn:
    return Turn(seat=seat, content=content)


def find_order(status: str, fits: Callable[[Any, Any], bool] = lambda _o, _u: True) -> Any:
    """Return the first order of a status that fits together with its owner."""
    return next(o for o in STATE.orders.values() if o.status == status and fits(o, STATE.users[o.user_id]))


def ask(clause: str, made: ToolCall, calls: Calls | None = None, turns: list[Turn] | None = None) -> str | None:
    """Return the clause's objection, after making sure that it is asked about this tool at all."""
    assert made.name in BY_ID[clause].tools
    return BY_ID[clause].deny(Case(STATE, "agent", made, tuple(calls or ()), tuple(turns or ())))


def gift_card(user: Any) -> Any:
    return next((m for m in user.payment_methods.values() if m.source == "gift_card"), None)


def others(order: Any, *, available: bool) -> list[str]:
    """Return variants that could replace the first item of an order."""
    item = order.items[0]
    variants = STATE.products[item.product_id].variants.values()
    return [v.item_id for v in variants if v.available is available and v.item_id != item.item_id]


def swap(order: Any, new: str, payment: str | None = None, name: str = "exchange_delivered_order_items") -> ToolCall:
    method = payment or order.payment_history[0].payment_method_id
    return call(
        name, order_id=order.order_id, item_ids=[order.items[0].item_id], new_item_ids=[new], payment_method_id=method
    )


PENDING, DELIVERED = find_order("pending"), find_order("delivered", lambda o, _: bool(others(o, available=True)))
CANCEL = call("cancel_pending_order", order_id=PENDING.order_id, reason="no longer needed")
LOOKUP = (call("find_user_id_by_email", email=STATE.users[PENDING.user_id].email), PENDING.user_id)
OTHER_LOOKUP = (call("find_user_id_by_email", email="x"), next(u for u in STATE.users if u != PENDING.user_id))
GREETING = turn("agent", "Hi! How can I help you today?")


def test_authentication() -> None:
    assert ask("R1", CANCEL) is not None
    assert ask("R1", CANCEL, [LOOKUP]) is None


def test_another_customers_order() -> None:
    assert ask("R2", CANCEL, [LOOKUP]) is None
    assert "other than" in (ask("R2", CANCEL, [OTHER_LOOKUP]) or "")
    assert ask("R2", CANCEL) is None, "nobody was looked up: that is R1's matter"


def test_another_customers_profile() -> None:
    change = call("modify_user_address", user_id=PENDING.user_id)
    assert ask("R2", change, [LOOKUP]) is None
    assert ask("R2", change, [OTHER_LOOKUP]) is not None
    assert ask("R2", call("modify_user_address", user_id="nobody_1"), [LOOKUP]) is None, "the tool refuses this itself"


def test_one_customer_in_a_conversation() -> None:
    mine = (call("modify_user_address"), f'{{"user_id": "{PENDING.user_id}"}}')
    theirs = (call("modify_user_address"), '{"user_id": "somebody_else_1"}')
    assert ask("R3", CANCEL, [mine]) is None
    assert ask("R3", CANCEL, [mine, theirs]) is not None


def test_confirmation() -> None:
    asked = [GREETING, turn("user", "Cancel it."), turn("agent", "Cancel #W1, no longer needed?"), turn("user", "Yes.")]
    assert ask("R4", CANCEL, turns=asked) is None
    assert ask("R4", CANCEL, turns=asked[:3]) == "the customer has not said yes"
    assert ask("R4", CANCEL, turns=[*asked[:3], turn("user", "Hm, rather not.")]) is not None
    assert "details" in (ask("R4", CANCEL, turns=[GREETING, turn("user", "Yes, cancel my order.")]) or "")


def test_one_call_at_a_time() -> None:
    result = ToolResult(call_id="1", content="{}")
    done = Turn(seat="agent", tool_calls=(LOOKUP[0],), results=(result,))
    assert ask("R5", CANCEL, [LOOKUP], [GREETING, done]) is None
    assert ask("R5", CANCEL, [LOOKUP, LOOKUP], [GREETING, done]) is not None


def test_transfer() -> None:
    transfer = call(TRANSFER, summary="wants something else")
    assert ask("R6", transfer, turns=[GREETING]) is not None
    assert ask("R6", transfer, turns=[GREETING, turn("user", "Split my payment.")]) is None


def test_the_same_change_twice() -> None:
    first = call("modify_pending_order_address", order_id=PENDING.order_id, zip="1")
    second = call("modify_pending_order_address", order_id=PENDING.order_id, zip="2")
    elsewhere = call("modify_pending_order_address", order_id="#W1", zip="1")
    assert ask("R7", second, [(first, "{}")]) is not None
    assert ask("R7", second, [(elsewhere, "{}")]) is None


@pytest.mark.parametrize("status", ["processed", "delivered", "cancelled"])
def test_only_pending_orders_are_cancelled_or_modified(status: str) -> None:
    order = find_order(status)
    assert status in (ask("R8", call("cancel_pending_order", order_id=order.order_id)) or "")
    for name in BY_ID["R10"].tools:
        assert status in (ask("R10", call(name, order_id=order.order_id)) or "")
        assert ask("R10", call(name, order_id=PENDING.order_id)) is None
    assert ask("R8", CANCEL) is None


def test_reason_for_cancelling() -> None:
    for reason in ("no longer needed", "ordered by mistake"):
        assert ask("R9", call("cancel_pending_order", order_id=PENDING.order_id, reason=reason)) is None
    assert ask("R9", call("cancel_pending_order", order_id=PENDING.order_id, reason="found a better price")) is not None


def test_payment_must_be_another() -> None:
    order = find_order("pending", lambda _, u: len(u.payment_methods) > 1)
    original = order.payment_history[0].payment_method_id
    other = next(key for key in STATE.users[order.user_id].payment_methods if key != original)
    name = "modify_pending_order_payment"
    assert ask("R11", call(name, order_id=order.order_id, payment_method_id=original)) is not None
    assert ask("R11", call(name, order_id=order.order_id, payment_method_id=other)) is None


@pytest.mark.parametrize("covered", [True, False])
def test_gift_card_covers_the_total(covered: bool) -> None:
    def fits(order: Any, user: Any) -> bool:
        card = gift_card(user)
        return card is not None and (card.balance >= order.payment_history[0].amount) is covered

    order = find_order("pending", fits)
    card = gift_card(STATE.users[order.user_id])
    made = call("modify_pending_order_payment", order_id=order.order_id, payment_method_id=card.id)
    assert (ask("R12", made) is None) is covered


def test_paying_by_card_needs_no_balance() -> None:
    order = find_order("pending", lambda _, u: gift_card(u) is None)
    method = next(iter(STATE.users[order.user_id].payment_methods))
    made = call("modify_pending_order_payment", order_id=order.order_id, payment_method_id=method)
    assert ask("R12", made) is None


def test_after_its_items_were_modified_nothing_else() -> None:
    order = find_order("pending", lambda o, u: bool(others(o, available=True)) and gift_card(u) is None)
    session = DOMAIN.open(Initial(database="train-0"))
    made = swap(order, others(order, available=True)[0], name="modify_pending_order_items")
    assert ask("R13", made) is None
    assert not session.call("agent", made).error
    for name in BY_ID["R13"].tools:
        case = Case(session.state, "agent", call(name, order_id=order.order_id, reason="no longer needed"))
        denied = [denial.clause for denial in find_denials(CLAUSES, case)]
        assert "R13" in denied
        assert not {"R8", "R10"} & set(denied), "one rule is enough"


def test_availability_and_product_and_options() -> None:
    order = find_order("delivered", lambda o, _: bool(others(o, available=False) and others(o, available=True)))
    good, gone = others(order, available=True)[0], others(order, available=False)[0]
    foreign = next(p for p in STATE.products.values() if p.product_id != order.items[0].product_id)
    alien = next(iter(foreign.variants))
    same = order.items[0].item_id
    denied = {new: [c for c in ("R14", "R15", "R16") if ask(c, swap(order, new))] for new in (good, gone, alien, same)}
    assert denied[good] == []
    assert denied[gone] == ["R14"]
    assert denied[alien] == ["R15"]
    assert "R16" in denied[same]


@pytest.mark.parametrize("covered", [True, False])
def test_gift_card_covers_the_difference(covered: bool) -> None:
    def dearest(order: Any) -> Any:
        variants = STATE.products[order.items[0].product_id].variants
        return max((variants[new] for new in others(order, available=True)), key=lambda v: v.price, default=None)

    def fits(order: Any, user: Any) -> bool:
        card, best = gift_card(user), dearest(order)
        return bool(card and best) and (best.price - order.items[0].price <= card.balance) is covered

    order = find_order("delivered", fits)
    made = swap(order, dearest(order).item_id, gift_card(STATE.users[order.user_id]).id)
    assert (ask("R17", made) is None) is covered
    session = DOMAIN.open(Initial(database="train-0"))
    assert session.call("agent", made).error is not covered, "the tool must agree"


def test_returns_and_exchanges_need_a_delivered_order() -> None:
    for clause, name in (("R18", "return_delivered_order_items"), ("R20", "exchange_delivered_order_items")):
        assert ask(clause, call(name, order_id=DELIVERED.order_id)) is None
        assert "pending" in (ask(clause, call(name, order_id=PENDING.order_id)) or "")


def test_refund_goes_to_the_original_method_or_a_gift_card() -> None:
    def fits(order: Any, user: Any) -> bool:
        original = user.payment_methods[order.payment_history[0].payment_method_id]
        sources = {m.source for m in user.payment_methods.values() if m is not original}
        return original.source != "gift_card" and sources >= {"gift_card", "paypal"}

    order = find_order("delivered", fits)
    user = STATE.users[order.user_id]
    original = order.payment_history[0].payment_method_id
    other = next(m.id for m in user.payment_methods.values() if m.source != "gift_card" and m.id != original)
    name = "return_delivered_order_items"
    for method, denied in ((original, False), (gift_card(user).id, False), (other, True)):
        objection = ask("R19", call(name, order_id=order.order_id, payment_method_id=method))
        assert (objection is not None) is denied


def test_the_status_is_checked_first() -> None:
    read = (call("get_order_details", order_id=PENDING.order_id), "{}")
    other = (call("get_order_details", order_id=DELIVERED.order_id), "{}")
    assert ask("R21", CANCEL, [read]) is None
    assert ask("R21", CANCEL, [other]) is not None


def test_the_order_is_named() -> None:
    assert ask("R22", CANCEL, turns=[GREETING, turn("user", f"Cancel {PENDING.order_id.lstrip('#')}")]) is None
    assert ask("R22", CANCEL, turns=[GREETING, turn("user", "Cancel my order")]) is not None


def test_the_customer_is_reminded_of_all_items() -> None:
    made = swap(DELIVERED, "1")
    bare = [GREETING, turn("user", "Swap all my shoes"), turn("agent", "Shall I swap the shoes?")]
    assert ask("R23", made, turns=bare) is not None
    assert ask("R23", made, turns=[*bare, turn("agent", "Are these all the items?")]) is None


def test_unknown_orders_are_left_to_the_tools() -> None:
    for arguments in ({}, {"order_id": "#W0"}, {"order_id": None}, {"order_id": ["a"]}, {"user_id": 3}):
        for name in WRITES:
            case = Case(STATE, "agent", call(name, **arguments), (LOOKUP,))
            assert find_denials(CLAUSES, case) == [] or name == "modify_user_address"


@pytest.mark.parametrize("value", [None, "x", [], ["x"], [None], {"a": 1}, 5])
def test_odd_arguments_raise_nothing(value: Any) -> None:
    for name in WRITES:
        arguments = dict.fromkeys(("item_ids", "new_item_ids", "payment_method_id", "reason"), value)
        find_denials(CLAUSES, Case(STATE, "agent", call(name, order_id=DELIVERED.order_id, **arguments), (LOOKUP,)))


def test_citations_point_at_rules() -> None:
    lines = DOMAIN.policy.splitlines()
    for clause in CLAUSES:
        cited = re.fullmatch(r"policy\.md:(\d+(?:,\d+)*)", clause.source)
        assert cited, clause.id
        for number in cited[1].split(","):
            text = lines[int(number) - 1].lower()
            assert re.search(r"\b(must|should|can|cannot|need|needs|have to)\b", text), (clause.id, text)


def test_every_rule_about_a_change_is_cited() -> None:
    """Lines that bind the agent when it changes something, read off the policy by their modal verbs."""
    cited = {int(n) for clause in CLAUSES for n in clause.source.removeprefix("policy.md:").split(",")}
    explained = {
        18: "about wording, no change",
        22: "what every clause is for",
        62: "vocabulary",
        122: "a parameter that the tool requires",
        136: "about new orders, for which there is no tool",
    }
    binding = {
        number
        for number, line in enumerate(DOMAIN.policy.splitlines(), start=1)
        if re.search(r"\b(must|should|can only|cannot|needs? to|have to|at most|only)\b", line)
    }
    assert binding - cited == set(explained)


def test_every_write_is_constrained_and_clauses_name_real_tools() -> None:
    writes = {name for name, tool in DOMAIN.tools.items() if tool.kind == "write"}
    assert {name for clause in CLAUSES for name in clause.tools} == writes | {TRANSFER}
    for clause in CLAUSES:
        assert clause.read == "" or DOMAIN.tools[clause.read].kind == "read"
        assert (clause.about == "dialogue") <= (clause.read == "")
    assert len({clause.id for clause in CLAUSES}) == len(CLAUSES)
