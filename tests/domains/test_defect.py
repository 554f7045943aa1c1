"""What a domain declares to go wrong, on a toy domain of two switches."""

import random
from typing import Any

from veriloop.core.message import Change, ToolCall
from veriloop.domains.defect import Defect, Fault, Scene, Symptom, Troubles, find_troubles, keep_bound
from veriloop.domains.domain import Caller
from veriloop.domains.parcel import load_parcel
from veriloop.domains.task import Initial, SeatCall


def step(name: str, /, **arguments: Any) -> SeatCall:
    return SeatCall(seat="user", call=ToolCall(id=name, name=name, arguments=arguments))


def symptom(name: str) -> Symptom:
    return Symptom(name, name, (f"get {name} back",), step("look"), lambda _: (), (), ())


DARK, COLD = symptom("dark"), symptom("cold")
BREAK = Fault((step("cut_wire"),), (step("mend_wire"),), free=("bills",))
TROUBLES = Troubles(
    symptoms=(DARK, COLD),
    defects=(Defect("wire", ("dark",), lambda _: (), lambda _: BREAK),),
    free=("switches",),
    neutral=frozenset({"enter"}),
    identity="name",
    handover=step("transfer"),
    settle=lambda caller: (step("enter", name=caller.name),),
)


def test_a_combination_is_the_sorted_names_of_what_breaks() -> None:
    calls = (step("enter"), step("unplug"), step("cut_wire", place=1), step("cut_wire", place=2))
    assert TROUBLES.combine(calls) == "cut_wire+unplug"
    assert TROUBLES.combine((step("enter"),)) == ""


def test_a_healed_scene_keeps_database_and_what_sets_it() -> None:
    initial = Initial(database="train-1", calls=(step("enter"), step("cut_wire")))
    healed = TROUBLES.heal(initial)
    assert healed.database == "train-1"
    assert [made.call.name for made in healed.calls] == ["enter"]


def test_free_are_the_domains_tables_other_symptoms_and_what_a_fault_frees() -> None:
    assert TROUBLES.free_tables(DARK, ()) == ("cold", "switches")
    assert TROUBLES.free_tables(COLD, (BREAK,)) == ("bills", "dark", "switches")


def test_changes_of_free_tables_are_left_out() -> None:
    changes = [Change(table=name, key="1", before=None, after={}) for name in ("switches", "bills")]
    assert [change.table for change in keep_bound(changes, ("switches",))] == ["bills"]
    assert keep_bound(changes, ()) == tuple(changes)


def test_a_domain_that_declares_nothing_has_no_troubles() -> None:
    assert find_troubles(load_parcel()) is None


def test_a_scene_hands_over_state_caller_and_randomness() -> None:
    scene = Scene({"lamp": 1}, Caller("1", "Ada", {"name": "Ada"}), random.Random(1))
    assert TROUBLES.defects[0].find(scene) is BREAK
    assert TROUBLES.settle(scene.caller)[0].call.arguments == {"name": "Ada"}
