"""How people name what the airline's writes do."""

TOPICS: dict[str, tuple[str, ...]] = {
    "book_reservation": (
        "book a trip",
        "make a new reservation",
        "reserve flights for a trip",
        "buy tickets for a trip",
    ),
    "cancel_reservation": (
        "cancel a reservation because plans have changed",
        "call off a trip because something came up",
        "have a booking cancelled because the trip is off",
        "cancel a whole trip because of a change of plans",
    ),
    "update_reservation_flights": (
        "change the cabin or a flight of a reservation",
        "have a booked flight or its cabin changed",
        "rebook a trip to another flight or class",
        "get other flights or seats in another class for a booked trip",
    ),
    "update_reservation_baggages": (
        "change the checked bags of a reservation",
        "have another number of bags on a booking",
        "correct how many bags are checked on a trip",
        "get the luggage of a booked trip changed",
    ),
    "update_reservation_passengers": (
        "change who flies on a reservation",
        "put somebody else on a booking",
        "get the passengers of a trip changed",
        "have a name on a booked trip changed",
    ),
    "send_certificate": (
        "get compensation for a flight that the airline cancelled",
        "be compensated for a cancelled flight",
        "complain about a cancelled flight and get a voucher for it",
        "ask for a certificate because a flight was cancelled",
    ),
}
