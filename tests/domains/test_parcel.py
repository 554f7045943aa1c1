"""The parcel help desk: its databases, its tools, its policy clause by clause."""

import json
import re

import pytest

from veriloop.core.errors import InputError
from veriloop.core.message import ToolCall, Turn
from veriloop.domains.clause import Case, find_denials
from veriloop.domains.parcel import find_callers
from veriloop.domains.parcel.clauses import CLAUSES, found_customers
from veriloop.domains.parcel.desk import ParcelDesk
from veriloop.domains.parcel.rows import App, Area, Claim, Customer, Locker, Parcel, ParcelDatabase
from veriloop.domains.parcel.world import build_world
from veriloop.domains.session import ToolkitSession
from veriloop.domains.task import Initial
from veriloop.domains.tool import collect_tools

ADA = Customer(
    customer_id="C1", name="Ada Bell", email="ada@post.example", phone="555-100-1000", street="Elm Road 1", area="A1",
    plan="basic",
)  # fmt: skip
BOB = ADA.model_copy(update={"customer_id": "C2", "name": "Bob Cole", "email": "bob@post.example", "phone": "555-2"})
PARCEL = Parcel(
    tracking="VP1", customer_id="C1", sender="Tea Shop", status="at_depot", service="express", weight_kg=5,
    cash_on_delivery=False, insured=False, attempts=1, days_late=1, days_since_scan=0, days_since_delivery=None,
    street="Elm Road 1", day=None, drop_off=None, hold_days=0, fee_refunded=False,
)  # fmt: skip


def database(parcel=None, plan="basic", app_on=True, photos=("VP1",), claims=()):
    """A desk of one parcel, whose fields the case may change."""
    row = PARCEL.model_copy(update=parcel or {})
    return ParcelDatabase(
        {
            "customers": {"C1": ADA.model_copy(update={"plan": plan}), "C2": BOB},
            "parcels": {"VP1": row},
            "lockers": {
                "LK1": Locker(locker_id="LK1", name="Mill Gate", area="A1", free=1),
                "LK2": Locker(locker_id="LK2", name="Tower Gate", area="A1", free=0),
            },
            "areas": {"A1": Area(area="A1", days=("monday", "friday"))},
            "claims": {code: Claim(tracking=code, kind="loss") for code in claims},
            "apps": {
                ADA.email: App(email=ADA.email, locker_pickup=app_on, photos=photos),
                BOB.email: App(email=BOB.email, locker_pickup=False, photos=()),
            },
        }
    )


def session(**case):
    return ToolkitSession("desk", database(**case), ParcelDesk, collect_tools(ParcelDesk))


def call(name, **arguments):
    return ToolCall(id="1", name=name, arguments=arguments)


def make(live, name, seat="agent", **arguments):
    return live.call(seat, call(name, **arguments))


FOUND = [(call("find_customer", email=ADA.email), json.dumps({"customer_id": "C1"}))]


def denials(write, case=None, calls=FOUND, turns=()):
    state = database(**(case or {}))
    return {denial.clause for denial in find_denials(CLAUSES, Case(state, "agent", write, calls, turns))}


class TestDatabases:
    def test_sixty_databases_are_large_and_all_different(self):
        worlds = [build_world(f"train-{index}") for index in range(60)]
        assert all(len(world["customers"]) >= 60 and len(world["parcels"]) >= 200 for world in worlds)
        assert len({tuple(world["customers"]) for world in worlds}) == 60
        assert len({tuple(world["parcels"]) for world in worlds}) == 60

    def test_equal_ids_give_equal_databases(self):
        first = build_world("train-7")
        build_world.cache_clear()
        assert build_world("train-7") == first

    def test_hardly_an_identifier_is_met_again_on_held_out_databases(self):
        seen = {code for index in range(20) for code in build_world(f"train-{index}")["parcels"]}
        held_out = {code for index in range(20) for code in build_world(f"test-{index}")["parcels"]}
        assert len(seen & held_out) <= 2
        people = {row.email for index in range(20) for row in build_world(f"train-{index}")["customers"].values()}
        others = {row.email for index in range(20) for row in build_world(f"test-{index}")["customers"].values()}
        assert len(people & others) <= 2

    def test_people_are_told_apart_by_email_and_by_phone(self):
        customers = list(build_world("train-3")["customers"].values())
        assert len({row.email for row in customers}) == len({row.phone for row in customers}) == len(customers)

    @pytest.mark.parametrize("name", ["train", "dev-1", "train-x", "", "train--1x"])
    def test_an_unknown_database_is_named(self, name):
        with pytest.raises(InputError, match="no database"):
            build_world(name)

    def test_every_parcel_has_an_owner_and_every_owner_an_app(self):
        world = build_world("test-4")
        owners = set(world["customers"])
        assert {parcel.customer_id for parcel in world["parcels"].values()} <= owners
        assert {row.email for row in world["customers"].values()} == set(world["apps"])

    def test_all_statuses_and_both_plans_occur(self):
        world = build_world("train-0")
        assert len({row.status for row in world["parcels"].values()}) == 6
        assert {row.plan for row in world["customers"].values()} == {"basic", "plus"}

    def test_callers_know_themselves_and_some_heard_of_a_foreign_parcel(self, parcel):
        state = ParcelDatabase(build_world("train-2"))
        callers = find_callers(state)
        assert len(callers) == len(build_world("train-2")["customers"])
        heard = [caller for caller in callers if caller.heard]
        assert heard
        for caller in heard:
            assert state.parcels[caller.heard["tracking"]].customer_id != caller.key


class TestTools:
    def test_there_are_enough_of_every_kind(self, parcel):
        tools = parcel.tools.values()
        assert sum(tool.seat == "agent" for tool in tools) >= 10
        assert sum(tool.seat == "agent" and tool.kind == "write" for tool in tools) >= 5
        assert sum(tool.seat == "user" for tool in tools) >= 2

    @pytest.mark.parametrize(
        ("name", "arguments", "table", "fields"),
        [
            ("reschedule_delivery", {"tracking": "VP1", "day": "friday"}, "parcels", {"day": "friday"}),
            ("leave_with_neighbour", {"tracking": "VP1", "neighbour": "Eve Dunn"}, "parcels", {"drop_off": "Eve Dunn"}),
            ("change_address", {"tracking": "VP1", "street": "Oak Row 2"}, "parcels", {"street": "Oak Row 2"}),
            ("hold_parcel", {"tracking": "VP1", "days": 4}, "parcels", {"hold_days": 4}),
            ("return_to_sender", {"tracking": "VP1"}, "parcels", {"status": "returned"}),
            ("refund_express_fee", {"tracking": "VP1"}, "parcels", {"fee_refunded": True}),
            ("file_damage_claim", {"tracking": "VP1"}, "claims", {"kind": "damage"}),
            ("file_loss_claim", {"tracking": "VP1"}, "claims", {"kind": "loss"}),
            ("update_phone", {"customer_id": "C1", "phone": "555-9"}, "customers", {"phone": "555-9"}),
        ],
    )
    def test_a_write_changes_one_row(self, name, arguments, table, fields):
        live = session()
        result = make(live, name, **arguments)
        assert not result.error
        assert result.changes == live.changes()
        (change,) = live.changes()
        assert change.table == table
        assert fields.items() <= change.after.items()

    def test_a_locker_loses_a_compartment(self):
        live = session()
        make(live, "redirect_to_locker", tracking="VP1", locker_id="LK1")
        assert {(change.table, change.key) for change in live.changes()} == {("parcels", "VP1"), ("lockers", "LK1")}
        assert live.state.lockers["LK1"].free == 0

    def test_a_full_locker_is_refused_and_nothing_changes(self):
        live = session()
        result = make(live, "redirect_to_locker", tracking="VP1", locker_id="LK2")
        assert result.error
        assert "no free compartment" in result.content
        assert live.changes() == ()

    def test_the_user_acts_in_their_own_app(self):
        live = session(app_on=False, photos=())
        assert not make(live, "enable_locker_pickup", seat="user", email=ADA.email).error
        assert not make(live, "take_damage_photo", seat="user", email=ADA.email, tracking="VP1").error
        seen = json.loads(make(live, "check_app", seat="user", email=ADA.email).content)
        assert seen == {"locker_pickup": True, "photos": ["VP1"]}
        assert json.loads(make(live, "get_app_status", customer_id="C1").content) == seen

    @pytest.mark.parametrize("name", ["enable_locker_pickup", "take_damage_photo", "check_app"])
    def test_the_agent_cannot_act_in_the_users_app(self, name):
        live = session()
        result = make(live, name, email=ADA.email)
        assert result.error
        assert "belongs to the user" in result.content

    def test_the_user_cannot_use_the_agents_tools(self):
        assert make(session(), "return_to_sender", seat="user", tracking="VP1").error

    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("find_customer", {"email": "nobody@post.example"}),
            ("find_customer_by_phone", {"phone": "555-000-0000"}),
            ("list_parcels", {"customer_id": "C9"}),
            ("get_parcel", {"tracking": "VP9"}),
            ("list_delivery_days", {"tracking": "VP9"}),
            ("find_lockers", {"customer_id": "C9"}),
            ("get_app_status", {"customer_id": "C9"}),
            ("hold_parcel", {"tracking": "VP9", "days": 2}),
            ("hold_parcel", {"tracking": "VP1", "days": "two"}),
            ("reschedule_delivery", {"tracking": "VP1", "day": "sunday"}),
            ("file_damage_claim", {"tracking": "VP9"}),
            ("update_phone", {"customer_id": "C9", "phone": "1"}),
            ("no_such_tool", {}),
            ("get_parcel", {}),
            ("get_parcel", {"tracking": "VP1", "extra": 1}),
        ],
    )
    def test_what_does_not_exist_or_fit_is_refused(self, name, arguments):
        live = session()
        assert make(live, name, **arguments).error
        assert live.changes() == ()

    def test_reads_change_nothing_and_show_what_is_there(self):
        live = session(claims=("VP1",))
        assert json.loads(make(live, "find_customer", email=ADA.email).content)["customer_id"] == "C1"
        assert json.loads(make(live, "find_customer_by_phone", phone=ADA.phone).content)["name"] == "Ada Bell"
        assert json.loads(make(live, "list_parcels", customer_id="C1").content)[0]["tracking"] == "VP1"
        assert json.loads(make(live, "get_parcel", tracking="VP1").content)["claim"] == "loss"
        assert json.loads(make(live, "list_delivery_days", tracking="VP1").content) == ["monday", "friday"]
        assert len(json.loads(make(live, "find_lockers", customer_id="C1").content)) == 2
        assert live.changes() == ()

    def test_photos_of_two_parcels_commute(self, parcel):
        caller = parcel.callers("train-0", "train")[0]
        codes = [row.tracking for row in parcel.open(Initial(database="train-0")).state.parcels][:2]
        digests = set()
        for order in (codes, codes[::-1]):
            live = parcel.open(Initial(database="train-0"))
            for code in order:
                make(live, "take_damage_photo", seat="user", email=caller.known["email"], tracking=code)
            digests.add(live.digest())
        assert len(digests) == 1


HOLD, DAY = call("hold_parcel", tracking="VP1", days=5), call("reschedule_delivery", tracking="VP1", day="friday")
NEIGHBOUR = call("leave_with_neighbour", tracking="VP1", neighbour="Eve Dunn")
LOCKER = call("redirect_to_locker", tracking="VP1", locker_id="LK1")
STREET = call("change_address", tracking="VP1", street="Oak Row 2")
DAMAGE, LOSS = call("file_damage_claim", tracking="VP1"), call("file_loss_claim", tracking="VP1")
BACK, FEE = call("return_to_sender", tracking="VP1"), call("refund_express_fee", tracking="VP1")
DELIVERED = {"status": "delivered", "days_since_delivery": 7}
LOST = {"status": "in_transit", "days_since_scan": 10}
RULES = [
    ("P4", DAY, {}, {"parcel": {"status": "in_transit"}}),
    ("P5", DAY, {}, None),
    ("P6", DAY, {"parcel": {"attempts": 2}}, {"parcel": {"attempts": 3}}),
    ("P6", NEIGHBOUR, {"parcel": {"attempts": 2}}, {"parcel": {"attempts": 3}}),
    ("P7", NEIGHBOUR, {"parcel": {"status": "in_transit"}}, {"parcel": {"status": "registered"}}),
    ("P8", NEIGHBOUR, {}, {"parcel": {"insured": True}}),
    ("P9", NEIGHBOUR, {}, {"parcel": {"cash_on_delivery": True}}),
    ("P9", LOCKER, {}, {"parcel": {"cash_on_delivery": True}}),
    ("P10", STREET, {"parcel": {"status": "registered"}}, {"parcel": {"status": "at_depot"}}),
    ("P11", HOLD, {}, {"parcel": {"status": "in_transit"}}),
    ("P12", call("hold_parcel", tracking="VP1", days=10), {"plan": "plus"}, {"plan": "basic"}),
    ("P12", HOLD, {"plan": "basic"}, None),
    ("P13", LOCKER, {"parcel": {"status": "in_transit"}}, {"parcel": {"status": "out_for_delivery"}}),
    ("P14", LOCKER, {"parcel": {"weight_kg": 10}}, {"parcel": {"weight_kg": 11}}),
    ("P15", LOCKER, {"app_on": True}, {"app_on": False}),
    ("P16", BACK, {"parcel": {"status": "out_for_delivery"}}, {"parcel": {"status": "delivered"}}),
    ("P16", BACK, {"parcel": {"status": "registered"}}, {"parcel": {"status": "returned"}}),
    ("P17", DAMAGE, {"parcel": DELIVERED}, {"parcel": {**DELIVERED, "days_since_delivery": 8}}),
    ("P17", DAMAGE, {"parcel": DELIVERED}, {"parcel": {"status": "at_depot"}}),
    ("P18", DAMAGE, {"parcel": DELIVERED}, {"parcel": DELIVERED, "photos": ()}),
    ("P19", LOSS, {"parcel": LOST}, {"parcel": {**LOST, "days_since_scan": 9}}),
    ("P19", LOSS, {"parcel": LOST}, {"parcel": {**LOST, "status": "at_depot"}}),
    ("P20", LOSS, {"parcel": LOST}, {"parcel": LOST, "claims": ("VP1",)}),
    ("P20", DAMAGE, {"parcel": DELIVERED}, {"parcel": DELIVERED, "claims": ("VP1",)}),
    ("P21", FEE, {}, {"parcel": {"service": "standard"}}),
    ("P21", FEE, {"parcel": {"days_late": 3}}, {"parcel": {"days_late": 0}}),
    ("P22", FEE, {}, {"parcel": {"fee_refunded": True}}),
]


class TestPolicy:
    @pytest.mark.parametrize(("clause", "write", "allowed", "denied"), RULES)
    def test_a_rule_allows_one_case_and_denies_another(self, clause, write, allowed, denied):
        assert denials(write, allowed) == set()
        if denied is not None:
            assert clause in denials(write, denied)

    def test_the_day_must_be_one_of_the_vans(self):
        assert denials(DAY) == set()
        assert denials(call("reschedule_delivery", tracking="VP1", day="tuesday")) == {"P5"}

    def test_nobody_is_served_before_they_are_found(self):
        assert denials(HOLD, calls=[]) == {"P1"}
        assert denials(call("update_phone", customer_id="C1", phone="1"), calls=[]) == {"P1"}

    def test_only_the_own_parcel_and_account(self):
        other = [(call("find_customer", email=BOB.email), json.dumps({"customer_id": "C2"}))]
        assert denials(HOLD, calls=other) == {"P2"}
        assert denials(call("update_phone", customer_id="C1", phone="1"), calls=other) == {"P2"}
        assert denials(HOLD, calls=[*other, *FOUND]) == set()

    @pytest.mark.parametrize(
        ("words", "clauses"),
        [("Yes, please.", set()), ("go ahead", set()), ("OK", set()), ("No.", {"P3"}), ("Hmm, which one?", {"P3"})],
    )
    def test_a_change_needs_the_last_word_to_be_yes(self, words, clauses):
        turns = [Turn(seat="user", content="yes to something else"), Turn(seat="user", content=words)]
        assert denials(HOLD, turns=turns) == clauses

    def test_every_clause_has_its_cases(self):
        covered = {rule[0] for rule in RULES} | {"P1", "P2", "P3"}
        assert covered == {clause.id for clause in CLAUSES}
        assert len(CLAUSES) >= 12

    def test_the_numbers_of_the_text_are_those_of_the_code(self, parcel):
        numbers = re.findall(r"^(\d+)\. ", parcel.policy, re.MULTILINE)
        assert [f"P{number}" for number in numbers] == [clause.id for clause in CLAUSES]
        assert all(clause.source.endswith(f"rule {clause.id[1:]}") for clause in CLAUSES)

    def test_reads_are_never_denied(self):
        assert denials(call("get_parcel", tracking="VP1"), calls=[]) == set()

    def test_a_parcel_that_does_not_exist_is_the_tools_matter(self):
        assert denials(call("hold_parcel", tracking="VP9", days=99)) == set()

    def test_both_ways_of_finding_a_customer_count(self):
        by_phone = [(call("find_customer_by_phone", phone="1"), json.dumps({"customer_id": "C2"}))]
        assert found_customers([*FOUND, *by_phone, (call("get_parcel"), "{}")]) == ["C1", "C2"]
