"""Invented databases for telecom: customers with lines, plans, devices and bills, from a seed.

The package's own database has four customers, and its hidden tasks are about one of them; nothing here is theirs.
"""

import functools
import random
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel
from tau2.domains.telecom.data_model import Bill, Customer, Device, Line, LineItem, Plan, TelecomDB
from tau2.domains.telecom.user_data_model import MockPhoneAttributes, TelecomUserDB
from tau2.domains.telecom.utils import TELECOM_DB_PATH, TELECOM_USER_DB_PATH, get_today

from veriloop.core.base import derive_seed
from veriloop.core.errors import InputError
from veriloop.domains.tau2.telecom_session import KEYS, Phone

SPLITS = ("train", "test")
PACKAGE = "package-0"
"""The id of the package's own database, which only its own tasks play on."""
Tables = Mapping[str, Mapping[str, BaseModel]]

_FIRST = (
    "Ada", "Bruno", "Carmen", "Dmitri", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kavya", "Lorenzo", "Mina",
    "Nadia", "Oscar", "Priya", "Quentin", "Rosa", "Stefan", "Tomas", "Uma", "Viktor", "Wanda", "Xenia", "Yusuf", "Zoe",
)  # fmt: skip
_LAST = (
    "Abara", "Bergman", "Castillo", "Dvorak", "Eriksen", "Fontaine", "Gupta", "Haddad", "Ivanova", "Janssen", "Kimura",
    "Lindqvist", "Moreau", "Novak", "Okafor", "Petrov", "Quiroga", "Rossi", "Schmidt", "Tanaka", "Ueda", "Vargas",
)  # fmt: skip
_STREETS = ("Oak Street", "Mill Lane", "Harbor Road", "Cedar Avenue", "Station Road", "Hill Street", "Lake Drive")
_CITIES = (("Austin", "TX", "787"), ("Tampa", "FL", "336"), ("Boise", "ID", "837"), ("Salem", "OR", "973"))
_PLANS = (
    ("Starter", 3.0, 25.0, 6.0), ("Light", 5.0, 35.0, 5.0), ("Standard", 10.0, 50.0, 3.0), ("Plus", 15.0, 60.0, 2.5),
    ("Max", 25.0, 75.0, 2.0), ("Traveler", 40.0, 95.0, 1.5),
)  # fmt: skip
_MODELS = ("Aster 5", "Boreal One", "Cobalt S", "Delta Fold", "Ember Mini", "Flint X")
_NETWORKS = (None, None, "HomeNet", "CafeCorner", "Studio-5G")
CUSTOMERS = (4, 6)
"""How many customers a database has, at least and at most."""


def split_of(name: str) -> str:
    """Return the split a person belongs to, from a hash of the name alone."""
    return "test" if derive_seed("telecom person", name) % 4 == 0 else "train"


@functools.lru_cache(maxsize=128)
def load_database(database: str) -> tuple[Tables, Phone]:
    """Return a database's rows by table and key and the phone that is called about; shared, never to be changed.

    Raises InputError for an id that is not `train-N`, `test-N` or the package's own.
    """
    if database == PACKAGE:
        return _load_package()
    split, _, index = database.partition("-")
    if split not in SPLITS or not index.isdigit():
        raise InputError(f"unknown database {database!r} of tau2/telecom; use train-N, test-N or {PACKAGE}")
    rng = random.Random(derive_seed("telecom", split, int(index)))
    return _freeze(_World(split, int(index), rng).invent()), Phone.of(_invent_phone(rng))


def dump_database(database: str) -> dict[str, Any] | None:
    """Return a database as tau2's `initialization_data`, None for the package's own.

    What is given there replaces whole lists, so every list is whole.
    """
    if database == PACKAGE:
        return None
    tables, phone = load_database(database)
    return {"agent_data": dump_accounts(tables), "user_data": {"device": phone.device.model_dump(mode="json")}}


def dump_accounts(tables: Tables) -> dict[str, Any]:
    """Return rows in the form of the package's database file."""
    return {name: [row.model_dump(mode="json") for row in table.values()] for name, table in tables.items()}


def read_database(accounts: dict[str, Any], user: dict[str, Any]) -> tuple[Tables, Phone]:
    """Return rows and phone from a database file's content; `user` is laid over the package's phone.

    Raises ValueError when it does not fit.
    """
    device = _load_package()[1].device.model_dump(mode="json") | user.get("device", {})
    return _freeze(TelecomDB.model_validate(accounts)), Phone.of(MockPhoneAttributes.model_validate(device))


def _load_package() -> tuple[Tables, Phone]:
    found: Any = TelecomDB.load(str(TELECOM_DB_PATH))
    phone: Any = TelecomUserDB.load(str(TELECOM_USER_DB_PATH))
    return _freeze(found), Phone.of(phone.device)


def _freeze(found: TelecomDB) -> Tables:
    tables = {name: {getattr(row, key): row for row in getattr(found, name)} for name, key in KEYS.items()}
    return MappingProxyType({name: MappingProxyType(rows) for name, rows in tables.items()})


def _invent_phone(rng: random.Random) -> MockPhoneAttributes:
    network = rng.choice(_NETWORKS)
    wifi: dict[str, Any] = {"wifi_enabled": True, "wifi_connected": True, "wifi_signal_strength": "good"}
    return MockPhoneAttributes(battery_level=rng.randint(15, 98), **({"wifi_ssid": network, **wifi} if network else {}))


def _fill_line(line_id: str) -> dict[str, Any]:
    """Return what a line may have behind it: a change of plan and another SIM card, each for some."""
    rng = random.Random(derive_seed("telecom past of a line", line_id))
    return {
        name: _past_day(rng) if rng.random() < 0.4 else None
        for name in ("last_plan_change_date", "last_sim_replacement_date")
    }


def _fill_customer(customer_id: str) -> dict[str, Any]:
    """Return what a customer may have behind them: an extension of a payment and credit out of goodwill, for some."""
    rng = random.Random(derive_seed("telecom past of a customer", customer_id))
    credit = rng.choice((0.0, 0.0, 5.0, 10.0, 12.5, 20.0, 25.0, 40.0))
    return {
        "last_extension_date": _past_day(rng) if rng.random() < 0.3 else None,
        "goodwill_credit_used_this_year": credit,
    }


def _past_day(rng: random.Random) -> str:
    return date(rng.choice((2023, 2024, 2025)), rng.randint(1, 2), rng.randint(1, 24)).isoformat()


def _shuffle(ids: list[str]) -> list[str]:
    """Return the ids of a customer's lines in any order: that of the phone they call about is not always the first."""
    return random.Random(derive_seed("telecom lines", *ids)).sample(ids, len(ids))


class _World:
    """One database in the making."""

    def __init__(self, split: str, index: int, rng: random.Random) -> None:
        self._split, self._rng = split, rng
        self._db = TelecomDB()
        # Numbers of the two splits never meet, nor those of two databases of one, nor any of the package's.
        self._number = (2 + 2 * index + (split == "test")) * 1000 + rng.randrange(100)

    def invent(self) -> TelecomDB:
        self._db.plans += [
            Plan(
                plan_id=self._id("P"), name=f"{name} Plan", data_limit_gb=limit, price_per_month=price,
                data_refueling_price_per_gb=refuel,
            )
            for name, limit, price, refuel in self._rng.sample(_PLANS, 4)
        ]  # fmt: skip
        names: dict[str, None] = {}
        while len(names) < self._rng.randint(*CUSTOMERS):
            name = f"{self._rng.choice(_FIRST)} {self._rng.choice(_LAST)}"
            if split_of(name) == self._split:
                names[name] = None
        for name in names:
            self._add_customer(name)
        return self._db

    def _id(self, prefix: str) -> str:
        self._number += self._rng.randint(1, 7)
        return f"{prefix}{self._number}"

    def _date(self, year: int) -> date:
        return date(year, self._rng.randint(1, 12), self._rng.randint(1, 28))

    def _add_customer(self, name: str) -> None:
        rng, (city, state, prefix) = self._rng, self._rng.choice(_CITIES)
        customer_id = self._id("C")
        lines = [self._add_line(main=place == 0) for place in range(rng.randint(1, 3))]
        debt = next((line for line in lines if line.status == "Suspended" and rng.random() < 0.5), None)
        bills = [self._add_bill(customer_id, lines, month, debt if month == 1 else None) for month in (1, 2)]
        bills.append(self._add_draft(customer_id))
        self._db.customers.append(
            Customer.model_validate(
                {
                    "customer_id": customer_id,
                    "full_name": name,
                    "date_of_birth": self._date(rng.randint(1950, 2002)).isoformat(),
                    "email": f"{name.lower().replace(' ', '.')}@mail.example",
                    "phone_number": lines[0].phone_number,
                    "address": {
                        "street": f"{rng.randint(2, 990)} {rng.choice(_STREETS)}", "city": city, "state": state,
                        "zip_code": f"{prefix}{rng.randint(1, 99):02}",
                    },
                    "account_status": "Active",
                    "payment_methods": [
                        {
                            "method_type": rng.choice(("Credit Card", "Debit Card", "PayPal")),
                            "account_number_last_4": f"{rng.randint(0, 9999):04}",
                            "expiration_date": f"{rng.randint(1, 12):02}/{rng.randint(2026, 2030)}",
                        }
                    ],
                    "line_ids": _shuffle([line.line_id for line in lines]),
                    "bill_ids": bills,
                    "created_at": datetime(rng.randint(2015, 2023), rng.randint(1, 12), 14, 9, 30),
                    **_fill_customer(customer_id),
                }
            )
        )  # fmt: skip

    def _add_line(self, *, main: bool) -> Line:
        """Add a line with its device; the main one is fit for use, the others not always."""
        rng, plan = self._rng, self._rng.choice(self._db.plans)
        kind = "phone" if main else rng.choice(("phone", "tablet", "watch"))
        device = Device.model_validate(
            {
                "device_id": self._id("D"), "device_type": kind, "model": rng.choice(_MODELS), "activated": True,
                "imei": f"{rng.randrange(10**15):015}", "is_esim_capable": rng.random() < 0.7,
                "activation_date": datetime(2024, rng.randint(1, 12), 3, 16, 0),
            }
        )  # fmt: skip
        status = "Active" if main else rng.choice(("Active", "Suspended", "Suspended"))
        ended = status == "Suspended" and rng.random() < 0.3
        line_id = self._id("L")
        line = Line.model_validate(
            {
                "line_id": line_id,
                "phone_number": f"555-{rng.randrange(200, 988, 2) + (self._split == 'test')}-{self._number % 10000:04}",
                "status": status,
                "plan_id": plan.plan_id,
                "device_id": device.device_id,
                "data_used_gb": round(plan.data_limit_gb * rng.uniform(0.1, 0.9), 1),
                "roaming_enabled": rng.random() < 0.5,
                "contract_end_date": self._date(2024 if ended else 2026),
                "suspension_start_date": self._date(2024) if status == "Suspended" else None,
                **_fill_line(line_id),
            }
        )
        self._db.devices.append(device)
        self._db.lines.append(line)
        return line

    def _add_bill(self, customer_id: str, lines: list[Line], month: int, debt: Line | None) -> str:
        """Add the bill of a month; one with a debt is overdue, for the line that was suspended for it."""
        plans = {plan.plan_id: plan for plan in self._db.plans}
        items = [
            LineItem(
                description=f"{plans[line.plan_id].name} - Line {line.phone_number}",
                amount=plans[line.plan_id].price_per_month, date=date(2025, month, 5), item_type="Plan Charge",
            )
            for line in ([debt] if debt else lines)
        ]  # fmt: skip
        status = "Overdue" if debt else "Paid" if month == 1 else self._rng.choice(("Paid", "Issued"))
        return self._keep_bill(customer_id, date(2025, month, 1), items, status)

    def _add_draft(self, customer_id: str) -> str:
        """Add the next bill, still open: without one the package would invent an id of its own for a charge."""
        return self._keep_bill(customer_id, get_today().replace(month=3, day=1), [], "Draft")

    def _keep_bill(self, customer_id: str, start: date, items: list[LineItem], status: str) -> str:
        bill = Bill.model_validate(
            {
                "bill_id": self._id("B"), "customer_id": customer_id, "period_start": start,
                "period_end": (start + timedelta(days=31)).replace(day=1) - timedelta(days=1),
                "issue_date": start if status == "Draft" else start.replace(day=5),
                "due_date": start.replace(day=15 if status == "Draft" else 19),
                "total_due": float(sum(item.amount for item in items)), "line_items": items, "status": status,
            }
        )  # fmt: skip
        self._db.bills.append(bill)
        return bill.bill_id
