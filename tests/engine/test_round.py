"""Reflection rounds in whole runs: what is accepted is used, what is rolled back leaves no trace in the plans."""

import dataclasses

import pytest

import veriloop.engine.round as module
import veriloop.engine.synthesize as scale_up
from veriloop.core.errors import VeriloopError
from veriloop.engine import stream
from veriloop.engine.anchor import build_anchors, find_misjudged
from veriloop.engine.evolution import Candidate, scale
from veriloop.engine.fitness import Rise
from veriloop.engine.plan import RUBRIC, EvaluationPlan, PlanPair
from veriloop.engine.planner import write_plans
from veriloop.engine.search import SEARCHES
from veriloop.engine.stream import AHEAD, Item, Rejection
from veriloop.engine.synthesize import SynthConfig, synthesize
from veriloop.engine.watch import TRIAL, WINDOW
from veriloop.store.ledger import Ledger

CONFIG = SynthConfig(n=6, seed=13, pilot=4)


def without(pair: PlanPair, *rules: str) -> PlanPair:
    kept = tuple(item for item in RUBRIC if item.id not in rules)
    return pair.model_copy(update={"evaluation": EvaluationPlan(rubric=kept), "version": pair.version + 1})


class TestAnchors:
    def test_every_kind_of_bad_dialogue_is_there(self, bench, pilot):
        names = {anchor.name for anchor in build_anchors(bench, pilot).dialogues}
        bad = {"noop", "transfer", "mute_user", "unconfirmed", "untold", "made_up", "early_stop"}
        assert names == {"demonstration", *bad}

    def test_a_spoilt_dialogue_differs_in_words_of_one_seat_alone(self, bench, pilot):
        suite = build_anchors(bench, pilot)
        good = {anchor.task.id: anchor.trace for anchor in suite.dialogues if anchor.good}
        seats = {"mute_user": "user", "unconfirmed": "user", "untold": "user", "made_up": "user", "early_stop": "agent"}
        for anchor in suite.dialogues:
            if anchor.name in seats:
                pairs = zip(good[anchor.task.id].turns, anchor.trace.turns, strict=True)
                changed = [(before, after) for before, after in pairs if before != after]
                assert changed
                assert {before.seat for before, _ in changed} == {seats[anchor.name]}
                assert all(before.tool_calls == after.tool_calls for before, after in changed)
                if anchor.name == "unconfirmed":
                    assert all(before.content.lower().startswith("yes") for before, _ in changed)

    @pytest.mark.parametrize(
        ("rules", "names"),
        [
            (("clauses_kept",), {"unconfirmed"}),
            (("goal_told",), {"untold"}),
            (("nothing_contradicted",), {"made_up"}),
            (("no_early_stop",), {"early_stop"}),
        ],
    )
    def test_a_rubric_is_found_out_by_what_it_lost(self, parcel, bench, pilot, rules, names):
        suite = build_anchors(bench, pilot)
        wrong = find_misjudged(bench, suite, [without(pair, *rules) for pair in write_plans(parcel)])
        assert {line.split(": ")[1].split(" of ")[0] for line in wrong} >= names

    def test_the_plans_as_written_misjudge_nothing(self, parcel, bench, pilot):
        suite = build_anchors(bench, pilot)
        assert {anchor.good for anchor in suite.dialogues} == {True, False}
        assert find_misjudged(bench, suite, write_plans(parcel)) == []

    def test_bad_tasks_are_those_that_prove_nothing(self, bench, pilot):
        suite = build_anchors(bench, pilot)
        assert suite.bad_tasks
        assert all(task.gold == () for task in suite.bad_tasks)

    def test_a_proof_that_passes_everything_is_found_out(self, parcel, bench, pilot, monkeypatch):
        suite = build_anchors(bench, pilot)
        proved = next(item.proof for item in pilot if item.proof)
        monkeypatch.setattr("veriloop.engine.anchor.prove", lambda *_: proved)
        wrong = find_misjudged(bench, suite, write_plans(parcel))
        assert len(wrong) == len(suite.bad_tasks)
        assert all("without gold" in line for line in wrong)

    def test_an_empty_pilot_gives_an_empty_suite(self, parcel, bench):
        suite = build_anchors(bench, [])
        assert (suite.dialogues, suite.bad_tasks) == ((), ())
        assert find_misjudged(bench, suite, write_plans(parcel)) == []


def run(bench, tmp_path, config=CONFIG):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        result = synthesize(ledger, bench, config)
        return result, ledger.get_meta("plans"), [e.payload["plan"] for e in ledger.entries("accepted")]


class TestRounds:
    def test_a_rubric_that_loses_a_rule_is_rolled_back(self, bench, tmp_path, monkeypatch):
        def careless(evidence):
            lax = tuple(without(pair, "clauses_kept") for pair in evidence.pairs)
            return Candidate(pairs=lax, workflow=evidence.workflow, reasons=("judging is too strict",))

        monkeypatch.setitem(SEARCHES, "native", careless)
        result, plans, used = run(bench, tmp_path)
        assert [record.accepted for record in result.rounds] == [True, False]
        assert "plan-0 is no longer judged by clauses_kept" in result.rounds[1].reason
        assert all(pair["version"] == 0 and len(pair["evaluation"]["rubric"]) == len(RUBRIC) for pair in plans["pairs"])
        assert all(plan.endswith("@0") for plan in used)

    def test_a_better_candidate_is_accepted_and_used(self, bench, tmp_path, monkeypatch):
        def better(evidence):
            return raise_versions(evidence, workflow=evidence.workflow.model_copy(update={"attempts": 9}))

        monkeypatch.setitem(SEARCHES, "native", better)
        fake_figures(monkeypatch, 0.2, 0.15, 0.6, 0.55)
        result, plans, used = run(bench, tmp_path)
        first, second = result.rounds
        assert second.accepted
        assert second.changes == ("more",)
        assert (second.fitness, second.fitness_candidate) == (0.2, 0.6)
        assert (first.fitness_held_out, second.fitness_held_out) == (0.15, 0.55)
        assert plans["workflow"]["attempts"] == 9
        assert all(plan.endswith("@1") for plan in used)

    def test_a_later_round_starts_from_what_was_accepted(self, bench, tmp_path, monkeypatch):
        seen = []

        def raising(evidence):
            seen.append(([pair.version for pair in evidence.pairs], evidence.rollbacks))
            return raise_versions(evidence)

        monkeypatch.setitem(SEARCHES, "native", raising)
        # Pilot and held-out pilot of round 0, then of each round the pilot and, when accepted, the held-out one.
        fake_figures(monkeypatch, 0.1, 0.1, 0.5, 0.5, 0.4, 0.3, 0.9, 0.9)
        result, plans, _ = run(bench, tmp_path, CONFIG.model_copy(update={"rounds": 4}))
        assert [record.accepted for record in result.rounds] == [True, True, False, False, True]
        assert [record.fitness_held_out for record in result.rounds] == [0.1, 0.5, None, None, 0.9]
        assert seen == [([0, 0], 0), ([1, 1], 0), ([1, 1], 1), ([1, 1], 2)]
        assert [pair["version"] for pair in plans["pairs"]] == [2, 2]

    def test_without_a_reason_there_is_no_second_pilot(self, bench, tmp_path, monkeypatch):
        def content(evidence):
            return Candidate(pairs=evidence.pairs, workflow=evidence.workflow, reasons=())

        monkeypatch.setitem(SEARCHES, "native", content)
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            result = synthesize(ledger, bench, CONFIG.model_copy(update={"rounds": 2}))
            assert ledger.count("pilot:1") == 0
        assert len(result.rounds) == 2
        assert not result.rounds[1].accepted
        assert "no reason" in result.rounds[1].reason

    def test_without_rounds_no_held_out_pilot_is_paid_for(self, bench, tmp_path):
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            result = synthesize(ledger, bench, CONFIG.model_copy(update={"rounds": 0}))
            assert ledger.count("pilot:0") > 0
            assert ledger.count("held:0") == 0
        assert [record.fitness_held_out for record in result.rounds] == [None]

    def test_every_record_keeps_figures_reasons_and_hashes(self, bench, tmp_path):
        result, plans, _ = run(bench, tmp_path)
        assert result.rounds[0].fitness_held_out is not None
        for record in result.rounds:
            assert set(record.parts.facets) == {"tools", "tiers", "personas", "clauses", "user_tools"}
            assert set(record.plans) == {pair["id"] for pair in plans["pairs"]}
        assert result.rounds[-1].changes
        assert result.rounds[-1].noise is not None
        pairs = [PlanPair.model_validate(pair) for pair in plans["pairs"]]
        last = next(record for record in reversed(result.rounds) if record.accepted)
        assert {pair.id: pair.hash for pair in pairs} == {name: plan["hash"] for name, plan in last.plans.items()}

    def test_the_archive_keeps_what_was_rolled_back(self, bench, tmp_path, monkeypatch):
        def heavier(evidence):
            pairs = tuple(scale(pair, {"tools": {"hold_parcel": 2.0}}) for pair in evidence.pairs)
            return Candidate(pairs=pairs, workflow=evidence.workflow, reasons=("holds",))

        monkeypatch.setitem(SEARCHES, "native", heavier)
        fake_figures(monkeypatch, 0.5, 0.5, 0.4)
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            result = synthesize(ledger, bench, CONFIG)
            archive = [entry.payload for entry in ledger.entries("archive:1")]
        assert [entry["pair"]["id"] for entry in archive] == ["plan-0", "plan-1"]
        for entry in archive:
            before, after = entry["diff"]["synthesis.tools.hold_parcel"]
            assert after == 2 * before
            assert entry["accepted"] is False
            assert entry["reason"] == result.rounds[1].reason

    def test_held_out_orders_are_others_than_the_pilots(self, bench, tmp_path):
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            synthesize(ledger, bench, CONFIG)
            shown, hidden = (
                {item.task.id for entry in ledger.entries(stage) if (item := Item.model_validate(entry.payload)).task}
                for stage in ("pilot:0", "held:0")
            )
        assert shown and hidden and not shown & hidden


def raise_versions(evidence, workflow=None):
    raised = tuple(pair.model_copy(update={"version": pair.version + 1}) for pair in evidence.pairs)
    return Candidate(pairs=raised, workflow=workflow or evidence.workflow, reasons=("more",))


def fake_figures(monkeypatch, *values):
    """Let the pilots have these fitnesses, without noise."""
    figures, true = iter(values), module.measure_fitness

    def measure(*arguments):
        return true(*arguments).model_copy(update={"value": next(figures)})

    monkeypatch.setattr(module, "measure_fitness", measure)
    monkeypatch.setattr(module, "measure_rise", lambda *arguments: Rise(value=arguments[-1], noise=0.0))


def test_held_out_runs_use_held_out_databases_and_train_pilots(bench, tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        synthesize(ledger, bench, CONFIG.model_copy(update={"split": "test"}))
        made = [entry.payload["initial"]["database"] for entry in ledger.entries("synth", "done")]
        piloted = [e.payload["task"]["initial"]["database"] for e in ledger.entries("pilot:0") if e.payload["task"]]
    assert made and all(name.startswith("test-") for name in made)
    assert piloted and all(name.startswith("train-") for name in piloted)


def test_a_run_that_cannot_go_on_ends_with_what_it_has(bench, tmp_path, monkeypatch):
    made = stream.make_item

    def stuck(bench, pair, workflow, order, is_taken):
        return made(bench, pair, workflow.model_copy(update={"attempts": 1}), order, is_taken)

    monkeypatch.setattr(stream, "make_item", stuck)
    monkeypatch.setattr(scale_up, "ITEMS_PER_TASK", -2)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        result = synthesize(ledger, bench, SynthConfig(n=9, seed=3, evolve=False))
        assert ledger.count("drafts") == 2
    assert result.proved <= 2


class TestStreams:
    CONFIG = SynthConfig(n=26, seed=5, pilot=12, rounds=0)

    def failing(self, monkeypatch):
        """Let the second plan's items come to nothing in the scale-up, as when its part of the domain went away."""
        made = stream.make_item

        async def broken(bench, pair, workflow, order, is_taken):
            if pair.id == "plan-1" and order.seed == self.CONFIG.seed:
                rejections = tuple(Rejection(attempt=n, stage="synth", reason="gone") for n in range(4))
                return Item(item=order.item, plan=pair.name, rejections=rejections)
            return await made(bench, pair, workflow, order, is_taken)

        monkeypatch.setattr(stream, "make_item", broken)

    @pytest.mark.parametrize("ahead", [1, AHEAD])
    def test_a_stream_that_dries_up_is_retired_and_the_rest_goes_on(self, bench, tmp_path, monkeypatch, ahead):
        self.failing(monkeypatch)
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            result = synthesize(ledger, dataclasses.replace(bench, width=ahead), self.CONFIG)
            plans = [entry.payload["plan"] for entry in ledger.entries("drafts")]
        assert result.proved == 26
        assert [(event.plan, event.state) for event in result.streams] == [("plan-1", "paused"), ("plan-1", "retired")]
        # What was begun before the last of them was seen is finished.
        assert WINDOW + TRIAL <= plans.count("plan-1@0") < WINDOW + TRIAL + ahead

    def test_pilots_say_how_far_they_are(self, bench, tmp_path):
        seen = []
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            synthesize(ledger, bench, CONFIG, progress=lambda *found: seen.append(found))
        stages = [stage for _, _, stage in seen]
        assert stages[0] == "pilot:0" and "held:0" in stages
        assert [found for found in seen if found[2] == "pilot:0"] == [(n, 4, "pilot:0") for n in (1, 2, 3, 4)]

    def test_a_resumed_run_rests_the_same_streams(self, bench, tmp_path, monkeypatch):
        self.failing(monkeypatch)
        with Ledger(tmp_path / "whole.sqlite") as ledger:
            whole = synthesize(ledger, bench, self.CONFIG)

        def pull(done, _wanted, what):
            if done in (14, 17) and not what:
                raise VeriloopError("pulled")

        with Ledger(tmp_path / "broken.sqlite") as ledger:
            for _ in range(2):
                with pytest.raises(VeriloopError):
                    synthesize(ledger, bench, self.CONFIG, progress=pull)
            again = synthesize(ledger, bench, self.CONFIG)
        assert again.streams == whole.streams
        assert again.model_copy(update={"seconds": 0}) == whole.model_copy(update={"seconds": 0})
