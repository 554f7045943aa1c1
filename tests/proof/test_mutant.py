"""Wrong dialogues: each class makes the mistake it is named for, and no other."""

import random

import pytest

from veriloop.check.sandbox import shared_sandbox
from veriloop.core.message import Change
from veriloop.proof.dialogue import perform, write_dialogue
from veriloop.proof.mutant import BY_POLICY, CLASSES, MAY_BE_RIGHT, MOST, make_mutants
from veriloop.proof.mutant.end import damage_end
from veriloop.proof.mutant.ground import Ground
from veriloop.proof.mutant.wording import miss_value, say_value
from veriloop.proof.mutant.write import distort
from veriloop.proof.prove import attach_checker, prove, walk_from_words
from veriloop.proof.replay import replay


def open_ground(parcel, task):
    rng = random.Random(3)
    gold = replay(parcel, task, task.gold)
    return Ground(parcel, task, write_dialogue(parcel, task), walk_from_words(parcel, task, rng), gold.session, rng)


def made(parcel, task, kind):
    return list(CLASSES[kind][0](open_ground(parcel, task)))


def calls_of(dialogue):
    return [(line.seat, call.name, call.arguments) for line in dialogue.lines() for call in line.calls]


def gold_of(task):
    return [(step.seat, step.call.name, step.call.arguments) for step in task.gold]


def by_tier(tasks, *tiers):
    return [task for task in tasks if task.tags.tier in tiers]


def told(parcel, task, value):
    return attach_checker(parcel, task.model_copy(update={"told": (value,)}))


class TestWrites:
    def test_each_write_is_dropped_once(self, parcel, many):
        for task in by_tier(many, "compound")[:5]:
            writes = [step for step in task.gold if parcel.tools[step.call.name].kind == "write"]
            dropped = made(parcel, task, "dropped_write")
            assert len(dropped) == len(writes)
            assert all(len(calls_of(dialogue)) == len(task.gold) - 1 for dialogue in dropped)

    def test_a_request_is_left_out_with_the_users_own_steps(self, parcel, many):
        for task in by_tier(many, "compound")[:5]:
            for dialogue in made(parcel, task, "partial"):
                left = [call for call in gold_of(task) if call not in calls_of(dialogue)]
                assert sum(name in {w.name for w in task.wanted} for _, name, _ in left) == 1
        assert made(parcel, by_tier(many, "single")[0], "partial") == []

    def test_each_argument_of_each_write_is_changed(self, parcel, many):
        for task in by_tier(many, "single")[:8]:
            name, arguments = task.wanted[0].name, task.wanted[0].arguments
            changed = [call for d in made(parcel, task, "changed_argument") for call in calls_of(d) if call[1] == name]
            touched = {key for _, _, given in changed for key, value in given.items() if value != arguments.get(key)}
            assert touched == set(arguments)

    def test_another_thing_of_the_callers_is_taken_for_it(self, parcel, many):
        found = 0
        for task in by_tier(many, "single", "refusal"):
            tracking = task.wanted[0].arguments.get("tracking")
            for dialogue in made(parcel, task, "swapped_entity") if tracking else ():
                found += 1
                used = {v for seat, _, given in calls_of(dialogue) if seat == "agent" for v in given.values()}
                assert tracking not in used or "locker_id" in task.wanted[0].arguments
        assert found > 10

    def test_somebody_else_is_looked_up(self, parcel, many):
        for task in by_tier(many, "single")[:5]:
            (dialogue,) = made(parcel, task, "swapped_caller")
            changed = [call for call in calls_of(dialogue) if call not in gold_of(task)]
            assert [name for _, name, _ in changed] == [task.gold[0].call.name]
            assert not perform(parcel, task, dialogue.lines()).turns[2].results[0].error

    def test_foreign_writes_change_something_that_the_gold_did_not(self, parcel, many):
        for task in by_tier(many, "single")[:8]:
            gold = replay(parcel, task, task.gold)
            for dialogue in made(parcel, task, "foreign_write"):
                assert perform(parcel, task, dialogue.lines()).digest != gold.digest

    def test_a_write_is_taken_back_to_what_was_before(self, parcel, many):
        found = 0
        for task in by_tier(many, "single"):
            for dialogue in made(parcel, task, "undone_write"):
                found += 1
                assert len(calls_of(dialogue)) == len(task.gold) + 1
                before, after = (replay(parcel, task, calls) for calls in ((), task.gold))
                end = perform(parcel, task, dialogue.lines()).digest
                assert end != after.digest
                if task.wanted[0].name in ("change_address", "update_phone"):
                    assert end == before.digest
        assert found > 3

    def test_a_write_is_made_twice_or_by_the_other_seat(self, parcel, many):
        task = by_tier(many, "single")[0]
        twice = made(parcel, task, "repeated_write")[0]
        assert len(calls_of(twice)) == len(task.gold) + 1
        swapped = made(parcel, task, "wrong_seat")[0]
        assert len(calls_of(swapped)) == len(task.gold)
        assert perform(parcel, task, swapped.lines()).changes != replay(parcel, task, task.gold).changes

    def test_near_misses(self):
        assert list(distort(True)) == [False]
        assert list(distort(2)) == [3]
        assert list(distort("a0")) == ["a1"]
        assert list(distort([1, 2])) == [[1]]
        assert list(distort(None)) == []


class TestWords:
    def test_a_refusal_has_its_own_mistakes_and_no_dropped_write(self, parcel, many):
        for task in by_tier(many, "refusal")[:5]:
            kinds = {mutant.kind for mutant in make_mutants(open_ground(parcel, task))}
            assert {"unrefused", "taken_back", "silent", "unheard", "blind_refusal", "hasty_refusal"} <= kinds
            assert "forbidden_write" in kinds
            assert not {"untouched", "dropped_write", "unconfirmed"} & kinds

    def test_words_beside_a_call_are_heard_by_nobody(self, parcel, many):
        task = by_tier(many, "refusal")[0]
        (dialogue,) = made(parcel, task, "unheard")
        said = [turn.spoken for turn in perform(parcel, task, dialogue.lines()).turns]
        assert not any("cannot" in text for text in said)

    def test_a_value_not_told_is_a_mistake_too(self, parcel, many):
        task = told(parcel, by_tier(many, "single")[0], "EUR 12.50")
        proof = prove(parcel, task, shared_sandbox())
        assert proof.ok, proof.problems
        assert proof.classes["untold"].caught == proof.classes["untold"].tried > 2
        deaf = task.model_copy(update={"checker": task.checker.replace("for value in TOLD:", "for value in []:")})
        assert any("untold" in problem for problem in prove(parcel, deaf, shared_sandbox()).problems)

    def test_a_checker_that_finds_values_by_luck_is_found_out(self, parcel, many):
        task = told(parcel, by_tier(many, "single")[0], "12")
        lucky = task.checker.replace("not any(says(text, value) for text in said)", "not any(value in t for t in said)")
        assert lucky != task.checker
        found = prove(parcel, task.model_copy(update={"checker": lucky}), shared_sandbox()).problems
        assert any("untold" in problem for problem in found)

    def test_a_value_that_is_named_in_passing_is_not_told_by_it(self, parcel, many):
        """What the agent repeats before a change may be the very value; mutants of words leave it out."""
        task = next(t for t in by_tier(many, "single") if t.wanted[0].name == "hold_parcel")
        proof = prove(parcel, told(parcel, task, task.wanted[0].arguments["tracking"]), shared_sandbox())
        assert proof.ok, proof.problems
        assert proof.classes["silent"].caught == 1

    @pytest.mark.parametrize("value", ["12", "EUR 12.50", "$1,234.50", "2024-05-15", "#W12345", "at the depot"])
    def test_values_are_missed_and_said(self, value):
        from veriloop.check.body.told import says

        assert len(list(miss_value(value))) >= 2
        for text in miss_value(value):
            assert not says(f"It is {text}.", value)
        for text in say_value(value):
            assert says(f"It is {text}.", value), text


class TestOrder:
    def test_nobody_is_known_when_things_are_changed(self, parcel, many):
        task = by_tier(many, "single")[0]
        (dialogue,) = made(parcel, task, "unidentified")
        assert calls_of(dialogue)[-1] == gold_of(task)[0]
        assert task.user.identity[0].text not in dialogue.opening[1].text

    def test_the_yes_is_missing(self, parcel, many):
        task = by_tier(many, "single")[0]
        unsure, unasked = made(parcel, task, "unconfirmed")
        assert any(line.text == "Hm." for line in unsure.lines())
        assert len(unasked.lines()) == len(unsure.lines()) - 2
        assert calls_of(unsure) == calls_of(unasked) == gold_of(task)

    def test_refusals_before_and_without_the_reads(self, parcel, many):
        task = by_tier(many, "refusal")[0]
        (early,), (blind,) = made(parcel, task, "hasty_refusal"), made(parcel, task, "blind_refusal")
        assert "cannot" in early.opening[-1].text
        assert calls_of(early) == gold_of(task)
        assert calls_of(blind) == []


class TestEnds:
    CHANGE = Change(table="t", key="1", before={"a": 1, "b": {"c": 1, "d": 2}}, after={"a": 1, "b": {"c": 1, "d": 3}})

    def test_every_mistake_in_an_end(self):
        found = list(damage_end([self.CHANGE], ()))
        assert [kind for kind, *_ in found] == ["missing_row", "wrong_row", "extra_field", "altered_field", "extra_row"]
        [(what, (altered,))] = [(what, ends) for kind, what, ends in found if kind == "altered_field"]
        assert what == "t 1: b becomes {'c': 1, 'd': 4}"
        assert altered.after == {"a": 1, "b": {"c": 1, "d": 4}}

    def test_all_fields_of_a_new_row_and_none_of_a_deleted_one(self):
        new = Change(table="t", key="1", before=None, after={"a": True, "b": "x", "c": None, "d": [1]})
        altered = [ends[0].after for kind, _, ends in damage_end([new], ()) if kind == "altered_field"]
        values = [changed[name] for name, changed in zip("abcd", altered, strict=True)]
        assert values == [False, "xx", "something else", []]
        gone = Change(table="t", key="1", before={"a": 1}, after=None)
        assert [kind for kind, *_ in damage_end([gone], ())] == ["missing_row", "wrong_row", "extra_row"]

    def test_an_altered_field_is_not_just_left_as_it_was(self):
        change = Change(table="t", key="1", before={"n": 1, "l": [1], "s": "ax"}, after={"n": 0, "l": [1, 2], "s": "a"})
        altered = [ends[0].after for kind, _, ends in damage_end([change], ()) if kind == "altered_field"]
        assert [a[name] for a, name in zip(altered, "nls", strict=True)] == [2, [1, 2, "something else"], "ay"]

    def test_free_tables_are_left_alone(self):
        assert [kind for kind, *_ in damage_end([self.CHANGE], ("t",))] == ["extra_row"]


def test_classes_are_capped_and_named(parcel, many):
    task = by_tier(many, "compound")[0]
    mutants = list(make_mutants(open_ground(parcel, task)))
    counts = {kind: sum(mutant.kind == kind for mutant in mutants) for kind in CLASSES}
    assert max(counts.values()) == MOST
    assert set(BY_POLICY) <= set(MAY_BE_RIGHT) <= set(CLASSES)
    assert mutants == list(make_mutants(open_ground(parcel, task)))


def test_a_class_that_a_task_gives_no_room_for_says_why(parcel, many):
    proof = prove(parcel, by_tier(many, "refusal")[0], shared_sandbox())
    assert proof.classes["dropped_write"].tried == 0
    assert proof.classes["dropped_write"].why == "nothing is to be changed"
    assert proof.classes["untold"].why == "nothing has to be told"
    assert set(CLASSES) <= set(proof.classes)
