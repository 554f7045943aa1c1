"""What a retail customer means: facts in their sentences, and the rows that the facts can be about."""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from veriloop.rollout.experts.retail_rules import Row
from veriloop.rollout.wording import Forms, find_told

_ORDER = re.compile(r"#?\b(W\d{7})\b", re.IGNORECASE)
_AND = re.compile(r"\s+and the\s+")
_ARTICLE = re.compile(r"^(only )?the ")


def read_facts(said: str, labels: Mapping[str, str], forms: Mapping[str, Forms]) -> dict[str, str]:
    """Return what was told last under each label or in sentences of its own.

    labels: how facts are called, by the names under which they are returned. forms: such sentences by label.
    """
    told = {name: find_told(said, label, forms.get(label)) for name, label in labels.items()}
    found = {name: texts[-1] for name, texts in told.items() if texts}
    if "order_id" in labels and (order := _ORDER.findall(said)):
        found["order_id"] = f"#{order[-1].upper()}"
    return found


def describe(item: Row, name: str) -> str:
    """Return how an item or a variant is called: its product's name and its options."""
    return f"{name} ({', '.join(f'{option} {value}' for option, value in item['options'].items())})"


def describe_payment(method: Row) -> str:
    """Return how a payment method is called."""
    if method["source"] == "credit_card":
        return f"{method['brand']} card ending in {method['last_four']}"
    return {"gift_card": "gift card", "paypal": "PayPal account"}[method["source"]]


def find_payments(methods: Mapping[str, Row], text: str | None) -> list[str]:
    """Return the ids of the payment methods that a text may mean: all of them where nothing was said."""
    return [number for number, method in methods.items() if text is None or _is_meant(method, text.lower())]


def _is_meant(method: Row, text: str) -> bool:
    kind = method["last_four"] if method["source"] == "credit_card" else method["source"].replace("_", " ")
    return kind in text or method["id"] in text


def split_items(text: str) -> list[str]:
    """Return the single descriptions of a text that names some items, without case."""
    return _AND.split(_ARTICLE.sub("", text.strip().lower()))


def names_product(description: str, name: str) -> bool:
    """Return whether a description is one of a product."""
    return description.partition(" (")[0] == name.lower()


def find_items(order: Row, text: str | None) -> Iterator[list[Row]]:
    """Yield the items of an order that a text may mean; one at a time where nothing was said."""
    items = _single_items(order)
    if text is None:
        yield from ([item] for item in items)
        return
    yield from _combine([i for i in items if describe(i, i["name"]).lower() == wanted] for wanted in split_items(text))


def find_replaced(order: Row, replacements: str, *, same: bool) -> Iterator[list[Row]]:
    """Yield the items that replacements may be for where it was not said: those of the same products, or all others."""
    items = _single_items(order)
    yield from _combine(
        [item for item in items if names_product(wanted, item["name"]) == same] for wanted in split_items(replacements)
    )


def find_variants(items: Sequence[Row], replacements: str, products: Mapping[str, Row]) -> Iterator[list[str]]:
    """Yield the ids of variants that replacements may mean, in the order of the items they are for.

    products: those that were read, by id; an item's own product is looked at before others.
    """
    wanted = split_items(replacements)
    if len(wanted) != len(items):
        return
    options = [_find_ids(products, item["product_id"], text) for item, text in zip(items, wanted, strict=True)]
    yield from map(list, itertools.product(*options))


def _find_ids(products: Mapping[str, Row], own: str, text: str) -> list[str]:
    found = [
        (key == own, number)
        for key, product in products.items()
        if names_product(text, product["name"])
        for number, variant in product["variants"].items()
        if describe(variant, product["name"]).lower() == text
    ]
    return [number for is_own, number in found if is_own] or [number for _, number in found]


def _single_items(order: Row) -> list[Row]:
    """Return the items of an order; of one that was ordered twice, neither can be meant alone."""
    ids = [item["item_id"] for item in order["items"]]
    return [item for item in order["items"] if ids.count(item["item_id"]) == 1]


def _combine(options: Iterable[list[Row]]) -> Iterator[list[Row]]:
    """Yield one item of each option, all of them different."""
    for chosen in itertools.product(*options):
        if len({item["item_id"] for item in chosen}) == len(chosen):
            yield list(chosen)
