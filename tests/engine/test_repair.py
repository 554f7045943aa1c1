"""Synthesis of tasks in which something is broken: what it composes and leaves out, and that it knows no domain."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from veriloop.check.sandbox import judge, shared_sandbox
from veriloop.core.errors import InputError
from veriloop.domains.defect import find_troubles, keep_bound
from veriloop.domains.parcel import load_parcel
from veriloop.domains.registry import load_domain
from veriloop.domains.task import Task
from veriloop.engine import repair
from veriloop.engine.plan import REPAIR, Scope, check_scope, find_reach
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import synthesise
from veriloop.proof.prove import attach_checker, prove
from veriloop.rollout.driver import play
from veriloop.rollout.episode import Episode
from veriloop.rollout.oracle import Oracle
from veriloop.rollout.scripted import ScriptedUser

pytest.importorskip("tau2")
DOMAIN: Any = load_domain("tau2/telecom")
TROUBLES: Any = find_troubles(DOMAIN)
PLANS = write_plans(DOMAIN, 2, Scope(tiers=(REPAIR,)))


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    drafts = [synthesise(DOMAIN, PLANS[item % 2], Order(seed=5, item=item)) for item in range(80)]
    return [attach_checker(DOMAIN, draft) for draft in drafts if draft]


def end(task: Task, gold: Any) -> Any:
    session = DOMAIN.open(task.initial)
    for step in gold:
        session.call(step.seat, step.call)
    return keep_bound(session.changes(), task.free)


def test_most_orders_make_a_task_that_proves_and_no_two_are_alike(tasks: list[Task]) -> None:
    assert len(tasks) >= 70
    assert len({task.id for task in tasks}) == len(tasks)
    proofs = [prove(DOMAIN, task, shared_sandbox()) for task in tasks]
    assert [proof.problems for proof in proofs if not proof.ok] == []
    assert all(proof.score == 1.0 for proof in proofs)
    kinds = Counter(kind for proof in proofs for kind in proof.alternatives)
    assert min(kinds[kind] for kind in ("extra_reads", "repeated_reads", "other_order")) > 20


def test_combinations_are_of_several_sizes_named_and_none_that_is_held_out(tasks: list[Task]) -> None:
    sizes = Counter(task.tags.combination.count("+") + 1 for task in tasks)
    assert set(sizes) >= {2, 3, 4, 5}, "what breaks with a single function is held out"
    assert DOMAIN.held_out.combinations
    for task in tasks:
        assert not DOMAIN.held_out.has_combination(task.tags.combination)
        assert task.tags.combination == TROUBLES.combine(task.initial.calls)
        assert task.tags.tier == REPAIR


def test_without_any_one_write_of_the_gold_it_ends_otherwise(tasks: list[Task]) -> None:
    for task in (task for task in tasks if not task.tags.no_write):
        right = end(task, task.gold)
        for place, step in enumerate(task.gold):
            if DOMAIN.tools[step.call.name].kind == "write":
                assert end(task, (*task.gold[:place], *task.gold[place + 1 :])) != right


def test_what_is_held_out_proves_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair, "find_held_out", lambda _: None)
    drafts = [synthesise(DOMAIN, PLANS[item % 2], Order(seed=5, item=item)) for item in range(30)]
    held = [draft for draft in drafts if draft and DOMAIN.held_out.has_combination(draft.tags.combination)]
    assert len(held) >= 10
    assert {len(draft.tags.combination.split("+")) for draft in held} >= {1, 2, 3}
    assert all(prove(DOMAIN, attach_checker(DOMAIN, draft), shared_sandbox()).ok for draft in held)


def test_a_share_ends_with_a_hand_over_and_changes_nothing_that_counts(tasks: list[Task]) -> None:
    handed = [task for task in tasks if task.tags.no_write]
    assert 0.02 < len(handed) / len(tasks) < 0.35
    for task in handed:
        assert task.gold[-1].call.name == TROUBLES.handover.call.name
        assert end(task, task.gold) == end(task, ())


def test_dialogues_with_the_scripted_user_end_as_they_should(tasks: list[Task]) -> None:
    for task in tasks[:40]:
        trace = play(Episode(DOMAIN, task), {"agent": Oracle(DOMAIN, {task.id: task}), "user": ScriptedUser()})
        assert judge(task, trace).passed, (task.tags.combination, judge(task, trace).reason)


def test_a_combination_that_is_held_out_is_drawn_again_and_one_order_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = list[str]()

    class Held:
        def has_combination(self, key: str) -> bool:
            drawn.append(key)
            return len(drawn) < 4 or stubborn

    monkeypatch.setattr(repair, "find_held_out", lambda _: Held())
    stubborn = False
    task = synthesise(DOMAIN, PLANS[0], Order(seed=5, item=0))
    assert task is not None
    assert task.tags.combination == drawn[-1]
    assert len(drawn) == 4
    stubborn = True
    assert synthesise(DOMAIN, PLANS[0], Order(seed=5, item=0)) is None
    assert len(drawn) <= 4 + repair.DRAWS * len(TROUBLES.symptoms)


def test_what_is_held_out_changes_neither_the_share_of_a_symptom_nor_that_of_hand_overs(tasks: list[Task]) -> None:
    """Symptoms of which all is held out are left aside; the others are as many as each other."""
    noticed = Counter(next(s.name for s in TROUBLES.symptoms if s.probe in strip(task)) for task in tasks)
    assert set(noticed) == {"internet", "mms"}
    assert abs(noticed["internet"] - noticed["mms"]) <= 20
    assert sum(task.tags.no_write for task in tasks) <= 20


def strip(task: Task) -> list[Any]:
    """Return a task's gold calls under the ids by which symptoms name theirs."""
    return [step.model_copy(update={"call": step.call.model_copy(update={"id": step.call.name})}) for step in task.gold]


def test_equal_orders_make_equal_tasks() -> None:
    first, second = (synthesise(DOMAIN, PLANS[0], Order(seed=8, item=3)) for _ in range(2))
    assert first == second is not None


def test_a_domain_without_troubles_has_no_such_tasks() -> None:
    parcel = load_parcel()
    assert repair.synthesise_repair(parcel, PLANS[0], Order(seed=1, item=1)) is None
    assert REPAIR not in find_reach(parcel).tiers
    assert REPAIR in find_reach(DOMAIN).tiers
    with pytest.raises(InputError, match="'repair' is no tier of parcel"):
        check_scope(parcel, Scope(tiers=(REPAIR,)))


def test_engine_and_proof_name_no_domain() -> None:
    root = Path(repair.__file__).parents[1]
    for folder in ("engine", "proof", "check"):
        for file in (root / folder).rglob("*.py"):
            assert not re.search(r"telecom|\bsim\b|\bapn\b|airplane", file.read_text(encoding="utf-8"), re.I), file
