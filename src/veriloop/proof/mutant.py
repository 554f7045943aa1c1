"""Wrong dialogues made from right ones. Nothing here knows how a checker is built."""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from veriloop.core.message import ToolCall
from veriloop.domains.domain import Domain, agent_writes
from veriloop.domains.session import Session
from veriloop.domains.task import SeatCall, Task
from veriloop.domains.walk import Walk, draft_arguments

VALUES_PER_ARGUMENT = 4
FOREIGN = 3


@dataclass(frozen=True, slots=True)
class Mutant:
    """A variant of the gold calls, the kind of mistake it makes, and what the agent says at its end (or start)."""

    kind: str
    calls: tuple[SeatCall, ...]
    words: tuple[str, ...]
    early: bool = False


def is_write(domain: Domain, step: SeatCall) -> bool:
    """Return whether a step may change the state."""
    return domain.tools[step.call.name].kind == "write"


def make_mutants(
    domain: Domain, task: Task, walk: Walk, session: Session, words: Sequence[str], rng: random.Random
) -> Iterator[Mutant]:
    """Yield wrong variants of a task's gold: `session` is in the gold end state, `walk` was made on the untouched one.

    Some may turn out to lead to the same end; the caller compares states and leaves those out.
    """
    said, gold = tuple(words), task.gold
    writes = [position for position, step in enumerate(gold) if is_write(domain, step)]
    others = [position for position, step in enumerate(gold) if domain.tools[step.call.name].is_handover]
    if writes:
        yield Mutant("untouched", tuple(step for step in gold if not is_write(domain, step)), said)
    if writes or others:
        yield Mutant("silent", (), said)
    for position in others:
        yield Mutant("dropped_call", (*gold[:position], *gold[position + 1 :]), said)
        yield Mutant("hasty_call", (gold[position], *gold[:position], *gold[position + 1 :]), said)
    for position in writes:
        yield Mutant("dropped_write", (*gold[:position], *gold[position + 1 :]), said)
        for changed in _change_arguments(domain, gold[position], walk, session, rng):
            yield Mutant("changed_argument", (*gold[:position], changed, *gold[position + 1 :]), said)
    for extra in _foreign_writes(domain, walk, session, rng):
        yield Mutant("foreign_write", (*gold, extra), said)
    if task.refused:
        yield from _refusal_mutants(domain, task, said)
    if task.told:
        yield Mutant("untold", gold, ("That is done.",))


def _refusal_mutants(domain: Domain, task: Task, said: tuple[str, ...]) -> Iterator[Mutant]:
    """Yield the mistakes around a refusal: silence, refusing blindly or too soon, doing what is forbidden."""
    gold = task.gold
    yield Mutant("unrefused", gold, ("That is done.",))
    if any(clause.reads for clause in domain.clauses if clause.id in task.refused):
        yield Mutant("hasty_refusal", gold, said, early=True)
    writes_only = tuple(step for step in gold if is_write(domain, step))
    if len(writes_only) < len(gold):
        yield Mutant("blind_refusal", writes_only, said)
    made = [step.call for step in gold]
    for wanted in task.wanted:
        if not any(call.name == wanted.name and call.arguments == wanted.arguments for call in made):
            yield Mutant("forbidden_write", (*gold, SeatCall(seat="agent", call=wanted)), said)


def _change_arguments(
    domain: Domain, step: SeatCall, walk: Walk, session: Session, rng: random.Random
) -> Iterator[SeatCall]:
    sources = domain.tools[step.call.name].sources
    for name, value in step.call.arguments.items():
        source = sources.get(name)
        others = source.candidates(walk.scope(session, step.call.arguments)) if source else []
        values = [other for other in others if other != value]
        chosen = rng.sample(values, min(len(values), VALUES_PER_ARGUMENT)) + list(_distort(value))
        for other in chosen:
            arguments = {**step.call.arguments, name: other}
            yield SeatCall(seat=step.seat, call=step.call.model_copy(update={"arguments": arguments}))


def _distort(value: Any) -> Iterator[Any]:
    """Yield near misses of a value by its type alone."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield value + 1
    elif isinstance(value, str) and value:
        yield value[:-1] + ("0" if value[-1] != "0" else "1")
    elif isinstance(value, list) and len(value) > 1:
        yield value[:-1]


def _foreign_writes(domain: Domain, walk: Walk, session: Session, rng: random.Random) -> Iterator[SeatCall]:
    """Yield writes of the agent's that nobody asked for and that do change the end state."""
    tools = [tool for tool in agent_writes(domain) if tool.sources]
    found = 0
    for tool in rng.sample(tools, len(tools)):
        arguments = draft_arguments(tool, walk, session, rng)
        if arguments is None or found >= FOREIGN:
            continue
        call = ToolCall(id="foreign", name=tool.name, arguments=arguments)
        if session.fork().call("agent", call).changes:
            found += 1
            yield SeatCall(seat="agent", call=call)


def make_alternatives(
    domain: Domain, task: Task, walk: Walk, rng: random.Random
) -> Iterator[tuple[str, tuple[SeatCall, ...]]]:
    """Yield (kind, calls) of paths that must pass: more reads, reads asked again, writes in another order.

    An order counts only if it leads to the gold state; the caller checks that.
    """
    gold = task.gold
    extra = [SeatCall(seat="agent", call=read.call) for read in rng.sample(walk.reads, min(3, len(walk.reads)))]
    yield "extra_reads", (*extra, *gold)
    yield (
        "repeated_reads",
        tuple(part for step in gold for part in ((step,) if is_write(domain, step) else (step, step))),
    )
    writes = [step for step in gold if is_write(domain, step)]
    reads = [step for step in gold if not is_write(domain, step)]
    for order in itertools.islice(itertools.permutations(writes), 1, 6):
        yield "other_order", (*reads, *order)
