"""The gate: noise, anchors, and reflectors that try to raise the figure by loosening what it measures."""

import os
import random

import pytest

from veriloop.engine.anchor import AnchorSuite, build_anchors, find_misjudged
from veriloop.engine.evolution import Candidate, scale
from veriloop.engine.fitness import Rise
from veriloop.engine.gate import MARGIN, decide, find_objections
from veriloop.engine.plan import FACETS, RUBRIC, EvaluationPlan, Workflow, find_reach
from veriloop.engine.planner import write_plans
from veriloop.engine.round import Pilot, run_rounds
from veriloop.store.ledger import Ledger

TRIES = 50
PLAYED = int(os.environ.get("VERILOOP_TRIES", "5"))
"""Trivial proposals whose pilots are played; 50 take some minutes."""


@pytest.fixture(scope="module")
def suite(bench, pilot) -> AnchorSuite:
    return build_anchors(bench, pilot)


@pytest.fixture
def pairs(parcel):
    return write_plans(parcel, 6)


def propose(pairs, workflow=None):
    return Candidate(pairs=tuple(pairs), workflow=workflow or Workflow(), reasons=("it says so",))


class TestDecision:
    @pytest.mark.parametrize(
        ("value", "noise", "objections", "accepted"),
        [
            (0.1, 0.0, [], True),
            (0.0, 0.0, [], False),
            (-0.1, 0.0, [], False),
            (0.1, 0.1, [], False),
            (0.1, 0.1 / MARGIN, [], False),
            (0.1, 0.09 / MARGIN, [], True),
            (0.9, 0.0, ["no plan offers P9 of its clauses any more"], False),
            (0.9, float("inf"), [], False),
        ],
    )
    def test_only_a_rise_beyond_noise_without_objections_is_accepted(self, value, noise, objections, accepted):
        found, reason = decide(Rise(value=value, noise=noise), objections)
        assert found is accepted
        assert reason.startswith("accepted" if accepted else "rolled back")
        assert all(objection in reason for objection in objections)

    def test_further_objections_are_counted(self):
        assert decide(Rise(value=1, noise=0), ["one", "two", "three"])[1] == "rolled back: one (and 2 more)"


class TestObjections:
    def test_moved_weights_are_fine(self, bench, suite, pairs):
        moved = [scale(pair, {"tools": {"hold_parcel": 3.0}}) for pair in pairs]
        assert find_objections(bench, suite, pairs, Workflow(), propose(moved)) == []

    def test_a_dialogue_less_is_named(self, bench, suite, pairs):
        found = find_objections(bench, suite, pairs, Workflow(), propose(pairs, Workflow(rollouts=0)))
        assert found == ["it plays 0 dialogues a task instead of 1"]

    def test_a_missing_plan_is_named(self, bench, suite, pairs):
        assert any("drops" in text for text in find_objections(bench, suite, pairs, Workflow(), propose(pairs[1:])))

    def test_plans_that_become_one_are_named(self, bench, suite, pairs):
        twins = (pairs[0], pairs[1].model_copy(update={"synthesis": pairs[0].synthesis}), *pairs[2:])
        found = find_objections(bench, suite, pairs, Workflow(), propose(twins))
        assert found == ["plan-0 and plan-1 become the same plan"]

    @pytest.mark.parametrize("rule", [item.id for item in RUBRIC])
    def test_the_anchors_alone_find_out_every_rule_that_is_lost(self, bench, suite, pairs, rule):
        lax = EvaluationPlan(rubric=tuple(item for item in RUBRIC if item.id != rule))
        assert find_misjudged(bench, suite, [pair.model_copy(update={"evaluation": lax}) for pair in pairs])


def loosen_rubric(pairs, rng):
    lost = rng.sample([item.id for item in RUBRIC], rng.randint(1, len(RUBRIC)))
    kept = tuple(item for item in RUBRIC if item.id not in lost)
    chosen = rng.sample(range(len(pairs)), rng.randint(1, len(pairs)))
    lax = EvaluationPlan(rubric=kept)
    return [pair.model_copy(update={"evaluation": lax}) if n in chosen else pair for n, pair in enumerate(pairs)]


def shrink(pairs, rng):
    """Strike names of one facet out of every plan."""
    facet = rng.choice(FACETS)
    names = sorted(getattr(pairs[0].synthesis, facet))
    lost = rng.sample(names, rng.randint(1, len(names) - 1))
    kept = [
        {name: weight for name, weight in getattr(pair.synthesis, facet).items() if name not in lost} for pair in pairs
    ]
    return [
        pair.model_copy(update={"synthesis": pair.synthesis.model_copy(update={facet: weights})})
        for pair, weights in zip(pairs, kept, strict=True)
    ]


def make_trivial(pairs, rng):
    """Turn every plan towards single changes by one tool, without striking anything out."""
    tool = rng.choice(sorted(pairs[0].synthesis.tools))
    factors = {"tools": {tool: 60.0}, "tiers": {"single": 40.0}, "personas": {"open": 50.0}}
    return [scale(pair, factors) for pair in pairs]


class TestHostileReflectors:
    @pytest.mark.parametrize("kind", [loosen_rubric, shrink])
    def test_what_loosens_is_never_accepted(self, bench, suite, pairs, kind):
        """Whatever rise it may bring."""
        few = AnchorSuite(suite.dialogues[:6], ())
        for number in range(TRIES):
            candidate = propose(kind(pairs, random.Random(number)))
            objections = find_objections(bench, few, pairs, Workflow(), candidate)
            assert not decide(Rise(value=1.0, noise=0.0), objections)[0]

    def test_what_is_trivial_is_never_accepted_whatever_it_yields(self, bench, pairs, parcel, tmp_path):
        """Nothing is struck out here, so that the pilots alone decide."""
        rng = random.Random(1)

        def propose_trivial(evidence):
            return propose(make_trivial(evidence.pairs, rng), evidence.workflow)

        pilot = Pilot(seed=7, size=24, databases=50)
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            start = tuple(pairs), Workflow()
            *kept, rounds = run_rounds(ledger, bench, find_reach(parcel), pilot, propose_trivial, PLAYED, start)
        assert kept == list(start)
        assert len(rounds) == 1 + PLAYED and not any(found.accepted for found in rounds[1:])
        assert all(found.fitness_candidate < found.fitness for found in rounds[1:])
