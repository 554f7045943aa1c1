"""Scripted experts: one agent per domain that sees only what an agent may see."""

from collections.abc import Callable

from veriloop.core.errors import InputError
from veriloop.rollout.experts.airline import AirlineExpert
from veriloop.rollout.experts.parcel import ParcelExpert
from veriloop.rollout.experts.retail import RetailExpert
from veriloop.rollout.experts.telecom import TelecomExpert
from veriloop.rollout.player import Player

EXPERTS: dict[str, Callable[[], Player]] = {
    "parcel": ParcelExpert,
    "tau2/airline": AirlineExpert,
    "tau2/retail": RetailExpert,
    "tau2/telecom": TelecomExpert,
}


def load_expert(domain: str) -> Player:
    """Return the expert of a domain; raises InputError where there is none."""
    if domain not in EXPERTS:
        raise InputError(f"domain {domain!r} has no scripted expert; those with one: {', '.join(EXPERTS)}. Use `gold`")
    return EXPERTS[domain]()
