"""Runs that keep to some of a domain's tools and tiers."""

from dataclasses import replace
from pathlib import Path

import pytest

from servers.library import load_library
from veriloop.core.errors import InputError
from veriloop.engine.plan import Scope, check_scope, narrow_scope
from veriloop.engine.planner import write_plans
from veriloop.engine.synthesize import SynthConfig
from veriloop.pipeline.synthesis import run_synthesis
from veriloop.store.artefact import read_tasks

TOOLS = ("return_to_sender", "hold_parcel")


def test_every_plan_keeps_to_the_scope(parcel):
    pairs = write_plans(parcel, 3, Scope(tools=TOOLS, tiers=("single", "refusal")))
    for pair in pairs:
        assert set(pair.synthesis.tools) == set(TOOLS)
        assert set(pair.synthesis.tiers) == {"single", "refusal"}


def test_an_empty_scope_is_the_whole_domain(parcel):
    assert write_plans(parcel, 2, Scope()) == write_plans(parcel, 2)


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        (Scope(tools=("fly",)), "'fly' is no action of parcel; choose from .*hold_parcel"),
        # A read is a tool, but no task ends in one.
        (Scope(tools=("get_parcel",)), "'get_parcel' is no action of parcel"),
        (Scope(tiers=("hard",)), "'hard' is no tier of parcel; choose from single, compound, refusal, partial"),
    ],
)
def test_what_the_domain_lacks_is_refused(parcel, scope: Scope, message: str):
    with pytest.raises(InputError, match=message):
        check_scope(parcel, scope)


def test_nothing_is_written_for_a_scope_that_is_refused(tmp_path: Path):
    with pytest.raises(InputError):
        run_synthesis("parcel", tmp_path / "run", SynthConfig(n=1, scope=Scope(tools=("fly",))))
    assert not list(tmp_path.iterdir())


def test_plans_ask_for_no_refusal_outside_the_scope(parcel):
    about_tools = {clause.id for clause in parcel.clauses if not set(TOOLS).isdisjoint(clause.tools)}
    for pair in write_plans(parcel, 2, Scope(tools=TOOLS)):
        assert pair.synthesis.clauses and set(pair.synthesis.clauses) <= about_tools
    for pair in write_plans(parcel, 2, Scope(tools=TOOLS, tiers=("single",))):
        assert pair.synthesis.clauses == {}


def test_the_narrowest_part_has_something_to_do_and_something_to_refuse(parcel):
    assert narrow_scope(parcel) == Scope(tools=("change_address",), tiers=("single", "refusal"))
    check_scope(parcel, narrow_scope(parcel))


def test_a_domain_with_little_to_refuse_is_not_narrowed():
    library = load_library()
    few = replace(library, clauses=tuple(clause for clause in library.clauses if clause.id == "L1"))
    assert narrow_scope(few) == Scope()
    assert narrow_scope(library) == Scope(tools=("move",), tiers=("single", "refusal"))


def test_a_run_makes_only_such_tasks(tmp_path: Path):
    scope = Scope(tools=TOOLS, tiers=("single", "refusal"))
    run_synthesis("parcel", tmp_path / "run", SynthConfig(n=24, seed=3, scope=scope, pilot=4))
    tasks = list(read_tasks(tmp_path / "run"))
    assert len(tasks) == 24
    assert {name for task in tasks for name in task.tags.tools} == set(TOOLS)
    assert {task.tags.tier for task in tasks} == {"single", "refusal"}
