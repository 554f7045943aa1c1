"""Our sessions against the package's own environment: the same answers to the byte, the same database at the end."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veriloop.core.message import ToolCall
from veriloop.domains.tau2.retail import TABLES, load_retail, load_tables
from veriloop.domains.tau2.rows import Rows, Store
from veriloop.domains.tau2.session import Tau2Session

# isort: split
from tau2.data_model.message import ToolCall as Tau2Call
from tau2.domains.retail.data_model import RetailDB
from tau2.domains.retail.tools import RetailTools
from tau2.environment.environment import Environment

DOMAIN = load_retail()
USERS = 6


def cut_tables(rng: random.Random) -> dict[str, dict[str, Any]]:
    """Return a few customers with their orders, and all products: parsing the whole database takes too long here."""
    tables: Any = load_tables()
    users = {key: tables["users"][key] for key in rng.sample(sorted(tables["users"]), USERS)}
    orders = {key: tables["orders"][key] for user in users.values() for key in user.orders}
    return {"orders": orders, "products": dict(tables["products"]), "users": users}


def make_pair(rng: random.Random) -> tuple[Tau2Session, Environment, dict[str, dict[str, Any]]]:
    tables = cut_tables(rng)
    ours = Tau2Session("train-0", Store({name: Rows(rows) for name, rows in tables.items()}), RetailTools, DOMAIN.tools)
    copied = {name: {k: row.model_copy(deep=True) for k, row in rows.items()} for name, rows in tables.items()}
    return ours, Environment("retail", "", RetailTools(RetailDB(**copied))), tables


def draw_arguments(name: str, ours: Tau2Session, rng: random.Random) -> dict[str, Any]:
    """Return arguments that mostly fit together, in the state as it is."""
    state = ours.state
    order = rng.choice(list(state.orders.values())) if len(state.orders) else None
    user = state.users[order.user_id] if order else rng.choice(list(state.users.values()))
    product = rng.choice(list(state.products.values()))
    address = {key: rng.choice(("12 Elm", "", "Reno", "NV")) for key in ("address1", "address2", "city", "state")}
    address |= {"country": "USA", "zip": "89501"}
    order_id = {"order_id": order.order_id if order else "#W0"}
    payment = {"payment_method_id": rng.choice(list(user.payment_methods))}
    items = rng.sample(order.items, rng.randint(1, len(order.items))) if order else []
    item_ids = {"item_ids": [item.item_id for item in items]}
    new_ids = {"new_item_ids": [rng.choice(list(state.products[i.product_id].variants)) for i in items]}
    options: dict[str, dict[str, Any]] = {
        "calculate": {"expression": rng.choice(("2 + 2", "(3.5 - 1) / 0", "1e5", "2 ** 3", "7 //", "4 * (2"))},
        "find_user_id_by_name_zip": {
            "first_name": user.name.first_name.upper(), "last_name": user.name.last_name, "zip": user.address.zip,
        },
        "find_user_id_by_email": {"email": user.email},
        "get_order_details": order_id,
        "get_product_details": {"product_id": product.product_id},
        "get_user_details": {"user_id": user.user_id},
        "list_all_product_types": {},
        "cancel_pending_order": {**order_id, "reason": rng.choice(("no longer needed", "too slow"))},
        "modify_pending_order_address": {**order_id, **address},
        "modify_pending_order_payment": {**order_id, **payment},
        "modify_pending_order_items": {**order_id, **item_ids, **new_ids, **payment},
        "exchange_delivered_order_items": {**order_id, **item_ids, **new_ids, **payment},
        "return_delivered_order_items": {**order_id, **item_ids, **payment},
        "modify_user_address": {"user_id": user.user_id, **address},
        "transfer_to_human_agents": {"summary": "they insist"},
    }  # fmt: skip
    return options.get(name, {"whatever": 1})


def spoil(arguments: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Return arguments with one of them wrong, missing or too many."""
    if not arguments or rng.random() < 0.2:
        return {**arguments, rng.choice(("extra", "tool_name", "requestor", "self")): "x"}
    name = rng.choice(sorted(arguments))
    if rng.random() < 0.3:
        return {key: value for key, value in arguments.items() if key != name}
    wrong: list[Any] = ["", "#W0000000", None, 7, 1.5, True, [], [None], ["1", "2"], {}, {"a": 1}, "1008292230"]
    return {**arguments, name: rng.choice(wrong)}


def play(seed: int, length: int = 25) -> dict[str, int]:
    """Make random calls on both sides and compare; return how often each write took effect."""
    rng = random.Random(seed)
    ours, theirs, tables = make_pair(rng)
    before = {name: RetailTools(RetailDB(**tables)).get_db_hash() for name in ("base",)}
    effects: dict[str, int] = {}
    names = [*DOMAIN.tools, *[name for name, tool in DOMAIN.tools.items() if tool.kind == "write"] * 2, "no_such_tool"]
    for step in range(length):
        name = rng.choice(names)
        arguments = draw_arguments(name, ours, rng)
        arguments = spoil(arguments, rng) if rng.random() < 0.3 else arguments
        seat = "user" if rng.random() < 0.03 else "agent"
        answer = ours.call(seat, ToolCall(id=str(step), name=name, arguments=arguments))
        requestor: Any = "assistant" if seat == "agent" else "user"
        expected = theirs.get_response(Tau2Call(id=str(step), name=name, arguments=arguments, requestor=requestor))
        assert (answer.content, answer.error) == (expected.content, expected.error), (name, arguments)
        assert not (answer.error and answer.changes)
        effects[name] = effects.get(name, 0) + bool(answer.changes)
    ended = RetailDB(**{name: dict(getattr(ours.state, name)) for name in TABLES})
    assert ended.get_hash() == theirs.get_db_hash()
    assert RetailTools(RetailDB(**tables)).get_db_hash() == before["base"]
    return effects


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**40))
def test_random_calls_are_answered_as_the_package_does(seed: int) -> None:
    play(seed)


def test_the_random_calls_do_reach_every_write() -> None:
    total: dict[str, int] = {}
    for seed in range(40):
        for name, count in play(seed).items():
            total[name] = total.get(name, 0) + count
    writes = [name for name, tool in DOMAIN.tools.items() if tool.kind == "write"]
    assert all(total.get(name, 0) > 0 for name in writes), total
    assert sum(total.get(name, 0) for name, tool in DOMAIN.tools.items() if tool.kind != "write") == 0


@pytest.mark.parametrize("expression", ["9**9**9**9", "9**(9*9999999)", "2**99999"])
def test_towers_of_powers_are_refused_instead_of_computed(expression: str) -> None:
    ours, _, _ = make_pair(random.Random(0))
    answer = ours.call("agent", ToolCall(id="1", name="calculate", arguments={"expression": expression}))
    assert answer.error


def test_a_list_argument_is_not_kept_by_reference() -> None:
    tables: Any = load_tables()
    order = next(o for o in tables["orders"].values() if o.status == "delivered")
    ours = Tau2Session("train-0", Store({n: Rows(tables[n]) for n in TABLES}), RetailTools, DOMAIN.tools)
    items = [order.items[0].item_id]
    payment = order.payment_history[0].payment_method_id
    arguments: Any = {"order_id": order.order_id, "item_ids": items, "payment_method_id": payment}
    ours.call("agent", ToolCall(id="1", name="return_delivered_order_items", arguments=arguments))
    digest = ours.digest()
    items.append("changed later")
    assert ours.digest() == digest
    assert tables["orders"][order.order_id].status == "delivered"
