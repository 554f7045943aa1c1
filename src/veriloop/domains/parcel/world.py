"""Makes a whole parcel database from its id, the same for the same id; names and identifiers are coined, not listed."""

import functools
import random
from collections.abc import Mapping
from typing import Any

from veriloop.core.base import derive_seed
from veriloop.core.errors import InputError
from veriloop.domains.database import Row
from veriloop.domains.parcel.rows import App, Area, Claim, Customer, Day, Locker, Parcel

DAYS: tuple[Day, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_STATUSES = ("registered", "in_transit", "at_depot", "out_for_delivery", "delivered", "returned")
_ONSETS = ("b", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "br", "dr", "st", "tr")
_VOWELS = ("a", "e", "i", "o", "u", "ia", "ei")
_CODAS = ("", "l", "n", "r", "s", "m", "nd", "rk")
_TREES = ("Alder", "Birch", "Cedar", "Elm", "Hazel", "Juniper", "Larch", "Maple", "Oak", "Poplar", "Rowan", "Willow")
_WAYS = ("Lane", "Road", "Street", "Way", "Row", "Hill")
_PLACES = ("Mill", "Harbour", "Market", "Station", "Castle", "Garden", "Bridge", "Tower", "Chapel", "Orchard")
_SPOTS = ("Square", "Gate", "Court", "Corner")
_TRADES = ("Books", "Shoes", "Garden", "Toys", "Lamps", "Tools", "Records", "Tea")

Tables = Mapping[str, Mapping[str, Row]]


@functools.lru_cache(maxsize=64)
def build_world(database: str) -> Tables:
    """Return the base tables of database `SPLIT-INDEX`; raises InputError for any other id."""
    split, _, index = database.rpartition("-")
    if split not in ("train", "test") or not index.isdigit():
        raise InputError(f"parcel has no database {database!r}; ids look like 'train-0' or 'test-12'")
    rng = random.Random(derive_seed("parcel", database))
    areas = {name: Area(area=name, days=_some_days(rng)) for name in _draw_codes(rng, "A", 2, 6)}
    lockers = _make_lockers(rng, list(areas))
    customers = _make_customers(rng, list(areas), rng.randint(60, 80))
    apps = {c.email: App(email=c.email, locker_pickup=rng.random() < 0.5, photos=()) for c in customers.values()}
    parcels = _make_parcels(rng, list(customers.values()))
    claims = _make_claims(rng, parcels)
    _take_photos(rng, customers, parcels, apps)
    return dict(customers=customers, parcels=parcels, lockers=lockers, areas=areas, claims=claims, apps=apps)


def _take_photos(
    rng: random.Random, customers: dict[str, Customer], parcels: dict[str, Parcel], apps: dict[str, App]
) -> None:
    """Put photos of some delivered parcels into their owners' apps: taken before anybody called."""
    for code, parcel in parcels.items():
        if parcel.status == "delivered" and rng.random() < 0.4:
            email = customers[parcel.customer_id].email
            apps[email] = apps[email].model_copy(update={"photos": (*apps[email].photos, code)})


def coin_name(rng: random.Random) -> str:
    """Return a made-up first and last name."""
    return f"{_coin_word(rng)} {_coin_word(rng)}"


def coin_street(rng: random.Random) -> str:
    """Return a made-up street and house number."""
    return f"{rng.choice(_TREES)} {rng.choice(_WAYS)} {rng.randint(1, 99)}"


def coin_phone(rng: random.Random) -> str:
    """Return a phone number from the range kept for fiction."""
    return f"555-{rng.randint(100, 999)}-{rng.randint(1000, 9999)}"


def _coin_word(rng: random.Random) -> str:
    syllables = (rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(rng.choice((1, 2, 2))))
    return ("".join(syllables) + rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS)).capitalize()


def _draw_codes(rng: random.Random, prefix: str, digits: int, count: int) -> list[str]:
    numbers = rng.sample(range(10 ** (digits - 1), 10**digits), count)
    return [f"{prefix}{number}" for number in numbers]


def _some_days(rng: random.Random) -> tuple[Day, ...]:
    chosen = set(rng.sample(DAYS, 4))
    return tuple(day for day in DAYS if day in chosen)


def _make_lockers(rng: random.Random, areas: list[str]) -> dict[str, Locker]:
    lockers = {}
    codes = iter(_draw_codes(rng, "LK", 4, 3 * len(areas)))
    for area in areas:
        names = rng.sample([f"{place} {spot}" for place in _PLACES for spot in _SPOTS], 3)
        for name in names:
            code = next(codes)
            lockers[code] = Locker(locker_id=code, name=name, area=area, free=rng.choice((0, 1, 2, 4, 7)))
    return lockers


def _make_customers(rng: random.Random, areas: list[str], count: int) -> dict[str, Customer]:
    customers, emails, phones = {}, set[str](), set[str]()
    for code in _draw_codes(rng, "C", 5, count):
        name = coin_name(rng)
        email = _unused(lambda n=name: f"{n.lower().replace(' ', '.')}{rng.randint(10, 99)}@post.example", emails)
        phone = _unused(lambda: coin_phone(rng), phones)
        plan = rng.choice(("basic", "plus"))
        customers[code] = Customer(
            customer_id=code,
            name=name,
            email=email,
            phone=phone,
            street=coin_street(rng),
            area=rng.choice(areas),
            plan=plan,
        )
    return customers


def _unused(make: Any, taken: set[str]) -> str:
    while (value := make()) in taken:
        continue
    taken.add(value)
    return value


def _make_parcels(rng: random.Random, customers: list[Customer]) -> dict[str, Parcel]:
    count = rng.randint(200, 260)
    owners = customers + rng.choices(customers, k=count - len(customers))
    codes = _draw_codes(rng, "VP", 8, count)
    return {code: _make_parcel(rng, code, owner) for code, owner in zip(codes, owners, strict=True)}


def _make_parcel(rng: random.Random, code: str, owner: Customer) -> Parcel:
    status: Any = rng.choices(_STATUSES, (2, 3, 6, 1, 4, 1))[0]
    return Parcel(
        tracking=code,
        customer_id=owner.customer_id,
        sender=f"{_coin_word(rng)} {rng.choice(_TRADES)}",
        status=status,
        service=rng.choice(("standard", "express")),
        weight_kg=rng.choice((1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 18, 24)),
        cash_on_delivery=rng.random() < 0.2,
        insured=rng.random() < 0.3,
        attempts=rng.choices((0, 1, 2, 3), (4, 3, 2, 2))[0] if status == "at_depot" else 0,
        days_late=rng.choice((0, 0, 1, 2, 3)),
        days_since_scan=rng.choice((0, 1, 2, 5, 9, 10, 11, 14, 20)) if status == "in_transit" else rng.randint(0, 3),
        days_since_delivery=rng.choice((0, 1, 2, 3, 5, 6, 7, 8, 9, 12, 20)) if status == "delivered" else None,
        street=owner.street,
        day=None,
        drop_off=None,
        hold_days=0,
        fee_refunded=rng.random() < 0.15,
    )


def _make_claims(rng: random.Random, parcels: Mapping[str, Parcel]) -> dict[str, Claim]:
    claims = {}
    for code, parcel in parcels.items():
        if parcel.status == "delivered" and rng.random() < 0.15:
            claims[code] = Claim(tracking=code, kind="damage")
        elif parcel.status == "in_transit" and rng.random() < 0.15:
            claims[code] = Claim(tracking=code, kind="loss")
    return claims
