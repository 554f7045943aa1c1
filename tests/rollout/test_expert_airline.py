"""The airline's expert: it reads only the dialogue and results, settles every kind of task, and keeps every clause."""

import inspect
import json
import random
import re
from typing import Any

import pytest

from veriloop.check.sandbox import judge, shared_sandbox
from veriloop.core.message import Message, Turn
from veriloop.domains.registry import load_domain
from veriloop.domains.task import Initial, Task
from veriloop.engine.plan import RUBRIC, Scope
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import synthesise
from veriloop.proof.blame import judge_dialogue
from veriloop.proof.prove import attach_checker, prove
from veriloop.rollout.baseline import CLOSING
from veriloop.rollout.driver import play
from veriloop.rollout.episode import GREETING, Episode
from veriloop.rollout.experts import load_expert
from veriloop.rollout.experts.airline import HANDED_OVER, AirlineExpert
from veriloop.rollout.player import View
from veriloop.rollout.scripted import ScriptedUser

pytest.importorskip("tau2")
DOMAIN: Any = load_domain("tau2/airline")
STATE: Any = DOMAIN.open(Initial(database="train-0")).state
RULES = frozenset(item.id for item in RUBRIC)


def make_tasks(tier: str, count: int) -> list[Task]:
    plan = write_plans(DOMAIN, 1, Scope(tiers=(tier,)))[0]
    drafts = [synthesise(DOMAIN, plan, Order(seed=14, item=item)) for item in range(count)]
    tasks = [attach_checker(DOMAIN, draft) for draft in drafts if draft]
    return [task for task in tasks if prove(DOMAIN, task, shared_sandbox()).ok]


def talk(*said: str) -> list[Turn]:
    """Return a dialogue in which the user says these things one after the other and the tools answer the expert."""
    session = DOMAIN.open(Initial(database="train-0"))
    turns = [Turn(seat="agent", content=GREETING)]
    for text in said:
        turns.append(Turn(seat="user", content=text))
        for _ in range(60):
            message = reply(*turns)
            results = tuple(session.call("agent", made) for made in message.tool_calls)
            turns.append(Turn(seat="agent", content=message.content, tool_calls=message.tool_calls, results=results))
            if not message.tool_calls:
                break
    return turns


def reply(*turns: Turn) -> Message:
    tools = tuple(tool for tool in DOMAIN.tools.values() if tool.seat == "agent")
    return AirlineExpert().reply([View("k", "t", "agent", DOMAIN.policy, tools, turns, 0)])[0]


def asks_yes(text: str) -> bool:
    return bool(re.search(r"(hall I go ahead|hould I go ahead|that correct|want me to|like me to)[^.]*\?$", text))


def calls(turns: list[Turn]) -> list[str]:
    return [made.name for turn in turns for made in turn.tool_calls]


def wish(found: Any, why: str = "") -> str:
    """Return the wish to cancel a reservation, with all that belongs to it."""
    who = f"The reservation number is {found.reservation_id}. I am {found.user_id}."
    return f"I want to cancel a reservation{why}. {who}"


def find(**fields: Any) -> Any:
    """Return the first reservation of a trip ahead with these fields that was booked more than a day ago."""
    return next(
        r
        for r in STATE.reservations.values()
        if all(getattr(r, name) == value for name, value in fields.items())
        and r.created_at < "2024-05-14"
        and all(STATE.flights[f.flight_number].dates[f.date].status == "available" for f in r.flights)
    )


def test_it_is_given_no_task_and_remembers_nothing() -> None:
    assert list(inspect.signature(AirlineExpert).parameters) == []
    assert isinstance(load_expert("tau2/airline"), AirlineExpert)
    expert, turns = AirlineExpert(), talk("I want to cancel a reservation.", "I am mia_li_3668.")
    views = [View("k", "t", "agent", "", tuple(DOMAIN.tools.values()), tuple(turns[:n]), 0) for n in (2, 4, 2)]
    first, second, third = expert.reply(views)
    assert first == third != second


@pytest.mark.parametrize("tier", ["single", "compound", "refusal", "partial"])
def test_it_solves_tasks_of_every_tier_and_keeps_every_clause(tier: str) -> None:
    tasks = make_tasks(tier, 45)
    assert len(tasks) > 20
    for task in tasks:
        trace = play(Episode(DOMAIN, task), {"agent": load_expert(DOMAIN.name), "user": ScriptedUser()})
        found = judge_dialogue(DOMAIN, task, trace, judge(task, trace), shared_sandbox(), RULES)
        assert found.verdict.passed and found.success, (task.tags, found)


def test_the_tasks_it_solves_are_of_every_kind() -> None:
    wanted = {call.name for tier in ("single", "refusal") for task in make_tasks(tier, 45) for call in task.wanted}
    assert len(wanted) >= 5


def test_it_asks_who_calls_until_somebody_is_found() -> None:
    turns = talk("I want to cancel a reservation.", "I am nobody_here_1234.", "Sorry: mia_li_3668.")
    assert "user id" in turns[2].content
    looked = [
        made.arguments["user_id"] for turn in turns for made in turn.tool_calls if made.name == "get_user_details"
    ]
    assert looked == ["nobody_here_1234", "mia_li_3668"]


def test_who_gives_no_user_id_is_handed_over() -> None:
    turns = talk("I want to cancel a reservation.", *["I do not know."] * 3)
    assert sum("user id" in turn.content for turn in turns if turn.seat == "agent") == 3
    assert calls(turns) == ["transfer_to_human_agents"]
    assert turns[-1].content == HANDED_OVER


def test_what_it_cannot_do_is_handed_over() -> None:
    turns = talk("My bag got lost, user id mia_li_3668.")
    assert calls(turns)[-1] == "transfer_to_human_agents"
    assert turns[-1].content == HANDED_OVER


def test_what_the_user_was_told_already_is_not_asked_again() -> None:
    found = find(cabin="business")
    turns = talk(
        f"I want to cancel a reservation because I must. The reservation number is {found.reservation_id}.",
        found.user_id,
    )
    asked = [turn.content for turn in turns if turn.seat == "agent" and turn.content]
    assert len(asked) == 3
    assert asks_yes(asked[-1])
    assert "cancel_reservation" not in calls(turns)


def test_a_no_ends_with_a_person() -> None:
    found = find(cabin="business")
    told = wish(found, " because I must")
    turns = talk(told, "Hm, rather not.", "No, really not.", "No!")
    assert calls(turns)[-1] == "transfer_to_human_agents"
    assert "cancel_reservation" not in calls(turns)


@pytest.mark.parametrize(("reason", "done"), [("I am ill.", True), ("My plans changed.", False)])
def test_an_insurance_covers_health_and_weather(reason: str, done: bool) -> None:
    found = find(cabin="economy", insurance="yes")
    told = wish(found)
    turns = talk(told, reason, "Yes.")
    assert ("cancel_reservation" in calls(turns)) is done
    assert done or any("health and weather only" in turn.content for turn in turns)


def test_a_flown_trip_is_left_to_a_person() -> None:
    found = next(
        r
        for r in STATE.reservations.values()
        if STATE.flights[r.flights[0].flight_number].dates[r.flights[0].date].status == "landed"
    )
    told = wish(found, " because I must")
    turns = talk(told)
    assert calls(turns)[-2:] == ["get_flight_status", "transfer_to_human_agents"]


def test_a_reservation_is_understood_however_it_is_said() -> None:
    found = find(cabin="business", reservation_id=next(
        key for key, row in STATE.reservations.items()
        if row.cabin == "business" and any(map(str.isdigit, key)) and row.created_at < "2024-05-14"
        and all(STATE.flights[f.flight_number].dates[f.date].status == "available" for f in row.flights)
    ))  # fmt: skip
    turns = talk(f"I am {found.user_id}, please cancel a reservation: {found.reservation_id}, because I must.", "Yes.")
    assert calls(turns)[-1] == "cancel_reservation"
    assert turns[-1].content.endswith(CLOSING)


def test_somebody_elses_reservation_is_refused() -> None:
    found = find(cabin="business")
    other = next(key for key in STATE.users if key != found.user_id)
    turns = talk(f"I want to cancel a reservation. The reservation number is {found.reservation_id}. I am {other}.")
    assert "not yours" in turns[-1].content


def test_a_mistyped_reservation_is_asked_for_once_more() -> None:
    found = find(cabin="business")
    wrong = f"Call off a trip because I must. The reservation number is ZZZZZ0. I am {found.user_id}."
    turns = talk(wrong, f"Sorry, I misread it: the reservation number is {found.reservation_id}.")
    assert "do not find reservation ZZZZZ0" in turns[-4].content
    assert calls(turns)[-1] in ("get_reservation_details", "get_flight_status")
    assert asks_yes(turns[-1].content)
    turns = talk(wrong, "The reservation number is ZZZZZ1.")
    assert "no reservation ZZZZZ1" in turns[-1].content


def test_a_changed_mind_is_summed_up_again() -> None:
    found = find(cabin="economy", total_baggages=1)
    method = next(m for m in STATE.users[found.user_id].payment_methods.values() if m.source != "certificate")
    last = getattr(method, "last_four", "") or method.id[-4:]
    told = f"I want to change the checked bags of a reservation. It's about reservation {found.reservation_id}. "
    told += f"Please use my {method.source.replace('_', ' ')} ending in {last}. I am {found.user_id}. "
    told += "Checked bags in all: 2."
    turns = talk(told, "No, wait. I have changed my mind. The total of checked bags should come to 3.", "Yes.")
    made = [made for turn in turns for made in turn.tool_calls if made.name == "update_reservation_baggages"]
    assert [call.arguments["total_baggages"] for call in made] == [3]
    assert sum(asks_yes(turn.content) for turn in turns) == 2


def test_what_a_tool_refuses_is_told() -> None:
    methods = {key: user.payment_methods.values() for key, user in STATE.users.items()}
    found, method = next(
        (r, m)
        for r in STATE.reservations.values()
        for m in methods[r.user_id]
        if r.total_baggages == 0 and m.source == "certificate"
    )
    told = f"I want to change the checked bags of a reservation. The reservation number is {found.reservation_id}. "
    told += f"The number of checked bags in all is 9. The payment method is certificate ending in {method.id[-4:]}. "
    turns = talk(f"{told}I am {found.user_id}.", "Yes.")
    assert "Certificate cannot be used" in turns[-1].content


ODD = {
    "change the checked bags of a reservation": ("number of checked bags in all", "several"),
    "change the cabin or a flight of a reservation": ("cabin class", "first"),
    "change who flies on a reservation": ("change of passengers", "somebody in place of Mia Li"),
}


@pytest.mark.parametrize("topic", ODD)
def test_what_it_cannot_read_is_handed_over(topic: str) -> None:
    found = find(cabin="economy")
    label, text = ODD[topic]
    facts = f"The {label} is {text}. The flight is a nice one. The payment method is cash. The travel insurance is no."
    turns = talk(f"I want to {topic}. {facts} The reservation number is {found.reservation_id}. I am {found.user_id}.")
    assert calls(turns)[-1] == "transfer_to_human_agents"


@pytest.mark.parametrize(
    ("flight", "payment"),
    [
        ("a nice one", "visa credit card ending in 1234"),
        ("the direct one on 2024-05-20 that leaves at 06:00", "cash"),
        (" and back ".join(["the direct one on 2024-05-20 that leaves at 06:00"] * 3), "cash"),
    ],
)
def test_a_trip_that_is_not_clear_is_not_booked(flight: str, payment: str) -> None:
    facts = "The city to leave from is SFO. The city to fly to is JFK. The cabin class is economy. "
    facts += f"The flight is {flight}. The travelling party is myself. The number of checked bags in all is 0. "
    facts += f"The travel insurance is no. The payment method is {payment}. I am mia_li_3668."
    turns = talk(f"I want to book a trip. {facts}")
    assert calls(turns)[-1] == "transfer_to_human_agents"


def test_a_flight_from_elsewhere_is_refused() -> None:
    found = find(cabin="economy")
    user = STATE.users[found.user_id].payment_methods.values()
    card = next(m for m in user if m.source != "certificate")
    last = getattr(card, "last_four", "") or card.id[-4:]
    start = next(f.origin for f in STATE.flights.values() if f.origin not in {leg.origin for leg in found.flights})
    told = "I want to change the cabin or a flight of a reservation. The cabin class is economy. "
    told += f"The flight is the direct one from {start} to JFK on 2024-05-20 that leaves at 06:00. "
    told += f"The payment method is {card.source.replace('_', ' ')} ending in {last}. "
    turns = talk(f"{told}The reservation number is {found.reservation_id}. I am {found.user_id}.")
    assert f"leaves {start}" in turns[-1].content


def test_odd_words_break_nothing() -> None:
    rng = random.Random(0)
    words = [
        "The flight is", "reservation number", "ending in", "HAT001", "{", "mia_li_3668.", "book a trip", "Yes",
        "###STOP###", "the direct one on", "(born 1)", "\n", "is the payment method.", "The cabin class is economy.",
    ]  # fmt: skip
    for _ in range(40):
        turns = talk(*(" ".join(rng.choices(words, k=8)) for _ in range(4)))
        assert turns[-1].content
        json.dumps([turn.model_dump(mode="json") for turn in turns])
