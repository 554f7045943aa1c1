"""The telecom expert: it reads only the dialogue and results, settles every kind of task, and keeps every clause."""

import inspect
from dataclasses import replace
from typing import Any

import pytest

from veriloop.check.sandbox import judge, shared_sandbox
from veriloop.core.message import Message, ToolCall, ToolResult, Turn
from veriloop.domains.registry import load_domain
from veriloop.domains.task import Task
from veriloop.engine import repair
from veriloop.engine.plan import RUBRIC, Scope
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import synthesise
from veriloop.proof.blame import judge_dialogue
from veriloop.proof.prove import attach_checker, prove
from veriloop.rollout.driver import play
from veriloop.rollout.episode import GREETING, Episode
from veriloop.rollout.experts import load_expert
from veriloop.rollout.experts.talk import find_tool
from veriloop.rollout.experts.telecom import HANDED_OVER, TelecomExpert
from veriloop.rollout.experts.telecom_phone import STEPS, Step, word_step
from veriloop.rollout.player import View
from veriloop.rollout.scripted import _CONFIRM, ScriptedUser, asks_for

pytest.importorskip("tau2")
DOMAIN: Any = load_domain("tau2/telecom")
RULES = frozenset(item.id for item in RUBRIC)


def make_tasks(tier: str, count: int) -> list[Task]:
    plan = write_plans(DOMAIN, 1, Scope(tiers=(tier,)))[0]
    drafts = [synthesise(DOMAIN, plan, Order(seed=14, item=item)) for item in range(count)]
    tasks = [attach_checker(DOMAIN, draft) for draft in drafts if draft]
    return [task for task in tasks if prove(DOMAIN, task, shared_sandbox()).ok]


def view(*turns: Turn) -> View:
    tools = tuple(tool for tool in DOMAIN.tools.values() if tool.seat == "agent")
    return View("k", "t", "agent", DOMAIN.policy, tools, (Turn(seat="agent", content=GREETING), *turns), 0)


def user(text: str) -> Turn:
    return Turn(seat="user", content=text)


def reply(*turns: Turn) -> Message:
    return TelecomExpert().reply([view(*turns)])[0]


def test_it_is_given_no_task_and_remembers_nothing() -> None:
    assert list(inspect.signature(TelecomExpert).parameters) == []
    assert isinstance(load_expert("tau2/telecom"), TelecomExpert)
    expert, turns = TelecomExpert(), (user("My phone shows no service."),)
    assert expert.reply([view(*turns), view(user("Hm.")), view(*turns)])[0] == reply(*turns)


@pytest.mark.parametrize("tier", ["repair", "single", "compound", "refusal", "partial"])
def test_it_solves_tasks_of_every_tier_and_keeps_every_clause(tier: str) -> None:
    tasks = make_tasks(tier, 40)
    assert len(tasks) > 20
    for task in tasks:
        trace = play(Episode(DOMAIN, task), {"agent": load_expert(DOMAIN.name), "user": ScriptedUser()})
        found = judge_dialogue(DOMAIN, task, trace, judge(task, trace), shared_sandbox(), RULES)
        assert found.verdict.passed and found.success, (task.tags, found)


def test_it_solves_what_is_held_out_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among that are all tasks in which there is no service at all, and those with a single defect."""
    monkeypatch.setattr(repair, "find_held_out", lambda _: None)
    tasks = make_tasks("repair", 40)
    held = [task for task in tasks if DOMAIN.held_out.has_combination(task.tags.combination)]
    assert len(held) > 12
    for task in held:
        trace = play(Episode(DOMAIN, task), {"agent": load_expert(DOMAIN.name), "user": ScriptedUser()})
        found = judge_dialogue(DOMAIN, task, trace, judge(task, trace), shared_sandbox(), RULES)
        assert found.verdict.passed and found.success, (task.tags, found)


def test_it_asks_who_calls_until_somebody_is_found() -> None:
    asked = reply(user("My phone shows no service."))
    assert "phone number" in asked.content
    told = user("It is 555-000-0000.")
    looked = reply(user("No service."), Turn(seat="agent", content=asked.content), told)
    assert [call.name for call in looked.tool_calls] == ["get_customer_by_phone"]
    error = ToolResult(call_id="1", content="Error: Customer with phone number 555-000-0000 not found", error=True)
    missed = Turn(seat="agent", tool_calls=looked.tool_calls, results=(error,))
    again = reply(user("No service."), Turn(seat="agent", content=asked.content), told, missed)
    assert "find nobody" in again.content


def test_a_name_with_a_date_of_birth_does_as_well() -> None:
    made = reply(user("Suspend a line. The full name is Ada Bell. My date of birth: 1980-02-03."))
    assert made.tool_calls[0].arguments == {"full_name": "Ada Bell", "dob": "1980-02-03"}


def test_what_it_cannot_do_is_handed_over() -> None:
    opening = user("I want to sing a song. My phone number: 555-111-2222.")
    found = '{"customer_id": "C1", "phone_number": "555-111-2222", "line_ids": ["L1"]}'
    call = ToolCall(id="1", name="get_customer_by_phone", arguments={"phone_number": "555-111-2222"})
    looked = Turn(seat="agent", tool_calls=(call,), results=(ToolResult(call_id="1", content=found),))
    handed = reply(opening, looked)
    assert handed.tool_calls[0].name == "transfer_to_human_agents"
    result = ToolResult(call_id="2", content="Transfer successful")
    made = Turn(seat="agent", tool_calls=handed.tool_calls, results=(result,))
    assert reply(opening, looked, made).content == HANDED_OVER


def test_a_no_to_a_change_is_no_consent() -> None:
    task = next(task for task in make_tasks("single", 20) if task.wanted[0].name == "enable_roaming")

    class Reluctant(ScriptedUser):
        def reply(self, views: Any) -> list[Message]:
            heard = views[0].turns[-1].spoken
            return [Message(content="No, I do not want that.")] if _CONFIRM.search(heard) else super().reply(views)

    trace = play(Episode(DOMAIN, task), {"agent": load_expert(DOMAIN.name), "user": Reluctant()})
    called = [call.name for turn in trace.turns if turn.seat == "agent" for call in turn.tool_calls]
    assert "enable_roaming" not in called
    assert called[-1] == "transfer_to_human_agents"


def test_every_step_it_asks_for_is_understood_as_that_one() -> None:
    own = [tool for tool in DOMAIN.tools.values() if tool.seat == "user"]
    for name in STEPS:
        assert next(tool.name for tool in own if asks_for(tool, word_step(Step(name, {})).content)) == name


def test_views_of_other_dialogues_do_not_matter() -> None:
    one, other = view(user("No service.")), replace(view(user("Pictures fail.")), key="other")
    assert TelecomExpert().reply([one, other]) == [*TelecomExpert().reply([one]), *TelecomExpert().reply([other])]


def test_having_to_do_something_is_no_part_of_the_wish() -> None:
    wish = "I have to resume a suspended line. I mean the line with 555-560-6131."
    found = find_tool(tuple(DOMAIN.tools.values()), wish)
    assert found is not None and found.name == "resume_line"
