"""Right dialogues other than the gold one: more reads, another order, other words. A checker has to let each pass."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from veriloop.core.message import ToolCall
from veriloop.proof.dialogue import Dialogue, Line
from veriloop.proof.mutant.ground import Ground
from veriloop.proof.mutant.wording import REFUSALS, say_value
from veriloop.proof.mutant.write import change_call

ORDERS = 4
"""Other orders of the requests and of unordered lists that are tried."""
MAY_END_ELSEWHERE = ("other_order",)
"""Classes of which only those count that lead to the gold end: not all that is asked for commutes."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """A dialogue that must pass, and in what it differs."""

    kind: str
    lines: tuple[Line, ...]


def make_alternatives(ground: Ground) -> Iterator[Alternative]:
    """Yield valid variants of a task's right dialogue."""
    for kind, make in ALTERNATIVES.items():
        yield from (Alternative(kind, dialogue.lines()) for dialogue in make(ground))


def read_more(ground: Ground) -> Iterator[Dialogue]:
    """Read other things as well: before, between and after what is needed."""
    reads = ground.walk.reads
    chosen = [Line("agent", calls=(read.call,)) for read in ground.rng.sample(reads, min(3, len(reads)))]
    if not chosen:
        return
    steps = tuple((*step, chosen[place % len(chosen)]) for place, step in enumerate(ground.dialogue.steps))
    yield replace(ground.dialogue, opening=(*ground.dialogue.opening, *chosen), steps=steps).add(*chosen)


def read_again(ground: Ground) -> Iterator[Dialogue]:
    """Read everything twice, and once more at the end."""
    gold = ground.task.gold
    reads = [place for place, step in enumerate(gold) if step.seat == "agent" and _reads(ground, place)]
    twice = [place for place in range(len(gold)) for _ in range(2 if place in reads else 1)]
    yield ground.dialogue.keep([*twice, *reads])


def err_first(ground: Ground) -> Iterator[Dialogue]:
    """Mistype the argument of a read, be told so by the tool, and read on."""
    for position, step in enumerate(ground.task.gold):
        texts = {name: f"{value}0" for name, value in step.call.arguments.items() if isinstance(value, str)}
        if step.seat == "agent" and texts and _reads(ground, position):
            wrong = Line("agent", calls=(change_call(step.call, texts),))
            yield ground.dialogue.put(position, wrong, *ground.dialogue.steps[position])
            return


def _reads(ground: Ground, position: int) -> bool:
    return ground.domain.tools[ground.task.gold[position].call.name].kind == "read"


def change_order(ground: Ground) -> Iterator[Dialogue]:
    """Carry the requests out in another order, after all reads; where no request is a write of its own, the writes."""
    requests = list(ground.requests()) or [[position] for position in ground.writes()]
    acting = {position for positions in requests for position in positions}
    rest = [position for position in range(len(ground.task.gold)) if position not in acting]
    for order in itertools.islice(itertools.permutations(requests), 1, 1 + ORDERS):
        yield ground.dialogue.keep([*rest, *itertools.chain.from_iterable(order)])


def shuffle_lists(ground: Ground) -> Iterator[Dialogue]:
    """Name the elements of lists whose order means nothing in another order."""
    for position in ground.writes():
        call = ground.task.gold[position].call
        lists = find_unordered_lists(ground, call)
        for number in range(ORDERS if lists else 0):
            shuffled = dict[str, Any]()
            for together in lists.values():
                places = list(reversed(range(len(next(iter(together.values()))))))
                if number:
                    ground.rng.shuffle(places)
                shuffled |= {name: [values[place] for place in places] for name, values in together.items()}
            if shuffled != {name: call.arguments[name] for name in shuffled}:
                yield ground.dialogue.recall(position, change_call(call, shuffled))


def find_unordered_lists(ground: Ground, call: ToolCall) -> dict[str, dict[str, list[Any]]]:
    """Return the arguments that hold unordered lists of two or more, by the name under which they go together."""
    found = dict[str, dict[str, list[Any]]]()
    for name, source in ground.domain.tools[call.name].sources.items():
        value = call.arguments.get(name)
        if source.unordered and isinstance(value, list) and len(value) > 1:
            found.setdefault(source.unordered, {})[name] = value
    return found


def reword(ground: Ground) -> Iterator[Dialogue]:
    """Refuse, tell and bring it to an end in other words."""
    task = ground.task
    if not task.refused and not task.told:
        yield ground.dialogue.close("Everything is as you wished. Anything else?")
        return
    refusals = ground.rng.sample(REFUSALS, 2) if task.refused else ["Here you are."]
    for refusal in refusals:
        told = [f"It is {ground.rng.choice(list(say_value(value)))}." for value in task.told]
        yield ground.dialogue.close(" ".join([refusal, *told]))
        if told:
            yield ground.dialogue.close(*told, refusal)


def chat(ground: Ground) -> Iterator[Dialogue]:
    """Talk in between, beside calls too."""
    talk = (Line("agent", "Let me look into that for you."), Line("user", "Thanks, take your time."))
    steps = tuple(tuple(_hum(line) for line in step) for step in ground.dialogue.steps)
    yield replace(ground.dialogue, opening=(*ground.dialogue.opening, *talk), steps=steps)


def _hum(line: Line) -> Line:
    return replace(line, text="One moment, please.") if line.calls and line.seat == "agent" else line


ALTERNATIVES = {
    "extra_reads": read_more,
    "repeated_reads": read_again,
    "error_first": err_first,
    "other_order": change_order,
    "other_list_order": shuffle_lists,
    "other_wording": reword,
    "talk": chat,
}
"""Makers of valid dialogues by the name of their class."""
