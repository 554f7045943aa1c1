"""Fitness: what it counts, what it is indifferent to, and how noisy a difference is."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.engine.fitness import list_facets, measure_evenness, measure_fitness, measure_rise
from veriloop.engine.plan import Scope, find_reach
from veriloop.engine.stream import Item, Rejection


def wasted(count, item=99):
    rejections = tuple(Rejection(attempt=n, stage="proof", reason="x") for n in range(count))
    return Item(item=item, plan="plan-0@0", rejections=rejections)


class TestEvenness:
    def test_equal_counts_are_perfect(self):
        assert measure_evenness(Counter("aabbcc"), {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}) == pytest.approx(1)

    def test_one_of_three_alone_is_a_third(self):
        assert measure_evenness(Counter("aaaa"), {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}) == pytest.approx(1 / 3)

    def test_the_wanted_shares_are_the_measure(self):
        assert measure_evenness(Counter("aaab"), {"a": 0.75, "b": 0.25}) == pytest.approx(1)
        assert measure_evenness(Counter("ab"), {"a": 0.75, "b": 0.25}) < 1

    def test_nothing_made_is_nothing(self):
        assert measure_evenness(Counter(), {"a": 1.0}) == 0
        assert measure_evenness(Counter("zz"), {"a": 1.0}) == 0

    @given(st.dictionaries(st.sampled_from("abcd"), st.integers(0, 50), min_size=1))
    def test_it_stays_between_0_and_1_and_ignores_scale(self, counts):
        wanted = dict.fromkeys("abcd", 0.25)
        value = measure_evenness(Counter(counts), wanted)
        assert 0 <= value <= 1 + 1e-9
        assert measure_evenness(Counter({name: 3 * count for name, count in counts.items()}), wanted) == pytest.approx(
            value
        )


class TestFitness:
    def test_it_counts_yield_and_spread(self, parcel, pilot):
        reach = find_reach(parcel)
        full = measure_fitness(reach, pilot)
        assert 0 < full.value <= 1
        assert full.diversity == pytest.approx(sum(full.facets.values()) / len(full.facets))
        assert full.value == pytest.approx(full.verified_yield * full.diversity)
        assert measure_fitness(reach, [*pilot, wasted(9)]).verified_yield < full.verified_yield
        assert measure_fitness(reach, pilot[:2]).diversity < full.diversity

    def test_no_items_are_worth_nothing(self, parcel):
        assert measure_fitness(find_reach(parcel), []).value == 0

    def test_a_facet_out_of_scope_does_not_count(self, parcel, pilot):
        narrow = find_reach(parcel, Scope(tiers=("single",)))
        assert set(measure_fitness(narrow, pilot).facets) == {"tools", "tiers", "personas", "user_tools"}

    def test_facets_are_what_the_task_is_about(self, pilot):
        for item in pilot:
            found = list_facets(item)
            if item.task is None:
                assert found == {}
                continue
            assert found["tools"] == item.task.tags.tools
            assert found["tiers"] == (item.task.tags.tier,)
            assert set(found["clauses"]) == set(item.task.refused)
            assert found["personas"][0] in ("terse", "open", "polite", "hurried")


class TestRise:
    def test_the_same_pilot_twice_has_neither_rise_nor_noise(self, parcel, pilot):
        rise = measure_rise(find_reach(parcel), pilot, pilot, 0.0)
        assert (rise.value, rise.noise) == (0.0, 0.0)

    def test_what_both_pilots_lose_is_no_noise(self, parcel, pilot):
        """One order in four costs nine drafts in both; apart from it they differ in one item."""
        reach = find_reach(parcel)
        shared = [wasted(9) if number % 4 == 0 else item for number, item in enumerate(pilot)]
        better = [*shared[:-1], wasted(2)]
        together = measure_rise(reach, shared, better, 0.1).noise
        shuffled = measure_rise(reach, shared, [*better[5:], *better[:5]], 0.1).noise
        assert 0 < together < shuffled / 2

    def test_equal_inputs_give_equal_noise(self, parcel, pilot):
        reach, other = find_reach(parcel), [*pilot[:-3], *[wasted(1)] * 3]
        assert measure_rise(reach, pilot, other, 0.1) == measure_rise(reach, pilot, other, 0.1)

    def test_pilots_that_cannot_be_paired_prove_nothing(self, parcel, pilot):
        reach = find_reach(parcel)
        assert measure_rise(reach, pilot, pilot[:-1], 0.5).noise == math.inf
        assert measure_rise(reach, pilot[:1], pilot[:1], 0.5).noise == math.inf
