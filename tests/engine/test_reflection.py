"""The scripted reflector: weights follow what pilots made, by smaller steps after each rollback."""

import math
import random
from dataclasses import replace

import pytest

from veriloop.engine.evolution import CAP, FLOOR, Evidence, diff_plans, scale
from veriloop.engine.fitness import list_facets
from veriloop.engine.plan import FACETS, Workflow, find_reach
from veriloop.engine.planner import write_plans
from veriloop.engine.reflection import LARGEST, MOST_ROLLOUTS, MOST_STEPS, _measure_certainty, reflect
from veriloop.engine.search import SEARCHES, mutate
from veriloop.engine.stream import Item, Rejection
from veriloop.engine.tally import Row


@pytest.fixture
def evidence(parcel, pilot) -> Evidence:
    return Evidence(find_reach(parcel), write_plans(parcel), Workflow(), tuple(pilot))


def ratio(evidence, candidate, facet, name):
    before, after = (getattr(pairs[0].synthesis, facet)[name] for pairs in (evidence.pairs, candidate.pairs))
    return after / before


class TestWeights:
    def test_what_was_made_too_often_weighs_less_and_what_too_rarely_more(self, evidence):
        candidate = reflect(evidence)
        for facet in ("tools", "clauses"):
            made = [name for item in evidence.items for name in list_facets(item).get(facet, ())]
            counts = {name: made.count(name) for name in getattr(evidence.reach, facet)}
            often, rarely = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
            assert ratio(evidence, candidate, facet, often) < 1 < ratio(evidence, candidate, facet, rarely)
        assert all(
            after.version == before.version + 1 for before, after in zip(evidence.pairs, candidate.pairs, strict=True)
        )

    def test_every_plan_keeps_its_own_emphasis(self, evidence):
        candidate = reflect(evidence)
        first, second = (pair.synthesis.tools for pair in candidate.pairs)
        assert first != second
        for name in first:
            before = [pair.synthesis.tools[name] for pair in evidence.pairs]
            assert first[name] / second[name] == pytest.approx(before[0] / before[1], rel=0.01)

    def test_a_tool_whose_drafts_fail_weighs_less(self, evidence):
        rejections = tuple(Rejection(attempt=n, stage="proof", reason="x", tools=("hold_parcel",)) for n in range(9))
        worse = replace(evidence, items=(*evidence.items, Item(item=99, plan="plan-0@0", rejections=rejections)))
        before, after = (ratio(one, reflect(one), "tools", "hold_parcel") for one in (evidence, worse))
        assert after < before

    def test_what_was_asked_for_and_never_came_is_given_up(self, evidence):
        """Sixty pilots' worth of refusals, none of which rests on P18: the user can always take the photo."""
        many = replace(evidence, items=evidence.items * 60)
        candidate = reflect(many)
        assert ratio(many, candidate, "clauses", "P18") == pytest.approx(1 / LARGEST, rel=0.01)
        assert any("P18 was asked for" in reason for reason in candidate.reasons)
        again = reflect(replace(many, pairs=candidate.pairs))
        assert again.pairs[0].synthesis.clauses["P18"] <= candidate.pairs[0].synthesis.clauses["P18"]

    def test_what_may_be_chance_moves_weights_less_than_what_is_not(self, evidence):
        """The same shares, counted ten times as often."""
        many = replace(evidence, items=evidence.items * 10)
        moved = [
            {name: abs(math.log(ratio(one, reflect(one), "tiers", name))) for name in evidence.reach.tiers}
            for one in (evidence, many)
        ]
        assert all(moved[0][name] < moved[1][name] for name in evidence.reach.tiers)

    @pytest.mark.parametrize(("made", "certainty"), [(10, 0.0), (0, 10 / 11), (20, 10 / 11), (13, 0.9 / 1.9)])
    def test_certainty_is_the_part_of_a_surprise_that_is_no_chance(self, made, certainty):
        row = Row(facet="tools", name="x", wanted=0.1, asked=0.1, made=made, total=100, names=10, rate=None)
        assert _measure_certainty(row) == pytest.approx(certainty)

    def test_steps_shrink_with_every_rollback(self, evidence):
        moves = []
        for rollbacks in range(4):
            candidate = reflect(replace(evidence, rollbacks=rollbacks))
            moves.append(max(abs(ratio(evidence, candidate, "tools", name) - 1) for name in evidence.reach.tools))
        assert moves == sorted(moves, reverse=True)
        assert moves[-1] < moves[0] / 3

    def test_no_weight_leaves_its_bounds(self, evidence):
        pairs = evidence.pairs
        for _ in range(9):
            pairs = reflect(replace(evidence, pairs=pairs)).pairs
        for pair in pairs:
            for facet in FACETS:
                assert all(FLOOR <= weight <= CAP for weight in getattr(pair.synthesis, facet).values())

    def test_nothing_made_gives_no_reason_to_move_weights(self, evidence):
        empty = replace(evidence, items=(), pairs=evidence.pairs)
        assert reflect(empty).reasons == ()
        assert reflect(empty).pairs == evidence.pairs


class TestWorkflow:
    def test_items_that_end_empty_get_more_attempts(self, evidence):
        items = (Item(item=0, plan="plan-0@0", rejections=(Rejection(attempt=0, stage="synth", reason="x"),)),)
        candidate = reflect(replace(evidence, items=items, workflow=Workflow(attempts=4)))
        assert candidate.workflow.attempts == 8
        assert any("attempts rise" in reason for reason in candidate.reasons)

    @pytest.mark.parametrize(
        ("spoilt", "fault", "rollouts", "after"),
        [
            (3, "agent", 1, 2),
            (3, "user", 3, 4),
            (3, "user", MOST_ROLLOUTS, MOST_ROLLOUTS),
            (3, "task", 1, 1),
            (1, "agent", 1, 1),
        ],
    )
    def test_tasks_that_players_spoil_get_more_dialogues(self, evidence, spoilt, fault, rollouts, after):
        """`spoilt` of 10 + `spoilt` drafts were lost since no dialogue passed; more than a tenth is too much."""
        good = tuple(item.model_copy(update={"rejections": ()}) for item in evidence.items if item.task)[:10]
        lost = tuple(Rejection(attempt=n, stage="rollout", reason="x", fault=fault) for n in range(spoilt))
        last = good[-1].model_copy(update={"rejections": lost})
        now = replace(evidence, items=(*good[:-1], last), workflow=Workflow(rollouts=rollouts))
        candidate = reflect(now)
        assert candidate.workflow.rollouts == after
        assert any("dialogues a task rise" in reason for reason in candidate.reasons) is (after > rollouts)

    def test_a_users_step_that_is_missing_is_asked_for_up_to_a_bound(self, evidence):
        without = tuple(
            item for item in evidence.items if item.task and not any(step.seat == "user" for step in item.task.gold)
        )
        asking = replace(evidence, items=without)
        candidate = reflect(asking)
        assert [pair.synthesis.user_steps for pair in candidate.pairs] == [
            2 * pair.synthesis.user_steps for pair in evidence.pairs
        ]
        for _ in range(9):
            asking = replace(asking, pairs=reflect(asking).pairs)
        assert max(pair.synthesis.user_steps for pair in asking.pairs) <= 2 * MOST_STEPS


class TestChance:
    def test_it_changes_all_plans_alike_and_nothing_else(self, evidence):
        candidate = mutate(replace(evidence, rng=random.Random(3)))
        assert candidate.workflow == evidence.workflow
        factors = [
            {name: after.synthesis.tools[name] / before.synthesis.tools[name] for name in after.synthesis.tools}
            for before, after in zip(evidence.pairs, candidate.pairs, strict=True)
        ]
        assert factors[0] == pytest.approx(factors[1], rel=0.01)
        assert len(set(factors[0].values())) > 1

    def test_equal_randomness_gives_equal_proposals(self, evidence):
        first, second, third = (mutate(replace(evidence, rng=random.Random(seed))) for seed in (1, 1, 2))
        assert first == second != third

    def test_both_searches_are_there_by_name(self):
        assert {"native": reflect, "random": mutate}.items() <= SEARCHES.items()


class TestChanges:
    def test_a_factor_of_one_is_the_same_pair(self, parcel):
        pair = write_plans(parcel)[0]
        assert scale(pair, {}) is pair
        assert scale(pair, {"tools": dict.fromkeys(pair.synthesis.tools, 1.0)}) is pair

    def test_a_diff_names_what_changed_and_only_that(self, parcel):
        pair = write_plans(parcel)[0]
        changed = scale(pair, {"tools": {"hold_parcel": 0.5}}, user_steps=2.0)
        weight = pair.synthesis.tools["hold_parcel"]
        assert diff_plans(pair, changed) == {
            "synthesis.tools.hold_parcel": [weight, weight / 2],
            "synthesis.user_steps": [pair.synthesis.user_steps, 2 * pair.synthesis.user_steps],
            "version": [0, 1],
        }
        assert diff_plans(pair, pair) == {}
