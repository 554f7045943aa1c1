"""Steps on the user's own device: asked for with what only the agent can know, made, and told as they show."""

from dataclasses import replace
from typing import Any

import pytest

from veriloop.core.message import Message, ToolCall, ToolResult, Turn
from veriloop.domains.registry import load_domain
from veriloop.domains.task import Initial, Request, SeatCall, Task, UserScenario
from veriloop.engine.scenario import render_user
from veriloop.rollout.episode import GREETING, TURNS_PER_STEP, Episode, Limits
from veriloop.rollout.oracle import Oracle, ask_step
from veriloop.rollout.player import View
from veriloop.rollout.scripted import _ALREADY, answer

pytest.importorskip("tau2")
DOMAIN: Any = load_domain("tau2/telecom")
TOOLS = tuple(tool for tool in DOMAIN.tools.values() if tool.seat == "user")
SCENARIO = render_user("Ada Bell", "terse", (), (Request(topic="get service back"),))
ASK = "Before I can go on, please do this:"


def view(*turns: Turn) -> View:
    greeting = (Turn(seat="agent", content=GREETING), Turn(seat="user", content="I want to get service back."))
    return View("k", "t", "user", "", TOOLS, (*greeting, *turns), 0, SCENARIO)


def agent(text: str) -> Turn:
    return Turn(seat="agent", content=text)


def made(name: str, content: str, **arguments: Any) -> Turn:
    call = ToolCall(id=name, name=name, arguments=arguments)
    return Turn(seat="user", tool_calls=(call,), results=(ToolResult(call_id=name, content=content),))


def user_step(name: str, **arguments: Any) -> SeatCall:
    return SeatCall(seat="user", call=ToolCall(id=name, name=name, arguments=arguments))


def calls(message: Message) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, call.arguments) for call in message.tool_calls]


def test_reads_are_made_when_asked_for_and_told_as_they_show() -> None:
    assert calls(answer(view(agent(f"{ASK} look at your status bar")))) == [("check_status_bar", {})]
    told = answer(view(agent(f"{ASK} look at your status bar"), made("check_status_bar", "Status Bar: 5G")))
    assert told.content.endswith(": Status Bar: 5G")


def test_the_setting_that_the_agent_names_is_chosen_and_none_without_a_name() -> None:
    step = user_step("set_network_mode_preference", mode="4g_5g_preferred")
    asked = ask_step(DOMAIN, step.call)
    assert asked.endswith("(4g_5g_preferred)")
    assert calls(answer(view(agent(asked)))) == [("set_network_mode_preference", {"mode": "4g_5g_preferred"})]
    assert not answer(view(agent(asked.replace("4g_5g_preferred", "the best one")))).tool_calls


def test_a_switch_is_not_flipped_back_at_once_but_a_restart_is_made_again_after_another_step() -> None:
    restart = agent(f"{ASK} restart your phone")
    done = (restart, made("reboot_device", "ok"))
    assert answer(view(*done, Turn(seat="user", content="Done."), restart)).content in _ALREADY
    between = (agent(f"{ASK} make the payment that was requested"), made("make_payment", "Paid."))
    assert calls(answer(view(*done, *between, restart))) == [("reboot_device", {})]


def test_a_read_is_made_again() -> None:
    bar = agent(f"{ASK} look at your status bar")
    assert answer(view(bar, made("check_status_bar", "none"), bar)).tool_calls


def make_task(*gold: SeatCall) -> Task:
    scenario = UserScenario(persona="", reason_for_call="", known_info="", unknown_info="", task_instructions="",
                            requests=(Request(topic="get service back"),))  # fmt: skip
    return Task(domain="tau2/telecom", initial=Initial(database="train-0"), user=scenario, gold=gold)


def test_no_yes_is_good_for_two_changes() -> None:
    ids: dict[str, Any] = {"customer_id": "C1", "line_id": "L1"}
    first, second = (
        SeatCall(seat="agent", call=ToolCall(id=name, name=name, arguments=ids))
        for name in ("enable_roaming", "resume_line")
    )
    task = make_task(first, second)
    oracle = Oracle(DOMAIN, {"t": task})
    base = replace(view(), seat="agent", scenario=None)

    def reply(*turns: Turn) -> Message:
        return oracle.reply([replace(base, turns=(*base.turns, *turns))])[0]

    asked = reply()
    assert "Shall I go ahead?" in asked.content
    yes = Turn(seat="user", content="Yes.")
    written = Turn(seat="agent", tool_calls=(first.call,), results=(ToolResult(call_id="1", content="ok"),))
    assert calls(reply(agent(asked.content), yes)) == [("enable_roaming", ids)]
    assert "Shall I go ahead?" in reply(agent(asked.content), yes, written).content


def test_long_ways_have_longer_dialogues() -> None:
    def count(task: Task, limits: Limits | None = None) -> int:
        episode = Episode(DOMAIN, task, limits=limits)
        while episode.pending():
            episode.feed(Message(content="Go on."))
        return len(episode.trace().turns)

    steps = [user_step("check_status_bar")] * 30
    assert count(make_task(*steps[:5])) == Limits().turns
    assert count(make_task(*steps)) == TURNS_PER_STEP * 30
    assert count(make_task(*steps), Limits(turns=9)) == 9
