"""Checkers damaged one place at a time: each damage is found by the proof, or it makes no difference."""

import ast
import random

import pytest

from veriloop.check.sandbox import shared_sandbox
from veriloop.domains.task import Fact
from veriloop.domains.walk import explore
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import synthesise
from veriloop.proof.instruction import COMBINATIONS, check_instruction
from veriloop.proof.prove import prove, render_checker_file, walk_from_words
from veriloop.proof.replay import replay


def by_tier(tasks, *tiers):
    return [task for task in tasks if task.tags.tier in tiers]


def with_gold(task, gold):
    """Return the task with another GOLD in its checker, found by parsing and not by its layout."""
    tree = ast.parse(task.checker)
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "GOLD":
            node.value = ast.parse(repr(gold), mode="eval").body
    return task.model_copy(update={"checker": ast.unparse(tree)})


def gold_of(task):
    for node in ast.parse(task.checker).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "GOLD":
            return ast.literal_eval(node.value)
    raise AssertionError("no GOLD")


def problems(parcel, task):
    return prove(parcel, task, shared_sandbox()).problems


class TestDamagedGold:
    def test_an_unchanged_rewrite_still_proves(self, parcel, many):
        for task in many[:5]:
            assert problems(parcel, with_gold(task, gold_of(task))) == ()

    def test_every_field_that_expects_another_value_is_found(self, parcel, many):
        for task in by_tier(many, "single", "compound", "partial")[:15]:
            gold = gold_of(task)
            for place, fields in gold.items():
                for name in fields or {}:
                    wrong = {**gold, place: {**fields, name: "something else"}}
                    found = problems(parcel, with_gold(task, wrong))
                    assert any(problem.startswith("gold: the checker says fail") for problem in found)

    def test_every_row_left_out_is_found(self, parcel, many):
        for task in by_tier(many, "single", "compound", "partial")[:15]:
            gold = gold_of(task)
            for place in gold:
                assert problems(parcel, with_gold(task, {key: gold[key] for key in gold if key != place}))

    def test_a_row_too_many_is_found(self, parcel, many):
        for task in many[:10]:
            wrong = {**gold_of(task), ("customers", "C0"): {"phone": "1"}}
            assert any("C0" in problem for problem in problems(parcel, with_gold(task, wrong)))


EXCUSES = [
    ("if place not in found:", "if False:"),
    ("if not same_field(place[0], name, found[name], wanted[name]):", "if False:"),
    ("        if name not in found:", "        if False:"),
    ("        if name not in wanted:", "        if False:"),
    ("if place not in gold:", "if place[0] not in [key[0] for key in gold]:"),
    ("if place not in gold:", "if False:"),
]


@pytest.mark.parametrize(("line", "excuse"), EXCUSES)
def test_a_check_of_the_state_that_is_loosened_is_found_on_some_task(parcel, many, line, excuse):
    """One loose line may not matter to one task, but over a few it always lets a mutant through or breaks."""
    found = []
    for task in by_tier(many, "single", "compound")[:12]:
        loose = task.model_copy(update={"checker": task.checker.replace(line, excuse)})
        assert loose.checker != task.checker
        found += problems(parcel, loose)
    assert any("mutant" in problem for problem in found)


@pytest.mark.parametrize(
    ("line", "excuse", "kind"),
    [
        ('message["calls"] < needed', 'message["calls"] < 0', "hasty_refusal"),
        ("if not made:", "if False:", "blind_refusal"),
        ('return "the request was not refused"', "return None", "unrefused"),
        ("return bool(rest) and (rest[0] in IDLE", "return False and (rest[0] in IDLE", "unrefused"),
        ("if claimed == 2:", "if False:", "claimed"),
        ('"what was refused was then said to be done" if taken_back', '"" if taken_back', "taken_back"),
    ],
)
def test_a_check_of_refusals_that_is_loosened_is_found(parcel, many, line, excuse, kind):
    found = []
    for task in by_tier(many, "refusal")[:8]:
        loose = task.model_copy(update={"checker": task.checker.replace(line, excuse)})
        assert loose.checker != task.checker
        found += problems(parcel, loose)
    assert any(kind in problem for problem in found)


class TestInstructions:
    def found(self, parcel, task):
        return check_instruction(
            parcel, task, walk_from_words(parcel, task, random.Random(0)), replay(parcel, task, task.gold)
        )

    def change(self, task, facts):
        request = task.user.requests[0].model_copy(update={"facts": tuple(facts)})
        user = task.user.model_copy(update={"requests": (request, *task.user.requests[1:])})
        return task.model_copy(update={"user": user})

    def test_every_single_fact_of_a_change_is_needed(self, parcel, many):
        """But for what tools or clauses leave no choice of: a locker with room, the parcel that a claim may be on."""
        checked = 0
        for task in by_tier(many, "single"):
            for fact in task.user.requests[0].facts:
                if fact.kind != "locker_id" and not task.wanted[0].name.startswith("file_"):
                    rest = [other for other in task.user.requests[0].facts if other is not fact]
                    assert self.found(parcel, self.change(task, rest)), (fact, task.user.reason_for_call)
                    checked += 1
        assert checked > 20

    def test_without_identity_the_first_read_rests_on_nothing(self, parcel, many):
        task = by_tier(many, "single")[0]
        user = task.user.model_copy(update={"identity": ()})
        found = self.found(parcel, task.model_copy(update={"user": user}))
        assert any("neither told nor read" in problem for problem in found)

    def test_a_refusal_whose_request_could_mean_something_allowed_is_loose(self, parcel, many):
        """Without its day, a request refused for the day alone could be granted on another day."""
        pair = write_plans(parcel)[1]
        orders = (Order(seed=72, item=item) for item in range(400))
        drafts = (task for order in orders if (task := synthesise(parcel, pair, order)))
        task = next(t for t in drafts if t.tags.tier == "refusal" and t.refused[0] in ("P5", "P12"))
        argument = {"P5": "day", "P12": "days"}[task.refused[0]]
        rest = [fact for fact in task.user.requests[0].facts if fact.argument != argument]
        assert any("should be refused but" in problem for problem in self.found(parcel, self.change(task, rest)))

    def test_a_refusal_whose_evidence_could_be_about_another_thing_is_loose(self, parcel, many):
        """All of the caller's parcels may be refused alike, but the agent has to know which one to look at."""
        found = 0
        for task in by_tier(many, "refusal"):
            rest = [fact for fact in task.user.requests[0].facts if fact.argument != "tracking"]
            if len(rest) < len(task.user.requests[0].facts):
                problems_ = self.found(parcel, self.change(task, rest))
                found += any("which tracking is meant is open" in problem for problem in problems_)
        assert found >= 3

    def test_a_choice_without_limit_has_to_be_told(self, parcel, many):
        task = next(t for t in by_tier(many, "single") if t.wanted[0].name == "update_phone")
        problems_ = self.found(parcel, self.change(task, []))
        assert "instruction: update_phone: nothing tells which new phone number is meant" in problems_

    def test_two_free_ends_are_told_by_their_number(self, parcel, many):
        task = next(t for t in by_tier(many, "single") if t.wanted[0].name == "hold_parcel")
        rest = [fact for fact in task.user.requests[0].facts if fact.argument != "days"]
        problem = next(p for p in self.found(parcel, self.change(task, rest)) if "end states" in p)
        assert int(problem.split(" has ")[1].split()[0]) > 1

    def test_an_instruction_that_can_be_read_in_hundreds_of_ways_is_not_executed(self, parcel, many, monkeypatch):
        monkeypatch.setattr("veriloop.proof.instruction.COMBINATIONS", 4)
        task = next(t for t in by_tier(many, "single") if t.wanted[0].name == "hold_parcel")
        assert COMBINATIONS > 4
        assert any("more than 4 ways" in problem for problem in self.found(parcel, self.change(task, [])))

    def test_a_description_that_fits_nothing_is_found(self, parcel, many):
        task = next(t for t in by_tier(many, "single", "refusal") if t.wanted[0].name == "redirect_to_locker")
        facts = [
            Fact(**{**fact.model_dump(), "text": "Nowhere Square", "value": None}) if fact.kind == "locker_id" else fact
            for fact in task.user.requests[0].facts
        ]
        assert any("does not fit" in problem for problem in self.found(parcel, self.change(task, facts)))


def test_the_standalone_file_knows_a_wrong_dialogue_for_every_changed_row(parcel, many):
    for task in by_tier(many, "compound", "partial")[:4]:
        text = render_checker_file(parcel, task)
        for table, key in gold_of(task):
            assert f"{table} {key} untouched" in text
        assert ("refused without reading" in text) == bool(task.refused)


def test_walks_of_a_proof_start_from_the_users_words_alone(parcel, many):
    task = by_tier(many, "single")[0]
    walk = walk_from_words(parcel, task, random.Random(0))
    told = {fact.value for fact in task.user.identity}
    told |= {fact.value for request in task.user.requests for fact in request.facts}
    assert set(walk.caller.known.values()) <= told
    session = parcel.open(task.initial)
    same = explore(parcel, session, walk.caller, random.Random(0))
    assert {read.content for read in same.reads} == {read.content for read in walk.reads}
