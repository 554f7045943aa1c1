"""Right dialogues other than the gold one, and ends that mean the same."""

import random

import pytest

from veriloop.check.sandbox import shared_sandbox
from veriloop.check.verdict import give_verdict
from veriloop.domains.registry import load_domain
from veriloop.domains.task import SeatCall
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import synthesise
from veriloop.proof.alternative import ALTERNATIVES, find_unordered_lists, make_alternatives
from veriloop.proof.dialogue import perform, write_dialogue
from veriloop.proof.ending import find_other_ends, settle
from veriloop.proof.mutant.ground import Ground
from veriloop.proof.prove import attach_checker, prove, render_checker_file, walk_from_words
from veriloop.proof.replay import replay


def open_ground(domain, task):
    rng = random.Random(0)
    gold = replay(domain, task, task.gold)
    return Ground(domain, task, write_dialogue(domain, task), walk_from_words(domain, task, rng), gold.session, rng)


def synthesise_one(domain, tool, accept):
    """Return the first single task about a tool whose wanted call is accepted."""
    pair = write_plans(domain)[0]
    plan = pair.synthesis.model_copy(update={"tools": {tool: 1.0}, "tiers": {"single": 1.0}})
    made = (synthesise(domain, pair.model_copy(update={"synthesis": plan}), Order(5, n)) for n in range(300))
    return attach_checker(domain, next(task for task in made if task and accept(task.wanted[0].arguments)))


def test_each_passes(parcel, many):
    kinds = set()
    for task in many[:25]:
        gold = replay(parcel, task, task.gold)
        for path in make_alternatives(open_ground(parcel, task)):
            trace = perform(parcel, task, path.lines)
            if path.kind != "other_order":
                assert trace.digest == gold.digest
                assert give_verdict(parcel, task, trace).passed, path.kind
            kinds.add(path.kind)
    assert kinds == set(ALTERNATIVES) - {"other_list_order"}


def test_orders_are_those_of_the_requests(parcel, many):
    task = next(task for task in many if task.tags.tier == "compound")
    orders = list(ALTERNATIVES["other_order"](open_ground(parcel, task)))
    assert orders
    for dialogue in orders:
        assert sorted(map(repr, dialogue.steps)) == sorted(map(repr, write_dialogue(parcel, task).steps))
        assert dialogue.steps != write_dialogue(parcel, task).steps


class TestLists:
    @pytest.fixture(scope="class")
    def airline(self):
        return load_domain("tau2/airline")

    @pytest.fixture(scope="class")
    def retail(self):
        return load_domain("tau2/retail")

    def test_passengers_may_be_named_in_any_order(self, airline):
        task = synthesise_one(airline, "update_reservation_passengers", lambda given: len(given["passengers"]) > 1)
        proof = prove(airline, task, shared_sandbox())
        assert proof.ok, proof.problems
        assert proof.alternatives["other_list_order"] >= 1
        assert "('reservations', 'passengers')" in task.checker
        strict = task.checker.replace("UNORDERED = [", "UNORDERED = [] and [")
        found = prove(airline, task.model_copy(update={"checker": strict}), shared_sandbox()).problems
        assert any("alternative other_list_order" in problem for problem in found)

    def test_payments_may_too_and_only_the_changed_date_of_a_flight_is_named(self, airline):
        task = synthesise_one(airline, "book_reservation", lambda given: len(given["payment_methods"]) > 1)
        proof = prove(airline, task, shared_sandbox())
        assert proof.ok, proof.problems
        assert proof.alternatives["other_list_order"] >= 1
        dates = {flight["date"] for flight in task.wanted[0].arguments["flights"]}
        gold = task.checker.partition("ALSO = ")[0]
        assert all(date in gold for date in dates)
        assert "2024-05-01" not in gold and len(gold) < 4000

    def test_a_tool_that_makes_more_of_the_last_item_has_several_right_ends(self, retail):
        """The package gives every item the options of the last variant, so the order of a swap shows in the end."""
        task = synthesise_one(retail, "modify_pending_order_items", lambda given: len(given["item_ids"]) > 1)
        assert "ALSO = []" not in task.checker
        assert "a model wrote" not in render_checker_file(retail, task), "it is compiled all the same"
        proof = prove(retail, task, shared_sandbox())
        assert proof.ok, proof.problems
        assert proof.alternatives["other_list_order"] >= 1
        lists = find_unordered_lists(open_ground(retail, task), task.wanted[0])
        assert set(lists["items"]) == {"item_ids", "new_item_ids"}

    def test_half_of_a_swap_is_still_wrong(self, retail):
        task = synthesise_one(retail, "modify_pending_order_items", lambda given: len(given["item_ids"]) > 1)
        call = task.gold[-1].call
        half = {name: value[:1] if isinstance(value, list) else value for name, value in call.arguments.items()}
        dialogue = write_dialogue(retail, task)
        wrong = dialogue.recall(len(task.gold) - 1, call.model_copy(update={"arguments": half}))
        assert not give_verdict(retail, task, perform(retail, task, wrong.lines())).passed


class TestEnds:
    def test_free_tables_and_roundings_do_not_count(self, parcel, many):
        task = next(task for task in many if task.tags.tier == "single" and not task.tags.no_write)
        changes = replay(parcel, task, task.gold).changes
        assert settle(parcel, task, changes)
        free = task.model_copy(update={"free": tuple({change.table for change in changes})})
        assert settle(parcel, free, changes) == ()
        half = changes[0].model_copy(update={"after": {**changes[0].after, "sum": 0.1 + 0.2}})
        third = changes[0].model_copy(update={"after": {**changes[0].after, "sum": 0.3}})
        assert settle(parcel, task, [half]) == settle(parcel, task, [third]) != settle(parcel, task, changes)

    def test_no_other_ends_without_unordered_lists(self, parcel, many):
        assert [end for task in many[:10] for end in find_other_ends(parcel, task)] == []


def test_a_user_step_is_asked_for_and_made_by_the_user(parcel, many):
    task = next(t for t in many if any(step.seat == "user" for step in t.gold))
    lines = write_dialogue(parcel, task).lines()
    own = [line for line in lines if line.seat == "user" and line.calls]
    assert [SeatCall(seat="user", call=line.calls[0]) for line in own] == [s for s in task.gold if s.seat == "user"]
    assert lines[lines.index(own[0]) - 1].text.startswith("Could you please")
