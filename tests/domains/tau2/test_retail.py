"""The retail domain as synthesis sees it: splits, callers, schemas, sources, and tasks proved on it."""

import random
import re
import subprocess
import sys
from typing import Any

import pytest

from veriloop.check.sandbox import shared_sandbox
from veriloop.core.errors import InputError
from veriloop.core.message import ToolCall
from veriloop.domains.registry import load_domain
from veriloop.domains.source import Scope
from veriloop.domains.task import Initial
from veriloop.domains.tau2.retail import load_retail, load_tables
from veriloop.domains.tau2.retail_source import CANDIDATES, SOURCES, TOPICS, YIELDS
from veriloop.domains.tau2.shared import split_of
from veriloop.domains.walk import Walk, draft_arguments, explore
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import synthesise
from veriloop.proof.prove import attach_checker, prove

DOMAIN = load_retail()


def open_walk(position: int, *, heard: bool = False, split: str = "train") -> tuple[Any, Walk]:
    callers = [caller for caller in DOMAIN.callers(f"{split}-0", split) if bool(caller.heard) is heard]
    session = DOMAIN.open(Initial(database=f"{split}-0"))
    return session, explore(DOMAIN, session, callers[position], random.Random(0))


def test_the_registry_finds_it() -> None:
    assert load_domain("tau2/retail").name == "tau2/retail"


def test_splits_share_no_customer_and_hold_all_who_ordered_and_are_not_held_out() -> None:
    train = {caller.key for caller in DOMAIN.callers("train-0", "train")}
    test = {caller.key for caller in DOMAIN.callers("test-0", "test")}
    users: Any = load_tables()["users"]
    assert not train & test
    ordered = {key for key, user in users.items() if user.orders}
    assert train | test == {key for key in ordered if not DOMAIN.held_out.has_entity(key)}
    assert (len(train), len(test)) == (291, 73)
    assert 0.1 < len(test) / len(train | test) < 0.3
    assert all(split_of(key) == "test" for key in test)


def test_what_was_overheard_stays_within_the_split() -> None:
    orders: Any = load_tables()["orders"]
    for split in ("train", "test"):
        callers = DOMAIN.callers(f"{split}-0", split)
        heard = [(caller, orders[caller.heard["order_id"]].user_id) for caller in callers if caller.heard]
        assert len(heard) > len(callers) / 5
        assert all(owner != caller.key and split_of(owner) == split for caller, owner in heard)


def test_callers_are_found_by_what_they_know() -> None:
    session = DOMAIN.open(Initial(database="train-0"))
    for caller in DOMAIN.callers("train-0", "train"):
        for name in ("find_user_id_by_email", "find_user_id_by_name_zip"):
            arguments = {key: caller.known[key] for key in DOMAIN.tools[name].parameters["properties"]}
            assert session.call("agent", ToolCall(id="1", name=name, arguments=arguments)).content == caller.key


@pytest.mark.parametrize("database", ["train-1", "valid-0", "", "train", "0"])
def test_unknown_databases_are_named(database: str) -> None:
    with pytest.raises(InputError, match="tau2/retail"):
        DOMAIN.open(Initial(database=database))


def test_database_ids() -> None:
    assert {DOMAIN.database("train", index) for index in range(50)} == {"train-0"}
    with pytest.raises(InputError, match="valid"):
        DOMAIN.database("valid", 0)


def test_opening_again_costs_no_parsing() -> None:
    load_tables()
    before = load_tables.cache_info().misses
    sessions = [DOMAIN.open(Initial(database="train-0")) for _ in range(100)]
    assert load_tables.cache_info().misses == before
    assert sessions[0].state.orders["#W2611340"] is sessions[99].state.orders["#W2611340"]


def test_forks_are_independent_and_digests_tell_states_apart() -> None:
    session = DOMAIN.open(Initial(database="train-0"))
    pending = next(o for o in session.state.orders.values() if o.status == "pending")
    cancel = ToolCall(
        id="1", name="cancel_pending_order", arguments={"order_id": pending.order_id, "reason": "no longer needed"}
    )
    fork = session.fork()
    untouched = session.digest()
    result = fork.call("agent", cancel)
    assert not result.error
    assert result.changes == fork.changes()
    assert (session.digest(), session.changes()) == (untouched, ())
    assert fork.digest() != untouched
    assert session.call("agent", cancel).content == result.content
    assert session.digest() == fork.digest()
    refused = fork.call("agent", cancel)
    assert (refused.error, refused.changes) == (True, ())
    assert fork.digest() == session.digest()


def test_schemas_are_the_packages_and_sources_cover_them() -> None:
    for name, tool in DOMAIN.tools.items():
        assert tool.description
        properties = tool.parameters["properties"]
        if tool.kind != "generic":
            assert list(SOURCES.get(name, {})) == list(properties), name
    assert set(YIELDS) | set(SOURCES) <= set(DOMAIN.tools)
    assert "delivered order" in DOMAIN.tools["exchange_delivered_order_items"].description
    assert DOMAIN.policy.startswith("# Retail agent policy")


def test_every_write_has_four_natural_topics() -> None:
    writes = {name for name, tool in DOMAIN.tools.items() if tool.kind == "write"}
    assert set(TOPICS) == writes
    everything = [topic for topics in TOPICS.values() for topic in topics]
    assert all(len(topics) >= 4 for topics in TOPICS.values())
    assert len(set(everything)) == len(everything)
    assert not [topic for topic in everything if re.search(r"\b(my|your|_)\b", topic)]


def test_a_walk_reads_the_callers_orders_and_products() -> None:
    session, walk = open_walk(3)
    user = session.state.users[walk.caller.key]
    assert set(walk.pool["order_id"]) == set(user.orders)
    assert set(walk.pool["payment_method_id"]) == set(user.payment_methods)
    items = {item.item_id for order in user.orders for item in session.state.orders[order].items}
    assert set(walk.pool["item_id"]) == items
    assert items <= set(walk.pool["variant_id"])


def test_the_identity_of_somebody_overheard_is_not_walked_to() -> None:
    _, walk = open_walk(0, heard=True)
    assert set(walk.pool["user_id"]) == {walk.caller.key}


@pytest.mark.parametrize("position", range(0, 60, 6))
def test_candidates_are_few_and_always_the_same(position: int) -> None:
    session, walk = open_walk(position)
    other, again = open_walk(position)
    for name, tool in DOMAIN.tools.items():
        if tool.kind != "write":
            continue
        arguments = draft_arguments(tool, walk, session, random.Random(position)) or {}
        chosen: dict[str, Any] = {}
        for parameter, source in tool.sources.items():
            found = source.candidates(walk.scope(session, dict(chosen)))
            assert len(found) <= CANDIDATES, (name, parameter)
            assert found == source.candidates(again.scope(other, dict(chosen)))
            if parameter in arguments:
                assert arguments[parameter] in found
                chosen[parameter] = arguments[parameter]


@pytest.mark.parametrize("position", range(0, 40, 4))
def test_a_drafted_address_is_one_address(position: int) -> None:
    session, walk = open_walk(position)
    tool = DOMAIN.tools["modify_user_address"]
    drafts = [draft_arguments(tool, walk, session, random.Random(seed)) for seed in range(20)]
    by_street = {draft["address1"]: tuple(draft.values()) for draft in drafts if draft}
    assert all(by_street[draft["address1"]] == tuple(draft.values()) for draft in drafts if draft)
    assert len(by_street) > 1


def test_items_are_said_by_name_and_options() -> None:
    session, _ = open_walk(0)
    order = next(o for o in session.state.orders.values() if len({i.item_id for i in o.items}) > 2)
    first, second = order.items[0], order.items[1]
    scope = Scope(session.state, {}, {"order_id": order.order_id})
    said = SOURCES["return_delivered_order_items"]["item_ids"].wording([first.item_id, second.item_id], scope)
    assert said.startswith(f"only the {first.name} (")
    assert f" and the {second.name} (" in said
    assert all(value in said for value in first.options.values())
    assert first.item_id not in said


def test_what_one_item_can_be_replaced_by_another_of_its_product_can_as_well() -> None:
    """Otherwise a request for two replacements seems to mean one thing though it means two."""
    session, sources = DOMAIN.open(Initial(database="train-0")), SOURCES["exchange_delivered_order_items"]
    compared = 0
    for order in session.state.orders.values():
        products = {item.item_id: item.product_id for item in order.items}
        offered: dict[tuple[str, ...], list[set[str]]] = {}
        for pair in sources["item_ids"].candidates(Scope(session.state, {}, {"order_id": order.order_id})):
            scope = Scope(session.state, {}, {"order_id": order.order_id, "item_ids": pair})
            variants = {item for chosen in sources["new_item_ids"].candidates(scope) for item in chosen}
            if len(pair) == 2:
                offered.setdefault(tuple(sorted(products[item] for item in pair)), []).append(variants - set(products))
        assert all(variants == found[0] for found in offered.values() for variants in found)
        compared += sum(len(found) > 2 for found in offered.values())
    assert compared > 50


def test_pairs_of_items_are_named_both_ways_round() -> None:
    session, source = DOMAIN.open(Initial(database="train-0")), SOURCES["return_delivered_order_items"]["item_ids"]
    order = next(order for order in session.state.orders.values() if len(order.items) > 2)
    found = source.candidates(Scope(session.state, {}, {"order_id": order.order_id}))
    assert all(list(reversed(pair)) in found for pair in found)


def test_payment_methods_are_said_as_customers_do() -> None:
    rows: dict[Any, dict[str, Any]] = {
        "credit_card_1": {"source": "credit_card", "brand": "visa", "last_four": "1234"},
        "credit_card_2": {"source": "credit_card", "brand": "mastercard", "last_four": "9"},
        "gift_card_1": {"source": "gift_card", "balance": 3.0},
        "paypal_1": {"source": "paypal"},
    }
    source = SOURCES["modify_pending_order_payment"]["payment_method_id"]
    said = {key: source.wording(key, Scope(None, {"payment_method_id": rows})) for key in rows}
    assert said == {
        "credit_card_1": "visa card ending in 1234",
        "credit_card_2": "mastercard ending in 9",
        "gift_card_1": "gift card",
        "paypal_1": "PayPal account",
    }
    assert source.wording("unknown_1", Scope(None, {})) == "unknown_1"


def test_synthesised_tasks_are_proved_and_use_every_write() -> None:
    plans = write_plans(DOMAIN, 8)
    tools, refused, proved, made = set[str](), set[str](), 0, 0
    for item in range(240):
        task = synthesise(DOMAIN, plans[item % 8], Order(seed=11, item=item))
        if task is None:
            continue
        made += 1
        proof = prove(DOMAIN, attach_checker(DOMAIN, task), shared_sandbox())
        proved += proof.ok
        if proof.ok:
            assert proof.score == 1.0
            tools |= {step.call.name for step in task.gold}
            refused |= set(task.refused)
    assert proved >= 0.9 * made > 180
    assert {name for name, tool in DOMAIN.tools.items() if tool.kind == "write"} <= tools
    assert len(refused) >= 3


def test_importing_the_domain_does_not_load_litellm() -> None:
    code = "import sys; from veriloop.domains.tau2.retail import load_retail; load_retail().tools; "
    code += "print('litellm' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    assert done.stderr == "", "tau2 must be quiet"
