"""Telecom under the package's own evaluator: its 114 gold trajectories, and tasks of ours on databases of ours."""

import random
from collections import Counter
from typing import Any

import pytest

from veriloop.core.message import ToolCall, Turn
from veriloop.domains.registry import load_domain
from veriloop.domains.task import SeatCall, Task
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import synthesise
from veriloop.evaluate.gold import GoldReplay, audit_clauses_on_gold, replay_official_gold
from veriloop.evaluate.official import official_tasks, score_turns, wrap_tasks
from veriloop.store.tau2 import find_data, to_tau2_task

# isort: split

DOMAIN: Any = load_domain("tau2/telecom")
SPOKEN = Turn(seat="user", content="Hello.")


@pytest.fixture(scope="module")
def replays() -> list[GoldReplay]:
    return replay_official_gold(DOMAIN)


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    plans = write_plans(DOMAIN)
    drafts = [synthesise(DOMAIN, plans[item % 2], Order(seed=6, item=item)) for item in range(60)]
    return [draft for draft in drafts if draft]


def score(task: Task, gold: tuple[SeatCall, ...]) -> float:
    """Return the package's reward for some calls, answered by our session."""
    session, turns = DOMAIN.open(task.initial), [SPOKEN]
    for place, step in enumerate(gold):
        call = step.call.model_copy(update={"id": f"made_{place}"})
        turns.append(Turn(seat=step.seat, tool_calls=(call,), results=(session.call(step.seat, call),)))
    told = [Turn(seat="agent", content=f"Done. {' '.join(task.told)}")]
    return score_turns(DOMAIN, wrap_tasks(DOMAIN, [task])[0], [*turns, *told]).reward


def test_every_gold_is_re_executed_without_mismatch_for_the_full_reward(replays: list[GoldReplay]) -> None:
    assert len(replays) == 114
    assert [replay for replay in replays if replay.mismatch or replay.errors] == []
    assert Counter(replay.reward for replay in replays) == {1.0: 114}


def test_the_clauses_allow_every_gold_write() -> None:
    audit = audit_clauses_on_gold(DOMAIN)
    assert (audit.writes, audit.refused) == (496, 0)
    assert audit.denials == ()


def test_official_tasks_start_broken_on_the_packages_database_without_their_ticket() -> None:
    for task in official_tasks(DOMAIN)[:20]:
        assert task.task.initial.database == DOMAIN.official
        assert task.task.initial.ticket is None
        assert DOMAIN.troubles.combine(task.task.initial.calls)
        assert find_data(DOMAIN, task.task) is None


def test_the_gold_of_our_tasks_gets_the_full_reward_and_doing_nothing_none(tasks: list[Task]) -> None:
    assert {task.tags.tier for task in tasks} >= {"repair", "single"}
    for task in tasks:
        assert score(task, task.gold) == 1.0, task.tags
        if task.holds:
            assert score(task, ()) == 0.0, task.tags


def test_reads_more_and_another_wording_of_the_hand_over_do_not_matter(tasks: list[Task]) -> None:
    look = SeatCall(seat="user", call=ToolCall(id="1", name="check_status_bar"))
    for task in [task for task in tasks if task.holds and task.tags.no_write]:
        last = task.gold[-1]
        other = last.model_copy(update={"call": last.call.model_copy(update={"arguments": {"summary": "SIM"}})})
        assert score(task, (look, *task.gold[:-1], other)) == 1.0
        assert score(task, task.gold[:-1]) == 0.0


def test_the_package_is_given_whole_lists(tasks: list[Task]) -> None:
    task = random.Random(0).choice([task for task in tasks if task.holds])
    data: Any = to_tau2_task(task, find_data(DOMAIN, task))["initial_state"]["initialization_data"]
    state = DOMAIN.open(task.initial.model_copy(update={"calls": ()})).state
    for name, rows in data["agent_data"].items():
        assert len(rows) == len(list(getattr(state, name))) > 0
    assert data["user_data"]["device"]["battery_level"] == state.phone.device.battery_level
