import pytest

from veriloop.core.errors import InputError
from veriloop.core.message import ToolCall, Turn
from veriloop.domains.clause import Case, Clause, Denial, find_denials

CALL = ToolCall(id="1", name="pay", arguments={"amount": 9})
CLAUSES = (
    Clause("C1", "At most 5.", ("pay",), lambda case: "too much" if case.call.arguments["amount"] > 5 else None),
    Clause("C2", "Not while closed.", ("pay", "open"), lambda case: None if case.state else "closed"),
    Clause("C3", "Never open.", ("open",), lambda case: "never"),
    Clause("C4", "Ask first.", ("pay",), lambda case: None if len(case.turns) > 1 else "not asked", about="dialogue"),
)


def test_every_objection_of_the_tools_clauses():
    found = find_denials(CLAUSES, Case(False, "agent", CALL))
    assert found == [Denial("C1", "too much"), Denial("C2", "closed")]


def test_allowed_call_has_no_objection():
    small = CALL.model_copy(update={"arguments": {"amount": 1}})
    assert find_denials(CLAUSES, Case(True, "agent", small)) == []


def test_rules_about_the_dialogue_need_one():
    turn = Turn(seat="agent", content="hello")
    assert find_denials(CLAUSES, Case(True, "agent", CALL, turns=(turn,)))[-1] == Denial("C4", "not asked")
    assert Denial("C4", "not asked") not in find_denials(CLAUSES, Case(True, "agent", CALL, turns=(turn, turn)))


def test_rule_that_breaks_is_named_with_its_line():
    broken = Clause("C9", "By parcel.", ("pay",), lambda case: case.call.arguments["parcel"])
    with pytest.raises(InputError, match=r"test_clause\.py:\d+: clause C9, asked about pay, raised KeyError: 'parcel'"):
        find_denials((broken,), Case(True, "agent", CALL))
