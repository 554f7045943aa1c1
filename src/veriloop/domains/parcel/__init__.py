"""An embedded parcel-delivery help desk, its databases made from their ids."""

from importlib import resources

from veriloop.domains.database import Database
from veriloop.domains.domain import Caller, Domain, ToolkitDomain
from veriloop.domains.parcel.clauses import CLAUSES
from veriloop.domains.parcel.desk import KINDS, ParcelDesk
from veriloop.domains.parcel.rows import ParcelDatabase
from veriloop.domains.parcel.world import build_world


def load_parcel() -> Domain:
    """Return the parcel domain."""
    return ToolkitDomain(
        name="parcel",
        policy=resources.files(__name__).joinpath("policy.md").read_text(encoding="utf-8"),
        toolkit=ParcelDesk,
        database_type=ParcelDatabase,
        load=build_world,
        find_callers=find_callers,
        clauses=CLAUSES,
        kinds=KINDS,
    )


def find_callers(db: Database) -> list[Caller]:
    """Return the customers with what each knows; every fourth also has the number of a parcel that is not theirs."""
    assert isinstance(db, ParcelDatabase)
    parcels = list(db.parcels)
    callers = []
    for position, customer in enumerate(db.customers):
        known, heard = {"email": customer.email, "phone": customer.phone}, dict[str, str]()
        foreign = parcels[position * 3 % len(parcels)]
        if position % 4 == 0 and foreign.customer_id != customer.customer_id:
            heard["tracking"] = foreign.tracking
        callers.append(Caller(customer.customer_id, customer.name, known, heard))
    return callers
