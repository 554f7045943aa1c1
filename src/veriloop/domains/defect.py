"""What can be wrong when a dialogue starts, declared by a domain so that synthesis can compose it and knows none.

A *defect* breaks something before anyone speaks, a *symptom* is what the user notices of it. A task is a symptom with
some of the defects that cause it, and is done when the symptom is gone and nothing else has changed that is not free.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from veriloop.core.message import Change
from veriloop.domains.domain import Caller, Domain
from veriloop.domains.task import Fact, Initial, SeatCall


@dataclass(frozen=True, slots=True)
class Scene:
    """Where defects are looked for: the state before anything is broken, who calls, and randomness to choose with.

    alone: an agent is to work alone, with a ticket. silent: that tells only what is the case, nothing the user would
    choose if they were asked; then the most is chosen that the policy allows.
    """

    state: Any
    caller: Caller
    rng: random.Random
    alone: bool = False
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """A defect in one scene.

    breaks: initial calls, which may be functions that no seat has as a tool. cure: the calls of both seats that put it
    right; empty when nobody in the dialogue can. facts: what the user tells because of it, instead of the symptom's
    fact of the same kind. holds: functions of the domain that return true once it is cured. free: tables that may
    change though it is not cured.
    """

    breaks: tuple[SeatCall, ...]
    cure: tuple[SeatCall, ...] = ()
    facts: tuple[Fact, ...] = ()
    holds: tuple[SeatCall, ...] = ()
    free: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Defect:
    """One thing that can be wrong.

    symptoms: names of those that it causes. checks: the reads of either seat that show whether it is there. find: the
    fault in a scene, None where it cannot be. group: of defects of one group a task has one at most. curable: whether
    its faults have a cure.
    """

    name: str
    symptoms: tuple[str, ...]
    checks: Callable[[Scene], tuple[SeatCall, ...]]
    find: Callable[[Scene], Fault | None]
    group: str = ""
    curable: bool = True


@dataclass(frozen=True, slots=True)
class Symptom:
    """What a user complains of.

    table: it has a changed row exactly while the symptom lasts. topics: wordings of the wish to be rid of it. probe:
    the user's read that shows it. tell: what the user can say to it. holds, lacks: functions of the domain that return
    true when it is gone, and while it lasts.
    """

    name: str
    table: str
    topics: tuple[str, ...]
    probe: SeatCall
    tell: Callable[[Scene], tuple[Fact, ...]]
    holds: tuple[SeatCall, ...]
    lacks: tuple[SeatCall, ...]


@dataclass(frozen=True, slots=True)
class Troubles:
    """Everything that can go wrong in a domain.

    defects: in the order in which the policy has them looked for. free: tables that may end as they like. neutral:
    names of initial functions that only set the scene. identity: the kind of value by which the caller is looked up.
    handover: the call that ends a task which nobody can cure. settle: the initial calls that put a caller in place.
    write_ticket: from a symptom, its scene, what the user can tell and the names of the defects to what an agent who
    works alone reads; None where nobody does.
    """

    symptoms: tuple[Symptom, ...]
    defects: tuple[Defect, ...]
    free: tuple[str, ...]
    neutral: frozenset[str]
    identity: str
    handover: SeatCall
    settle: Callable[[Caller], tuple[SeatCall, ...]]
    write_ticket: Callable[[Symptom, Scene, Sequence[Fact], Sequence[str]], str] | None = None

    def combine(self, calls: Iterable[SeatCall]) -> str:
        """Return the key of what initial calls break: the sorted names of the functions, joined with "+"."""
        return "+".join(sorted({step.call.name for step in calls} - self.neutral))

    def heal(self, initial: Initial) -> Initial:
        """Return the same scene with nothing broken."""
        return initial.model_copy(
            update={"calls": tuple(step for step in initial.calls if step.call.name in self.neutral)}
        )

    def free_tables(self, symptom: Symptom, faults: Iterable[Fault]) -> tuple[str, ...]:
        """Return the tables that do not count when the symptom is all that the user wants gone."""
        others = {other.table for other in self.symptoms if other is not symptom}
        return tuple(sorted({*self.free, *others, *(name for fault in faults for name in fault.free)}))


def find_troubles(domain: Domain) -> Troubles | None:
    """Return what a domain declares to go wrong, None where it declares nothing."""
    return getattr(domain, "troubles", None)


def keep_bound(changes: Sequence[Change], free: Sequence[str]) -> tuple[Change, ...]:
    """Return the changes of tables that are not free."""
    return tuple(change for change in changes if change.table not in free)
