"""A synthesis run: pilot, reflection rounds with acceptance and rollback, then scale-up; resumable at every item."""

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from veriloop.core.base import Frozen, derive_seed
from veriloop.core.errors import InputError
from veriloop.engine.difficulty import BAND, DIALOGUES, Difficulty
from veriloop.engine.evolution import Search
from veriloop.engine.flow import Seen, run_in_order
from veriloop.engine.plan import PlanPair, Scope, Workflow, find_reach
from veriloop.engine.planner import find_closest, write_plans
from veriloop.engine.role.model import RoleModels
from veriloop.engine.round import Pilot, Progress, Round, run_rounds
from veriloop.engine.search import SEARCHES
from veriloop.engine.setting import Order
from veriloop.engine.stream import Bench, Item, Taken, drop_duplicate
from veriloop.engine.watch import Event, Made, Watch, find_promised
from veriloop.store.leakage import Leakage
from veriloop.store.ledger import Ledger

ITEMS_PER_TASK = 4
"""A run gives up when this many items per wanted task were made: the domain offers no more under its plans."""


class SynthConfig(Frozen):
    """What a synthesis run makes.

    n: proved tasks wanted. scope: the tools and tiers to keep to. pilot: items of each pilot, dealt to the plans in
    turn, two for each at least. search: who proposes changes of the plans; `llm` is the reflector's model. roles: those
    that models play. databases: how many of the split's databases are used. solver: the player who tries each proved
    task in `trials` dialogues, of which a share within `band` must pass; nobody where it is empty and no model. slips:
    share of its dialogues in which a scripted agent errs on purpose, for ablations. checkers: who writes them; `model`
    takes those that the synthesiser's model hands in, and compiles the others. speech: `plain` for callers who say
    things in few ways, mistype nothing and never change their minds, as small models need. solo: tasks with a ticket,
    for an agent who works alone.
    """

    n: int = Field(ge=1)
    seed: int = 0
    scope: Scope = Scope()
    plans: int = Field(default=2, ge=1)
    rounds: int = Field(default=1, ge=0)
    pilot: int = Field(default=48, ge=2)
    search: Literal["native", "random", "gepa", "llm"] = "native"
    roles: RoleModels = {}
    solver: str = ""
    band: tuple[float, float] = BAND
    trials: int = Field(default=DIALOGUES, ge=1)
    slips: float = Field(default=0.0, ge=0, le=1)
    checkers: Literal["compiled", "model"] = "compiled"
    speech: Literal["varied", "plain"] = "varied"
    solo: bool = False
    split: str = "train"
    databases: int = Field(default=50, ge=1)
    verify: bool = True
    evolve: bool = True


class SynthResult(Frozen):
    """What a run made; the keys of `synth --json`.

    closest_plans: distance of the two plans as written that are nearest to each other, 0 to 1; None for a single plan.
    streams: plans that were paused, tried again or given up. rejected: drafts given up, by stage. spent: by role the
    attempts, answers, tokens and dollars. notes: what a script did in a model's place. solved: mean share of the
    solver's dialogues about proved tasks that pass; None without a solver. leakage: what came of comparing the tasks
    with those of a benchmark; None for a domain that holds nothing out.
    """

    run: str
    attempted: int
    proved: int
    no_write: int
    mutation_score: float | None
    seconds: float
    rounds: tuple[Round, ...]
    closest_plans: float | None = None
    streams: tuple[Event, ...] = ()
    rejected: dict[str, int] = {}
    spent: dict[str, dict[str, float]] = {}
    notes: tuple[str, ...] = ()
    solved: float | None = None
    leakage: Leakage | None = None


def synthesize(
    ledger: Ledger,
    bench: Bench,
    config: SynthConfig,
    *,
    run: str = "",
    search: Search | None = None,
    progress: Progress | None = None,
) -> SynthResult:
    """Make `config.n` proved tasks in `ledger`; what it already holds is kept and not made again.

    search: who proposes changes of the plans, by default the one that the settings name.
    """
    start = time.monotonic()
    pairs, workflow = _evolve(ledger, bench, config, search or SEARCHES.get(config.search), progress)
    watch = Watch(find_promised([pair.id for pair in pairs], _read_pilot(ledger)))
    with closing(_scale_up(ledger, bench, config, (pairs, workflow), watch)) as made:
        for accepted in made:
            if progress:
                progress(accepted, config.n, "")
    ledger.put_meta("streams", [event.model_dump(mode="json") for event in watch.events])
    return summarise(ledger, run, time.monotonic() - start)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of one position: an item made now, or what the ledger holds of one made before."""

    position: int
    item: Item | None
    seconds: float = 0.0


def _scale_up(
    ledger: Ledger, bench: Bench, config: SynthConfig, plans: tuple[tuple[PlanPair, ...], Workflow], watch: Watch
) -> Generator[int]:
    """Make items until enough are accepted; yields how many are after each that was made now.

    Items made before go through the same hands as those made now, so a resumed run goes on exactly as it was.
    """
    by_id, seen = {pair.id: pair for pair in plans[0]}, Seen()
    begun = ended = 0

    async def recall(position: int) -> _Outcome:
        return _Outcome(position, None)

    async def make(position: int, plan: str, is_taken: Taken) -> _Outcome:
        start = time.monotonic()
        item = await bench.make(by_id[plan], plans[1], _order(config, position), is_taken)
        return _Outcome(position, item, time.monotonic() - start)

    def launch() -> Coroutine[Any, Any, _Outcome] | None:
        nonlocal begun
        # No more are begun than are wanted: what is under way may all be accepted.
        if begun >= config.n * ITEMS_PER_TASK + 20 or len(seen) + begun - ended >= config.n:
            return None
        plan = watch.next()
        if plan is None:
            return None
        position, begun = begun, begun + 1
        if ledger.get(position, "drafts"):
            return recall(position)
        return make(position, plan, seen.look())

    with closing(run_in_order(launch, bench.width, bench.line)) as made:
        for outcome in made:
            ended += 1
            item = outcome.item
            if item and item.task and item.task.id in seen:
                item = drop_duplicate(item)
            drafts = _store_item(ledger, item, outcome.seconds) if item else _read(ledger, outcome.position, "drafts")
            if drafts["accepted"]:
                seen.add(item.task.id if item and item.task else _read(ledger, outcome.position, "accepted")["id"])
            watch.note(*_count_drafts(drafts))
            if item:
                yield len(seen)


def _read(ledger: Ledger, position: int, stage: str) -> dict[str, Any]:
    entry = ledger.get(position, stage)
    assert entry is not None
    return entry.payload


def summarise(ledger: Ledger, run: str, seconds: float) -> SynthResult:
    """Count what a ledger holds."""
    attempted = tried = caught = 0
    rejected = Counter[str]()
    for entry in ledger.entries("drafts"):
        drafts = entry.payload
        attempted += len(drafts["rejections"]) + drafts["accepted"]
        rejected.update(found["stage"] for found in drafts["rejections"])
        tried += drafts["mutants_tried"]
        caught += drafts["mutants_caught"]
    accepted = [entry.payload for entry in ledger.entries("accepted")]
    solved = [Difficulty.model_validate(entry.payload).rate for entry in ledger.entries("difficulty")]
    return SynthResult(
        run=run,
        attempted=attempted,
        proved=len(accepted),
        no_write=sum(entry["no_write"] for entry in accepted),
        mutation_score=caught / tried if tried else None,
        seconds=round(seconds, 3),
        rounds=tuple(Round.model_validate(found) for found in ledger.get_meta("rounds", [])),
        closest_plans=ledger.get_meta("closest_plans"),
        streams=tuple(Event.model_validate(found) for found in ledger.get_meta("streams", [])),
        rejected=dict(sorted(rejected.items())),
        spent=ledger.get_meta("spent", {}),
        notes=tuple(ledger.get_meta("notes", [])),
        solved=round(sum(solved) / len(solved), 4) if solved else None,
    )


def _order(config: SynthConfig, position: int) -> Order:
    return make_order(config, config.seed, position, config.split)


def make_order(config: SynthConfig, seed: int, position: int, split: str) -> Order:
    """Return the order of a position under a run's settings."""
    plain = config.speech == "plain"
    return Order(seed, position, split=split, databases=config.databases, plain=plain, alone=config.solo)


def _count_drafts(drafts: dict[str, Any]) -> Made:
    accepted = bool(drafts["accepted"])
    return drafts["plan"].partition("@")[0], len(drafts["rejections"]) + accepted, accepted


def _read_pilot(ledger: Ledger) -> Iterator[Made]:
    """Yield what came of the items of the pilot that the plans in force were accepted by."""
    rounds = ledger.get_meta("rounds", [])
    number = max((found["round"] for found in rounds if found["accepted"]), default=0)
    for entry in ledger.entries(f"pilot:{number}"):
        yield _count_drafts(entry.payload | {"accepted": entry.payload["task"] is not None})


def _store_item(ledger: Ledger, item: Item, seconds: float) -> dict[str, Any]:
    """Store all stages of an item in one transaction; returns what is stored of its drafts."""
    with ledger.batch():
        if item.task:
            task = item.task
            ledger.put(item.item, "synth", task.model_dump(mode="json"), seconds=seconds)
            short = {"id": task.id, "no_write": task.tags.no_write, "plan": item.plan}
            ledger.put(item.item, "accepted", short)
        else:
            last = item.rejections[-1]
            ledger.put(item.item, "synth", {"reason": last.reason, "stage": last.stage}, "rejected", seconds)
        if item.difficulty:
            ledger.put(item.item, "difficulty", item.difficulty.model_dump(mode="json"))
        if item.proof:
            ledger.put(item.item, "proof", item.proof.model_dump(mode="json"))
        for number, (trace, judgement) in enumerate(zip(item.traces, item.judgements, strict=True)):
            ledger.put(item.item, f"rollout:{number}", trace.model_dump(mode="json"))
            ledger.put(item.item, f"verdict:{number}", judgement.model_dump(mode="json"))
        for number, failure in enumerate(item.failures):
            ledger.put(item.item, f"failure:{number}", failure.model_dump(mode="json"))
        drafts: dict[str, Any] = {
            "plan": item.plan,
            "accepted": item.accepted,
            "rejections": [rejection.model_dump(mode="json") for rejection in item.rejections],
            "mutants_tried": item.mutants_tried,
            "mutants_caught": item.mutants_caught,
        }
        ledger.put(item.item, "drafts", drafts)
    return drafts


def _evolve(
    ledger: Ledger, bench: Bench, config: SynthConfig, search: Search | None, progress: Progress | None
) -> tuple[tuple[PlanPair, ...], Workflow]:
    """Return the plans to scale up with: those stored, or the outcome of pilot and reflection rounds."""
    if not ledger.get_meta("plans"):
        pairs, workflow = _write_plans(ledger, bench, config), Workflow()
        closest = find_closest(pairs)
        ledger.put_meta("closest_plans", closest and round(closest[0], 4))
        if config.evolve:
            if search is None:
                raise InputError(f"--search {config.search} needs a model as reflector; name one with --model")
            reach = find_reach(bench.domain, config.scope)
            pilot = Pilot(
                derive_seed("pilot", config.seed) % 2**31,
                config.pilot,
                config.databases,
                progress,
                config.speech == "plain",
                config.solo,
            )
            start = pairs, workflow
            pairs, workflow, rounds = run_rounds(ledger, bench, reach, pilot, search, config.rounds, start)
            ledger.put_meta("rounds", [found.model_dump(mode="json") for found in rounds])
        ledger.put_meta(
            "plans",
            {"pairs": [pair.model_dump(mode="json") for pair in pairs], "workflow": workflow.model_dump(mode="json")},
        )
    stored = ledger.get_meta("plans")
    return tuple(PlanPair.model_validate(pair) for pair in stored["pairs"]), Workflow(**stored["workflow"])


def _write_plans(ledger: Ledger, bench: Bench, config: SynthConfig) -> tuple[PlanPair, ...]:
    asked = bench.domain, config.plans, config.scope, config.seed
    if bench.planner is None:
        return write_plans(*asked)
    pairs, notes = asyncio.run(bench.planner.write_plans(*asked))
    ledger.put_meta("notes", list(notes))
    return pairs
