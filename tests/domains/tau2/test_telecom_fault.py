"""Every defect of telecom: fine before, broken after, shown by its checks, cured by its cure and by nothing less."""

import random
from typing import Any

import pytest

from veriloop.domains.defect import Defect, Fault, Scene, Symptom
from veriloop.domains.task import Initial, SeatCall
from veriloop.domains.tau2.telecom import load_telecom
from veriloop.domains.tau2.telecom_fault import DEFECTS, SYMPTOMS, TROUBLES
from veriloop.domains.tau2.telecom_session import SYMPTOM_TABLES
from veriloop.rollout.oracle import ask_step
from veriloop.rollout.scripted import asks_for

DOMAIN: Any = load_telecom()
CALLER = DOMAIN.callers("train-0", "train")[1]
BASE = Initial(database="train-0", calls=TROUBLES.settle(CALLER))
PAIRS = [(defect, symptom) for defect in DEFECTS for symptom in SYMPTOMS if symptom.name in defect.symptoms]
SHOWN = {
    "airplane_mode_on": "Airplane Mode: ON", "sim_missing": "No SIM card", "sim_locked_by_pin": "locked with a PIN",
    "sim_locked_by_puk": "locked with a PUK", "apn_broken": "broken", "line_suspended": "Suspended",
    "contract_ended": "2025-01-31", "phone_not_roaming": "Data Roaming Enabled: No",
    "line_not_roaming": '"roaming_enabled": false', "nothing_roaming": "Data Roaming Enabled: No",
    "data_off": "Mobile Data Enabled: No", "data_used_up": "data_used_gb", "refuelling_used_up": '"2.0"',
    "data_saver_on": "Data Saver mode is ON", "prefers_2g_only": "2g_only", "prefers_3g_only": "3g_only",
    "vpn_slow": "poor", "wifi_calling_on": "turned ON", "no_sms_permission": "storage, phone",
    "no_storage_permission": "sms, phone", "no_mmsc_address": "Not Set",
}  # fmt: skip


def make_scene(seed: int = 0) -> Scene:
    return Scene(DOMAIN.open(BASE).state, CALLER, random.Random(seed))


def find(defect: Defect) -> Fault:
    fault = defect.find(make_scene())
    assert fault is not None
    return fault


def start(fault: Fault) -> Initial:
    return BASE.model_copy(update={"calls": (*BASE.calls, *fault.breaks)})


def lasts(symptom: Symptom, initial: Initial, steps: tuple[SeatCall, ...] = ()) -> bool:
    session = DOMAIN.open(initial)
    assert not any(session.call(step.seat, step.call).error for step in steps)
    return symptom.table in {change.table for change in session.changes()}


@pytest.mark.parametrize(("defect", "symptom"), PAIRS, ids=lambda part: part.name)
def test_it_breaks_what_was_fine_and_its_cure_mends_it(defect: Defect, symptom: Symptom) -> None:
    fault = find(defect)
    assert not lasts(symptom, TROUBLES.heal(start(fault)))
    assert lasts(symptom, start(fault))
    assert bool(fault.cure) is defect.curable
    if defect.curable:
        assert not lasts(symptom, start(fault), fault.cure)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_no_write_of_a_cure_is_needless(defect: Defect) -> None:
    fault = find(defect)
    symptom = next(symptom for symptom in SYMPTOMS if symptom.name == defect.symptoms[-1])
    for place, step in enumerate(fault.cure):
        if DOMAIN.tools[step.call.name].kind == "write":
            rest = (*fault.cure[:place], *fault.cure[place + 1 :])
            assert not hold([*symptom.holds, *fault.holds], start(fault), rest)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_its_checks_show_it_and_not_when_it_is_not_there(defect: Defect) -> None:
    checks = defect.checks(make_scene())
    assert all(DOMAIN.tools[step.call.name].kind == "read" for step in checks)

    def read(initial: Initial) -> str:
        session = DOMAIN.open(initial)
        return " ".join(session.call(step.seat, step.call).content for step in checks)

    fault = find(defect)
    assert SHOWN[defect.name] in read(start(fault))
    assert read(start(fault)) != read(TROUBLES.heal(start(fault)))


@pytest.mark.parametrize("defect", [d for d in DEFECTS if not d.curable], ids=lambda defect: defect.name)
def test_no_step_on_the_phone_cures_what_nobody_can(defect: Defect) -> None:
    steps = [step for other in DEFECTS for step in find(other).cure if step.seat == "user"]
    for symptom in (symptom for symptom in SYMPTOMS if symptom.name in defect.symptoms):
        for step in steps:
            assert lasts(symptom, start(find(defect)), (step,))


def test_the_functions_that_must_hold_do_so_exactly_when_it_is_cured() -> None:
    for defect, symptom in PAIRS:
        fault = find(defect)
        if fault.cure:
            assert hold([*symptom.holds, *fault.holds], start(fault), fault.cure), defect.name
            assert not hold(symptom.holds, start(fault), ()), defect.name
        else:
            assert hold(symptom.lacks, start(fault), ()), defect.name


def hold(functions: Any, initial: Initial, steps: tuple[SeatCall, ...]) -> bool:
    """Return whether the package's functions return true after some steps."""
    session: Any = DOMAIN.open(initial)
    for step in steps:
        session.call(step.seat, step.call)
    return all(session.holds(made) for made in functions)


def test_a_customer_with_a_debt_gets_no_second_one() -> None:
    session = DOMAIN.open(start(find(next(defect for defect in DEFECTS if defect.name == "line_suspended"))))
    scene = Scene(session.state, CALLER, random.Random(0))
    assert all(defect.find(scene) is None for defect in DEFECTS if defect.group == "line")


def test_what_a_user_can_tell_fits_the_fault() -> None:
    for defect in DEFECTS:
        for fact in find(defect).facts:
            assert fact.kind in {told.kind for told in SYMPTOMS[1].tell(make_scene())}
    assert set(SYMPTOM_TABLES) == {symptom.table for symptom in SYMPTOMS}


def test_each_step_that_the_user_is_asked_for_is_understood_as_that_one() -> None:
    own = [tool for tool in DOMAIN.tools.values() if tool.seat == "user"]
    for defect in DEFECTS:
        for step in (*defect.checks(make_scene()), *find(defect).cure):
            if step.seat == "user":
                heard = ask_step(DOMAIN, step.call)
                assert next(tool.name for tool in own if asks_for(tool, heard)) == step.call.name
