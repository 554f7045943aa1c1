"""The proof of a task: its checker must catch every mutant and pass every valid path, and its instruction must hold."""

import random
from collections.abc import Generator

from veriloop.check.allow import CheckerError, validate_checker
from veriloop.check.clause import find_gold_violations
from veriloop.check.compile import Case, compile_checker, evidence_calls, render_file
from veriloop.check.sandbox import Sandbox, trace_case
from veriloop.check.standalone import render_sandboxed_file
from veriloop.check.verdict import judge_way
from veriloop.core.base import Frozen, derive_seed
from veriloop.core.message import Change
from veriloop.core.trace import Trace
from veriloop.core.verdict import Outcome, Verdict
from veriloop.domains.defect import keep_bound
from veriloop.domains.domain import Caller, Domain
from veriloop.domains.task import Initial, Task
from veriloop.domains.walk import Walk, explore
from veriloop.proof.alternative import MAY_END_ELSEWHERE, make_alternatives
from veriloop.proof.counterexample import MARK, tell_case
from veriloop.proof.dialogue import perform, write_dialogue
from veriloop.proof.ending import End, find_other_ends, settle
from veriloop.proof.instruction import check_instruction
from veriloop.proof.mutant import BY_POLICY, CLASSES, MAY_BE_RIGHT, make_mutants
from veriloop.proof.mutant.end import damage_end
from veriloop.proof.mutant.ground import Ground
from veriloop.proof.repair import check_repair
from veriloop.proof.replay import Replay, closing_words, replay


class ClassScore(Frozen):
    """Mutants of one class: tried, caught, and left out because they turned out to be right.

    why: why none was tried, or why some are no mistakes.
    """

    tried: int = 0
    caught: int = 0
    equivalent: int = 0
    why: str = ""


class Proof(Frozen):
    """What was executed to prove a task; `problems` is empty for a proved one."""

    ok: bool
    problems: tuple[str, ...]
    score: float
    """Share of mutants that the checker caught, before the task was accepted; not of those left to the policy."""
    tried: int = 0
    caught: int = 0
    classes: dict[str, ClassScore]
    alternatives: dict[str, int]
    """Valid paths that were played and passed, by kind."""
    replays: int


def attach_checker(domain: Domain, task: Task) -> Task:
    """Return the task with the checker compiled from a replay of its gold."""
    others = [made.changes for made in find_other_ends(domain, task)]
    source = compile_checker(domain, task, replay(domain, task, task.gold).changes, others)
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
    try:
        validate_checker(task.checker)
    except CheckerError as error:
        return Proof(ok=False, problems=(str(error),), score=0.0, classes={}, alternatives={}, replays=0)
    rng = random.Random(derive_seed("proof", task.id))
    gold = replay(domain, task, task.gold)
    work = Work(domain, task, sandbox, gold)
    _check_gold(work)
    yield
    ground = Ground(domain, task, work.dialogue, walk_from_words(domain, task, rng), gold.session, rng)
    yield
    yield from _check_mutants(work, ground)
    yield from _check_alternatives(work, ground)
    if task.tags.combination:
        needless = work.classes.get("dropped_write", ClassScore()).equivalent
        work.problems += check_repair(domain, task, gold, needless)
    else:
        work.problems += check_instruction(domain, task, ground.walk, gold)
    return work.close()


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
    ours = task.checker == attach_checker(domain, task).checker
    return (render_file if ours else render_sandboxed_file)(task.checker, right.case(words), wrong)


class Work:
    """A proof under way: what is proved, and what was found so far."""

    def __init__(self, domain: Domain, task: Task, sandbox: Sandbox, gold: Replay) -> None:
        self.domain, self.task, self.sandbox, self.gold = domain, task, sandbox, gold
        self.dialogue = write_dialogue(domain, task)
        self.right = perform(domain, task, self.dialogue.lines())
        self.problems: list[str] = []
        self.classes: dict[str, ClassScore] = {}
        self.alternatives: dict[str, int] = {}
        self.replays = 1
        others = find_other_ends(domain, task)
        self._ends: set[End] = {settle(domain, task, made.changes) for made in (gold, *others)}

    def judge(self, trace: Trace) -> Verdict:
        """Return the verdict on a dialogue, clauses on the way included."""
        return judge_way(self.domain, self.task, trace, self.check(trace))

    def check(self, trace: Trace) -> Verdict:
        """Return the verdict of the checker alone."""
        return self.sandbox.run(self.task.checker, [trace_case(trace)])[0]

    def ends_right(self, changes: tuple[Change, ...]) -> bool:
        """Return whether an end means the same as the gold's."""
        return settle(self.domain, self.task, changes) in self._ends

    def add(self, kind: str, verdict: Verdict, trace: Trace, *, right: bool = False) -> None:
        """Note a mutant; `right`: it turned out to be no mistake, unless it was caught all the same."""
        caught = verdict.outcome is Outcome.FAIL
        equivalent = right and not caught and verdict.outcome is not Outcome.ERROR
        old = self.classes.get(kind, ClassScore())
        self.classes[kind] = ClassScore(
            tried=old.tried + (not equivalent),
            caught=old.caught + caught,
            equivalent=old.equivalent + equivalent,
            why=MAY_BE_RIGHT.get(kind, "") if equivalent else old.why,
        )
        if not caught and not equivalent:
            self.problems.append(f"mutant {kind}: the checker says {self.tell(verdict, trace)}")

    def tell(self, verdict: Verdict, trace: Trace) -> str:
        """Return a verdict that should be another with the dialogue it is about."""
        right = None if trace is self.right else trace_case(self.right)
        return f"{verdict.outcome.value}: {verdict.reason}{MARK}{tell_case(trace_case(trace), right)}"

    def close(self) -> Proof:
        """Return the proof."""
        checked = [score for kind, score in self.classes.items() if kind not in BY_POLICY]
        tried, caught = sum(score.tried for score in checked), sum(score.caught for score in checked)
        absent = {kind: ClassScore(why=why) for kind, (_, why) in CLASSES.items() if kind not in self.classes}
        return Proof(
            ok=not self.problems,
            problems=tuple(self.problems),
            score=caught / tried if tried else 0.0,
            tried=tried,
            caught=caught,
            classes={**self.classes, **absent},
            alternatives=self.alternatives,
            replays=self.replays,
        )


def walk_from_words(domain: Domain, task: Task, rng: random.Random) -> Walk:
    """Explore the untouched session from everything the user can tell."""
    known = {fact.kind: fact.value for fact in task.user.identity}
    heard = {fact.kind: fact.value for request in task.user.requests for fact in request.facts if fact.value}
    session = domain.open(Initial(database=task.initial.database, calls=task.initial.calls))
    return explore(domain, session, Caller(task.id, "", known, heard), rng)


def _check_gold(work: Work) -> None:
    domain, task, problems = work.domain, work.task, work.problems
    if work.gold.errors:
        problems.append(f"gold: {work.gold.errors} of its calls are refused by the tools")
    for violation in find_gold_violations(domain, task.initial, task.gold):
        problems.append(f"gold: {violation.call.name} breaks {violation.clause}: {violation.reason}")
    made = [step.call for step in task.gold]
    left = [w for w in task.wanted if not any(c.name == w.name and c.arguments == w.arguments for c in made)]
    if len(left) != len(task.refused):
        problems.append(f"gold: {len(left)} requests are not carried out and {len(task.refused)} are refused")
    shown = {call.name for call in evidence_calls(domain, task)}
    for clause in domain.clauses:
        for group in clause.evidence if clause.id in task.refused else ():
            if shown.isdisjoint(group):
                problems.append(f"gold: it refuses without {' or '.join(group)}, which shows why")
    first, second = work.judge(work.right), work.judge(work.right)
    if not first.passed:
        problems.append(f"gold: the checker says {work.tell(first, work.right)}")
    if first != second:
        problems.append("gold: two runs of the checker differ")


def _check_mutants(work: Work, ground: Ground) -> Steps:
    domain, task = work.domain, work.task
    for mutant in make_mutants(ground):
        yield
        work.replays += 1
        trace = perform(domain, task, mutant.lines)
        right = mutant.kind in MAY_BE_RIGHT and work.ends_right(trace.changes)
        verdict = work.judge(trace) if mutant.kind in BY_POLICY else work.check(trace)
        work.add(mutant.kind, verdict, trace, right=right)
    yield
    for kind, changes in damage_end(work.right.changes, task.free):
        trace = work.right.model_copy(update={"changes": changes})
        work.add(kind, work.check(trace), trace)


def _check_alternatives(work: Work, ground: Ground) -> Steps:
    for path in make_alternatives(ground):
        yield
        work.replays += 1
        trace = perform(work.domain, work.task, path.lines)
        if not work.ends_right(trace.changes):
            if path.kind not in MAY_END_ELSEWHERE:
                work.problems.append(f"alternative {path.kind}: it changed the end state")
            continue
        # Whether another order keeps to the policy is not the checker's to say.
        verdict = work.check(trace) if path.kind in MAY_END_ELSEWHERE else work.judge(trace)
        work.alternatives[path.kind] = work.alternatives.get(path.kind, 0) + verdict.passed
        if not verdict.passed:
            work.problems.append(f"alternative {path.kind}: the checker says {work.tell(verdict, trace)}")
