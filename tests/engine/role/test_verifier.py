"""Verifiers as models: opinions that can take away and never let in."""

import asyncio
import json

import pytest

from servers import faulty
from servers.faulty import FaultyServer
from veriloop.engine.planner import write_plans
from veriloop.engine.role.transcript import write_gold, write_transcript
from veriloop.engine.role.verifier import ModelVerifier
from veriloop.llm.client import Client, Endpoint
from veriloop.proof.blame import Fault, Opinion, add_opinion


def say(**answer):
    return faulty.say({"content": json.dumps(answer)})


def ask(server, parcel, review, *about):
    verifier = ModelVerifier(Client(Endpoint("m", server.base_url)), parcel)
    found = asyncio.run(getattr(verifier, review)(write_plans(parcel)[0], *about))
    return found, verifier


@pytest.fixture(scope="module")
def refusal(pilot):
    return next(item for item in pilot if item.task and item.task.refused)


@pytest.fixture(scope="module")
def change(pilot):
    return next(item for item in pilot if item.task and not item.task.refused)


class TestTasks:
    def test_an_objection_is_what_has_to_be_mended(self, parcel, change):
        with FaultyServer(say(good=False, problems=["nobody talks like that"])) as server:
            assert ask(server, parcel, "review_task", change.task)[0] == ("nobody talks like that",)

    def test_an_objection_without_a_reason_is_still_one(self, parcel, change):
        with FaultyServer(say(good=False, problems=[])) as server:
            assert len(ask(server, parcel, "review_task", change.task)[0]) == 1

    def test_a_good_task_has_no_problems_whatever_else_is_said(self, parcel, change):
        with FaultyServer(say(good=True, problems=["a trifle"])) as server:
            assert ask(server, parcel, "review_task", change.task)[0] == ()

    def test_what_cannot_be_read_is_no_objection_but_counted(self, parcel, change):
        with FaultyServer(*[faulty.say({"content": "Looks fine!"})] * 9) as server:
            found, verifier = ask(server, parcel, "review_task", change.task)
        assert (found, verifier.unread) == ((), 1)

    def test_the_prompt_holds_script_gold_rubric_and_rule(self, parcel, refusal):
        with FaultyServer(say(good=True)) as server:
            ask(server, parcel, "review_task", refusal.task)
        prompt = server.requests[0][0]["messages"][0]["content"]
        assert refusal.task.user.reason_for_call in prompt
        assert write_gold(refusal.task) in prompt
        assert f"To be refused by {refusal.task.refused[0]}: " in prompt
        assert all(f"- {item.id}: {item.text}" in prompt for item in write_plans(parcel)[0].evaluation.rubric)
        assert parcel.policy in prompt


class TestTraces:
    def test_an_opinion_names_item_fault_and_evidence(self, parcel, change):
        answer = say(success=False, item="goal_told", at_fault="user", evidence="he never said which")
        with FaultyServer(answer) as server:
            found, _ = ask(server, parcel, "review_trace", change.task, change.traces[0])
        assert found == Opinion(success=False, fault=Fault.USER, evidence="goal_told: he never said which")

    def test_success_blames_nobody(self, parcel, change):
        with FaultyServer(say(success=True, at_fault="agent", evidence="")) as server:
            found, _ = ask(server, parcel, "review_trace", change.task, change.traces[0])
        assert found == Opinion(success=True)

    def test_the_prompt_holds_the_whole_dialogue(self, parcel, change):
        with FaultyServer(say(success=True)) as server:
            ask(server, parcel, "review_trace", change.task, change.traces[0])
        prompt = server.requests[0][0]["messages"][0]["content"]
        assert write_transcript(change.traces[0]) in prompt
        for turn in change.traces[0].turns:
            assert turn.spoken in prompt
            assert all(result.content in prompt for result in turn.results)


class TestOpinions:
    def test_a_bad_opinion_takes_success_away_and_is_marked(self, change):
        judged = add_opinion(change.judgements[0], Opinion(success=False, fault=Fault.TASK, evidence="odd"))
        assert not judged.success
        assert judged.verdict == change.judgements[0].verdict
        assert judged.blame and (judged.blame.fault, judged.blame.opinion) == (Fault.TASK, True)

    def test_a_good_opinion_changes_nothing_else(self, change):
        good = Opinion(success=True)
        assert add_opinion(change.judgements[0], good) == change.judgements[0].model_copy(update={"opinion": good})

    def test_evidence_is_not_overruled(self, change):
        failed = add_opinion(change.judgements[0], Opinion(success=False, evidence="first"))
        again = add_opinion(failed, Opinion(success=True))
        assert (again.success, again.blame) == (False, failed.blame)
