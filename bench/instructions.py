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

from veriloop.core.base import derive_seed
from veriloop.core.message import ToolCall
from veriloop.domains.domain import Domain
from veriloop.domains.registry import load_domain
from veriloop.domains.session import Session
from veriloop.domains.task import Task
from veriloop.domains.walk import Walk
from veriloop.proof.instruction import check_instruction
from veriloop.proof.prove import walk_from_words
from veriloop.proof.replay import replay


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


def make_twins(task: Task, walk: Walk, session: Session) -> Iterator[str]:
    """Make another row of the walk look like one that the user only describes; yields what was made alike."""
    for request, wanted in zip(task.user.requests, task.wanted, strict=True):
        for fact in request.facts:
            value, pooled = wanted.arguments.get(fact.argument), walk.pool.get(fact.kind, {})
            others = [other for other in pooled if other != value]
            described = (
                fact.value is None and isinstance(value, str) and pooled.get(value) and _is_carried_out(task, wanted)
            )
            if described and others:
                pooled[others[0]] = dict(pooled[value])
                scope = walk.scope(session, dict(wanted.arguments))
                if walk.domain.tools[wanted.name].sources[fact.argument].wording(others[0], scope) == fact.text:
                    yield fact.kind


def _is_carried_out(task: Task, wanted: ToolCall) -> bool:
    return (wanted.name, wanted.arguments) in [(step.call.name, step.call.arguments) for step in task.gold]


def measure(domain: Domain, tasks: list[Task]) -> tuple[Counter[tuple[str, bool]], Counter[str], list[str]]:
    """Return counts by (way, found), the reasons given, and what was not found, each in a line."""
    counts, reasons, missed = Counter[tuple[str, bool]](), Counter[str](), list[str]()
    for task in tasks:
        gold = replay(domain, task, task.gold)
        for spoiled in leave_out_facts(task):
            walk = walk_from_words(domain, spoiled, random.Random(derive_seed("bench", task.id)))
            found = check_instruction(domain, spoiled, walk, gold)
            counts[f"a fact left out, {'refused' if task.refused else 'done'}", bool(found)] += 1
            reasons.update(re.sub(r"'[^']*'|\d+", "...", problem) for problem in found[:1])
            missed += [] if found else [f"{task.id}: {spoiled.user.requests}"]
        walk = walk_from_words(domain, task, random.Random(derive_seed("bench", task.id)))
        if list(make_twins(task, walk, domain.open(task.initial))):
            found = check_instruction(domain, task, walk, gold)
            counts["described like another", bool(found)] += 1
            reasons.update(re.sub(r"'[^']*'|\d+", "...", problem) for problem in found[:1])
            missed += [] if found else [f"{task.id}: twins"]
    return counts, reasons, missed


def main() -> None:
    """Measure the runs named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--tasks", type=int, default=150)
    given = parser.parse_args()
    for run in given.runs:
        files = sorted((run / "tasks").glob("*.json"))[: given.tasks]
        tasks = [Task.model_validate_json(file.read_text(encoding="utf-8")) for file in files]
        tasks = [task for task in tasks if not task.tags.combination]
        domain = load_domain(tasks[0].domain)
        counts, reasons, missed = measure(domain, tasks)
        print(f"{domain.name}: {len(tasks)} tasks", dict(counts), *reasons.most_common(8), *missed[:6], sep="\n  ")


if __name__ == "__main__":
    main()
