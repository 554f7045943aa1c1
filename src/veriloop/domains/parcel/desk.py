"""The tools of the parcel help desk: what the agent's system can do, and what a customer can do in their own app.

The system checks that things exist; it does not check the policy. That is the agent's work.
"""

import random
from dataclasses import replace
from typing import Annotated, Any

from veriloop.core.base import derive_seed
from veriloop.core.errors import ToolError
from veriloop.domains.parcel.rows import Claim, Customer, Day, Parcel, ParcelDatabase
from veriloop.domains.parcel.world import DAYS, coin_name, coin_phone, coin_street
from veriloop.domains.source import Scope, Source, Yield, choice, ref, said_as
from veriloop.domains.tool import tool

EMAIL = ref("email", "email address")
PHONE = ref("phone", "phone number")
TRACKING = said_as(
    replace(ref("tracking", "tracking number"), implied=True),
    "It's about {text}.",
    "The parcel is {text}.",
    "I mean parcel {text}.",
    "It says {text} on the slip.",
)
CUSTOMER = ref("customer_id", "customer number", told=False)


def _sample(kind: str, make: Any) -> Any:
    """Return candidates of an unlimited choice, drawn from what is known so that equal scopes give equal ones."""

    def values(scope: Scope) -> list[str]:
        rng = random.Random(derive_seed(kind, *(str(value) for value in scope.caller.values())))
        return [make(rng) for _ in range(6)]

    return values


DAY = said_as(
    choice("day", DAYS, "delivery day"),
    "Please bring it on {text}.",
    "{text} would suit me best.",
    "I will be at home on {text}.",
    "Somebody is in on {text}.",
    "Let it be {text}, please.",
)
STREET = said_as(
    choice("street", _sample("street", coin_street), "new address", free=True),
    "It should go to {text}.",
    "I live at {text} now.",
    "Please take it to {text}.",
    "{text} is where I can be found.",
)
NEIGHBOUR = said_as(
    choice("neighbour", _sample("neighbour", coin_name), "neighbour's name", free=True),
    "The neighbour is called {text}.",
    "{text} next door will take it.",
    "Please ring for {text}.",
    "I have agreed it with {text}.",
)
NEW_PHONE = said_as(
    choice("new_phone", _sample("new_phone", coin_phone), "new phone number", free=True),
    "From now on I can be reached at {text}.",
    "My new number is {text}.",
    "Please put down {text} instead of the old one.",
)
HOLD_DAYS = said_as(
    choice("days", (2, 3, 4, 5, 6, 7, 8, 9, 10, 12), "number of days", say=lambda value, _: f"{value} days"),
    "I am away for {text}.",
    "{text} would do.",
    "I will come for it within {text}.",
    "Please keep it for {text}.",
)
TRANSFER_REASON = choice("transfer_reason", ("neither the desk nor the app can do it",), told=False)
LOCKER = said_as(
    ref("locker_id", "locker", say=lambda value, scope: str(scope.pool["locker_id"][value]["name"])),
    "The one at {text} is closest to me.",
    "I pass {text} on my way home.",
    "{text} would be the handiest.",
)

KINDS: dict[str, Source] = {source.kind: source for source in (EMAIL, PHONE, TRACKING)}


def _area_of(db: ParcelDatabase, parcel: Parcel) -> Any:
    return db.areas[db.customers[parcel.customer_id].area]


class ParcelDesk:
    """Both seats' tools over one database."""

    def __init__(self, db: ParcelDatabase) -> None:
        self.db = db

    @tool("read", yields=(Yield("customer_id", "customer_id"),))
    def find_customer(self, email: Annotated[str, EMAIL]) -> dict[str, str]:
        """Find a customer by the e-mail address of the account.

        Args:
            email: e-mail address of the account
        """
        return self._identify(self.db.customers.where(email=email), f"email {email!r}")

    @tool("read", yields=(Yield("customer_id", "customer_id"),))
    def find_customer_by_phone(self, phone: Annotated[str, PHONE]) -> dict[str, str]:
        """Find a customer by the phone number of the account.

        Args:
            phone: phone number of the account
        """
        return self._identify(self.db.customers.where(phone=phone), f"phone number {phone!r}")

    @tool("read", yields=(Yield("tracking", "[].tracking"),))
    def list_parcels(self, customer_id: Annotated[str, CUSTOMER]) -> list[dict[str, str]]:
        """List the parcels of a customer with sender and status.

        Args:
            customer_id: the customer's number
        """
        customer = self.db.customers[customer_id]
        parcels = self.db.parcels.where(customer_id=customer.customer_id)
        return [{"tracking": p.tracking, "sender": p.sender, "status": p.status} for p in parcels]

    @tool("read", yields=(Yield("tracking", "tracking"),))
    def get_parcel(self, tracking: Annotated[str, TRACKING]) -> dict[str, Any]:
        """Show everything about one parcel, and whether there is a claim.

        Args:
            tracking: tracking number
        """
        claim = self.db.claims.get(tracking)
        return {**self.db.parcels[tracking].model_dump(), "claim": claim.kind if claim else None}

    @tool("read")
    def list_delivery_days(self, tracking: Annotated[str, TRACKING]) -> list[str]:
        """List the days on which a parcel can be delivered again.

        Args:
            tracking: tracking number
        """
        return list(_area_of(self.db, self.db.parcels[tracking]).days)

    @tool("read", yields=(Yield("locker_id", "[].locker_id"),))
    def find_lockers(self, customer_id: Annotated[str, CUSTOMER]) -> list[dict[str, Any]]:
        """List the lockers in a customer's delivery area with their free compartments.

        Args:
            customer_id: the customer's number
        """
        area = self.db.customers[customer_id].area
        return [{"locker_id": x.locker_id, "name": x.name, "free": x.free} for x in self.db.lockers.where(area=area)]

    @tool("read")
    def get_app_status(self, customer_id: Annotated[str, CUSTOMER]) -> dict[str, Any]:
        """Show what the customer's app has sent: whether locker pickup is on, and which parcels were photographed.

        Args:
            customer_id: the customer's number
        """
        app = self.db.apps[self.db.customers[customer_id].email]
        return {"locker_pickup": app.locker_pickup, "photos": list(app.photos)}

    @tool(
        "write",
        topics=(
            "have a parcel delivered on another day",
            "get a parcel brought on a different day",
            "reschedule a delivery",
            "pick a new delivery day for a parcel",
        ),
    )
    def reschedule_delivery(self, tracking: Annotated[str, TRACKING], day: Annotated[Day, DAY]) -> dict[str, Any]:
        """Deliver a parcel on another day.

        Args:
            tracking: tracking number
            day: day of the week
        """
        self.db.parcels.update(tracking, day=day)
        return {"tracking": tracking, "day": day}

    @tool(
        "write",
        topics=(
            "have a parcel sent to a locker",
            "redirect a parcel to a parcel locker",
            "collect a parcel from a locker instead",
            "move a delivery to one of the lockers",
        ),
    )
    def redirect_to_locker(
        self, tracking: Annotated[str, TRACKING], locker_id: Annotated[str, LOCKER]
    ) -> dict[str, Any]:
        """Send a parcel to a locker, which takes one compartment.

        Args:
            tracking: tracking number
            locker_id: the locker's number
        """
        locker = self.db.lockers[locker_id]
        if locker.free < 1:
            raise ToolError(f"locker {locker_id!r} has no free compartment")
        self.db.parcels.update(tracking, drop_off=locker_id)
        self.db.lockers.update(locker_id, free=locker.free - 1)
        return {"tracking": tracking, "locker_id": locker_id}

    @tool(
        "write",
        topics=(
            "have a parcel left with a neighbour",
            "let a neighbour take a parcel",
            "get a delivery handed to a neighbour",
            "get a parcel to a neighbour",
        ),
    )
    def leave_with_neighbour(
        self, tracking: Annotated[str, TRACKING], neighbour: Annotated[str, NEIGHBOUR]
    ) -> dict[str, Any]:
        """Leave a parcel with a named neighbour.

        Args:
            tracking: tracking number
            neighbour: the neighbour's full name
        """
        self.db.parcels.update(tracking, drop_off=neighbour)
        return {"tracking": tracking, "neighbour": neighbour}

    @tool(
        "write",
        topics=(
            "change the address of a parcel",
            "send a parcel to another address",
            "correct the delivery address of a parcel",
            "have a parcel go to a new address",
        ),
    )
    def change_address(self, tracking: Annotated[str, TRACKING], street: Annotated[str, STREET]) -> dict[str, Any]:
        """Deliver a parcel to another street and house number.

        Args:
            tracking: tracking number
            street: street and house number
        """
        self.db.parcels.update(tracking, street=street)
        return {"tracking": tracking, "street": street}

    @tool(
        "write",
        topics=(
            "have a parcel kept at the depot",
            "ask the depot to hold a parcel",
            "keep a parcel at the depot for some time",
            "put a hold on a parcel",
        ),
    )
    def hold_parcel(self, tracking: Annotated[str, TRACKING], days: Annotated[int, HOLD_DAYS]) -> dict[str, Any]:
        """Keep a parcel at the depot for some days.

        Args:
            tracking: tracking number
            days: number of days
        """
        self.db.parcels.update(tracking, hold_days=days)
        return {"tracking": tracking, "hold_days": days}

    @tool(
        "write",
        topics=(
            "send a parcel back to the sender",
            "have a parcel returned to sender",
            "refuse a parcel and send it back",
            "return an unwanted parcel",
        ),
    )
    def return_to_sender(self, tracking: Annotated[str, TRACKING]) -> dict[str, Any]:
        """Send a parcel back.

        Args:
            tracking: tracking number
        """
        self.db.parcels.update(tracking, status="returned")
        return {"tracking": tracking, "status": "returned"}

    @tool(
        "write",
        topics=(
            "report a damaged parcel",
            "file a damage claim",
            "make a claim because a parcel arrived broken",
            "claim for a parcel that came damaged",
        ),
    )
    def file_damage_claim(self, tracking: Annotated[str, TRACKING]) -> Claim:
        """File a claim for a damaged parcel; an earlier claim on it is replaced.

        Args:
            tracking: tracking number
        """
        parcel = self.db.parcels[tracking]
        return self.db.claims.put(parcel.tracking, Claim(tracking=parcel.tracking, kind="damage"))

    @tool(
        "write",
        topics=(
            "report a lost parcel",
            "file a loss claim",
            "make a claim because a parcel never came",
            "claim for a parcel that got lost",
        ),
    )
    def file_loss_claim(self, tracking: Annotated[str, TRACKING]) -> Claim:
        """File a claim for a lost parcel; an earlier claim on it is replaced.

        Args:
            tracking: tracking number
        """
        parcel = self.db.parcels[tracking]
        return self.db.claims.put(parcel.tracking, Claim(tracking=parcel.tracking, kind="loss"))

    @tool(
        "write",
        topics=(
            "get the express fee back",
            "ask for a refund of the express fee",
            "have the express fee refunded because the parcel was late",
            "be refunded for late express delivery",
        ),
    )
    def refund_express_fee(self, tracking: Annotated[str, TRACKING]) -> dict[str, Any]:
        """Pay the express fee of a parcel back.

        Args:
            tracking: tracking number
        """
        self.db.parcels.update(tracking, fee_refunded=True)
        return {"tracking": tracking, "fee_refunded": True}

    @tool(
        "write",
        topics=(
            "change the phone number on the account",
            "update the phone number",
            "put a new phone number on the account",
            "replace the old phone number of the account",
        ),
    )
    def update_phone(self, customer_id: Annotated[str, CUSTOMER], phone: Annotated[str, NEW_PHONE]) -> dict[str, Any]:
        """Set the phone number of an account.

        Args:
            customer_id: the customer's number
            phone: the new phone number
        """
        self.db.customers.update(customer_id, phone=phone)
        return {"customer_id": customer_id, "phone": phone}

    @tool(
        "generic",
        topics=(
            "complain about how a courier behaved",
            "apply for work as a courier",
            "have an invoice made out to a company",
            "speak about a gate that a courier scratched",
        ),
    )
    def transfer_to_human(self, reason: Annotated[str, TRANSFER_REASON]) -> str:
        """Hand the customer to a person.

        Args:
            reason: why, in a few words
        """
        return "The customer is being transferred."

    @tool("read", seat="user")
    def check_app(self, email: Annotated[str, EMAIL]) -> dict[str, Any]:
        """Look into your app: is locker pickup on, which parcels have you photographed?

        Args:
            email: e-mail address of your account
        """
        app = self.db.apps[email]
        return {"locker_pickup": app.locker_pickup, "photos": list(app.photos)}

    @tool("write", seat="user", topics=("turn on locker pickup in your app",))
    def enable_locker_pickup(self, email: Annotated[str, EMAIL]) -> str:
        """Turn on locker pickup in your app.

        Args:
            email: e-mail address of your account
        """
        self.db.apps.update(email, locker_pickup=True)
        return "locker pickup is on"

    @tool("write", seat="user", topics=("take a photo of the damage in your app",))
    def take_damage_photo(self, email: Annotated[str, EMAIL], tracking: Annotated[str, TRACKING]) -> str:
        """Photograph a damaged parcel in your app.

        Args:
            email: e-mail address of your account
            tracking: tracking number on the label
        """
        app = self.db.apps[email]
        parcel = self.db.parcels[tracking]
        self.db.apps.update(email, photos=tuple(sorted({*app.photos, parcel.tracking})))
        return f"photo of {parcel.tracking} sent"

    def _identify(self, found: list[Customer], by: str) -> dict[str, str]:
        if not found:
            raise ToolError(f"no customer with {by}")
        customer = found[0]
        return {"customer_id": customer.customer_id, "name": customer.name, "plan": customer.plan}
