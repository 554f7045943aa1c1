"""What the retail expert makes of sentences: wishes, facts, items by their options, payment methods by their names."""

from typing import Any

import pytest

from veriloop.domains.registry import load_domain
from veriloop.rollout.experts.retail_wish import (
    describe,
    describe_payment,
    find_items,
    find_payments,
    find_replaced,
    find_variants,
    read_facts,
    split_items,
)
from veriloop.rollout.experts.talk import find_tool

pytest.importorskip("tau2")
TOOLS = tuple(load_domain("tau2/retail").tools.values())
LABELS = {"order_id": "order number", "reason": "reason for cancelling", "zip": "new zip code"}
METHODS: dict[str, Any] = {
    "gift_card_1": {"source": "gift_card", "id": "gift_card_1", "balance": 20},
    "paypal_2": {"source": "paypal", "id": "paypal_2"},
    "credit_card_3": {"source": "credit_card", "id": "credit_card_3", "brand": "visa", "last_four": "9188"},
    "credit_card_4": {"source": "credit_card", "id": "credit_card_4", "brand": "visa", "last_four": "5511"},
}


def item(number: str, name: str, **options: str) -> dict[str, Any]:
    return {"item_id": number, "name": name, "product_id": f"P-{name}", "options": options}


MUG, SHIRT, RED = item("1", "Mug", size="S"), item("2", "T-Shirt", color="blue"), item("3", "T-Shirt", color="red")
ORDER = {"items": [MUG, SHIRT, RED]}
PRODUCTS: dict[str, Any] = {
    "P-Mug": {"name": "Mug", "variants": {"1": MUG, "11": item("11", "Mug", size="1.5 L")}},
    "P-T-Shirt": {"name": "T-Shirt", "variants": {"2": SHIRT, "3": RED, "22": item("22", "T-Shirt", color="grey")}},
}


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool.topics], ids=lambda tool: tool.name)
def test_every_wording_of_a_wish_is_understood(tool: Any) -> None:
    for topic in tool.topics:
        for opening in ("I want to {}.", "Hi, can you help me {}? The order number is #W1234567.", "{}!"):
            assert find_tool(TOOLS, opening.format(topic)) is tool


def test_what_is_no_wish_of_ours_is_no_tool() -> None:
    assert find_tool(TOOLS, "I want to apply for a job in a shop.") is None
    assert find_tool((), "I want to cancel an order that has not shipped.") is None


@pytest.mark.parametrize("form", ["The {} is {}.", "My {}: {}.", "my {} is {}!", "Hello there. The {} is {}"])
def test_facts_are_read_in_every_form(form: str) -> None:
    said = form.format("reason for cancelling", "no longer needed")
    assert read_facts(said, LABELS, {}) == {"reason": "no longer needed"}
    assert read_facts(f"{said.rstrip('.')}. 78734 is the new zip code.", LABELS, {})["zip"] == "78734"


def test_the_last_of_two_values_counts() -> None:
    said = "No longer needed is the reason for cancelling. No. The reason for cancelling is ordered by mistake."
    assert read_facts(said, LABELS, {}) == {"reason": "ordered by mistake"}


def test_one_label_inside_another_is_not_mistaken_for_it() -> None:
    assert read_facts("The new zip code is 78734.", {"zip": "zip code"}, {}) == {}
    assert read_facts("78734 is the new zip code.", {"zip": "zip code"}, {}) == {}


@pytest.mark.parametrize("said", ["It is #W1234567.", "w1234567", "The order number is #w1234567.", "order W1234567!"])
def test_an_order_number_is_known_wherever_it_stands(said: str) -> None:
    assert read_facts(said, LABELS, {}) == {"order_id": "#W1234567"}
    assert read_facts(said, {"zip": "zip code"}, {}) == {}


def test_a_decimal_point_ends_no_sentence() -> None:
    said = "The replacement item is the Mug (size 1.5 L). The new zip code is 1."
    assert read_facts(said, {"new": "replacement item"}, {}) == {"new": "the Mug (size 1.5 L)"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("PayPal account", ["paypal_2"]),
        ("gift card", ["gift_card_1"]),
        ("visa card ending in 9188", ["credit_card_3"]),
        ("credit_card_4", ["credit_card_4"]),
        ("mastercard ending in 0000", []),
        (None, list(METHODS)),
    ],
)
def test_payment_methods_are_known_by_their_names(text: str | None, found: list[str]) -> None:
    assert find_payments(METHODS, text) == found


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_payment_method_is_known_by_how_it_is_called(method: Any) -> None:
    assert find_payments(METHODS, describe_payment(method)) == [method["id"]]


def test_items_are_told_apart_by_their_options() -> None:
    assert describe(SHIRT, "T-Shirt") == "T-Shirt (color blue)"
    assert list(find_items(ORDER, "only the T-Shirt (color red)")) == [[RED]]
    assert list(find_items(ORDER, "only the t-shirt (color blue) and the Mug (size S)")) == [[SHIRT, MUG]]
    assert list(find_items(ORDER, "only the T-Shirt (color green)")) == []
    assert list(find_items(ORDER, None)) == [[MUG], [SHIRT], [RED]]
    assert split_items("the Mug (size S) and the T-Shirt (color red)") == ["mug (size s)", "t-shirt (color red)"]


def test_what_was_ordered_twice_is_never_meant_alone() -> None:
    assert list(find_items({"items": [MUG, MUG, RED]}, None)) == [[RED]]


def test_replacements_say_what_they_are_for() -> None:
    assert list(find_replaced(ORDER, "the Mug (size 1.5 L)", same=True)) == [[MUG]]
    assert list(find_replaced(ORDER, "the Mug (size 1.5 L)", same=False)) == [[SHIRT], [RED]]
    two = list(find_replaced(ORDER, "the T-Shirt (color grey) and the T-Shirt (color grey)", same=True))
    assert two == [[SHIRT, RED], [RED, SHIRT]], "no item is replaced twice"


def test_variants_are_found_among_the_item_s_own_product_first() -> None:
    assert list(find_variants([SHIRT], "the T-Shirt (color grey)", PRODUCTS)) == [["22"]]
    assert list(find_variants([SHIRT], "the Mug (size 1.5 L)", PRODUCTS)) == [["11"]], "which the policy then forbids"
    assert list(find_variants([SHIRT, MUG], "the Mug (size S)", PRODUCTS)) == [], "one for two says too little"
    assert list(find_variants([MUG], "the Mug (size XXL)", PRODUCTS)) == []
