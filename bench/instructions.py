"""How well the proof finds faulty instructions: facts left out, and things described that fit two rows.

python bench/instructions.py RUN ... [--tasks 150]

Spoils the instruction of every task of the runs in each way there is room for, and prints what the proof says to it.
"""

import argparse
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from veriloop.check.clause import find_gold_violations
from veriloop.core.base import derive_seed
from veriloop.core.message import ToolCall
from veriloop.domains.domain import Domain
from veriloop.domains.registry import load_domain
from veriloop.domains.task import Fact, Task
from veriloop.domains.walk import Walk
from veriloop.proof.ending import settle
from veriloop.proof.instruction import check_instruction
from veriloop.proof.prove import walk_from_words
from veriloop.proof.replay import Replay, replay


def leave_out_facts(task: Task) -> Iterator[Task]:
    """Yield the task without one of the facts that its user can tell, each once."""
    for number, fact in enumerate(task.user.identity):
        rest = (*task.user.identity[:number], *task.user.identity[number + 1 :])
        yield task.model_copy(update={"user": task.user.model_copy(update={"identity": rest})})
        assert fact not in rest
    for place, request in enumerate(task.user.requests):
        for number in range(len(request.facts)):
            less = request.model_copy(update={"facts": (*request.facts[:number], *request.facts[number + 1 :])})
            requests = (*task.user.requests[:place], less, *task.user.requests[place + 1 :])
            yield task.model_copy(update={"user": task.user.model_copy(update={"requests": requests})})


def list_twins(domain: Domain, task: Task, gold: Replay) -> Iterator[tuple[str, str, Walk]]:
    """Yield (way, kind, walk) for each thing that the user only describes, another of the walk made to look like it.

    Taken is one with which the wish could be carried out as well and would end elsewhere, if there is one: else the
    instruction means one thing all the same, for the other would be refused, told apart by other facts, or no matter.
    """
    for request, wanted in zip(task.user.requests, task.wanted, strict=True):
        for fact in request.facts:
            steps = find_steps(task, wanted)
            if fact.value is not None or not steps:
                continue
            alike = list(make_alike(domain, task, wanted, fact))
            meant = [walk for other, walk in alike if could_be_meant(domain, task, gold, steps, fact.argument, other)]
            if meant:
                yield "described like another", fact.kind, meant[0]
            elif alike:
                yield "described like one that cannot be meant", fact.kind, alike[0][1]


def explore_words(domain: Domain, task: Task) -> Walk:
    """Return the walk from what the user can tell."""
    return walk_from_words(domain, task, random.Random(derive_seed("bench", task.id)))


def make_alike(domain: Domain, task: Task, wanted: ToolCall, fact: Fact) -> Iterator[tuple[Any, Walk]]:
    """Yield (value, walk) where the walk has another thing that looks like the wanted one, or the first of those."""
    value = wanted.arguments.get(fact.argument)
    [first, *rest] = value if isinstance(value, list) and value else [value]
    if not isinstance(first, str):
        return
    for other in explore_words(domain, task).pool.get(fact.kind, {}):
        walk = explore_words(domain, task)
        pooled = walk.pool[fact.kind]
        if other in (first, *rest) or not pooled.get(first):
            continue
        pooled[other] = dict(pooled[first])
        scope = walk.scope(domain.open(task.initial), dict(wanted.arguments))
        twin = [other, *rest] if isinstance(value, list) else other
        if domain.tools[wanted.name].sources[fact.argument].wording(twin, scope) == fact.text:
            yield twin, walk


def find_steps(task: Task, wanted: ToolCall) -> list[int]:
    """Return where the gold makes a wanted call."""
    return [
        place
        for place, step in enumerate(task.gold)
        if (step.call.name, step.call.arguments) == (wanted.name, wanted.arguments)
    ]


def could_be_meant(domain: Domain, task: Task, gold: Replay, steps: list[int], argument: str, other: Any) -> bool:
    """Return whether the gold could be made with the other thing too, within the policy, and would end elsewhere."""
    calls = list(task.gold)
    for place in steps:
        call = calls[place].call
        meant = call.model_copy(update={"arguments": {**call.arguments, argument: other}})
        calls[place] = calls[place].model_copy(update={"call": meant})
    made = replay(domain, task, calls)
    if any(made.results[place].error for place in steps) or find_gold_violations(domain, task.initial, calls):
        return False
    return settle(domain, task, made.changes) != settle(domain, task, gold.changes)


def measure(domain: Domain, tasks: list[Task]) -> tuple[Counter[tuple[str, bool]], Counter[str], list[str]]:
    """Return counts by (way, found), the reasons given, and what is not as it should be, each in a line."""
    counts, reasons, missed = Counter[tuple[str, bool]](), Counter[str](), list[str]()
    for task in tasks:
        gold = replay(domain, task, task.gold)
        for spoiled in leave_out_facts(task):
            found = check_instruction(domain, spoiled, explore_words(domain, spoiled), gold)
            counts[f"a fact left out, {'refused' if task.refused else 'done'}", bool(found)] += 1
            reasons.update(re.sub(r"'[^']*'|\d+", "...", problem) for problem in found[:1])
            missed += [] if found else [f"{task.id}: {_name_left_out(task, spoiled)} left out"]
        for way, kind, walk in list_twins(domain, task, gold):
            found = check_instruction(domain, task, walk, gold)
            counts[way, bool(found)] += 1
            reasons.update(re.sub(r"'[^']*'|\d+", "...", problem) for problem in found[:1])
            missed += [f"{task.id}: {way}, {kind}, {found}"] if bool(found) is way.endswith("meant") else []
    return counts, reasons, missed


def _name_left_out(task: Task, spoiled: Task) -> str:
    """Return what the fact is called that is not there any more."""
    facts = [
        [*each.user.identity, *(f for request in each.user.requests for f in request.facts)] for each in (task, spoiled)
    ]
    return next(fact.label for fact in facts[0] if facts[0].count(fact) > facts[1].count(fact))


def main() -> None:
    """Measure the runs named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--tasks", type=int, default=150)
    given = parser.parse_args()
    for run in given.runs:
        files = sorted((run / "tasks").glob("*.json"))
        tasks = [Task.model_validate_json(file.read_text(encoding="utf-8")) for file in files]
        tasks = [task for task in tasks if not task.tags.combination][: given.tasks]
        domain = load_domain(tasks[0].domain)
        counts, reasons, missed = measure(domain, tasks)
        shown = sorted(missed, key=lambda line: "left out" in line)[:6]
        print(f"{domain.name}: {len(tasks)} tasks", dict(counts), *reasons.most_common(8), *shown, sep="\n  ")


if __name__ == "__main__":
    main()
