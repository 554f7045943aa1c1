"""What the proof finds wrong with tasks in which something is broken, one perversion of a good task at a time."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from veriloop.check.sandbox import shared_sandbox
from veriloop.core.message import ToolCall
from veriloop.domains.registry import load_domain
from veriloop.domains.task import SeatCall, Task
from veriloop.engine.plan import REPAIR, Scope
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import synthesise
from veriloop.proof.prove import attach_checker, prove, render_checker_file
from veriloop.proof.replay import replay

pytest.importorskip("tau2")
DOMAIN: Any = load_domain("tau2/telecom")
PLAN = write_plans(DOMAIN, 1, Scope(tiers=(REPAIR,)))[0]


def pick(*, handed_over: bool, with_: str = "", without: str = "-") -> Task:
    """Return a task that ends with or without a hand-over, and breaks what is named."""
    for item in range(300):
        draft = synthesise(DOMAIN, PLAN, Order(seed=2, item=item))
        broken = draft.tags.combination if draft else ""
        if draft and draft.tags.no_write is handed_over and with_ in broken and without not in broken:
            return attach_checker(DOMAIN, draft)
    raise AssertionError(f"no task with {with_!r}")


def problems(task: Task) -> str:
    return "; ".join(prove(DOMAIN, attach_checker(DOMAIN, task), shared_sandbox()).problems)


def user(name: str, **arguments: Any) -> SeatCall:
    return SeatCall(seat="user", call=ToolCall(id=name, name=name, arguments=arguments))


def test_good_ones_have_none() -> None:
    assert problems(pick(handed_over=False)) == ""
    assert problems(pick(handed_over=True)) == ""


def test_nothing_broken() -> None:
    task = pick(handed_over=False)
    initial = task.initial.model_copy(update={"calls": task.initial.calls[:1]})
    assert "what is broken does not show" in problems(task.model_copy(update={"initial": initial}))


def test_broken_by_what_only_sets_the_scene() -> None:
    task = pick(handed_over=False, with_="turn_data_off", without="roaming")
    away = user("set_user_location", abroad=True)
    calls = (*task.initial.calls[:1], away, *task.initial.calls[1:])
    spoilt = task.model_copy(update={"initial": task.initial.model_copy(update={"calls": calls})})
    assert "the symptom is there before anything is broken" in problems(spoilt)


def test_a_gold_that_does_not_cure() -> None:
    task = pick(handed_over=False)
    last = max(n for n, step in enumerate(task.gold) if DOMAIN.tools[step.call.name].kind == "write")
    gold = (*task.gold[:last], *task.gold[last + 1 :])
    assert "the symptom is still there" in problems(task.model_copy(update={"gold": gold}))


def test_a_needless_write() -> None:
    task = pick(handed_over=False)
    idle = (*task.gold, user("toggle_wifi"))
    assert "1 writes of the gold are not needed" in problems(task.model_copy(update={"gold": idle}))


def test_a_hand_over_of_what_was_cured() -> None:
    task, other = pick(handed_over=False), pick(handed_over=True)
    gold = (*task.gold, other.gold[-1])
    assert "after the gold the symptom is gone" in problems(task.model_copy(update={"gold": gold}))


def test_an_amount_that_nobody_told() -> None:
    task = pick(handed_over=False, with_="set_data_usage")
    told = tuple(fact for fact in task.user.identity if fact.kind != "gb_amount")
    silent = task.model_copy(update={"user": task.user.model_copy(update={"identity": told})})
    assert "refuel_data: gb_amount" in problems(silent)


def test_the_checker_lets_the_phone_be_and_holds_the_account() -> None:
    task = pick(handed_over=False)
    extra = (*task.gold, user("toggle_wifi"), user("connect_vpn"))
    assert verdict(task, extra)
    line = DOMAIN.open(task.initial).state.customers.get(task.provenance.caller).line_ids[0]
    ids = {"customer_id": task.provenance.caller, "line_id": line, "reason": "x"}
    suspend = SeatCall(seat="agent", call=ToolCall(id="1", name="suspend_line", arguments=ids))
    assert not verdict(task, (*task.gold, suspend))
    assert not verdict(task, ())


def test_a_blind_hand_over_fails_and_one_after_a_look_up_passes() -> None:
    task = pick(handed_over=True)
    assert verdict(task, task.gold)
    assert not verdict(task, task.gold[-1:])
    assert verdict(task, (task.gold[0], task.gold[-1]))
    assert not verdict(task, task.gold[:-1])


@pytest.mark.parametrize("handed_over", [False, True])
def test_checker_files_prove_themselves(handed_over: bool, tmp_path: Path) -> None:
    for combination in ("", "suspend_line" if not handed_over else "lock_sim_card"):
        file = tmp_path / f"checker{combination}.py"
        file.write_text(render_checker_file(DOMAIN, pick(handed_over=handed_over, with_=combination)))
        done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("ok: 1 right")


def verdict(task: Task, calls: Any) -> bool:
    made = replay(DOMAIN, task, calls).case(["Done."])
    return shared_sandbox().run(task.checker, [made])[0].passed
