"""Checkers compiled from tasks: readable, alone, and right about every kind of wrong dialogue."""

import re
import subprocess
import sys

import pytest

from veriloop.check.compile import changed_fields, compile_checker, evidence_calls
from veriloop.check.sandbox import shared_sandbox
from veriloop.core.message import Change
from veriloop.proof.prove import attach_checker, render_checker_file
from veriloop.proof.replay import closing_words, replay


def pick(tasks, tier):
    return next(task for task in tasks if task.tags.tier == tier)


@pytest.fixture(scope="module")
def many(parcel):
    from veriloop.engine.planner import write_plans
    from veriloop.engine.setting import Order
    from veriloop.engine.synthesis import synthesise

    pairs = write_plans(parcel)
    drafts = [synthesise(parcel, pairs[item % 2], Order(seed=11, item=item)) for item in range(120)]
    return [attach_checker(parcel, draft) for draft in drafts if draft]


def run_file(tmp_path, text):
    file = tmp_path / "checker.py"
    file.write_text(text, encoding="utf-8")
    return subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=60)


def verdict(task, case):
    return shared_sandbox().run(task.checker, [case])[0]


def right_case(parcel, task):
    return replay(parcel, task, task.gold).case(closing_words(task))


def test_compiling_twice_gives_the_same_text(parcel, many):
    task = many[0]
    changes = replay(parcel, task, task.gold).changes
    assert compile_checker(parcel, task, changes) == compile_checker(parcel, task, changes) == task.checker


def test_the_source_says_what_it_is_about(many):
    task = pick(many, "single")
    assert task.wanted[0].name in task.checker.splitlines()[0]
    assert "# What must have changed" in task.checker
    assert "REFUSES = False" in task.checker


def test_a_refusal_names_its_clause_and_its_reads(parcel, many):
    task = pick(many, "refusal")
    assert task.refused[0] in task.checker.splitlines()[0]
    assert "REFUSES = True" in task.checker
    assert "GOLD = {}" in task.checker
    for call in evidence_calls(parcel, task):
        assert repr(call.name) in task.checker


def test_every_tier_passes_on_its_gold(parcel, many):
    assert {task.tags.tier for task in many} == {"single", "compound", "refusal", "partial"}
    for task in many:
        assert verdict(task, right_case(parcel, task)).passed


@pytest.mark.parametrize("tier", ["single", "compound", "refusal", "partial"])
def test_the_standalone_file_proves_itself(parcel, many, tmp_path, tier):
    done = run_file(tmp_path, render_checker_file(parcel, pick(many, tier)))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok: 1 right")


@pytest.mark.parametrize("tier", ["single", "compound", "partial"])
def test_an_emptied_gold_makes_the_file_fail(parcel, many, tmp_path, tier):
    text = render_checker_file(parcel, pick(many, tier))
    emptied = re.sub(r"^GOLD = \{.*?\}\nALSO", "GOLD = {}\nALSO", text, count=1, flags=re.MULTILINE | re.DOTALL)
    assert emptied != text
    done = run_file(tmp_path, emptied)
    assert done.returncode != 0
    assert "AssertionError" in done.stderr


def test_an_altered_gold_makes_the_file_fail(parcel, many, tmp_path):
    task = next(task for task in many if task.wanted[0].name == "hold_parcel" and task.tags.tier == "single")
    days = task.wanted[0].arguments["days"]
    text = render_checker_file(parcel, task)
    head, sep, tail = text.partition("# Values that the user")
    altered = head.replace(f"'hold_days': {days}", f"'hold_days': {days + 1}") + sep + tail
    assert altered != text
    assert run_file(tmp_path, altered).returncode != 0


def test_changes_are_told_apart():
    before, after = {"a": 1, "b": 2}, {"a": 1, "b": 3}
    assert changed_fields(Change(table="t", key="k", before=before, after=after)) == {"b": 3}
    assert changed_fields(Change(table="t", key="k", before=None, after=after)) == after
    assert changed_fields(Change(table="t", key="k", before=before, after=None)) is None


class TestWrongDialogues:
    def test_nothing_done(self, many):
        found = verdict(pick(many, "single"), ([], [], []))
        assert not found.passed
        assert "was not changed" in found.reason

    def test_a_wrong_value(self, parcel, many):
        task = pick(many, "single")
        changes, calls, messages = right_case(parcel, task)
        field = next(iter(changed_fields(Change(**changes[0])) or {}))
        wrong = [{**changes[0], "after": {**changes[0]["after"], field: "something else"}}, *changes[1:]]
        found = verdict(task, (wrong, calls, messages))
        assert not found.passed
        assert "expected" in found.reason

    def test_another_field_of_the_same_row(self, parcel, many):
        task = next(task for task in many if task.wanted[0].name == "hold_parcel" and task.tags.tier == "single")
        changes, calls, messages = right_case(parcel, task)
        wrong = [{**changes[0], "after": {**changes[0]["after"], "street": "Elsewhere Road 1"}}]
        assert not verdict(task, (wrong, calls, messages)).passed

    def test_a_row_nobody_asked_for(self, parcel, many):
        task = pick(many, "single")
        changes, calls, messages = right_case(parcel, task)
        extra = {"table": "customers", "key": "C0", "before": {"phone": "1"}, "after": {"phone": "2"}}
        found = verdict(task, ([*changes, extra], calls, messages))
        assert not found.passed
        assert "nobody asked" in found.reason

    def test_a_row_taken_away(self, parcel, many):
        task = pick(many, "single")
        changes, calls, messages = right_case(parcel, task)
        wrong = [{**changes[0], "after": None}, *changes[1:]]
        assert not verdict(task, (wrong, calls, messages)).passed

    def test_a_refusal_without_the_read(self, parcel, many):
        task = pick(many, "refusal")
        changes, _, messages = right_case(parcel, task)
        found = verdict(task, (changes, [], [{**messages[0], "calls": 0}]))
        assert not found.passed
        assert "was not read" in found.reason

    def test_a_refusal_spoken_before_the_read(self, parcel, many):
        task = pick(many, "refusal")
        changes, calls, messages = right_case(parcel, task)
        found = verdict(task, (changes, calls, [{**message, "calls": 0} for message in messages]))
        assert not found.passed

    def test_a_read_that_failed_is_no_evidence(self, parcel, many):
        task = pick(many, "refusal")
        changes, calls, messages = right_case(parcel, task)
        failed = [{**call, "error": True} for call in calls]
        assert not verdict(task, (changes, failed, messages)).passed

    def test_reading_and_saying_nothing(self, parcel, many):
        task = pick(many, "refusal")
        changes, calls, _ = right_case(parcel, task)
        found = verdict(task, (changes, calls, []))
        assert not found.passed
        assert "not refused" in found.reason

    def test_a_refusal_by_the_user_is_none(self, parcel, many):
        task = pick(many, "refusal")
        changes, calls, messages = right_case(parcel, task)
        assert not verdict(task, (changes, calls, [{**message, "seat": "user"} for message in messages])).passed

    def test_doing_what_is_forbidden(self, parcel, many):
        for task in [task for task in many if task.tags.tier == "refusal"]:
            session = parcel.open(task.initial)
            result = session.call("agent", task.wanted[0])
            if result.changes:
                changes = [change.model_dump(mode="json") for change in session.changes()]
                _, calls, messages = right_case(parcel, task)
                assert not verdict(task, (changes, calls, messages)).passed


class TestTold:
    def test_a_value_must_be_said_by_the_agent(self, parcel, many):
        task = attach_checker(parcel, pick(many, "single").model_copy(update={"told": ("EUR 12.50",)}))
        changes, calls, _ = right_case(parcel, task)

        def said(text, seat="agent"):
            return verdict(task, (changes, calls, [{"seat": seat, "content": text, "calls": len(calls)}])).passed

        assert said("You get eur 12.50 back.")
        assert said("That is EUR 12.50!")
        assert not said("You get EUR 12.05 back.")
        assert not said("EUR 12.50", seat="user")
        assert not said("")
