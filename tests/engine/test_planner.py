"""The scripted meta-planner: distinct plans that together are about everything a domain offers."""

import os
import random
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from servers.library import load_library
from veriloop.domains.domain import agent_actions
from veriloop.engine.plan import FACETS, PERSONAS, Scope, SynthesisPlan, draw, find_reach, list_tiers, share
from veriloop.engine.planner import find_closest, list_focus, measure_distance, write_plans

WEIGHTS = st.dictionaries(st.sampled_from("abcdef"), st.floats(0.1, 10), min_size=1)


def plan(**weights):
    return SynthesisPlan(**{"tools": {"a": 1.0}, "tiers": {"single": 1.0}, "personas": {"open": 1.0}, **weights})


PLANS = st.builds(plan, tools=WEIGHTS, tiers=WEIGHTS, personas=WEIGHTS, clauses=WEIGHTS)


class TestCoverage:
    def test_few_plans_keep_to_the_usual_kinds_of_tasks(self, parcel):
        others = len(list_tiers(parcel)) - 1
        for count in range(1, 2 * others):
            assert all(list_focus(pair.synthesis)["tiers"] == [] for pair in write_plans(parcel, count))
        leaning = [list_focus(pair.synthesis)["tiers"] for pair in write_plans(parcel, 2 * others)]
        assert sorted(tier for tiers in leaning for tier in tiers) == sorted(set(list_tiers(parcel)) - {"single"})

    @pytest.mark.parametrize("count", [1, 2, 5, 64])
    def test_together_they_are_about_everything(self, parcel, count):
        reach = find_reach(parcel)
        pairs = write_plans(parcel, count)
        assert len({pair.id for pair in pairs}) == count
        focus = [list_focus(pair.synthesis) for pair in pairs]
        for facet in ("tools", "clauses", "personas"):
            assert {name for found in focus for name in found[facet]} == set(getattr(reach, facet))
        if count > 6:
            assert {name for found in focus for name in found["tiers"]} == set(list_tiers(parcel)) - {"single"}
            assert {pair.synthesis.user_steps for pair in pairs} == {1.0, 2.0}

    def test_every_plan_can_still_make_everything(self, parcel):
        reach = find_reach(parcel)
        for pair in write_plans(parcel, 8):
            for facet in FACETS:
                weights = getattr(pair.synthesis, facet)
                assert set(weights) == set(getattr(reach, facet))
                assert all(weight > 0 for weight in weights.values())

    def test_the_guidelines_say_what_the_weights_say(self, parcel):
        for pair in write_plans(parcel, 8):
            focus = list_focus(pair.synthesis)
            assert all(name in pair.synthesis.guidelines for names in focus.values() for name in names)

    def test_a_domain_without_refusals_or_user_tools_is_planned_too(self):
        library = load_library()
        pairs = write_plans(library, 3, Scope(tiers=("single",)))
        assert all(pair.synthesis.clauses == {} and set(pair.synthesis.tiers) == {"single"} for pair in pairs)

    def test_a_refusal_needs_a_read_that_shows_why(self, parcel):
        reach = find_reach(parcel)
        assert not {"P1", "P3"} & set(reach.clauses)
        assert {"P2", "P12", "P22"} <= set(reach.clauses)
        assert set(reach.tools) == {tool.name for tool in agent_actions(parcel)}
        assert set(reach.personas) == set(PERSONAS)
        assert set(reach.user_tools) == {"enable_locker_pickup", "take_damage_photo"}
        for facet, shares in reach:
            assert sum(shares.values()) == pytest.approx(1), facet


class TestDistance:
    def test_64_plans_are_kept_apart(self, parcel):
        closest = find_closest(write_plans(parcel, 64))
        assert closest and closest[0] > 0.1
        assert closest[1] != closest[2]

    def test_one_plan_has_no_nearest(self, parcel):
        assert find_closest(write_plans(parcel, 1)) is None

    def test_each_sees_the_earlier_ones(self, parcel):
        """The first plans do not depend on how many follow of equal emphasis; the later ones depend on the first."""
        assert write_plans(parcel, 20)[:16] == write_plans(parcel, 16)
        assert write_plans(parcel, 16, seed=1) != write_plans(parcel, 16)

    def test_equal_seeds_give_equal_plans(self, parcel):
        assert write_plans(parcel, 9, seed=4) == write_plans(parcel, 9, seed=4)

    def test_they_do_not_depend_on_the_order_of_sets(self):
        """Sets of names are ordered by a hash that differs from process to process."""
        code = (
            "from veriloop.core.base import content_hash\n"
            "from veriloop.domains.parcel import load_parcel\n"
            "from veriloop.engine.planner import write_plans\n"
            "from veriloop.engine.setting import Order\n"
            "from veriloop.engine.synthesis import synthesise\n"
            "parcel = load_parcel(); pairs = write_plans(parcel, 24)\n"
            "tasks = [synthesise(parcel, pair, Order(5, n)) for n, pair in enumerate(pairs)]\n"
            "print(content_hash([pair.hash for pair in pairs]), [task and task.id for task in tasks])"
        )
        told = {
            subprocess.run(
                [sys.executable, "-c", code],
                capture_output=True,
                check=True,
                env={**os.environ, "PYTHONHASHSEED": seed},
            ).stdout
            for seed in ("1", "2", "3")
        }
        assert len(told) == 1

    @given(PLANS, PLANS)
    def test_it_is_a_distance_from_0_to_1(self, left, right):
        assert 0 <= measure_distance(left, right) <= 1 + 1e-9
        assert measure_distance(left, right) == pytest.approx(measure_distance(right, left))
        assert measure_distance(left, left) == 0

    def test_plans_about_nothing_in_common_are_farthest_apart(self):
        left = plan()
        right = plan(tools={"b": 1.0}, tiers={"refusal": 2.0}, personas={"terse": 1.0})
        assert measure_distance(left, right) == 1

    def test_only_proportions_count(self):
        assert measure_distance(plan(tools={"a": 1.0, "b": 3.0}), plan(tools={"a": 2.0, "b": 6.0})) == 0


class TestDraws:
    @given(WEIGHTS, st.integers())
    def test_the_order_of_weights_does_not_matter(self, weights, seed):
        turned = dict(reversed(weights.items()))
        assert draw(weights, random.Random(seed)) == draw(turned, random.Random(seed))

    def test_names_come_up_by_weight(self):
        weights, rng = {"a": 1.0, "b": 3.0, "c": 0.0, "d": 4.0}, random.Random(5)
        counts = Counter(draw(weights, rng) for _ in range(8000))
        assert counts["c"] == 0
        assert all(counts[name] == pytest.approx(1000 * weight, rel=0.08) for name, weight in weights.items())

    def test_changed_weights_change_few_draws(self):
        """No more than twice the share that has to change, however many names stand between."""
        before = dict.fromkeys("abcdefghijklmnopqr", 1.0)
        after = {**before, "a": 0.25, "r": 2.0}
        drawn = [[draw(weights, random.Random(n)) for n in range(4000)] for weights in (before, after)]
        changed = sum(one != other for one, other in zip(*drawn, strict=True)) / 4000
        needed = sum(abs(share(before)[name] - share(after)[name]) for name in before) / 2
        assert needed <= changed + 0.01 and changed <= 2 * needed

    @given(WEIGHTS)
    def test_shares_add_up(self, weights):
        assert sum(share(weights).values()) == pytest.approx(1)

    def test_nothing_has_no_shares(self):
        assert share({}) == {}
        assert share({"a": 0.0}) == {}

    def test_a_plan_cannot_be_changed_in_place(self, parcel):
        with pytest.raises(ValidationError):
            write_plans(parcel)[0].version = 3
