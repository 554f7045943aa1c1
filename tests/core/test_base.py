import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from veriloop.core.base import Frozen, canonical_json, content_hash, derive_seed
from veriloop.core.errors import BudgetError, GateError, InputError, PlayerError, ToolError, VeriloopError
from veriloop.core.extra import needs_extra
from veriloop.core.message import Message, ToolCall, Turn
from veriloop.core.trace import StopReason, Trace
from veriloop.core.verdict import Outcome, Verdict

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_hash_ignores_the_order_of_keys(value: dict):
    backwards = dict(reversed(list(value.items())))
    assert canonical_json(value) == canonical_json(backwards)
    assert content_hash(value) == content_hash(backwards)
    assert json.loads(canonical_json(value)) == value


def test_hash_tells_values_apart():
    assert len({content_hash(value) for value in (1, "1", [1], {"a": 1}, {"a": "1"}, None, True)}) == 7
    assert len(content_hash(1, 32)) == 32
    assert content_hash(1, 32).startswith(content_hash(1))


def test_hash_is_the_same_in_every_process():
    code = "from veriloop.core.base import *; print(content_hash({'b': 'é', 'a': [1, 2.5]}), derive_seed('x', 1))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONHASHSEED": str(n)}
        ).stdout
        for n in range(3)
    }
    assert found == {f"{content_hash({'a': [1, 2.5], 'b': 'é'})} {derive_seed('x', 1)}\n"}


@given(st.lists(st.text() | st.integers(), max_size=4), st.lists(st.text() | st.integers(), max_size=4))
def test_seeds_differ_exactly_when_their_parts_do(one: list, two: list):
    assert (derive_seed(*one) == derive_seed(*two)) == (one == two)
    assert 0 <= derive_seed(*one) < 2**63


class Point(Frozen):
    x: int


def test_frozen_refuses_change_and_strangers():
    with pytest.raises(ValidationError):
        Point(x=1).x = 2  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ValidationError):
        Point(x=1, y=2)  # pyright: ignore[reportCallIssue]


def test_exit_codes():
    codes = {VeriloopError: 1, InputError: 2, GateError: 1, BudgetError: 3, ToolError: 1, PlayerError: 1}
    assert {error: error.exit_code for error in codes} == codes
    assert all(issubclass(error, VeriloopError) for error in codes)


def test_missing_extra_names_the_line_to_run():
    def use():
        with needs_extra("train"):
            import no_such_package_at_all  # noqa: F401 # pyright: ignore[reportMissingImports]

    with pytest.raises(InputError, match=r"no_such_package_at_all.*pip install 'veriloop\[train\]'"):
        use()


def test_extra_guard_hides_no_defect_of_our_own():
    def use():
        with needs_extra("train"):
            import veriloop.no_such_module  # noqa: F401 # pyright: ignore[reportMissingImports]

    with pytest.raises(ModuleNotFoundError):
        use()


def test_text_beside_a_call_is_not_spoken():
    call = ToolCall(id="1", name="look")
    assert Turn(seat="agent", content="aside", tool_calls=(call,)).spoken == ""
    assert Turn(seat="agent", content="aloud").spoken == "aloud"
    assert Turn(**dict(Message(content="aloud")), seat="user").spoken == "aloud"


def make_trace(stop: StopReason) -> Trace:
    return Trace(
        domain="d", task_id="t", players={"agent": "a", "user": "u"}, seed=1, turns=(), changes=(), digest="", stop=stop
    )


def test_only_infrastructure_voids_a_dialogue():
    assert {stop for stop in StopReason if make_trace(stop).void} == {StopReason.PLAYER_ERROR}


def test_trace_survives_json():
    trace = make_trace(StopReason.USER_STOP)
    assert Trace.model_validate_json(trace.model_dump_json()) == trace


def test_only_a_pass_passes():
    assert {outcome for outcome in Outcome if Verdict(outcome=outcome, reason="").passed} == {Outcome.PASS}
