"""Where the arguments of the retail tools come from, what their reads yield, and how customers put their wishes."""

import itertools
import math
import random
from dataclasses import replace
from typing import Any

from veriloop.core.base import derive_seed
from veriloop.domains.source import Scope, Source, Yield, choice, ref, said_as

CANDIDATES = 30
"""Values offered for one parameter at most."""

_STREETS = ("Maple Lane", "Harbor Street", "Quarry Road", "Linden Avenue", "Mill Court", "Orchard Way", "Canal Street")
_ADDRESS_FORMS = {
    "address1": ("We live at {text} now.", "The new place is {text}.", "It has to go to {text}."),
    "address2": ("{text} it is, in that building.", "There we are in {text}."),
    "city": ("The town is {text}.", "We have moved to {text}."),
}
_CITIES = (
    ("Portland", "OR", "972"),
    ("Austin", "TX", "787"),
    ("Boise", "ID", "837"),
    ("Madison", "WI", "537"),
    ("Savannah", "GA", "314"),
    ("Tucson", "AZ", "857"),
    ("Albany", "NY", "122"),
)


def _order(scope: Scope) -> Any:
    return scope.state.orders.get(scope.arguments.get("order_id"))


def _list_item_ids(scope: Scope) -> list[list[str]]:
    """Return the single items and pairs of the chosen order; an item ordered twice is left out as ambiguous.

    Pairs come both ways round, as people name them: their replacements may fit only one of the two.
    """
    order = _order(scope)
    ids = [item.item_id for item in order.items] if order else []
    once = [item_id for item_id in ids if ids.count(item_id) == 1]
    subsets = [*([item_id] for item_id in once), *map(list, itertools.permutations(once, 2))]
    return subsets[:CANDIDATES]


def _list_new_item_ids(scope: Scope) -> list[list[str]]:
    """Return replacements for the chosen items, position by position: other variants of the same product.

    Unavailable ones are among them, and for a single item one of another product of the order: wishes that the
    policy forbids.
    """
    order, chosen = _order(scope), scope.arguments.get("item_ids", [])
    products = {item.item_id: item.product_id for item in order.items} if order else {}
    if not chosen or any(item_id not in products for item_id in chosen):
        return []
    offered = [_offer_variants(scope.state.products[products[i]], order.user_id, len(chosen)) for i in chosen]
    variants = [[v for v in found if v != i] for i, found in zip(chosen, offered, strict=True)]
    found = [list(combination) for combination in itertools.product(*variants)]
    others = sorted({p for i, p in products.items() if p != products[chosen[0]]})
    if len(chosen) == 1 and others:
        found.append([next(iter(scope.state.products[others[0]].variants))])
    return found


def _offer_variants(product: Any, user_id: str, count: int) -> list[str]:
    """Return the variants offered where so many items are replaced together.

    They are the same for all of a customer's items of the product: what could replace another one as well is ambiguous,
    and has to be found out as such.
    """
    variants = list(product.variants)
    if count == 1:
        return variants
    rng = random.Random(derive_seed("variants", user_id, product.product_id))
    return sorted(rng.sample(variants, min(len(variants), math.isqrt(CANDIDATES))))


def _describe(name: str, options: dict[str, str]) -> str:
    return f"{name} ({', '.join(f'{option} {value}' for option, value in options.items())})"


def _say_items(value: list[str], scope: Scope) -> str:
    """Return how a customer names items of the order, and that these are all."""
    order = _order(scope)
    items = {item.item_id: item for item in order.items} if order else {}
    named = [_describe(items[i].name, items[i].options) if i in items else str(i) for i in value]
    return "only the " + " and the ".join(named)


def _say_new_items(value: list[str], scope: Scope) -> str:
    order = _order(scope)
    products = [scope.state.products[item.product_id] for item in order.items] if order else []
    named = []
    for item_id in value:
        product = next((product for product in products if item_id in product.variants), None)
        named.append(_describe(product.name, product.variants[item_id].options) if product else str(item_id))
    return "the " + " and the ".join(named)


def _say_payment(value: str, scope: Scope) -> str:
    row = scope.pool.get("payment_method_id", {}).get(value, {})
    if row.get("source") == "credit_card":
        brand = row["brand"] if row["brand"].endswith("card") else f"{row['brand']} card"
        return f"{brand} ending in {row['last_four']}"
    return {"gift_card": "gift card", "paypal": "PayPal account"}.get(row.get("source", ""), str(value))


def _coin_addresses(scope: Scope) -> list[dict[str, str]]:
    """Return invented addresses, the same ones for the same caller."""
    rng = random.Random(derive_seed("address", *(str(value) for value in scope.caller.values())))
    found = []
    for city, state, prefix in rng.sample(_CITIES, 4):
        street = f"{rng.randint(11, 998)} {rng.choice(_STREETS)}"
        unit = f"{rng.choice(('Apt', 'Suite', 'Unit'))} {rng.randint(2, 99)}"
        zip_code = f"{prefix}{rng.randint(1, 99):02}"
        found.append(
            {"address1": street, "address2": unit, "city": city, "state": state, "country": "USA", "zip": zip_code}
        )
    return found


def _address_part(field: str, label: str) -> Source:
    """Return the source of one field of a new address: the fields chosen before it decide which address it is."""

    def values(scope: Scope) -> list[str]:
        fitting = [
            address
            for address in _coin_addresses(scope)
            if all(scope.arguments.get(name, value) == value for name, value in address.items() if name != field)
        ]
        return list(dict.fromkeys(address[field] for address in fitting))

    return said_as(choice(f"new_{field}", values, label, free=True), *_ADDRESS_FORMS.get(field, ()))


EMAIL = ref("email", "email address")
FIRST_NAME = ref("first_name", "first name")
LAST_NAME = ref("last_name", "last name")
ZIP = ref("zip", "zip code")
ORDER = said_as(
    replace(ref("order_id", "order number"), implied=True),
    "It's about order {text}.",
    "The order is {text}.",
    "I mean order {text}.",
    "My confirmation says {text}.",
)
USER = ref("user_id", "user id", told=False)
PRODUCT = ref("product_id", "product id", told=False)
PAYMENT = said_as(
    replace(ref("payment_method_id", "payment method", say=_say_payment), implied=True),
    "Please use my {text}.",
    "My {text} is to be used for it.",
    "It should go through my {text}.",
)
REASON = said_as(
    choice(
        "reason",
        ("no longer needed", "ordered by mistake", "found a better price", "delivery takes too long"),
        "reason for cancelling",
    ),
    no_longer_needed=(
        "I no longer need it.",
        "It is of no use to me any more.",
        "We can do without it after all.",
        "I got one as a present in the meantime.",
    ),
    ordered_by_mistake=(
        "I ordered it by mistake.",
        "It was a mistake to order it.",
        "I clicked on the wrong button.",
        "My son ordered it without asking.",
    ),
    found_a_better_price=(
        "I found it cheaper somewhere else.",
        "Another shop has it at a better price.",
        "I have seen it for less money.",
    ),
    delivery_takes_too_long=(
        "It takes too long to arrive.",
        "I cannot wait that long for it.",
        "It would come too late for me.",
    ),
)
ITEMS = said_as(
    replace(choice("item_id", _list_item_ids, "item to change", say=_say_items), implied=True, unordered="items"),
    "I am talking about {text}.",
    "What I do not like is {text}.",
    "This concerns {text}.",
)
RETURNED = said_as(
    replace(ITEMS, label="item to return"),
    "I am talking about {text}.",
    "What I do not want to keep is {text}.",
    "What goes back is {text}.",
)
NEW_ITEMS = said_as(
    replace(choice("variant_id", _list_new_item_ids, "replacement item", say=_say_new_items), unordered="items"),
    "What I would rather have is {text}.",
    "Please make it {text}.",
    "I prefer {text}.",
)
ADDRESS = {
    "address1": _address_part("address1", "new street address"),
    "address2": _address_part("address2", "new apartment or suite"),
    "city": _address_part("city", "new city"),
    "state": _address_part("state", "new state"),
    "country": _address_part("country", "new country"),
    "zip": _address_part("zip", "new zip code"),
}

KINDS: dict[str, Source] = {source.kind: source for source in (EMAIL, FIRST_NAME, LAST_NAME, ZIP, ORDER)}

SOURCES: dict[str, dict[str, Source]] = {
    "find_user_id_by_email": {"email": EMAIL},
    "find_user_id_by_name_zip": {"first_name": FIRST_NAME, "last_name": LAST_NAME, "zip": ZIP},
    "get_user_details": {"user_id": USER},
    "get_order_details": {"order_id": ORDER},
    "get_product_details": {"product_id": PRODUCT},
    "cancel_pending_order": {"order_id": ORDER, "reason": REASON},
    "modify_pending_order_address": {"order_id": ORDER, **ADDRESS},
    "modify_pending_order_payment": {"order_id": ORDER, "payment_method_id": PAYMENT},
    "modify_pending_order_items": {
        "order_id": ORDER, "item_ids": ITEMS, "new_item_ids": NEW_ITEMS, "payment_method_id": PAYMENT,
    },
    "exchange_delivered_order_items": {
        "order_id": ORDER, "item_ids": ITEMS, "new_item_ids": NEW_ITEMS, "payment_method_id": PAYMENT,
    },
    "return_delivered_order_items": {"order_id": ORDER, "item_ids": RETURNED, "payment_method_id": PAYMENT},
    "modify_user_address": {"user_id": USER, **ADDRESS},
}  # fmt: skip

YIELDS: dict[str, tuple[Yield, ...]] = {
    "find_user_id_by_email": (Yield("user_id"),),
    "find_user_id_by_name_zip": (Yield("user_id"),),
    "get_user_details": (Yield("order_id", "orders[]"), Yield("payment_method_id", "payment_methods{}.id")),
    "get_order_details": (Yield("item_id", "items[].item_id"), Yield("product_id", "items[].product_id")),
    "get_product_details": (Yield("variant_id", "variants{}.item_id"),),
}

TOPICS: dict[str, tuple[str, ...]] = {
    "cancel_pending_order": (
        "cancel an order that has not shipped",
        "call off a pending order",
        "have a pending order cancelled",
        "stop an order before it ships",
    ),
    "modify_pending_order_address": (
        "have a pending order sent to another address",
        "change the shipping address of an order",
        "correct the address on a pending order",
        "ship an order somewhere else",
    ),
    "modify_pending_order_payment": (
        "pay for a pending order another way",
        "change the payment method of an order",
        "switch the payment of a pending order",
        "use a different payment method for an order",
    ),
    "modify_pending_order_items": (
        "get another version of something in a pending order",
        "change an item of a pending order",
        "swap something in an order that has not shipped",
        "pick different options for an item of a pending order",
    ),
    "exchange_delivered_order_items": (
        "exchange an item of a delivered order",
        "swap something that was delivered for another version",
        "trade in something from an order that arrived",
        "get a delivered item exchanged",
    ),
    "return_delivered_order_items": (
        "return an item of a delivered order",
        "send something back that was delivered",
        "give back something from an order that arrived",
        "get the money back for a delivered item",
    ),
    "modify_user_address": (
        "change the default address of the account",
        "update the address in the profile",
        "put a new address on the account",
        "replace the address saved in the profile",
    ),
}
