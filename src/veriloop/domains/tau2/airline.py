"""The airline domain: 500 users, 2,000 reservations and 300 flights of the package, split by user."""

import functools
from collections.abc import Mapping
from typing import Any

from tau2.domains.airline.tools import AirlineTools
from tau2.domains.airline.utils import AIRLINE_POLICY_PATH

from veriloop.domains.domain import Caller, Domain
from veriloop.domains.tau2.airline_clause import CLAUSES
from veriloop.domains.tau2.airline_data import load_tables
from veriloop.domains.tau2.airline_source import KINDS, SOURCES, YIELDS
from veriloop.domains.tau2.airline_topic import TOPICS
from veriloop.domains.tau2.held_out import load_held_out
from veriloop.domains.tau2.shared import Declarations, SharedDomain, split_of

HEARD_SHARE = 4
"""One caller in so many also has the number of a reservation that is not theirs."""


@functools.lru_cache(maxsize=1)
def load_airline() -> Domain:
    """Return the domain; its database is read from the package on first use."""
    declared = Declarations(SOURCES, YIELDS, TOPICS)
    return SharedDomain(
        "tau2/airline",
        CLAUSES,
        AirlineTools,
        AIRLINE_POLICY_PATH,
        load_tables,
        _find_callers,
        declared,
        dict(KINDS),
        unordered={"reservations": ("passengers", "payment_history")},
    )


@functools.lru_cache(maxsize=2)
def _find_callers(split: str) -> tuple[Caller, ...]:
    """Return the split's users who are not held out; what they can say of themselves is their user id."""
    rows: Mapping[str, Any] = load_tables()["users"]
    held_out = load_held_out("tau2/airline")
    users = [user for key, user in rows.items() if split_of(key) == split and not held_out.has_entity(key)]
    holders = [user for user in users if user.reservations]
    callers = []
    for position, user in enumerate(users):
        other = holders[(position * 7 + 3) % len(holders)]
        heard = {"reservation_id": other.reservations[0]} if position % HEARD_SHARE == 0 and other is not user else {}
        name = f"{user.name.first_name} {user.name.last_name}"
        callers.append(Caller(user.user_id, name, {"user_id": user.user_id}, heard))
    return tuple(callers)
