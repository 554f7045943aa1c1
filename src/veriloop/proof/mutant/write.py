"""Mistakes in what is changed: too little, something else, too much, or taken back again."""

from collections.abc import Iterator
from typing import Any

from veriloop.core.message import Change, ToolCall
from veriloop.domains.domain import agent_writes
from veriloop.domains.walk import draft_arguments
from veriloop.proof.dialogue import YES, Dialogue, Line, ask_for_yes
from veriloop.proof.mutant.ground import Ground

OTHER_VALUES = 1
"""Values of the domain tried for one argument, near misses of its type aside."""
FOREIGN = 2


def drop_writes(ground: Ground) -> Iterator[Dialogue]:
    """Leave out one write, of either seat."""
    for position in ground.writes():
        yield ground.dialogue.drop(position)


def drop_requests(ground: Ground) -> Iterator[Dialogue]:
    """Leave out what one request asks for, where others are carried out; or all but one."""
    requests = list(ground.requests())
    if len(requests) < 2:
        return
    for number, positions in enumerate(requests):
        yield ground.dialogue.drop(*positions)
        if len(requests) > 2:
            rest = requests[:number] + requests[number + 1 :]
            yield ground.dialogue.drop(*(place for other in rest for place in other))


def do_nothing(ground: Ground) -> Iterator[Dialogue]:
    """Make no call at all and say the right words."""
    if ground.writes() or ground.handovers():
        yield ground.dialogue.keep([])


def only_read(ground: Ground) -> Iterator[Dialogue]:
    """Read everything, change nothing, say the right words."""
    if ground.writes():
        yield ground.dialogue.drop(*ground.writes())


def drop_handovers(ground: Ground) -> Iterator[Dialogue]:
    """Leave out a call that changes nothing and is due."""
    for position in ground.handovers():
        yield ground.dialogue.drop(position)


def change_arguments(ground: Ground) -> Iterator[Dialogue]:
    """Make a write with one argument that is something else."""
    for position in ground.writes():
        step = ground.task.gold[position]
        sources = ground.domain.tools[step.call.name].sources
        for name, value in step.call.arguments.items():
            source = sources.get(name)
            offered = source.candidates(ground.walk.scope(ground.session, step.call.arguments)) if source else []
            others = [other for other in offered if other != value]
            chosen = ground.rng.sample(others, min(len(others), OTHER_VALUES)) + list(distort(value))
            for other in chosen:
                yield ground.dialogue.recall(position, change_call(step.call, {name: other}))


def distort(value: Any) -> Iterator[Any]:
    """Yield near misses of a value by its type alone."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
    elif isinstance(value, str) and value:
        yield value[:-1] + ("0" if value[-1] != "0" else "1")
    elif isinstance(value, list) and len(value) > 1:
        yield value[:-1]


def change_call(call: ToolCall, arguments: dict[str, Any]) -> ToolCall:
    """Return the call with some arguments changed."""
    return call.model_copy(update={"arguments": {**call.arguments, **arguments}})


def swap_entities(ground: Ground) -> Iterator[Dialogue]:
    """Take something else of the caller's for what is meant, in all of the agent's calls: another parcel or order."""
    named = {
        (source.kind, value)
        for call in (*ground.task.wanted, *(ground.task.gold[position].call for position in ground.writes()))
        for name, value in call.arguments.items()
        if (source := ground.domain.tools[call.name].sources.get(name)) and isinstance(value, str)
    }
    for kind, value in sorted(named):
        pooled = [other for other in ground.walk.pool.get(kind, {}) if other != value]
        for other in ground.rng.sample(pooled, min(2, len(pooled))):
            yield _replace_in_calls(ground, {value: other})


def swap_callers(ground: Ground) -> Iterator[Dialogue]:
    """Look up somebody else than who calls, and go on as if nothing were wrong."""
    known = {fact.kind: fact.value for fact in ground.task.user.identity}
    written = [ground.task.gold[position] for position in ground.writes() if ground.task.gold[position].seat == "agent"]
    database = ground.task.initial.database
    others = [other.known for other in ground.domain.callers(database, database.rpartition("-")[0])[:40]]
    fitting = [other for other in others if all(other.get(kind) not in (None, v) for kind, v in known.items())]
    if not written or not fitting or not ground.openings():
        return
    other = ground.rng.choice(fitting)
    for position in ground.openings():
        call = ground.task.gold[position].call
        kinds = {own: kind for kind, own in known.items()}
        names = {name: other[kinds[value]] for name, value in call.arguments.items() if value in kinds}
        yield ground.dialogue.recall(position, change_call(call, names))


def _replace_in_calls(ground: Ground, names: dict[str, Any]) -> Dialogue:
    made = ground.dialogue
    for position, step in enumerate(ground.task.gold):
        if step.seat == "agent":
            arguments = {name: names.get(v, v) if isinstance(v, str) else v for name, v in step.call.arguments.items()}
            made = made.recall(position, change_call(step.call, arguments))
    return made


def repeat_writes(ground: Ground) -> Iterator[Dialogue]:
    """Make a write of the agent's a second time."""
    for position in ground.writes():
        if ground.task.gold[position].seat == "agent":
            lines = ground.dialogue.steps[position]
            yield ground.dialogue.put(position, *lines, *lines)


def add_foreign_writes(ground: Ground) -> Iterator[Dialogue]:
    """Make a write of the agent's that nobody asked for and that does change the end state."""
    tools = [tool for tool in agent_writes(ground.domain) if tool.sources]
    found = 0
    for tool in ground.rng.sample(tools, len(tools)):
        arguments = draft_arguments(tool, ground.walk, ground.session, ground.rng)
        if arguments is None or found >= FOREIGN:
            continue
        call = ToolCall(id="foreign", name=tool.name, arguments=arguments)
        if ground.session.fork().call("agent", call).changes:
            found += 1
            yield ground.dialogue.add(Line("agent", calls=(call,)))


def add_forbidden_writes(ground: Ground) -> Iterator[Dialogue]:
    """Do what is to be refused after all the rest was done right, with the words of a refusal or as if nothing were."""
    made = [(step.call.name, step.call.arguments) for step in ground.task.gold]
    for wanted in ground.task.wanted:
        if (wanted.name, wanted.arguments) not in made:
            asked = (Line("agent", ask_for_yes(ground.domain, wanted)), Line("user", YES))
            done = ground.dialogue.add(*asked, Line("agent", calls=(wanted,)))
            yield done
            yield done.close("That is done.")


def undo_writes(ground: Ground) -> Iterator[Dialogue]:
    """Make a write and take it back: the same call with the values that the row had before, or the switch once more."""
    session = ground.domain.open(ground.task.initial)
    for position, step in enumerate(ground.task.gold):
        result = session.call(step.seat, step.call)
        if not ground.is_write(step) or not result.changes:
            continue
        back = change_call(step.call, _old_values(step.call, result.changes))
        trial = session.fork()
        undone = trial.call(step.seat, back)
        if undone.changes and not undone.error and trial.digest() != session.digest():
            yield ground.dialogue.put(position, *ground.dialogue.steps[position], Line(step.seat, calls=(back,)))


def _old_values(call: ToolCall, changes: tuple[Change, ...]) -> dict[str, Any]:
    """Return for each argument that went into a row what stood there before."""
    old = dict[str, Any]()
    for change in changes:
        for before, after in _pair_leaves(change.before, change.after):
            for name, value in call.arguments.items():
                if value == after and before is not None and before != after and name not in old:
                    old[name] = before
    return old


def _pair_leaves(before: Any, after: Any) -> Iterator[tuple[Any, Any]]:
    yield before, after
    if isinstance(before, dict) and isinstance(after, dict):
        for name in before.keys() & after.keys():
            yield from _pair_leaves(before[name], after[name])


def swap_seats(ground: Ground) -> Iterator[Dialogue]:
    """Have the other seat make a write, whose tool it does not own."""
    for position in ground.writes():
        step = ground.task.gold[position]
        *words, last = ground.dialogue.steps[position]
        other = "user" if step.seat == "agent" else "agent"
        yield ground.dialogue.put(position, *words, Line(other, calls=last.calls))
