"""Tasks with a ticket: what it tells and leaves out, what else may be wrong, and that one alone can do them."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from veriloop.check.sandbox import judge, shared_sandbox
from veriloop.check.verdict import give_verdict
from veriloop.core.errors import InputError
from veriloop.core.trace import Trace
from veriloop.domains.defect import Scene, find_troubles
from veriloop.domains.held_out import HeldOut, digest_words
from veriloop.domains.registry import load_domain
from veriloop.domains.task import Fact, Task
from veriloop.engine.plan import REPAIR, RUBRIC, Scope
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import synthesise
from veriloop.engine.synthesize import SynthConfig
from veriloop.pipeline.synthesis import check_solo
from veriloop.proof.blame import judge_dialogue
from veriloop.proof.prove import attach_checker, prove
from veriloop.rollout.driver import play
from veriloop.rollout.episode import Episode
from veriloop.rollout.experts import load_expert
from veriloop.store.leakage import check_leakage

pytest.importorskip("tau2")
from veriloop.domains.tau2.telecom_ticket import LEAVE, SETTLED, WRONG, write_ticket
from veriloop.evaluate.official import OfficialConfig, run_official, wrap_tasks

DOMAIN: Any = load_domain("tau2/telecom")
TROUBLES: Any = find_troubles(DOMAIN)
PLAN = write_plans(DOMAIN, 1, Scope(tiers=(REPAIR,)))[0]
RULES = frozenset(item.id for item in RUBRIC)


def draft(item: int, seed: int = 6) -> Task | None:
    return synthesise(DOMAIN, PLAN, Order(seed=seed, item=item, alone=True))


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return [attach_checker(DOMAIN, found) for item in range(90) if (found := draft(item))]


def work(task: Task) -> Trace:
    return play(Episode(DOMAIN, task), {"agent": load_expert(DOMAIN.name)})


def ticket(task: Task) -> str:
    assert task.initial.ticket
    return task.initial.ticket


def symptom(task: Task) -> str:
    return next(name for name, ways in WRONG.items() if any(ticket(task).startswith(way) for way in ways))


def broken(task: Task) -> set[str]:
    return set(task.tags.combination.split("+"))


def amounts(task: Task) -> list[Any]:
    return [step.call.arguments["gb_amount"] for step in task.gold if step.call.name == "refuel_data"]


def test_they_prove_and_of_every_symptom_there_are_some(tasks: list[Task]) -> None:
    assert len(tasks) >= 80
    proofs = [prove(DOMAIN, task, shared_sandbox()) for task in tasks[:30]]
    assert [proof.problems for proof in proofs if not proof.ok] == []
    assert min(Counter(map(symptom, tasks)).get(name, 0) for name in WRONG) >= 15
    assert 5 <= sum(task.tags.no_write for task in tasks) <= 25


def test_the_expert_does_them_alone_and_breaks_no_clause(tasks: list[Task]) -> None:
    for task in tasks:
        trace = work(task)
        assert give_verdict(DOMAIN, task, trace).passed, (ticket(task), task.tags.combination)
        found = judge_dialogue(DOMAIN, task, trace, judge(task, trace), shared_sandbox(), RULES)
        assert found.success and not found.violations, ticket(task)


def test_the_package_agrees(tasks: list[Task], tmp_path: Path) -> None:
    some = wrap_tasks(DOMAIN, tasks[:12])
    found = run_official(
        DOMAIN, some, {"agent": load_expert(DOMAIN.name)}, OfficialConfig(solo=True), out=tmp_path / "x.json"
    )
    assert (found["passed"], found["counted"]) == (12, 12)


def test_no_ticket_is_near_to_an_official_one_and_a_planted_one_is_found(tasks: list[Task]) -> None:
    assert len(DOMAIN.held_out.tickets) >= 5
    assert check_leakage(tasks, DOMAIN.held_out).leaks == ()
    planted = HeldOut(tickets=(digest_words(f"{ticket(tasks[0])} More words."),))
    assert [(leak.task, leak.kind) for leak in check_leakage(tasks[:2], planted).leaks] == [
        (tasks[0].id, "instructions")
    ]


def test_what_the_ticket_does_not_tell_is_all_that_is_allowed(tasks: list[Task]) -> None:
    silent = [task for task in tasks if amounts(task) and " GB" not in ticket(task)]
    told = [task for task in tasks if amounts(task) and " GB" in ticket(task)]
    assert silent and told
    assert {amount for task in silent for amount in amounts(task)} == {2.0}
    assert len({amount for task in told for amount in amounts(task)}) > 1
    assert all(f"{amount} GB" in ticket(task) for task in told for amount in amounts(task))


def test_who_must_pay_has_said_so_in_the_ticket(tasks: list[Task]) -> None:
    paying = [task for task in tasks if any(step.call.name == "make_payment" for step in task.gold)]
    assert paying
    assert all(any(way in ticket(task) for way in LEAVE) for task in paying)
    assert any(way in ticket(task) for task in tasks if task not in paying for way in LEAVE)


def test_without_that_nobody_may_pay(tasks: list[Task]) -> None:
    task = next(task for task in tasks if any(step.call.name == "make_payment" for step in task.gold))
    bare = " ".join(part for part in [ticket(task)] for way in LEAVE if way in part for part in [part.replace(way, "")])
    stingy = task.model_copy(update={"initial": task.initial.model_copy(update={"ticket": bare})})
    calls = [call.name for turn in work(stingy).turns for call in turn.tool_calls]
    assert "send_payment_request" not in calls and calls[-1] == "transfer_to_human_agents"
    generous = work(task).model_copy(update={"task_id": stingy.id})
    turns = (generous.turns[0].model_copy(update={"content": f"Ticket: {bare}"}), *generous.turns[1:])
    verdict = give_verdict(DOMAIN, stingy, generous.model_copy(update={"turns": turns}))
    assert "T19" in verdict.reason


def test_what_else_is_wrong_is_left_alone(tasks: list[Task]) -> None:
    """Missing service alone is all held out, so that something else is always wrong as well."""
    phone = [task for task in tasks if symptom(task) == "service" and not task.tags.no_write]
    others = {"turn_data_off", "set_wifi_calling", "turn_data_saver_mode_on", "break_vpn", "set_data_usage"}
    assert any(broken(task) & others for task in phone)
    healing = {"toggle_data", "toggle_wifi_calling", "toggle_data_saver_mode", "disconnect_vpn", "refuel_data"}
    assert not any(step.call.name in healing for task in phone for step in task.gold)
    assert not any(DOMAIN.held_out.has_combination(task.tags.combination) for task in tasks)


def test_nothing_changes_for_those_who_have_a_user() -> None:
    found = [synthesise(DOMAIN, PLAN, Order(seed=6, item=item)) for item in range(8)]
    assert all(task.initial.ticket is None for task in found if task)


def test_all_wordings_name_their_symptom_to_the_expert_and_sentences_stand_in_any_order() -> None:
    callers = DOMAIN.callers("train-0", "train")
    for kind in TROUBLES.symptoms:
        texts = set[str]()
        for seed in range(60):
            scene = Scene(None, callers[0], random.Random(seed), alone=True, silent=seed % 2 == 0)
            amount = Fact(label="amount", text="1.5 GB", value=1.5, kind="gb_amount")
            text = write_ticket(kind, scene, (amount,), ["line_suspended"])
            assert callers[0].name in text and callers[0].known["phone_number"] in text
            assert any(way in text for way in SETTLED[kind.name])
            assert ("1.5 GB" in text) == bool(seed % 2)
            texts.add(text)
        assert len(texts) > 50


def test_only_domains_with_tickets_and_only_what_can_have_one() -> None:
    config = SynthConfig(n=1, solo=True)
    assert check_solo(DOMAIN, config).scope.tiers == (REPAIR,)
    assert check_solo(DOMAIN, SynthConfig(n=1)) == SynthConfig(n=1)
    with pytest.raises(InputError, match="no tickets"):
        check_solo(load_domain("parcel"), config)
    with pytest.raises(InputError, match="leave out --only-tiers"):
        check_solo(DOMAIN, config.model_copy(update={"scope": Scope(tiers=("single",))}))
