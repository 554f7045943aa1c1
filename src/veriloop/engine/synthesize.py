"""A synthesis run: pilot, reflection rounds with acceptance and rollback, then scale-up; resumable at every item."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydantic import Field

from veriloop.core.base import Frozen
from veriloop.engine.anchor import build_anchors, find_misjudged
from veriloop.engine.fitness import Fitness, measure_fitness
from veriloop.engine.plan import PlanPair, Scope, Workflow, write_plans
from veriloop.engine.reflection import reflect
from veriloop.engine.stream import Bench, Item, make_item
from veriloop.engine.synthesis import Order
from veriloop.store.ledger import Ledger

Progress = Callable[[int, int], None]
"""Called with (proved, wanted) after each item."""
ITEMS_PER_TASK = 4
"""A run gives up when this many items per wanted task were made: the domain offers no more under its plans."""


class SynthConfig(Frozen):
    """What a synthesis run makes.

    n: proved tasks wanted. scope: the tools and tiers to keep to. pilot: items per plan in each pilot. databases: how
    many of the split's databases are used.
    """

    n: int = Field(ge=1)
    seed: int = 0
    scope: Scope = Scope()
    plans: int = Field(default=2, ge=1)
    rounds: int = Field(default=1, ge=0)
    pilot: int = Field(default=12, ge=2)
    split: str = "train"
    databases: int = Field(default=50, ge=1)
    verify: bool = True
    evolve: bool = True


class SynthResult(Frozen):
    """What a run made; the keys of `synth --json`."""

    run: str
    attempted: int
    proved: int
    no_write: int
    mutation_score: float | None
    seconds: float
    rounds: list[dict[str, Any]]


def synthesize(
    ledger: Ledger, bench: Bench, config: SynthConfig, *, run: str = "", progress: Progress | None = None
) -> SynthResult:
    """Make `config.n` proved tasks in `ledger`; what it already holds is kept and not made again."""
    start = time.monotonic()
    pairs, workflow = _evolve(ledger, bench, config)
    taken = {entry.payload["id"] for entry in ledger.entries("accepted")}
    position, limit = 0, config.n * ITEMS_PER_TASK + 20
    while len(taken) < config.n and position < limit:
        if ledger.get(position, "drafts") is None:
            began = time.monotonic()
            pair = pairs[position % len(pairs)]
            item = make_item(bench, pair, workflow, _order(config, position), taken)
            _store_item(ledger, item, time.monotonic() - began)
            if item.task:
                taken.add(item.task.id)
            if progress:
                progress(len(taken), config.n)
        position += 1
    return summarise(ledger, run, time.monotonic() - start)


def summarise(ledger: Ledger, run: str, seconds: float) -> SynthResult:
    """Count what a ledger holds."""
    attempted = tried = caught = 0
    for entry in ledger.entries("drafts"):
        drafts = entry.payload
        attempted += len(drafts["rejections"]) + drafts["accepted"]
        tried += drafts["mutants_tried"]
        caught += drafts["mutants_caught"]
    accepted = [entry.payload for entry in ledger.entries("accepted")]
    return SynthResult(
        run=run,
        attempted=attempted,
        proved=len(accepted),
        no_write=sum(entry["no_write"] for entry in accepted),
        mutation_score=caught / tried if tried else None,
        seconds=round(seconds, 3),
        rounds=ledger.get_meta("rounds", []),
    )


def _order(config: SynthConfig, position: int) -> Order:
    return Order(config.seed, position, split=config.split, databases=config.databases)


def _store_item(ledger: Ledger, item: Item, seconds: float) -> None:
    """Store all stages of an item in one transaction."""
    with ledger.batch():
        if item.task:
            task = item.task
            ledger.put(item.item, "synth", task.model_dump(mode="json"), seconds=seconds)
            short = {"id": task.id, "no_write": task.tags.no_write, "plan": item.plan}
            ledger.put(item.item, "accepted", short)
        else:
            last = item.rejections[-1]
            ledger.put(item.item, "synth", {"reason": last.reason, "stage": last.stage}, "rejected", seconds)
        if item.proof:
            ledger.put(item.item, "proof", item.proof.model_dump(mode="json"))
        for number, (trace, judgement) in enumerate(zip(item.traces, item.judgements, strict=True)):
            ledger.put(item.item, f"rollout:{number}", trace.model_dump(mode="json"))
            ledger.put(item.item, f"verdict:{number}", judgement.model_dump(mode="json"))
        drafts = {
            "plan": item.plan,
            "accepted": item.accepted,
            "rejections": [rejection.model_dump(mode="json") for rejection in item.rejections],
            "mutants_tried": item.mutants_tried,
            "mutants_caught": item.mutants_caught,
        }
        ledger.put(item.item, "drafts", drafts)


def _evolve(ledger: Ledger, bench: Bench, config: SynthConfig) -> tuple[tuple[PlanPair, ...], Workflow]:
    """Return the plans to scale up with: those stored, or the outcome of pilot and reflection rounds."""
    if not ledger.get_meta("plans"):
        pairs, workflow = write_plans(bench.domain, config.plans, config.scope), Workflow()
        if config.evolve and config.verify:
            pairs, workflow, rounds = _run_rounds(ledger, bench, config, pairs, workflow)
            ledger.put_meta("rounds", rounds)
        ledger.put_meta(
            "plans",
            {"pairs": [pair.model_dump(mode="json") for pair in pairs], "workflow": workflow.model_dump(mode="json")},
        )
    # Always as stored: weights are drawn from in their order, which a resumed run can know from the ledger alone.
    stored = ledger.get_meta("plans")
    return tuple(PlanPair.model_validate(pair) for pair in stored["pairs"]), Workflow(**stored["workflow"])


def _run_rounds(
    ledger: Ledger, bench: Bench, config: SynthConfig, pairs: tuple[PlanPair, ...], workflow: Workflow
) -> tuple[tuple[PlanPair, ...], Workflow, list[dict[str, Any]]]:
    items = list(_pilot(ledger, bench, config, pairs, workflow, "pilot:0"))
    current = measure_fitness(bench.domain, items)
    anchors = build_anchors(bench, items)
    rounds = [_record(0, current, None, True, "the plans as written", pairs, ())]
    for number in range(1, config.rounds + 1):
        candidate = reflect(bench.domain, pairs, workflow, items)
        if not candidate.reasons:
            rounds.append(
                _record(number, current, None, False, "the pilot gives no reason to change anything", pairs, ())
            )
            break
        trial = list(_pilot(ledger, bench, config, candidate.pairs, candidate.workflow, f"pilot:{number}"))
        fitness = measure_fitness(bench.domain, trial)
        misjudged = find_misjudged(bench, anchors, candidate.pairs)
        accepted, reason = decide(current, fitness, misjudged)
        rounds.append(_record(number, current, fitness, accepted, reason, candidate.pairs, candidate.reasons))
        if accepted:
            pairs, workflow, current, items = candidate.pairs, candidate.workflow, fitness, trial
    return pairs, workflow, rounds


def decide(current: Fitness, candidate: Fitness, misjudged: Sequence[str]) -> tuple[bool, str]:
    """Accept a candidate only when it misjudges no anchor and its fitness rises by more than the noise of both."""
    if misjudged:
        return False, f"rolled back: it misjudges {len(misjudged)} anchors, first {misjudged[0]}"
    noise = (current.noise**2 + candidate.noise**2) ** 0.5
    rise = candidate.value - current.value
    if rise <= noise:
        return False, f"rolled back: fitness changes by {rise:+.3f}, noise is {noise:.3f}"
    return True, f"accepted: fitness rises by {rise:.3f}, noise is {noise:.3f}"


def _pilot(
    ledger: Ledger, bench: Bench, config: SynthConfig, pairs: Sequence[PlanPair], workflow: Workflow, stage: str
) -> Iterator[Item]:
    """Yield the items of a pilot, the same seeds for every candidate; items already stored are read, not made."""
    taken: set[str] = set()
    for number in range(config.pilot * len(pairs)):
        entry = ledger.get(number, stage)
        if entry:
            item = Item.model_validate(entry.payload)
        else:
            order = Order(config.seed, number, split="train", databases=config.databases)
            item = make_item(bench, pairs[number % len(pairs)], workflow, order, taken)
            ledger.put(number, stage, item.model_dump(mode="json"))
        if item.task:
            taken.add(item.task.id)
        yield item


def _record(
    number: int,
    current: Fitness,
    candidate: Fitness | None,
    accepted: bool,
    reason: str,
    pairs: Sequence[PlanPair],
    changes: Sequence[str],
) -> dict[str, Any]:
    return {
        "round": number,
        "fitness": round(current.value, 4),
        "fitness_candidate": None if candidate is None else round(candidate.value, 4),
        "accepted": accepted,
        "reason": reason,
        "changes": list(changes),
        "parts": (candidate or current).model_dump(mode="json"),
        "plans": {pair.id: {"version": pair.version, "hash": pair.hash} for pair in pairs},
    }
