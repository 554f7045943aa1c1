"""Proofs: good tasks pass, weak and over-strict checkers and faulty instructions are found out by name."""

import json
import random

from veriloop.check.compile import changed_fields
from veriloop.check.sandbox import shared_sandbox
from veriloop.core.message import ToolCall, ToolResult, Turn
from veriloop.core.trace import StopReason, Trace
from veriloop.core.verdict import Outcome, Verdict
from veriloop.domains.task import Fact, SeatCall
from veriloop.engine.plan import RUBRIC
from veriloop.proof.blame import Fault, judge_dialogue
from veriloop.proof.dialogue import write_dialogue
from veriloop.proof.instruction import check_instruction, find_underived
from veriloop.proof.mutant import CLASSES, make_mutants
from veriloop.proof.mutant.ground import Ground
from veriloop.proof.prove import attach_checker, prove, prove_in_steps, walk_from_words
from veriloop.proof.replay import closing_words, replay
from veriloop.rollout.driver import play
from veriloop.rollout.episode import Episode
from veriloop.rollout.experts import load_expert
from veriloop.rollout.scripted import ScriptedUser


def pick(tasks, tier, **want):
    name = want.get("tool")
    return next(t for t in tasks if t.tags.tier == tier and (name is None or t.wanted[0].name == name))


def ground(parcel, task):
    """Return what the proof makes mutants of a task from."""
    rng = random.Random(0)
    gold = replay(parcel, task, task.gold)
    return Ground(parcel, task, write_dialogue(parcel, task), walk_from_words(parcel, task, rng), gold.session, rng)


def problems(parcel, task):
    return prove(parcel, task, shared_sandbox()).problems


def with_checker(task, source):
    return task.model_copy(update={"checker": source})


class TestGoodTasks:
    def test_most_drafts_prove_and_every_tier_does(self, many):
        assert len(many) >= 50
        assert {task.tags.tier for task in many} == {"single", "compound", "refusal", "partial"}

    def test_every_class_of_mutant_is_made_and_caught(self, parcel, many):
        proofs = [prove(parcel, task, shared_sandbox()) for task in many]
        classes = {name for proof in proofs for name in proof.classes}
        assert {
            "missing_row", "wrong_row", "extra_field", "altered_field", "extra_row", *CLASSES,
        } == classes  # fmt: skip
        tried = {name for proof in proofs for name, score in proof.classes.items() if score.tried}
        assert classes - tried <= {"untold", "dropped_call", "hasty_call"}
        for proof in proofs:
            assert proof.score == 1.0
            assert all(score.why for score in proof.classes.values() if not score.tried)
            assert all(score.caught == score.tried for score in proof.classes.values())

    def test_valid_paths_are_played(self, parcel, many):
        proof = prove(parcel, pick(many, "compound"), shared_sandbox())
        assert all(proof.alternatives[kind] == 1 for kind in ("extra_reads", "repeated_reads", "error_first", "talk"))
        assert proof.alternatives["other_wording"] >= 1
        assert proof.alternatives["other_order"] >= 1

    def test_a_proof_repeats_itself(self, parcel, many):
        task = pick(many, "compound")
        assert prove(parcel, task, shared_sandbox()) == prove(parcel, task, shared_sandbox())

    def test_mutants_differ_from_the_gold(self, parcel, many):
        task = pick(many, "compound")
        made = list(make_mutants(ground(parcel, task)))
        assert len(made) > 8
        for mutant in made:
            assert mutant.lines != write_dialogue(parcel, task).lines()


class TestBadCheckers:
    def test_one_that_always_passes(self, parcel, many):
        source = "def check(changes, calls, messages):\n    return {'passed': True, 'reason': ''}\n"
        proof = prove(parcel, with_checker(pick(many, "single"), source), shared_sandbox())
        assert not proof.ok
        assert proof.score == 0.0
        for kind in ("untouched", "dropped_write", "changed_argument", "foreign_write"):
            assert any(kind in problem for problem in proof.problems)

    def test_one_that_always_fails(self, parcel, many):
        source = "def check(changes, calls, messages):\n    return {'passed': False, 'reason': 'never'}\n"
        found = problems(parcel, with_checker(pick(many, "single"), source))
        assert any(problem.startswith("gold: the checker says fail") for problem in found)

    def test_one_that_overlooks_foreign_changes(self, parcel, many):
        kinds = set[str]()
        # Which mutants of a class are tried is drawn by the task, and a foreign write may touch the very row.
        for task in [task for task in many if task.tags.tier == "single"][:4]:
            source = task.checker.replace("if place not in gold:", "if False:")
            assert source != task.checker
            found = problems(parcel, with_checker(task, source))
            assert found
            kinds |= {problem.split(":")[0].removeprefix("mutant ") for problem in found}
        assert {"foreign_write", "extra_row"} <= kinds
        assert not {"nothing_done", "untouched", "dropped_write", "missing_row"} & kinds

    def test_one_that_overlooks_a_row(self, parcel, many):
        task = pick(many, "compound")
        change = replay(parcel, task, task.gold).changes[0]
        place = (change.table, change.key)
        source = task.checker.replace(
            "    for place, wanted in gold.items():",
            f"    for place, wanted in gold.items():\n        if place == {place!r}:\n            continue",
        )
        found = problems(parcel, with_checker(task, source))
        assert any("dropped_write" in problem or "changed_argument" in problem for problem in found)

    def test_one_that_demands_the_very_calls(self, parcel, many):
        task = pick(many, "single")
        calls = [step.call.name for step in task.gold]
        source = task.checker.replace(
            'return {"passed": True, "reason": "as expected"}',
            f'return {{"passed": [call["name"] for call in calls] == {calls!r}, "reason": "other calls"}}',
        )
        assert any("alternative extra_reads" in problem for problem in problems(parcel, with_checker(task, source)))

    def test_one_that_demands_an_order(self, parcel, many):
        task = pick(many, "compound")
        last = [step.call.name for step in task.gold][-1]
        source = task.checker.replace(
            'return {"passed": True, "reason": "as expected"}',
            f'return {{"passed": calls[-1]["name"] == {last!r}, "reason": "another order"}}',
        )
        found = problems(parcel, with_checker(task, source))
        assert any("alternative" in problem for problem in found)

    def test_one_that_forgives_silence_for_a_refusal(self, parcel, many):
        task = pick(many, "refusal")
        source = task.checker.replace("REFUSES = True", "REFUSES = False")
        found = problems(parcel, with_checker(task, source))
        assert any("unrefused" in problem for problem in found)
        assert any("blind_refusal" in problem for problem in found)

    def test_one_that_breaks(self, parcel, many):
        source = "def check(changes, calls, messages):\n    return {'passed': 1 // 0, 'reason': ''}\n"
        assert any("error" in problem for problem in problems(parcel, with_checker(pick(many, "single"), source)))

    def test_one_outside_the_allowed_subset_is_not_even_run(self, parcel, many):
        proof = prove(parcel, with_checker(pick(many, "single"), "import os\n"), shared_sandbox())
        assert proof.problems == ("checker line 1: Import is not allowed",)
        assert proof.replays == 0


class TestBadGolds:
    def test_a_refused_call(self, parcel, many):
        task = pick(many, "single")
        bad = SeatCall(seat="agent", call=ToolCall(id="x", name="get_parcel", arguments={"tracking": "VP0"}))
        assert any(
            "refused by the tools" in problem
            for problem in problems(parcel, task.model_copy(update={"gold": (bad, *task.gold)}))
        )

    def test_a_gold_that_the_policy_forbids(self, parcel, many):
        task = pick(many, "refusal")
        forbidden = SeatCall(seat="agent", call=task.wanted[0])
        changed = attach_checker(parcel, task.model_copy(update={"gold": (*task.gold, forbidden), "refused": ()}))
        assert any(f"breaks {task.refused[0]}" in problem for problem in problems(parcel, changed))

    def test_a_refusal_that_read_nothing(self, parcel, many):
        task = pick(many, "refusal")
        blind = attach_checker(parcel, task.model_copy(update={"gold": ()}))
        assert any("refuses without" in problem for problem in problems(parcel, blind))


class TestInstructions:
    def found(self, parcel, task):
        return check_instruction(
            parcel, task, walk_from_words(parcel, task, random.Random(0)), replay(parcel, task, task.gold)
        )

    def change_facts(self, task, facts):
        request = task.user.requests[0].model_copy(update={"facts": facts})
        user = task.user.model_copy(update={"requests": (request, *task.user.requests[1:])})
        return task.model_copy(update={"user": user})

    def test_proved_tasks_have_no_fault(self, parcel, many):
        for task in many:
            assert self.found(parcel, task) == []

    def test_a_fact_that_is_missing(self, parcel, many):
        task = pick(many, "single", tool="hold_parcel")
        facts = tuple(fact for fact in task.user.requests[0].facts if fact.argument != "days")
        found = self.found(parcel, self.change_facts(task, facts))
        assert any("end states" in problem or "neither told nor read" in problem for problem in found)

    def test_a_fact_that_says_another_value(self, parcel, many):
        task = pick(many, "single", tool="hold_parcel")
        facts = tuple(
            fact.model_copy(update={"value": 3 if fact.value != 3 else 4}) if fact.argument == "days" else fact
            for fact in task.user.requests[0].facts
        )
        assert any("does not fit" in problem for problem in self.found(parcel, self.change_facts(task, facts)))

    def test_an_identity_fact_that_nothing_needs(self, parcel, many):
        task = next(t for t in many if [fact.kind for fact in t.user.identity] == ["phone"])
        email = next(
            row.email for row in parcel.open(task.initial).state.customers if row.phone == task.user.identity[0].value
        )
        extra = Fact(label="email address", text=email, value=email, kind="email")
        user = task.user.model_copy(update={"identity": (*task.user.identity, extra)})
        assert any(
            "nothing needs it" in problem for problem in self.found(parcel, task.model_copy(update={"user": user}))
        )

    def test_a_description_that_fits_two_rows(self, parcel, many):
        task = pick(many, "single", tool="redirect_to_locker")
        state = parcel.open(task.initial).state
        locker = state.lockers[task.wanted[0].arguments["locker_id"]]
        twin = next(row for row in state.lockers if row.area == locker.area and row.free and row != locker)
        walk = walk_from_words(parcel, task, random.Random(0))
        walk.pool["locker_id"][twin.locker_id]["name"] = locker.name
        found = check_instruction(parcel, task, walk, replay(parcel, task, task.gold))
        assert any("2 possible end states" in problem for problem in found)

    def test_a_user_step_that_rests_on_what_the_user_does_not_know(self, parcel, many):
        task = next(t for t in many if any(step.seat == "user" for step in t.gold))
        user = task.user.model_copy(update={"identity": ()})
        found = self.found(parcel, task.model_copy(update={"user": user}))
        assert any("neither told nor read" in problem for problem in found)

    def test_only_what_is_described_is_told_by_its_words(self, parcel, many):
        task = pick(many, "single", tool="update_phone")
        request = task.user.requests[0]
        phone = task.wanted[0].arguments["phone"]
        said = request.facts[0].model_copy(update={"text": f"the one that ends {phone}"})
        for value, known in ((None, True), (said.text, False), ("none", False)):
            facts = (said.model_copy(update={"value": value}),)
            user = task.user.model_copy(update={"requests": (request.model_copy(update={"facts": facts}),)})
            problems = find_underived(parcel, task.model_copy(update={"user": user}), replay(parcel, task, task.gold))
            assert any(f"new_phone {phone!r} is neither told nor read" in problem for problem in problems) is not known

    def test_a_refusal_that_the_user_could_lift(self, parcel, many):
        refusals = [task for task in many if task.tags.tier == "refusal"]
        task, name = next((t, name) for t in refusals for request in t.user.requests for name in request.declines)
        found = self.found(parcel, self.with_declines(task, {}))
        assert any(f"should be refused but the user could {name}" in problem for problem in found)

    def test_a_step_that_the_gold_needs_and_the_user_declines(self, parcel, many):
        task, step = next((t, step.call.name) for t in many for step in t.gold if step.seat == "user")
        found = self.found(parcel, self.with_declines(task, {step: "do that"}))
        assert any(f"the user declines {step}, which the gold needs" in problem for problem in found)

    def with_declines(self, task, declines):
        requests = [request.model_copy(update={"declines": declines}) for request in task.user.requests]
        return task.model_copy(update={"user": task.user.model_copy(update={"requests": tuple(requests)})})


class TestBlame:
    RULES = frozenset(item.id for item in RUBRIC)

    def play(self, parcel, task, agent=None, user=None):
        return play(Episode(parcel, task), {"agent": agent or load_expert("parcel"), "user": user or ScriptedUser()})

    def judged(self, parcel, task, trace, outcome=Outcome.FAIL, rules=RULES):
        verdict = Verdict(outcome=outcome, reason="as found")
        return judge_dialogue(parcel, task, trace, verdict, shared_sandbox(), rules)

    def test_a_good_dialogue_has_none(self, parcel, many):
        task = pick(many, "single")
        found = self.judged(parcel, task, self.play(parcel, task), Outcome.PASS)
        assert found.success
        assert found.blame is None

    def test_the_agent_is_blamed_when_all_else_held(self, parcel, many):
        task = pick(many, "single")
        found = self.judged(parcel, task, self.play(parcel, task))
        assert found.blame.fault is Fault.AGENT
        assert found.blame.evidence == "as found"

    def test_a_broken_checker_is_blamed_on_itself(self, parcel, many):
        task = pick(many, "single")
        found = self.judged(parcel, task, self.play(parcel, task), Outcome.ERROR)
        assert found.blame.fault is Fault.CHECKER

    def test_a_void_dialogue_is_blamed_on_the_environment(self, parcel, many):
        task = pick(many, "single")
        trace = self.play(parcel, task).model_copy(update={"stop": StopReason.PLAYER_ERROR, "error": "down"})
        found = self.judged(parcel, task, trace)
        assert found.blame.fault is Fault.ENVIRONMENT
        assert "down" in found.blame.evidence

    def test_a_state_that_no_replay_reaches_is_the_environments_fault(self, parcel, many):
        task = pick(many, "single")
        trace = self.play(parcel, task).model_copy(update={"digest": "0" * 32})
        assert self.judged(parcel, task, trace).blame.fault is Fault.ENVIRONMENT

    def test_a_gold_that_fails_is_the_tasks_fault(self, parcel, many):
        task = pick(many, "single")
        trace = self.play(parcel, task)
        broken = task.model_copy(update={"gold": ()})
        found = self.judged(parcel, broken, trace)
        assert found.blame.fault is Fault.TASK

    def test_a_user_that_leaves_early_is_blamed(self, parcel, many):
        class Leaving(ScriptedUser):
            def reply(self, views):
                return [message.model_copy(update={"content": "###STOP###"}) for message in super().reply(views)]

        task = pick(many, "single")
        found = self.judged(parcel, task, self.play(parcel, task, user=Leaving()))
        assert found.blame.fault is Fault.USER
        assert json.loads(found.blame.evidence)["early_stop"]

    def test_a_rubric_item_left_out_changes_the_judgement(self, parcel, many):
        task = pick(many, "single")
        trace = self.play(parcel, task)
        mute = tuple(
            t.model_copy(update={"content": "..."}) if t.seat == "user" and t.spoken else t for t in trace.turns
        )
        silenced = trace.model_copy(update={"turns": mute, "stop": StopReason.TRANSFER})
        strict = self.judged(parcel, task, silenced, Outcome.PASS)
        lax = self.judged(parcel, task, silenced, Outcome.PASS, self.RULES - {"clauses_kept"})
        assert not strict.success
        assert strict.blame.fault is Fault.AGENT
        assert "P3" in strict.blame.evidence
        assert lax.success


def test_a_proof_pauses_after_each_replay_whoever_else_proves_meanwhile(parcel, many):
    tasks = many[:6]
    proofs = {task.id: prove_in_steps(parcel, task, shared_sandbox()) for task in tasks}
    pauses, found = dict.fromkeys(proofs, 0), {}
    while proofs:
        for name, steps in list(proofs.items()):
            try:
                next(steps)
                pauses[name] += 1
            except StopIteration as end:
                found[name] = end.value
                del proofs[name]
    for task in tasks:
        assert found[task.id] == prove(parcel, task, shared_sandbox())
        assert pauses[task.id] >= found[task.id].replays


def test_a_replay_counts_what_the_tools_refuse(parcel, many):
    task = pick(many, "single")
    bad = SeatCall(seat="agent", call=ToolCall(id="x", name="get_parcel", arguments={"tracking": "VP0"}))
    made = replay(parcel, task, (bad, *task.gold))
    assert made.errors == 1
    changes, calls, messages = made.case(["one", "two"])
    assert calls[0]["error"]
    assert [message["calls"] for message in messages] == [len(task.gold) + 1] * 2
    assert {change["table"] for change in changes} == {change.table for change in made.changes}
    assert changed_fields(made.changes[0])


def test_closing_words_refuse_and_tell(many):
    assert "cannot" in closing_words(pick(many, "refusal"))[0]
    told = pick(many, "single").model_copy(update={"told": ("EUR 5",)})
    assert closing_words(told) == ["EUR 5"]
    assert closing_words(pick(many, "single")) == ["That is done."]


def test_traces_are_judged_whole(parcel, many):
    """A trace with a malformed last turn still replays, so blame never raises on it."""
    task = pick(many, "single")
    call = ToolCall(id="1", name="no_such_tool", arguments={})
    turns = (
        Turn(seat="agent", content="Hi"),
        Turn(seat="agent", tool_calls=(call,), results=(ToolResult(call_id="1", content="Error", error=True),)),
        Turn(seat="agent", content="x", malformed="cut"),
    )
    trace = Trace(
        domain="parcel", task_id=task.id, players={}, seed=0, turns=turns, changes=(), stop=StopReason.MALFORMED,
        digest=parcel.open(task.initial).digest(),
    )  # fmt: skip
    verdict = Verdict(outcome=Outcome.FAIL, reason="cut")
    found = judge_dialogue(parcel, task, trace, verdict, shared_sandbox(), TestBlame.RULES)
    assert found.blame.fault is Fault.AGENT


def test_a_request_that_is_neither_made_nor_refused_is_no_task(parcel, many):
    """Also where a clause forbids it as things stand, so that leaving it out is all that the policy allows."""
    for task in many:
        if not task.refused:
            empty = attach_checker(parcel, task.model_copy(update={"gold": ()}))
            proof = prove(parcel, empty, shared_sandbox())
            assert any("are not carried out and 0 are refused" in problem for problem in proof.problems)
