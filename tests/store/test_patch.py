import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.core.base import canonical_json
from veriloop.store.patch import apply_patch, make_patch

LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, 2.5]) | st.text(max_size=3)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner), max_leaves=12
)


@given(VALUES, VALUES)
def test_a_patch_makes_the_new_of_the_old(old: Any, new: Any):
    patch = json.loads(json.dumps(make_patch(old, new)))
    assert canonical_json(apply_patch(old, patch)) == canonical_json(new)
    assert (patch == {}) == (canonical_json(old) == canonical_json(new))


@given(VALUES, VALUES)
def test_any_patch_applies_or_is_refused(old: Any, patch: Any):
    with contextlib.suppress(ValueError):
        apply_patch(old, patch)


def test_only_what_differs_is_in_it():
    old = {"gold": [{"id": "call_0", "name": "a"}, {"id": "call_1", "name": "b"}], "told": []}
    new = {"gold": [{"id": "call_0", "name": "a"}, {"id": "x", "name": "b"}], "told": ["1"], "more": None}
    assert make_patch(old, new) == {"gold": {"1": {"id": ["x"]}}, "told": [["1"]], "more": [None]}


@pytest.mark.parametrize("patch", [[], [1, 2], {"3": [1]}, {"x": [1]}, 5, {"0": {"a": [1]}}])
def test_a_patch_for_something_else_is_refused(patch: Any):
    with pytest.raises(ValueError):
        apply_patch([1, 2], patch)
