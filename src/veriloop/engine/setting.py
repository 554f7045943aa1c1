"""Where a task is drafted: which item of which run, on which database, about whom."""

import random
from dataclasses import dataclass

from veriloop.core.base import derive_seed
from veriloop.domains.domain import Caller, Domain
from veriloop.domains.session import Session
from veriloop.domains.task import Initial
from veriloop.domains.walk import Walk, explore


@dataclass(frozen=True, slots=True)
class Order:
    """What to make: which item of which run, from which databases.

    plain: callers talk in few ways, without slips. alone: tasks have a ticket, for an agent who works alone.
    """

    seed: int
    item: int
    attempt: int = 0
    split: str = "train"
    databases: int = 50
    plain: bool = False
    alone: bool = False

    def roll(self, *about: str | int) -> random.Random:
        """Return the randomness of one decision: plans that differ elsewhere decide alike here, and compare well."""
        return random.Random(derive_seed("synth", self.seed, self.item, self.attempt, self.split, *about))


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a task plays: an open session, its database, who calls and what can be read from what they know."""

    domain: Domain
    database: str
    caller: Caller
    session: Session
    walk: Walk


def enter_setting(domain: Domain, order: Order, rng: random.Random) -> Setting:
    """Draw a database and one of its callers, and read all that can be read from what that caller knows."""
    database = domain.database(order.split, rng.randrange(order.databases))
    caller = rng.choice(list(domain.callers(database, order.split)))
    session = domain.open(Initial(database=database))
    return Setting(domain, database, caller, session, explore(domain, session, caller, rng))
