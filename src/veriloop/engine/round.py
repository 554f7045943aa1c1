"""Reflection rounds: pilot, proposal, the same pilot again, gate; what is rolled back stays in the archive alone."""

import random
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from veriloop.core.base import Frozen, derive_seed
from veriloop.engine.anchor import build_anchors
from veriloop.engine.evolution import Candidate, Evidence, ProposalError, Search, TryOut, diff_plans
from veriloop.engine.exam import find_worse_judges
from veriloop.engine.fitness import Fitness, Rise, measure_fitness, measure_rise
from veriloop.engine.flow import Seen, run_in_order
from veriloop.engine.gate import decide, find_objections
from veriloop.engine.plan import PlanPair, Reach, Workflow
from veriloop.engine.setting import Order
from veriloop.engine.stream import Bench, Item, drop_duplicate
from veriloop.store.ledger import Ledger

CHANGES_TOLD = 12
"""Changes of an earlier round that the next proposal is told of."""


Progress = Callable[[int, int, str], None]
"""Called with (done, wanted, what) after each item: items of the pilot that `what` names, or "" and proved tasks."""


@dataclass(frozen=True, slots=True)
class Pilot:
    """Fixed orders that plan sets are compared on.

    size: orders in all, dealt to the plans in turn. databases: how many of the training databases they draw from.
    plain, alone: see `Order`.
    """

    seed: int
    size: int
    databases: int
    progress: Progress | None = None
    plain: bool = False
    alone: bool = False


class Round(Frozen):
    """What came of one round; round 0 is the plans as written.

    fitness: of the plans in force before the round, on the pilot's orders. fitness_candidate: of the proposal on the
    same. fitness_held_out: of the plans in force after it, on orders that no search has seen; None when those are the
    plans of the round before, or nothing is searched. noise: standard error of the difference. parts: of
    the proposal's fitness, or of round 0's. plans: version and hash by id, as proposed.
    """

    round: int
    fitness: float
    fitness_candidate: float | None = None
    fitness_held_out: float | None = None
    noise: float | None = None
    accepted: bool
    reason: str
    changes: tuple[str, ...] = ()
    parts: Fitness
    plans: dict[str, dict[str, Any]]


@dataclass(slots=True)
class _InForce:
    """The plans that the next round starts from, with what their pilot made."""

    pairs: tuple[PlanPair, ...]
    workflow: Workflow
    items: tuple[Item, ...]
    fitness: Fitness
    rollbacks: int = 0


def run_rounds(
    ledger: Ledger,
    bench: Bench,
    reach: Reach,
    pilot: Pilot,
    search: Search,
    count: int,
    start: tuple[tuple[PlanPair, ...], Workflow],
) -> tuple[tuple[PlanPair, ...], Workflow, list[Round]]:
    """Return the plans and workflow after `count` rounds from `start`, with a record of each round.

    Every item of every pilot is stored in the ledger, so that a run stopped here goes on where it was; so is the
    archive: under `archive:N` what round N proposed for each plan, with its diff and its fate.
    """
    pairs, workflow = start
    items = tuple(run_pilot(ledger, bench, pilot, pairs, workflow, "pilot:0"))
    now = _InForce(pairs, workflow, items, measure_fitness(reach, items))
    suite = build_anchors(bench, items)
    rounds = [_open_record(ledger, bench, reach, pilot, now, searched=count > 0)]
    for number in range(1, count + 1):
        rng = random.Random(derive_seed("search", pilot.seed, number))
        history = tuple(_tell(found) for found in rounds[1:])
        evidence = Evidence(
            reach, now.pairs, now.workflow, now.items, now.rollbacks, history, bench.advisable, bench.judges, rng,
            _let_try(ledger, bench, pilot, number),
        )  # fmt: skip
        try:
            candidate = _propose(ledger, search, evidence, number)
        except ProposalError as error:
            now.rollbacks += 1
            rounds.append(_record(number, now, now.fitness, accepted=False, reason=f"no usable proposal: {error}"))
            continue
        if not candidate.reasons:
            reason = "the pilot gives no reason to change anything"
            rounds.append(_record(number, now, now.fitness, accepted=False, reason=reason))
            break
        trial = tuple(run_pilot(ledger, bench, pilot, candidate.pairs, candidate.workflow, f"pilot:{number}"))
        fitness = measure_fitness(reach, trial)
        rise = measure_rise(reach, now.items, trial, fitness.value - now.fitness.value)
        objections = find_objections(bench, suite, now.pairs, now.workflow, candidate)
        accepted, reason = decide(rise, objections)
        # The exam may cost money, so it is for those who passed all else.
        if accepted and (objections := find_worse_judges(bench, suite, now.pairs, candidate.pairs)):
            accepted, reason = decide(rise, objections)
        _archive(ledger, number, now.pairs, candidate, accepted=accepted, reason=reason)
        record = _record(number, now, fitness, accepted=accepted, reason=reason, candidate=candidate, rise=rise)
        if accepted:
            now = _InForce(candidate.pairs, candidate.workflow, trial, fitness)
            record = record.model_copy(update={"fitness_held_out": _hold_out(ledger, bench, reach, pilot, now, number)})
        else:
            now.rollbacks += 1
        rounds.append(record)
    return now.pairs, now.workflow, rounds


def _let_try(ledger: Ledger, bench: Bench, pilot: Pilot, number: int) -> TryOut:
    def try_out(candidate: Candidate, orders: Sequence[int]) -> Iterator[Item]:
        stage = f"trial:{number}:{derive_seed(candidate.model_dump_json()):x}"
        return run_pilot(ledger, bench, pilot, candidate.pairs, candidate.workflow, stage, orders)

    return try_out


def _propose(ledger: Ledger, search: Search, evidence: Evidence, number: int) -> Candidate:
    """Return the round's proposal as it was stored, or ask for one and store it: no answer is paid for twice."""
    stage = f"proposal:{number}"
    stored = ledger.get(0, stage)
    if stored is None:
        try:
            ledger.put(0, stage, search(evidence).model_dump(mode="json"))
        except ProposalError as error:
            ledger.put(0, stage, {"error": str(error)}, "rejected")
    entry = stored or ledger.get(0, stage)
    assert entry is not None
    if entry.status == "rejected":
        raise ProposalError(entry.payload["error"])
    return Candidate.model_validate(entry.payload)


def _tell(record: Round) -> str:
    changes = "; ".join(record.changes[:CHANGES_TOLD])
    return f"Round {record.round}: {changes or 'no change'}. {record.reason}."


def run_pilot(
    ledger: Ledger,
    bench: Bench,
    pilot: Pilot,
    pairs: Sequence[PlanPair],
    workflow: Workflow,
    stage: str,
    orders: Sequence[int] = (),
) -> Iterator[Item]:
    """Yield the items of a pilot, the same orders for every plan set; items already stored are read, not made.

    orders: those to make, all of them by default.
    """
    orders = orders or range(max(pilot.size, 2 * len(pairs)))
    numbers, seen = iter(orders), Seen()

    async def recall(payload: dict[str, Any]) -> Item:
        return Item.model_validate(payload)

    def launch() -> Coroutine[Any, Any, Item] | None:
        number = next(numbers, None)
        if number is None:
            return None
        if entry := ledger.get(number, stage):
            return recall(entry.payload)
        order = Order(
            pilot.seed, number, split="train", databases=pilot.databases, plain=pilot.plain, alone=pilot.alone
        )
        return bench.make(pairs[number % len(pairs)], workflow, order, seen.look())

    with closing(run_in_order(launch, bench.width, bench.line)) as made:
        for item in made:
            if item.task and item.task.id in seen:
                item = drop_duplicate(item)
            if not ledger.get(item.item, stage):
                ledger.put(item.item, stage, item.model_dump(mode="json"))
            if item.task:
                seen.add(item.task.id)
            if pilot.progress:
                pilot.progress(item.item + 1 - orders[0], len(orders), stage)
            yield item


def _hold_out(ledger: Ledger, bench: Bench, reach: Reach, pilot: Pilot, now: _InForce, number: int) -> float:
    """Return the fitness on orders that the search never sees the outcome of."""
    unseen = replace(pilot, seed=derive_seed("held-out", pilot.seed) % 2**31)
    made = list(run_pilot(ledger, bench, unseen, now.pairs, now.workflow, f"held:{number}"))
    return round(measure_fitness(reach, made).value, 4)


def _open_record(ledger: Ledger, bench: Bench, reach: Reach, pilot: Pilot, now: _InForce, *, searched: bool) -> Round:
    record = _record(0, now, now.fitness, accepted=True, reason="the plans as written")
    if not searched:  # nothing was fitted to the pilot, so its own figure is as good
        return record
    return record.model_copy(update={"fitness_held_out": _hold_out(ledger, bench, reach, pilot, now, 0)})


def _record(
    number: int,
    now: _InForce,
    fitness: Fitness,
    *,
    accepted: bool,
    reason: str,
    candidate: Candidate | None = None,
    rise: Rise | None = None,
) -> Round:
    return Round(
        round=number,
        fitness=round(now.fitness.value, 4),
        fitness_candidate=round(fitness.value, 4) if candidate else None,
        noise=round(rise.noise, 4) if rise else None,
        accepted=accepted,
        reason=reason,
        changes=candidate.reasons if candidate else (),
        parts=fitness,
        plans={p.id: {"version": p.version, "hash": p.hash} for p in (candidate.pairs if candidate else now.pairs)},
    )


def _archive(
    ledger: Ledger, number: int, before: Sequence[PlanPair], candidate: Candidate, *, accepted: bool, reason: str
) -> None:
    """Store what a round proposed, one entry a plan, all or none."""
    old = {pair.id: pair for pair in before}
    with ledger.batch():
        for position, pair in enumerate(candidate.pairs):
            made_of = old.get(pair.id)
            entry = {
                "pair": pair.model_dump(mode="json"),
                "diff": diff_plans(made_of, pair) if made_of else {},
                "accepted": accepted,
                "reason": reason,
            }
            ledger.put(position, f"archive:{number}", entry)
