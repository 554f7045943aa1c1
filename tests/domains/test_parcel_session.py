"""Any sequence of calls at the parcel desk: refusals leave nothing, reads change nothing, order is told by digests."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from veriloop.core.message import ToolCall
from veriloop.domains.clause import Case, find_denials
from veriloop.domains.parcel import load_parcel
from veriloop.domains.task import Initial

DOMAIN = load_parcel()
STATE = DOMAIN.open(Initial(database="train-2")).state
CODES = [*[row.tracking for row in STATE.parcels][:6], "VP0", ""]
PEOPLE = list(STATE.customers)[:4]
VALUES: dict[str, Any] = {
    "tracking": st.sampled_from(CODES),
    "customer_id": st.sampled_from([row.customer_id for row in PEOPLE] + ["C0"]),
    "email": st.sampled_from([row.email for row in PEOPLE] + ["x@y"]),
    "phone": st.sampled_from([row.phone for row in PEOPLE] + ["555-000-0000"]),
    "day": st.sampled_from(["monday", "saturday", "sunday", 3]),
    "days": st.sampled_from([1, 5, 10, 12, "5", 2.5]),
    "locker_id": st.sampled_from([*[row.locker_id for row in STATE.lockers][:6], "LK0"]),
    "neighbour": st.text(max_size=5),
    "street": st.text(max_size=5),
    "reason": st.text(max_size=5),
}
JUNK = st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2) | st.booleans()


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, ToolCall]:
    tool = draw(st.sampled_from(list(DOMAIN.tools.values())))
    arguments = {name: draw(VALUES[name]) for name in tool.parameters["properties"]}
    if draw(st.integers(0, 5)) == 0 and arguments:
        arguments[draw(st.sampled_from(sorted(arguments)))] = draw(JUNK)
    return draw(st.sampled_from([tool.seat, tool.seat, "agent", "user"])), ToolCall(
        id="1", name=tool.name, arguments=arguments
    )


@given(st.lists(calls(), max_size=12))
def test_only_writes_that_succeed_change_anything(sequence):
    session = DOMAIN.open(Initial(database="train-2"))
    for seat, call in sequence:
        before, digest = session.changes(), session.digest()
        result = session.call(seat, call)
        tool = DOMAIN.tools[call.name]
        if result.error or tool.kind != "write":
            assert result.changes == ()
            assert (session.changes(), session.digest()) == (before, digest)
        if tool.seat != seat:
            assert result.error
        assert (session.digest() == digest) == (session.changes() == before)
    assert DOMAIN.open(Initial(database="train-2")).changes() == ()


@given(st.lists(calls(), max_size=8), st.lists(calls(), max_size=8))
def test_forks_go_their_own_ways(first, second):
    session = DOMAIN.open(Initial(database="train-2"))
    for seat, call in first:
        session.call(seat, call)
    digest, fork = session.digest(), session.fork()
    assert fork.digest() == digest
    for seat, call in second:
        fork.call(seat, call)
    assert session.digest() == digest
    again = DOMAIN.open(Initial(database="train-2"))
    for seat, call in [*first, *second]:
        again.call(seat, call)
    assert again.digest() == fork.digest()
    assert again.changes() == fork.changes()


@given(st.lists(calls(), max_size=6), calls())
def test_no_call_breaks_a_clause(history, asked):
    """Clauses answer with a reason or not at all, whatever the arguments and whatever was done before."""
    session = DOMAIN.open(Initial(database="train-2"))
    made = []
    for seat, call in history:
        result = session.call(seat, call)
        if not result.error:
            made.append((call, result.content))
    seat, call = asked
    for denial in find_denials(DOMAIN.clauses, Case(session.state, "agent", call, made)):
        assert denial.reason
        assert call.name in next(clause.tools for clause in DOMAIN.clauses if clause.id == denial.clause)


@given(calls())
def test_the_same_call_again_on_an_equal_session_gives_the_same(asked):
    seat, call = asked
    first, second = (DOMAIN.open(Initial(database="train-2")).call(seat, call) for _ in range(2))
    assert first == second


def test_databases_of_other_ids_have_other_digests_for_equal_changes():
    digests = {DOMAIN.open(Initial(database=f"train-{number}")).digest() for number in range(10)}
    assert len(digests) == 10
