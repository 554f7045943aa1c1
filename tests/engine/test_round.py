"""Reflection rounds in whole runs: what is accepted is used, what is rolled back leaves no trace in the plans."""

import pytest

import veriloop.engine.synthesize as module
from veriloop.engine.anchor import build_anchors, find_misjudged
from veriloop.engine.plan import RUBRIC, EvaluationPlan, PlanPair, write_plans
from veriloop.engine.reflection import Candidate
from veriloop.engine.synthesize import SynthConfig, synthesize
from veriloop.store.ledger import Ledger

CONFIG = SynthConfig(n=6, seed=13, pilot=4)


def without(pair: PlanPair, *rules: str) -> PlanPair:
    kept = tuple(item for item in RUBRIC if item.id not in rules)
    return pair.model_copy(update={"evaluation": EvaluationPlan(rubric=kept), "version": pair.version + 1})


class TestAnchors:
    def test_every_kind_of_bad_dialogue_is_there(self, bench, pilot):
        names = {anchor.name for anchor in build_anchors(bench, pilot).dialogues}
        assert names == {"demonstration", "noop", "transfer", "mute_user", "unconfirmed"}

    def test_a_dialogue_without_the_yes_differs_in_the_yes_alone(self, bench, pilot):
        suite = build_anchors(bench, pilot)
        good = {anchor.task.id: anchor.trace for anchor in suite.dialogues if anchor.good}
        for anchor in suite.dialogues:
            if anchor.name == "unconfirmed":
                pairs = zip(good[anchor.task.id].turns, anchor.trace.turns, strict=True)
                changed = [(before, after) for before, after in pairs if before != after]
                assert changed
                assert all(before.seat == "user" and after.content == "..." for before, after in changed)
                assert all(before.content.lower().startswith("yes") for before, _ in changed)

    @pytest.mark.parametrize(
        ("rules", "names"),
        [
            (("clauses_kept",), {"unconfirmed"}),
            (("clauses_kept", "goal_told"), {"unconfirmed", "mute_user"}),
            (("goal_told",), set()),
            (("nothing_contradicted",), set()),
        ],
    )
    def test_a_rubric_is_found_out_by_what_it_lost(self, parcel, bench, pilot, rules, names):
        suite = build_anchors(bench, pilot)
        wrong = find_misjudged(bench, suite, [without(pair, *rules) for pair in write_plans(parcel)])
        assert {line.split(": ")[1].split(" of ")[0] for line in wrong} == names

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
        def careless(_domain, pairs, workflow, _items):
            lax = tuple(without(pair, "clauses_kept") for pair in pairs)
            return Candidate(pairs=lax, workflow=workflow, reasons=("judging is too strict",))

        monkeypatch.setattr(module, "reflect", careless)
        result, plans, used = run(bench, tmp_path)
        assert [record["accepted"] for record in result.rounds] == [True, False]
        assert "misjudges" in result.rounds[1]["reason"]
        assert all(pair["version"] == 0 and len(pair["evaluation"]["rubric"]) == len(RUBRIC) for pair in plans["pairs"])
        assert all(plan.endswith("@0") for plan in used)

    def test_a_better_candidate_is_accepted_and_used(self, bench, tmp_path, monkeypatch):
        def better(_domain, pairs, workflow, _items):
            raised = tuple(pair.model_copy(update={"version": pair.version + 1}) for pair in pairs)
            return Candidate(pairs=raised, workflow=workflow.model_copy(update={"attempts": 9}), reasons=("more",))

        figures = iter((0.2, 0.6))
        true = module.measure_fitness

        def rising(*arguments):
            return true(*arguments).model_copy(update={"value": next(figures), "noise": 0.0})

        monkeypatch.setattr(module, "reflect", better)
        monkeypatch.setattr(module, "measure_fitness", rising)
        result, plans, used = run(bench, tmp_path)
        assert result.rounds[1]["accepted"]
        assert result.rounds[1]["changes"] == ["more"]
        assert (result.rounds[1]["fitness"], result.rounds[1]["fitness_candidate"]) == (0.2, 0.6)
        assert plans["workflow"]["attempts"] == 9
        assert all(plan.endswith("@1") for plan in used)

    def test_a_later_round_starts_from_what_was_accepted(self, bench, tmp_path, monkeypatch):
        seen = []

        def raising(_domain, pairs, workflow, _items):
            seen.append([pair.version for pair in pairs])
            raised = tuple(pair.model_copy(update={"version": pair.version + 1}) for pair in pairs)
            return Candidate(pairs=raised, workflow=workflow, reasons=("more",))

        figures = iter((0.1, 0.5, 0.4, 0.9))
        true = module.measure_fitness
        monkeypatch.setattr(module, "reflect", raising)
        monkeypatch.setattr(
            module,
            "measure_fitness",
            lambda *a: true(*a).model_copy(update={"value": next(figures), "noise": 0.0}),
        )
        result, plans, _ = run(bench, tmp_path, CONFIG.model_copy(update={"rounds": 3}))
        assert [record["accepted"] for record in result.rounds] == [True, True, False, True]
        assert seen == [[0, 0], [1, 1], [1, 1]]
        assert [pair["version"] for pair in plans["pairs"]] == [2, 2]

    def test_without_a_reason_there_is_no_second_pilot(self, bench, tmp_path, monkeypatch):
        def content(_domain, pairs, workflow, _items):
            return Candidate(pairs=pairs, workflow=workflow, reasons=())

        monkeypatch.setattr(module, "reflect", content)
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            result = synthesize(ledger, bench, CONFIG.model_copy(update={"rounds": 2}))
            assert ledger.count("pilot:1") == 0
        assert len(result.rounds) == 2
        assert not result.rounds[1]["accepted"]
        assert "no reason" in result.rounds[1]["reason"]

    def test_every_record_keeps_figures_reasons_and_hashes(self, bench, tmp_path):
        result, plans, _ = run(bench, tmp_path)
        for record in result.rounds:
            assert set(record["parts"]) == {"value", "verified_yield", "diversity", "in_band", "cost", "noise"}
            assert set(record["plans"]) == {pair["id"] for pair in plans["pairs"]}
        assert result.rounds[-1]["changes"]
        pairs = [PlanPair.model_validate(pair) for pair in plans["pairs"]]
        last = next(record for record in reversed(result.rounds) if record["accepted"])
        assert {pair.id: pair.hash for pair in pairs} == {k: v["hash"] for k, v in last["plans"].items()}


def test_held_out_runs_use_held_out_databases_and_train_pilots(bench, tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        synthesize(ledger, bench, CONFIG.model_copy(update={"split": "test"}))
        made = [entry.payload["initial"]["database"] for entry in ledger.entries("synth", "done")]
        piloted = [e.payload["task"]["initial"]["database"] for e in ledger.entries("pilot:0") if e.payload["task"]]
    assert made and all(name.startswith("test-") for name in made)
    assert piloted and all(name.startswith("train-") for name in piloted)


def test_a_run_that_cannot_go_on_ends_with_what_it_has(bench, tmp_path, monkeypatch):
    made = module.make_item

    def stuck(bench, pair, workflow, order, taken):
        return made(bench, pair, workflow.model_copy(update={"attempts": 1}), order, taken | {"x"})

    monkeypatch.setattr(module, "make_item", stuck)
    monkeypatch.setattr(module, "ITEMS_PER_TASK", -2)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        result = synthesize(ledger, bench, SynthConfig(n=9, seed=3, evolve=False))
        assert ledger.count("drafts") == 2
    assert result.proved <= 2
