"""The retail domain: 500 customers, 1,000 orders and 50 products of the package, split by customer."""

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel
from tau2.domains.retail.data_model import RetailDB
from tau2.domains.retail.tools import RetailTools
from tau2.domains.retail.utils import RETAIL_DB_PATH, RETAIL_POLICY_PATH

from veriloop.domains.domain import Caller, Domain
from veriloop.domains.tau2.held_out import load_held_out
from veriloop.domains.tau2.retail_clause import CLAUSES
from veriloop.domains.tau2.retail_source import KINDS, SOURCES, TOPICS, YIELDS
from veriloop.domains.tau2.shared import Declarations, SharedDomain, split_of

TABLES = ("orders", "products", "users")
HEARD_SHARE = 4
"""One caller in so many also has the number of an order that is not theirs."""


@functools.lru_cache(maxsize=1)
def load_retail() -> Domain:
    """Return the domain; its database is read from the package on first use."""
    declared = Declarations(SOURCES, YIELDS, TOPICS)
    return SharedDomain(
        "tau2/retail", CLAUSES, RetailTools, RETAIL_POLICY_PATH, load_tables, _find_callers, declared, dict(KINDS)
    )


@functools.lru_cache(maxsize=1)
def load_tables() -> Mapping[str, Mapping[str, BaseModel]]:
    """Return the package's rows by table and key, parsed once per process; shared, never to be changed."""
    db = RetailDB.load(str(RETAIL_DB_PATH))
    return MappingProxyType({name: MappingProxyType(getattr(db, name)) for name in TABLES})


@functools.lru_cache(maxsize=2)
def _find_callers(split: str) -> tuple[Caller, ...]:
    """Return the split's customers who have ordered something and are not held out."""
    rows: Mapping[str, Any] = load_tables()["users"]
    held_out = load_held_out("tau2/retail")
    own = [user for key, user in rows.items() if split_of(key) == split and not held_out.has_entity(key)]
    users = [user for user in own if user.orders]
    callers = []
    for position, user in enumerate(users):
        other = users[(position * 7 + 3) % len(users)]
        heard = {"order_id": other.orders[0]} if position % HEARD_SHARE == 0 and other is not user else {}
        callers.append(Caller(user.user_id, f"{user.name.first_name} {user.name.last_name}", _known(user), heard))
    return tuple(callers)


def _known(user: Any) -> dict[str, Any]:
    """Return what customers can say of themselves; e-mail addresses and names with zip codes are unique."""
    name, address = user.name, user.address
    return {"email": user.email, "first_name": name.first_name, "last_name": name.last_name, "zip": address.zip}
