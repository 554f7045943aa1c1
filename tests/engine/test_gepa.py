"""GEPA over plan sets: what it tries, what it ends with, and that a whole run with it can be stopped anywhere."""

import builtins
import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

import veriloop.engine.gepa as module
from veriloop.core.errors import InputError
from veriloop.engine.evolution import Candidate, Evidence, ProposalError, scale
from veriloop.engine.fitness import Fitness
from veriloop.engine.gepa import PROPOSALS, GepaSearch
from veriloop.engine.plan import Workflow, find_reach
from veriloop.engine.planner import write_plans
from veriloop.engine.stream import Item
from veriloop.engine.synthesize import SynthConfig, synthesize
from veriloop.store.ledger import Ledger

CONFIG = SynthConfig(n=4, seed=13, pilot=8, search="gepa")
TOOL = "change_address"


class Field:
    """A pilot whose items are worth what their plans' weight of one tool says, as `worth` reads it."""

    def __init__(self, parcel, monkeypatch, worth: Callable[[float], float], size: int = 8) -> None:
        self.tried = Counter[tuple[str, int]]()
        self.worth, self.pairs = worth, write_plans(parcel)
        items = tuple(self.make(self.pairs[0].synthesis.tools[TOOL], number) for number in range(size))
        self.evidence = Evidence(
            find_reach(parcel), self.pairs, Workflow(), items, rng=random.Random(3), try_out=self.try_out
        )
        monkeypatch.setattr(module, "measure_fitness", self.measure)

    def make(self, weight: float, number: int) -> Item:
        return Item(item=number, plan="p", mutants_tried=round(1000 * self.worth(weight)))

    def try_out(self, candidate: Candidate, orders: Sequence[int]):
        weight = candidate.pairs[0].synthesis.tools[TOOL]
        for number in orders:
            self.tried[f"{weight:.4f}", number] += 1
            yield self.make(weight, number)

    def measure(self, _reach, items: Sequence[Item]) -> Fitness:
        value = sum(item.mutants_tried for item in items) / 1000 / len(items)
        return Fitness(value=value, verified_yield=value, diversity=1.0, facets={})


def times(factor: float) -> Callable[[Evidence], Candidate]:
    """Return who always multiplies the weight."""

    def propose(evidence: Evidence) -> Candidate:
        pairs = tuple(scale(pair, {"tools": {TOOL: factor}}) for pair in evidence.pairs)
        return Candidate(pairs=pairs, workflow=evidence.workflow, reasons=(f"times {factor:g}",))

    return propose


def test_it_climbs_from_what_did_better(parcel, monkeypatch):
    field = Field(parcel, monkeypatch, lambda weight: weight / 100)
    found = GepaSearch(times(2.0))(field.evidence)
    start = field.pairs[0].synthesis.tools[TOOL]
    assert found.pairs[0].synthesis.tools[TOOL] == pytest.approx(start * 2**PROPOSALS)
    assert found.reasons == ("times 2",) * PROPOSALS
    # Each candidate made each of the pilot's orders once, and none beyond them.
    assert set(field.tried.values()) == {1} and len(field.tried) == PROPOSALS * 8
    assert {number for _, number in field.tried} == set(range(8))


def test_it_stops_trying_what_does_worse_on_the_first_slices(parcel, monkeypatch):
    field = Field(parcel, monkeypatch, lambda weight: 1 / (1 + weight))
    with pytest.raises(ProposalError, match=f"none of {PROPOSALS} proposals does better on the pilot's slices$"):
        GepaSearch(times(2.0))(field.evidence)
    assert len(field.tried) <= PROPOSALS * 4


def test_it_goes_back_from_what_went_too_far(parcel, monkeypatch):
    start = write_plans(parcel)[0].synthesis.tools[TOOL]
    field = Field(parcel, monkeypatch, lambda weight: 1 - abs(weight - 2 * start) / 100)
    found = GepaSearch(times(2.0))(field.evidence)
    assert found.pairs[0].synthesis.tools[TOOL] == pytest.approx(2 * start) and found.reasons == ("times 2",)


def test_proposals_are_made_from_the_items_of_their_parent(parcel, monkeypatch):
    field, seen = Field(parcel, monkeypatch, lambda weight: weight / 100), list[tuple[float, set[int], int]]()

    def propose(evidence: Evidence) -> Candidate:
        weight = evidence.pairs[0].synthesis.tools[TOOL]
        seen.append((weight, {item.mutants_tried for item in evidence.items}, len(evidence.items)))
        return times(2.0)(evidence)

    GepaSearch(propose)(field.evidence)
    assert seen and all(worths == {round(10 * weight)} and count == 4 for weight, worths, count in seen)


def test_who_comes_to_no_proposal_is_quoted(parcel, monkeypatch):
    def refuse(_evidence: Evidence) -> Candidate:
        raise ProposalError("the model answers nonsense")

    field = Field(parcel, monkeypatch, lambda weight: weight)
    with pytest.raises(ProposalError, match="slices: the model answers nonsense"):
        GepaSearch(refuse)(field.evidence)
    assert not field.tried


def test_a_pilot_of_two_items_is_enough(parcel, monkeypatch):
    field = Field(parcel, monkeypatch, lambda weight: weight / 100, size=2)
    assert GepaSearch(times(2.0))(field.evidence).reasons


def test_equal_evidence_gives_equal_plans(parcel, monkeypatch):
    def propose(evidence: Evidence) -> Candidate:
        return times(evidence.rng.choice((1.2, 1.5, 2.0)))(evidence)

    fields = [Field(parcel, monkeypatch, lambda weight: weight / 100) for _ in range(3)]
    found = [GepaSearch(propose)(field.evidence) for field in fields]
    assert found[0] == found[1] == found[2]


def test_without_the_package_one_line_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def refuse(name: str, *arguments, **options):
        if name == "gepa":
            raise ModuleNotFoundError("No module named 'gepa'", name="gepa")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(InputError, match=r"pip install 'veriloop\[gepa\]'"):
        module.import_gepa()


def test_a_run_stopped_while_it_searches_ends_like_one_that_never_stopped(bench, tmp_path):
    def read(ledger: Ledger):
        stages = ("pilot:", "trial:", "proposal:", "archive:", "accepted")
        rows = [(e.item, e.stage, e.text) for stage in stages for e in ledger.entries(stage)]
        return sorted(rows), ledger.get_meta("plans"), ledger.get_meta("rounds")

    with Ledger(tmp_path / "whole.sqlite") as ledger:
        result = synthesize(ledger, bench, CONFIG)
        whole = read(ledger)
    trials = [stage for _, stage, _ in whole[0] if stage.startswith("trial:")]
    assert result.proved == 4 and trials and len(result.rounds) == 2
    # Stopped in the middle of a candidate's trial.
    left = len([stage for _, stage, _ in whole[0] if stage == "pilot:0"]) + len(trials) // 2
    with Ledger(tmp_path / "cut.sqlite") as ledger:
        put = ledger.put

        def pull(item, stage, *arguments, **options):
            nonlocal left
            if stage.startswith(("pilot:", "trial:")):
                left -= 1
                if left < 0:
                    raise KeyboardInterrupt
            return put(item, stage, *arguments, **options)

        ledger.put = pull
        with pytest.raises(KeyboardInterrupt):
            synthesize(ledger, bench, CONFIG)
    with Ledger(tmp_path / "cut.sqlite") as ledger:
        assert 0 < len(list(ledger.entries("trial:"))) < len(trials)
        synthesize(ledger, bench, CONFIG)
        assert read(ledger) == whole
