"""The proof of a task: its checker must catch every mutant and pass every valid path, and its instruction must hold."""

import random
from collections.abc import Generator, Sequence

from veriloop.check.allow import CheckerError, validate_checker
from veriloop.check.clause import find_gold_violations
from veriloop.check.compile import Case, compile_checker, evidence_calls, render_file
from veriloop.check.sandbox import Sandbox
from veriloop.check.standalone import render_sandboxed_file
from veriloop.core.base import Frozen, derive_seed
from veriloop.core.verdict import Outcome, Verdict
from veriloop.domains.defect import keep_bound
from veriloop.domains.domain import Caller, Domain
from veriloop.domains.task import Initial, Task
from veriloop.domains.walk import Walk, explore
from veriloop.proof.counterexample import MARK, tell_case
from veriloop.proof.instruction import check_instruction
from veriloop.proof.mutant import Mutant, make_alternatives, make_mutants
from veriloop.proof.repair import check_repair
from veriloop.proof.replay import Replay, closing_words, replay

_MAY_BE_EQUIVALENT = ("changed_argument", "dropped_write", "foreign_write", "forbidden_write")
"""Kinds of mutants that may lead to the gold state (a forbidden write, when the tool refuses it as well)."""


class ClassScore(Frozen):
    """Mutants of one kind: tried, caught, and left out because they reached the gold state."""

    tried: int = 0
    caught: int = 0
    equivalent: int = 0


class Proof(Frozen):
    """What was executed to prove a task; `problems` is empty for a proved one."""

    ok: bool
    problems: tuple[str, ...]
    score: float
    """Share of mutants that the checker caught, before the task was accepted."""
    classes: dict[str, ClassScore]
    alternatives: dict[str, int]
    """Valid paths that were played and passed, by kind."""
    replays: int


def attach_checker(domain: Domain, task: Task) -> Task:
    """Return the task with the checker compiled from a replay of its gold."""
    source = compile_checker(domain, task, replay(domain, task, task.gold).changes)
    validate_checker(source)
    return task.model_copy(update={"checker": source})


Steps = Generator[None]
"""Work that may be interrupted, and other work done, wherever it yields."""


def prove(domain: Domain, task: Task, sandbox: Sandbox) -> Proof:
    """Execute the proof of a task that has its checker."""
    steps = prove_in_steps(domain, task, sandbox)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def prove_in_steps(domain: Domain, task: Task, sandbox: Sandbox) -> Generator[None, None, Proof]:
    """Execute the proof like `prove`, with a pause after each replay: together they may take a tenth of a second."""
    rng = random.Random(derive_seed("proof", task.id))
    ledger = _Ledger()
    try:
        validate_checker(task.checker)
    except CheckerError as error:
        return Proof(ok=False, problems=(str(error),), score=0.0, classes={}, alternatives={}, replays=0)
    gold = ledger.count(replay(domain, task, task.gold))
    _check_gold(domain, task, gold, sandbox, ledger)
    yield
    walk = _walk(domain, task, rng)
    yield
    words = closing_words(task)
    mutants = list(make_mutants(domain, task, walk, gold.session, words, rng))
    yield from _check_mutants(domain, task, gold, mutants, sandbox, ledger)
    yield from _check_alternatives(domain, task, gold, walk, sandbox, ledger, rng)
    if task.tags.combination:
        needless = ledger.classes.get("dropped_write", ClassScore()).equivalent
        ledger.problems += check_repair(domain, task, walk, gold.changes, needless)
    else:
        ledger.problems += check_instruction(domain, task, walk)
    return ledger.close()


def render_checker_file(domain: Domain, task: Task) -> str:
    """Return the standalone checker with the gold dialogue and its simplest perversions to prove itself on.

    A checker that is not the one compiled from the task starts in a sandbox. Raises CheckerError for one that is not of
    the allowed subset.
    """
    try:
        validate_checker(task.checker)
    except CheckerError as error:
        raise CheckerError(f"the checker of task {task.id} is not written: {error}") from None
    words = closing_words(task)
    right = replay(domain, task, task.gold)
    wrong: dict[str, Case] = {"nothing done or said": replay(domain, task, ()).case([])}
    for change in keep_bound(right.changes, task.free):
        rest = [other.model_dump(mode="json") for other in right.changes if other != change]
        wrong[f"{change.table} {change.key} untouched"] = (rest, *right.case(words)[1:])
    if task.refused:
        wrong["refused without reading"] = (right.case(words)[0], [], right.case(words)[2])
    ours = task.checker == compile_checker(domain, task, right.changes)
    return (render_file if ours else render_sandboxed_file)(task.checker, right.case(words), wrong)


class _Ledger:
    """What a proof has found so far."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.classes: dict[str, ClassScore] = {}
        self.alternatives: dict[str, int] = {}
        self.replays = 0

    def count(self, made: Replay) -> Replay:
        self.replays += 1
        return made

    def add(self, kind: str, *, caught: bool = False, equivalent: bool = False) -> None:
        old = self.classes.get(kind, ClassScore())
        self.classes[kind] = ClassScore(
            tried=old.tried + (not equivalent), caught=old.caught + caught, equivalent=old.equivalent + equivalent
        )

    def close(self) -> Proof:
        tried = sum(score.tried for score in self.classes.values())
        caught = sum(score.caught for score in self.classes.values())
        return Proof(
            ok=not self.problems,
            problems=tuple(self.problems),
            score=caught / tried if tried else 0.0,
            classes=self.classes,
            alternatives=self.alternatives,
            replays=self.replays,
        )


def _walk(domain: Domain, task: Task, rng: random.Random) -> Walk:
    """Explore the untouched session from everything the user can tell."""
    known = {fact.kind: fact.value for fact in task.user.identity}
    heard = {fact.kind: fact.value for request in task.user.requests for fact in request.facts if fact.value}
    session = domain.open(Initial(database=task.initial.database, calls=task.initial.calls))
    return explore(domain, session, Caller(task.id, "", known, heard), rng)


def _check_gold(domain: Domain, task: Task, gold: Replay, sandbox: Sandbox, ledger: _Ledger) -> None:
    if gold.errors:
        ledger.problems.append(f"gold: {gold.errors} of its calls are refused by the tools")
    for violation in find_gold_violations(domain, task.initial, task.gold):
        ledger.problems.append(f"gold: {violation.call.name} breaks {violation.clause}: {violation.reason}")
    made = [step.call for step in task.gold]
    left = [w for w in task.wanted if not any(c.name == w.name and c.arguments == w.arguments for c in made)]
    if len(left) != len(task.refused):
        ledger.problems.append(f"gold: {len(left)} requests are not carried out and {len(task.refused)} are refused")
    shown = {call.name for call in evidence_calls(domain, task)}
    for clause in domain.clauses:
        if clause.id in task.refused and clause.reads and shown.isdisjoint(clause.reads):
            ledger.problems.append(f"gold: it refuses without {' or '.join(clause.reads)}, which shows why")
    right = gold.case(closing_words(task))
    first, second = sandbox.run(task.checker, [right] * 2)
    if not first.passed:
        ledger.problems.append(f"gold: the checker says {_say(first, right)}")
    if first != second:
        ledger.problems.append("gold: two runs of the checker differ")


def _check_mutants(
    domain: Domain, task: Task, gold: Replay, mutants: Sequence[Mutant], sandbox: Sandbox, ledger: _Ledger
) -> Steps:
    for mutant in mutants:
        yield
        made = ledger.count(replay(domain, task, mutant.calls))
        if _is_equivalent(task, mutant, made, gold):
            ledger.add(mutant.kind, equivalent=True)
            continue
        case = made.case(mutant.words, early=mutant.early)
        verdict = sandbox.run(task.checker, [case])[0]
        ledger.add(mutant.kind, caught=verdict.outcome is Outcome.FAIL)
        if verdict.outcome is not Outcome.FAIL:
            right = gold.case(closing_words(task))
            ledger.problems.append(f"mutant {mutant.kind}: the checker says {_say(verdict, case, right)}")


def _is_equivalent(task: Task, mutant: Mutant, made: Replay, gold: Replay) -> bool:
    """Return whether a mutant is no mistake after all: it ends like the gold in everything that counts."""
    if mutant.kind not in _MAY_BE_EQUIVALENT and not (task.free and mutant.kind == "untouched"):
        return False
    return _ends_alike(task, made, gold)


def _ends_alike(task: Task, made: Replay, gold: Replay) -> bool:
    return keep_bound(made.changes, task.free) == keep_bound(gold.changes, task.free)


def _check_alternatives(
    domain: Domain, task: Task, gold: Replay, walk: Walk, sandbox: Sandbox, ledger: _Ledger, rng: random.Random
) -> Steps:
    for kind, calls in make_alternatives(domain, task, walk, rng):
        yield
        made = ledger.count(replay(domain, task, calls))
        if not _ends_alike(task, made, gold):
            if kind != "other_order":
                ledger.problems.append(f"alternative {kind}: reads changed the end state")
            continue
        case = made.case(closing_words(task))
        verdict = sandbox.run(task.checker, [case])[0]
        ledger.alternatives[kind] = ledger.alternatives.get(kind, 0) + verdict.passed
        if not verdict.passed:
            right = gold.case(closing_words(task))
            ledger.problems.append(f"alternative {kind}: the checker says {_say(verdict, case, right)}")


def _say(verdict: Verdict, case: Case, right: Case | None = None) -> str:
    return f"{verdict.outcome.value}: {verdict.reason}{MARK}{tell_case(case, right)}"
