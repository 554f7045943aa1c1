"""How good the checkers of runs are: wrong and right dialogues of all classes, judged by ours and by tau2's evaluator.

The checkers are compiled anew from the tasks of the runs.

python bench/checkers.py RUN ... [--official 300] [--tasks 150] [--seed 0] [--out FILE]

Prints one table of wrong and one of right dialogues per run. `right after all` are mutants that end like the gold and
break no clause. tau2's evaluator takes up to a second a dialogue, so it sees a sample: --official
wrong ones and a third as many right ones, of all classes alike.
"""

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from veriloop.check.clause import find_violations
from veriloop.check.sandbox import shared_sandbox
from veriloop.check.verdict import give_verdict
from veriloop.core.base import derive_seed
from veriloop.core.trace import StopReason, Trace
from veriloop.domains.domain import Domain
from veriloop.domains.registry import load_domain
from veriloop.domains.task import Task
from veriloop.proof.alternative import MAY_END_ELSEWHERE, make_alternatives
from veriloop.proof.dialogue import perform, write_dialogue
from veriloop.proof.mutant import BY_POLICY, MAY_BE_RIGHT, make_mutants
from veriloop.proof.mutant.ground import Ground
from veriloop.proof.prove import Work, attach_checker, walk_from_words
from veriloop.proof.replay import replay
from veriloop.rollout.driver import play
from veriloop.rollout.episode import Episode
from veriloop.rollout.experts import load_expert
from veriloop.rollout.oracle import Oracle
from veriloop.rollout.scripted import ScriptedUser

TOLD_SHARE = 3
"""In one task of so many the user has to be told a value that the agent reads."""

REFUSED = (
    "I looked into this and I'm afraid the answer is no: we can't change it any more.",
    "That's unfortunately not doable. The rules don't permit changes at this point.",
    "I apologize, but this falls outside what I'm permitted to do.",
    "I regret to inform you that your request cannot be granted.",
    "Since the conditions aren't met, I'm unable to go ahead with it.",
    "It looks like you don't qualify for that, sorry.",
    "This would violate our policy, so I won't be able to do it.",
    "We're not able to accommodate that request, I'm sorry.",
    "I can’t override this restriction, even though I understand your situation.",
    "The system rules don't allow me to do that. Would another option work for you?",
    "Per policy I must deny this request.",
    "No exceptions are possible here, I'm sorry; I cannot proceed.",
    "I checked the details:\n- the request was received\n- it is **not eligible**\nSo nothing will be changed.",
    "I'm sorry — that can't be done.",
    "Regretfully, the answer is no.",
    "Unfortunately the order has already shipped, which means I can't cancel it.",
    "We do not permit more than five passengers.",
    "I have to say no to that one.",
    "Your ticket does not allow changes.",
    "Insurance doesn't cover that.",
    "Even with the best will in the world, it's not permitted.",
    "What you are asking for is not possible, as I explained.",
    "Our guidelines prevent me from making this change.",
    "I would if I could, but I can't.",
    "Your request has been declined, because the rules exclude it.",
    "It's no longer possible to do that, I'm afraid.",
)
UNREFUSED = (
    "All good! Apologies for the delay.",
    "Great news, that's been arranged for you. Sorry it took so long.",
    "Unfortunately there was a short delay, but it has gone through.",
    "I apologise for the inconvenience. Your request is being handled.",
    "You're all set! If anything is not right, let us know.",
    "I'm sorry, could you repeat that?",
    "Regrettably I need a moment longer, please hold on.",
    "Consider it done. Nothing else is needed from you.",
    "I don't see any problem with that, so I have done it.",
    "No worries, I'll get right on it.",
    "I can't thank you enough for your patience; the change is made.",
    "I was unable to find it at first, but it has now been updated.",
    "Would it be impossible for you to wait until tomorrow?",
    "I'll pass this on to my colleagues. Sorry again!",
    "It couldn't be easier: done!",
    "This cannot be undone. Do you want me to go ahead?",
    "Could you confirm your e-mail? I can't look you up without it.",
    "You can't go wrong with that.",
    "I can help with that. Shall I go ahead?",
    "Let me check whether this is allowed.",
    "I have refunded you. You cannot be charged again.",
)
"""Wordings that the checkers were not written with."""


@dataclass(frozen=True, slots=True)
class Case:
    """A dialogue, its class and whether it is wrong. right: it ends as it should."""

    kind: str
    trace: Trace
    wrong: bool
    right_end: bool


def make_cases(domain: Domain, task: Task) -> Iterator[Case]:
    """Yield all wrong and right dialogues of a task."""
    rng = random.Random(derive_seed("bench", task.id))
    gold = replay(domain, task, task.gold)
    work = Work(domain, task, shared_sandbox(), gold)
    ground = Ground(domain, task, write_dialogue(domain, task), walk_from_words(domain, task, rng), gold.session, rng)
    for mutant in make_mutants(ground):
        trace = perform(domain, task, mutant.lines)
        yield Case(mutant.kind, trace, wrong=True, right_end=work.ends_right(trace.changes))
    for path in make_alternatives(ground):
        trace = perform(domain, task, path.lines)
        broken = path.kind in MAY_END_ELSEWHERE and find_violations(domain, task.initial, trace.turns)
        if work.ends_right(trace.changes) and not broken:
            yield Case(path.kind, trace, wrong=False, right_end=True)
    yield from reword(domain, task, rng)
    yield from demonstrate(domain, task)


def reword(domain: Domain, task: Task, rng: random.Random) -> Iterator[Case]:
    """Yield dialogues with wordings that are kept for this measurement."""
    if not task.refused:
        return
    dialogue = write_dialogue(domain, task)
    told = " ".join(f"It is {value}." for value in task.told)
    for text in rng.sample(UNREFUSED, 4):
        yield Case("unrefused, kept wording", perform(domain, task, dialogue.close(text, told).lines()), True, True)
    for text in rng.sample(REFUSED, 4):
        yield Case("refused, kept wording", perform(domain, task, dialogue.close(text, told).lines()), False, True)


def demonstrate(domain: Domain, task: Task) -> Iterator[Case]:
    """Yield what the oracle and the domain's expert do with the scripted user."""
    agents = {"oracle": Oracle(domain, {task.id: task})}
    agents |= {} if task.told else {"expert": load_expert(domain.name)}
    for name, agent in agents.items():
        trace = play(
            Episode(domain, task, seed=derive_seed("bench", task.id)), {"agent": agent, "user": ScriptedUser()}
        )
        if trace.stop in (StopReason.USER_STOP, StopReason.TRANSFER):
            yield Case(name, trace, wrong=False, right_end=True)


def tell_some(domain: Domain, tasks: list[Task]) -> Iterator[Task]:
    """Yield the tasks, some with a value that the user has to be told: an amount, a date, a number or a code."""
    for position, task in enumerate(tasks):
        if position % TOLD_SHARE:
            yield attach_checker(domain, task)
            continue
        made = replay(domain, task, task.gold)
        texts = " ".join(r.content for s, r in zip(made.calls, made.results, strict=True) if s.seat == "agent")
        shapes = (
            r"\b\d{4}-\d\d-\d\d\b",
            r"\b\d+\.\d\d\b",
            r"(?<=: )\d{2,3}(?=[,}])",
            r"#?\b[A-Z]{1,6}\d{3,}[A-Z0-9]*\b",
        )
        written = json.dumps([call.model_dump() for call in task.wanted])
        values = [
            found
            for shape in shapes[position % 4 :] + shapes[: position % 4]
            for found in re.findall(shape, texts)
            if found not in written
        ]
        yield attach_checker(domain, task.model_copy(update={"told": (values[0],)} if values else {}))


@dataclass
class Row:
    """Counts of one class: dialogues, mutants right after all, passed; asked of tau2, passed there, agreed on."""

    tried: int = 0
    right: int = 0
    passed: int = 0
    asked: int = 0
    official: int = 0
    both: int = 0


def measure(
    domain: Domain, tasks: list[Task], official: int, seed: int
) -> tuple[dict[str, Row], dict[str, Row], list[str]]:
    """Return the rows of wrong and of right dialogues by class, and our misjudgements, each in a line."""
    wrong, right, misjudged = dict[str, Row](), dict[str, Row](), list[str]()
    kept = list[tuple[Task, Case, bool]]()
    for task in tell_some(domain, tasks):
        for case in make_cases(domain, task):
            verdict = give_verdict(domain, task, case.trace)
            row = (wrong if case.wrong else right).setdefault(case.kind, Row())
            if case.wrong and verdict.passed and case.right_end and case.kind in MAY_BE_RIGHT:
                row.right += 1
                continue
            row.tried += 1
            row.passed += verdict.passed
            if verdict.passed == case.wrong:
                words = " / ".join(turn.spoken for turn in case.trace.turns[-3:] if turn.seat == "agent")
                misjudged.append(f"{domain.name} {task.id} {case.kind}: {verdict.reason} | {words[:200]}")
            kept.append((task, case, verdict.passed))
    if domain.name.startswith("tau2/"):
        ask_official(domain, kept, (wrong, right), official, seed)
    return wrong, right, misjudged


def ask_official(
    domain: Domain,
    kept: list[tuple[Task, Case, bool]],
    tables: tuple[dict[str, Row], dict[str, Row]],
    limit: int,
    seed: int,
) -> None:
    """Have tau2's evaluator judge a sample of the dialogues, as many of each class as can be."""
    from veriloop.evaluate.official import score_turns, wrap_tasks

    rng = random.Random(seed)
    for is_wrong in (True, False):
        by_kind: dict[str, list[tuple[Task, Case, bool]]] = {}
        for entry in kept:
            if entry[1].wrong is is_wrong:
                by_kind.setdefault(entry[1].kind, []).append(entry)
        share = -(-(limit if is_wrong else limit // 3) // max(len(by_kind), 1))
        for kind, entries in by_kind.items():
            for task, case, passed in rng.sample(entries, min(share, len(entries))):
                row = tables[0 if is_wrong else 1][kind]
                row.asked += 1
                try:
                    good = score_turns(domain, wrap_tasks(domain, [task])[0], case.trace.turns).reward == 1.0
                except ValueError:
                    good = False
                row.official += good
                row.both += good == passed


def show(title: str, rows: dict[str, Row]) -> None:
    """Print a table."""
    print(f"\n{title}\n\n| class | dialogues | right after all | ours passes | tau2 asked | tau2 passes | agree |")
    print("|---|---|---|---|---|---|---|")
    total = Row(*(sum(getattr(row, name) for row in rows.values()) for name in Row.__dataclass_fields__))
    for kind, row in [*sorted(rows.items()), ("all", total)]:
        note = (
            " (by policy)"
            if kind in BY_POLICY
            else " (where the end is the same and no clause forbids it)"
            if kind in MAY_END_ELSEWHERE
            else ""
        )
        print(
            f"| {kind}{note} | {row.tried} | {row.right} | {row.passed} | {row.asked} | {row.official} | {row.both} |"
        )


def main() -> None:
    """Measure the runs named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--official", type=int, default=300)
    parser.add_argument("--tasks", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    written: Counter[str] = Counter()
    lines = list[str]()
    for run in given.runs:
        files = sorted((run / "tasks").glob("*.json"))[: given.tasks]
        tasks = [Task.model_validate_json(file.read_text(encoding="utf-8")) for file in files]
        domain = load_domain(tasks[0].domain)
        wrong, right, misjudged = measure(domain, tasks, given.official, given.seed)
        show(f"{domain.name}: wrong dialogues of {len(tasks)} tasks", wrong)
        show(f"{domain.name}: right dialogues of {len(tasks)} tasks", right)
        print(*misjudged[:40], sep="\n", flush=True)
        written.update(wrong=sum(r.tried for r in wrong.values()), right=sum(r.tried for r in right.values()))
        written.update(wrong_passed=sum(r.passed for r in wrong.values()))
        written.update(right_failed=sum(r.tried - r.passed for r in right.values()))
        lines += misjudged
    print(json.dumps(written))
    if given.out:
        given.out.write_text("\n".join([json.dumps(written), *lines]), encoding="utf-8")


if __name__ == "__main__":
    main()
