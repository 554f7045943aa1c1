"""The digests of the official tasks: made anew they are those of the package, and they hide what they stand for."""

import json
import re
from collections.abc import Iterator
from itertools import combinations
from random import Random
from typing import Any

import pytest

pytest.importorskip("tau2")
from veriloop.domains.defect import Defect, Scene, find_troubles
from veriloop.domains.registry import load_domain
from veriloop.domains.task import Initial
from veriloop.domains.tau2.held_out import FILE
from veriloop.evaluate.official import official_tasks
from veriloop.evaluate.official_held_out import DOMAINS, find_subjects, list_people, render_held_out
from veriloop.store.leakage import check_leakage

TELECOM: Any = load_domain("tau2/telecom")


def test_the_packaged_file_is_what_the_official_tasks_give() -> None:
    assert FILE.read_text(encoding="utf-8") == render_held_out() + "\n"


def test_the_file_is_small_and_holds_nothing_but_digests() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert len(text) < 500_000

    def leaves(value: Any) -> Iterator[str]:
        for part in value.values() if isinstance(value, dict) else value:
            yield from [part] if isinstance(part, str) else leaves(part)

    assert all(re.fullmatch(r"[0-9a-f]{10}", leaf) for leaf in leaves(json.loads(text)))


@pytest.mark.parametrize(("name", "nameless"), [("tau2/airline", 0), ("tau2/retail", 2), ("tau2/telecom", 0)])
def test_every_official_task_is_found_to_be_one(name: str, nameless: int) -> None:
    """Two of retail's hold no id, only a name with a zip code; a task of ours always holds its caller's id."""
    domain: Any = load_domain(name)
    tasks = [official.task for official in official_tasks(domain, None)]
    found = check_leakage(tasks, domain.held_out)
    about = {leak.task for leak in found.leaks if leak.kind == "entities"}
    assert len({task.id for task in tasks} - about) == nameless
    assert {leak.task for leak in found.leaks if leak.kind == "instructions"} == {task.id for task in tasks}


def test_who_is_named_by_an_order_alone_is_held_out_with_all_that_is_theirs() -> None:
    domain: Any = load_domain("tau2/retail")
    orders, users = domain.tables()["orders"], domain.tables()["users"]
    free = next(order for order in orders.values() if not domain.held_out.has_entity(order.user_id))

    class Named:
        def model_dump(self, mode: str) -> Any:
            return {"description": f"Return {free.order_id}."}

    task: Any = type("Official", (), {"official": Named()})
    (person,) = find_subjects(domain, [task])
    user = users[free.user_id]
    assert person.marks >= {user.user_id, user.email, *user.orders, *user.payment_methods}
    assert not any(map(domain.held_out.has_entity, person.marks))


@pytest.mark.parametrize("name", DOMAINS)
def test_nobody_has_what_is_somebody_elses_and_the_held_out_are_so_with_all_of_it(name: str) -> None:
    domain: Any = load_domain(name)
    people = list(list_people(domain))
    for person in people:
        held = {domain.held_out.has_entity(mark) for mark in person.marks}
        assert held == {True} or held == {False}
    marks = [mark for person in people for mark in person.marks]
    assert len(marks) == len(set(marks))


def test_all_combinations_of_telecom_are_held_out_and_most_of_ours_are_left() -> None:
    troubles: Any = find_troubles(TELECOM)
    tasks = official_tasks(TELECOM, None)
    assert len(tasks) == 2285
    assert all(TELECOM.held_out.has_combination(troubles.combine(task.task.initial.calls)) for task in tasks)
    ours = set(_list_combinations(troubles))
    left = {key for key in ours if not TELECOM.held_out.has_combination(key)}
    assert (len(ours), len(left)) == (4028, 3161)


def _list_combinations(troubles: Any) -> Iterator[str]:
    """Yield the key of every set of one to five defects that one symptom can have."""
    (caller, *_), start = TELECOM.callers("train-0", "train"), Initial(database="train-0")
    scene = Scene(TELECOM.open(start).state, caller, Random(1))
    names = {defect.name: {step.call.name for step in defect.find(scene).breaks} for defect in troubles.defects}

    def fits(chosen: tuple[Defect, ...]) -> bool:
        groups = {defect.group or defect.name for defect in chosen}
        return len(groups) == len(chosen) and sum(not defect.curable for defect in chosen) <= 1

    for symptom in troubles.symptoms:
        able = [defect for defect in troubles.defects if symptom.name in defect.symptoms]
        for size in range(1, 6):
            for chosen in filter(fits, combinations(able, size)):
                broken = set[str]().union(*(names[defect.name] for defect in chosen))
                yield "+".join(sorted(broken - troubles.neutral))
