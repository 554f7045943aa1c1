"""The rows of the parcel help desk."""

from typing import Literal

from veriloop.domains.database import Database, Row, Table

Status = Literal["registered", "in_transit", "at_depot", "out_for_delivery", "delivered", "returned"]
Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]


class Customer(Row):
    """A person with an account; `plan` decides how long a depot keeps their parcels."""

    customer_id: str
    name: str
    email: str
    phone: str
    street: str
    area: str
    plan: Literal["basic", "plus"]


class Parcel(Row):
    """A parcel on its way to a customer. Days count back from today; None where it has not happened."""

    tracking: str
    customer_id: str
    sender: str
    status: Status
    service: Literal["standard", "express"]
    weight_kg: int
    cash_on_delivery: bool
    insured: bool
    attempts: int
    days_late: int
    days_since_scan: int
    days_since_delivery: int | None
    street: str
    day: Day | None
    drop_off: str | None
    hold_days: int
    fee_refunded: bool


class Locker(Row):
    """A parcel locker in a delivery area; `free` counts its empty compartments."""

    locker_id: str
    name: str
    area: str
    free: int


class Area(Row):
    """A delivery area and the days its van drives."""

    area: str
    days: tuple[Day, ...]


class Claim(Row):
    """A claim about one parcel."""

    tracking: str
    kind: Literal["damage", "loss"]


class App(Row):
    """What a customer's own phone holds: the account's locker switch and the photos taken in the app."""

    email: str
    locker_pickup: bool
    photos: tuple[str, ...]


class ParcelDatabase(Database):
    """All tables; `apps` is the customers' side, keyed by e-mail."""

    customers: Table[Customer]
    parcels: Table[Parcel]
    lockers: Table[Locker]
    areas: Table[Area]
    claims: Table[Claim]
    apps: Table[App]
