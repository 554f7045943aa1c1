"""Tasks in which something is broken at the start: a symptom, some of the defects that cause it, and the cure.

Knows symptoms and defects as a domain declares them (`domains/defect.py`) and no domain.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from veriloop.core.message import Change
from veriloop.domains.defect import Defect, Fault, Scene, Symptom, Troubles, find_troubles, keep_bound
from veriloop.domains.domain import Domain
from veriloop.domains.held_out import HeldOut, find_held_out
from veriloop.domains.session import Session
from veriloop.domains.task import Initial, Provenance, Request, SeatCall, Tags, Task
from veriloop.engine.assembly import number_calls, write_fact
from veriloop.engine.plan import PlanPair, draw
from veriloop.engine.quirk import give_manners
from veriloop.engine.scenario import render_user
from veriloop.engine.setting import Order, Setting, enter_setting

COUNTS = {"1": 30.0, "2": 30.0, "3": 20.0, "4": 12.0, "5": 8.0}
"""How many defects a task has, by weight."""
COUNTS_ALONE = {"1": 20.0, "2": 20.0, "3": 18.0, "4": 14.0, "5": 12.0, "6": 9.0, "7": 7.0}
"""The same where an agent works alone: a dialogue without a user is short, however much there is to do."""
BESIDES = {"0": 55.0, "1": 30.0, "2": 15.0}
"""How many other things are wrong that cause nothing the ticket is about, by weight."""
SILENT_SHARE = 0.5
"""Share of the tickets that do not tell what the user would choose if they were asked."""
DRAWS = 24
"""Combinations drawn of each symptom: what is held out, or does not fit together, is drawn again."""
INCURABLE_SHARE = 0.15
"""Share of the tasks with a defect that nobody in the dialogue can cure."""


@dataclass(frozen=True, slots=True)
class _Case:
    """What a task is composed of; faults in the order in which the policy has them looked for.

    besides: faults that cause nothing of the symptom and stay as they are.
    """

    setting: Setting
    troubles: Troubles
    scene: Scene
    symptom: Symptom
    found: tuple[tuple[Defect, Fault], ...]
    besides: tuple[tuple[Defect, Fault], ...] = ()

    @property
    def faults(self) -> list[Fault]:
        return [fault for _, fault in self.found]

    @property
    def free(self) -> tuple[str, ...]:
        return self.troubles.free_tables(self.symptom, self.faults)

    @property
    def initial(self) -> Initial:
        broken = tuple(step for _, fault in (*self.found, *self.besides) for step in fault.breaks)
        return Initial(database=self.setting.database, calls=(*self.troubles.settle(self.setting.caller), *broken))

    @property
    def combination(self) -> str:
        return self.troubles.combine(self.initial.calls)


def synthesise_repair(domain: Domain, pair: PlanPair, order: Order) -> Task | None:
    """Return one task without a checker, or None when what was drawn does not fit together or is held out.

    The same order and plan give the same task.
    """
    troubles = find_troubles(domain)
    if troubles is None or (order.alone and troubles.write_ticket is None):
        return None
    setting, rng = enter_setting(domain, order, order.roll("caller", 0)), order.roll("defects")
    held_out = find_held_out(domain) or HeldOut()
    silent = order.alone and order.roll("ticket").random() < SILENT_SHARE
    scene = Scene(setting.session.state, setting.caller, rng, order.alone, silent)
    drawn = _draw_cases(setting, troubles, scene)
    case = next((case for case in drawn if not held_out.has_combination(case.combination)), None)
    if case is None or not _breaks(domain, case):
        return None
    opening = _find_opening(setting, troubles.identity)
    way = _cure(domain, case) if all(fault.cure for fault in case.faults) else _hand_over(domain, case)
    if opening is None or way is None:
        return None
    persona = draw(pair.synthesis.personas, order.roll("persona"))
    return _assemble(case, pair, order, (opening, *way), persona)


def _draw_cases(setting: Setting, troubles: Troubles, scene: Scene) -> Iterator[_Case]:
    """Yield cases whose faults fit together, those of one symptom first.

    Which symptom that is, and whether somebody can cure it, is drawn once, so that drawing again for what is held out
    changes neither share.
    """
    rng = scene.rng
    hopeless = rng.random() < INCURABLE_SHARE
    for symptom in rng.sample(troubles.symptoms, len(troubles.symptoms)):
        for _ in range(DRAWS):
            case = _draw_case(setting, troubles, scene, symptom, hopeless)
            if case:
                yield case


def _draw_case(setting: Setting, troubles: Troubles, scene: Scene, symptom: Symptom, hopeless: bool) -> _Case | None:
    rng = scene.rng
    able = [defect for defect in troubles.defects if symptom.name in defect.symptoms]
    drawn = rng.sample(able, len(able))
    incurable = [defect for defect in drawn if not defect.curable][:hopeless]
    wanted = int(draw(COUNTS_ALONE if scene.alone else COUNTS, rng))
    chosen: dict[str, Defect] = {}
    for defect in [*incurable, *(defect for defect in drawn if defect.curable)]:
        if len(chosen) < wanted:
            chosen.setdefault(defect.group or defect.name, defect)
    found = _find_faults(troubles, scene, list(chosen.values()))
    besides = _find_faults(troubles, scene, _draw_besides(troubles, symptom, set(chosen), rng) if scene.alone else [])
    return None if found is None or besides is None else _Case(setting, troubles, scene, symptom, found, besides)


def _draw_besides(troubles: Troubles, symptom: Symptom, groups: set[str], rng: random.Random) -> list[Defect]:
    """Return defects of other groups that cause nothing of the symptom, and that somebody could cure."""
    others = [defect for defect in troubles.defects if symptom.name not in defect.symptoms and defect.curable]
    chosen = {defect.group or defect.name: defect for defect in rng.sample(others, len(others))}
    names = [name for name in chosen if name not in groups]
    return [chosen[name] for name in names[: int(draw(BESIDES, rng))]]


def _find_faults(troubles: Troubles, scene: Scene, chosen: Sequence[Defect]) -> tuple[tuple[Defect, Fault], ...] | None:
    """Return defects with their faults in the order of the policy, None where one of them cannot be."""
    found = [(defect, defect.find(scene)) for defect in troubles.defects if defect in chosen]
    faults = tuple((defect, fault) for defect, fault in found if fault is not None)
    return faults if len(faults) == len(found) else None


def _breaks(domain: Domain, case: _Case) -> bool:
    """Return whether the symptom is there with the faults and not without them."""
    healthy = domain.open(case.troubles.heal(case.initial))
    return not _shows(healthy, case.symptom) and _shows(domain.open(case.initial), case.symptom)


def _shows(session: Session, symptom: Symptom) -> bool:
    return any(change.table == symptom.table for change in session.changes())


def _find_opening(setting: Setting, kind: str) -> SeatCall | None:
    """Return the read by which a caller is looked up by a value of the kind."""
    for position in setting.walk.opening_reads():
        if setting.walk.known_kinds(position) == frozenset({kind}):
            return SeatCall(seat="agent", call=setting.walk.reads[position].call)
    return None


def _cure(domain: Domain, case: _Case) -> tuple[SeatCall, ...] | None:
    """Return checks and cures of all faults without the writes that another one's make needless.

    None when the symptom does not go, or a fault has no needed write left: then it would not really be there.
    """
    steps = _walk_through(case, case.found)
    parts = [position for position, (_, step) in enumerate(steps) if domain.tools[step.call.name].kind == "write"]
    end = _play(domain, case, [step for _, step in steps])
    if end is None or any(change.table == case.symptom.table for change in end):
        return None
    dropped: set[int] = set()
    for position in parts:
        left = [step for place, (_, step) in enumerate(steps) if place not in dropped | {position}]
        if _play(domain, case, left) == end:
            dropped.add(position)
    if {steps[position][0] for position in parts if position not in dropped} != set(range(len(case.found))):
        return None
    kept = [step for place, (_, step) in enumerate(steps) if place not in dropped]
    return (case.symptom.probe, *kept, case.symptom.probe)


def _hand_over(domain: Domain, case: _Case) -> tuple[SeatCall, ...] | None:
    """Return what is checked and cured before the first fault that nobody can cure, its checks, and the hand-over.

    None when that would change something that counts: whether it should then be changed is anybody's guess.
    """
    place = next(number for number, fault in enumerate(case.faults) if not fault.cure)
    steps = [step for _, step in _walk_through(case, case.found[: place + 1])]
    if _play(domain, case, steps) != _play(domain, case, []):
        return None
    return (case.symptom.probe, *steps, case.troubles.handover)


def _walk_through(case: _Case, found: Sequence[tuple[Defect, Fault]]) -> list[tuple[int, SeatCall]]:
    """Return the steps of checking and curing, each with the number of its fault.

    The checks of defects that come before the last one are made too, whether or not those are there.
    """
    number = {defect.name: place for place, (defect, _) in enumerate(found)}
    last = case.troubles.defects.index(found[-1][0])
    steps: list[tuple[int, SeatCall]] = []
    for defect in case.troubles.defects[: last + 1]:
        if case.symptom.name not in defect.symptoms:
            continue
        place = number.get(defect.name, -1)
        made = [step for _, step in steps]
        steps += [(place, step) for step in defect.checks(case.scene) if step not in made]
        if place >= 0:
            steps += [(place, step) for step in found[place][1].cure]
    return steps


def _play(domain: Domain, case: _Case, steps: Sequence[SeatCall]) -> tuple[Change, ...] | None:
    """Return the changes that count after some steps, None when one of them is refused."""
    session = domain.open(case.initial)
    if any(session.call(step.seat, step.call).error for step in steps):
        return None
    return keep_bound(session.changes(), case.free)


def _assemble(case: _Case, pair: PlanPair, order: Order, gold: Sequence[SeatCall], persona: str) -> Task:
    setting, symptom = case.setting, case.symptom
    cured = all(fault.cure for fault in case.faults)
    facts = {fact.kind: fact for fact in symptom.tell(case.scene)}
    facts |= {fact.kind: fact for fault in case.faults for fact in fault.facts}
    number = write_fact(setting, case.troubles.identity, setting.caller.known[case.troubles.identity])
    request = Request(topic=case.scene.rng.choice(symptom.topics))
    # What may turn out to be needed is no part of the wish: nobody has to be asked for it.
    told, asides = give_manners(setting, (number, *facts.values()), (request,), order.roll("quirks"), plain=order.plain)
    user = render_user(setting.caller.name, persona, *told, asides, plain=order.plain)
    tools = setting.domain.tools
    ticket = None
    if order.alone and case.troubles.write_ticket:
        ticket = case.troubles.write_ticket(symptom, case.scene, [*facts.values()], [d.name for d, _ in case.found])
    acts = {step.call.name for step in gold if step.seat == "agent" and tools[step.call.name].kind != "read"}
    holds = [*symptom.holds, *(step for fault in case.faults for step in fault.holds)] if cured else symptom.lacks
    return Task(
        domain=setting.domain.name,
        initial=case.initial.model_copy(update={"calls": number_calls(case.initial.calls, "init"), "ticket": ticket}),
        user=user.model_copy(update={"task_instructions": f"{_OBLIGING} {user.task_instructions}"}),
        gold=number_calls(gold, "call"),
        free=case.free,
        holds=number_calls(holds, "holds"),
        tags=Tags(
            tools=tuple(sorted(acts)),
            clauses=tuple(sorted({c.id for c in setting.domain.clauses if acts & set(c.tools)})),
            no_write=not cured,
            tier="repair",
            combination=case.combination,
        ),
        provenance=Provenance(plan=pair.name, seed=order.seed, item=order.item, caller=setting.caller.key),
    )


_OBLIGING = "Do what the agent asks you to do with your own tools and tell what they show, never what you only guess."
