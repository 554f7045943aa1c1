"""Whether a run's tasks keep off what a benchmark measures on: its people, its texts, what is broken in its tasks."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from veriloop.core.base import Frozen
from veriloop.domains.held_out import HeldOut, digest_shingles, digest_words, split_marks
from veriloop.domains.task import Task

Kind = Literal["entities", "instructions", "combinations"]
KINDS: tuple[Kind, ...] = ("entities", "instructions", "combinations")


class Leak(Frozen):
    """One way in which a task is the benchmark's. what: the value, resemblance or combination found, in words."""

    task: str
    kind: Kind
    what: str


class Leakage(Frozen):
    """What a check of so many tasks found, in their order; a task has one leak of each kind at most."""

    checked: int
    leaks: tuple[Leak, ...] = ()

    def count(self) -> dict[str, int]:
        """Return how many tasks were checked, and how many leak in each way."""
        return {"checked": self.checked} | {kind: sum(leak.kind == kind for leak in self.leaks) for kind in KINDS}


def check_leakage(tasks: Iterable[Task], held_out: HeldOut) -> Leakage:
    """Compare tasks with what is held out."""
    checked, leaks = 0, list[Leak]()
    for task in tasks:
        checked += 1
        leaks += _find_leaks(task, held_out)
    return Leakage(checked=checked, leaks=tuple(leaks))


def resembles(one: frozenset[str], other: frozenset[str]) -> bool:
    """Return whether two texts are nearly the same: they share half of the shingles of the one that has fewer."""
    fewer = min(len(one), len(other))
    return fewer > 0 and 2 * len(one & other) >= fewer


def _find_leaks(task: Task, held_out: HeldOut) -> Iterator[Leak]:
    if found := sorted(filter(held_out.has_entity, _list_values(task))):
        yield Leak(task=task.id, kind="entities", what=f"is about {', '.join(found)}, held out")
    shingles = digest_shingles(task.user)
    if shingles in held_out.instructions:
        yield Leak(task=task.id, kind="instructions", what="has the words of an instruction that is held out")
    elif any(resembles(shingles, text) for text in held_out.instructions):
        yield Leak(task=task.id, kind="instructions", what="has nearly the words of an instruction that is held out")
    elif task.initial.ticket and any(resembles(digest_words(task.initial.ticket), text) for text in held_out.tickets):
        yield Leak(task=task.id, kind="instructions", what="has nearly the words of a ticket that is held out")
    if held_out.has_combination(task.tags.combination):
        yield Leak(task=task.id, kind="combinations", what=f"breaks {task.tags.combination}, held out")


def _list_values(task: Task) -> set[str]:
    """Return every text of a task and what in it may be an id; what only tells how it is judged is left out."""
    texts = list_texts(task.model_dump(mode="json", exclude={"version", "checker", "tags"}))
    return {value for text in texts for value in list_values(text)}


def list_values(text: str) -> set[str]:
    """Return a text and what in it may be an id."""
    return {text, *split_marks(text)}


def list_texts(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from list_texts(part)
