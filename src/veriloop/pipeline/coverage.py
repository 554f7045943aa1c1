"""Whether synthesis reaches everything: each clause allowing and denying something, each tool used by some task."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from veriloop.check.sandbox import judge
from veriloop.core.base import derive_seed
from veriloop.core.message import ToolCall, Turn
from veriloop.domains.clause import Case, Clause
from veriloop.domains.domain import Domain, agent_actions
from veriloop.domains.session import Session
from veriloop.domains.task import Initial, Task
from veriloop.domains.walk import Walk, draft_arguments, explore
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import synthesise
from veriloop.pipeline.finding import Finding
from veriloop.proof.prove import attach_checker
from veriloop.rollout.driver import play
from veriloop.rollout.episode import Episode
from veriloop.rollout.oracle import Oracle
from veriloop.rollout.scripted import ScriptedUser

TASKS = 160
DIALOGUES = 24
PEOPLE = 40
DRAFTS = 6


@dataclass(slots=True)
class _Reach:
    """Ids of clauses that were seen to allow or deny a call or broke, and names of tools that tasks or walks use."""

    allowed: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)
    tools: set[str] = field(default_factory=set)
    broken: dict[str, str] = field(default_factory=dict)

    def note(self, clause: Clause, case: Case) -> None:
        """Ask a clause and keep what it said, or what it raised."""
        try:
            denied = clause.deny(case)
        except Exception as error:  # noqa: BLE001 - the boundary to a domain's own code: what it raises is the finding
            self.broken.setdefault(clause.id, f"asked about {case.call.name} it raised {type(error).__name__}: {error}")
        else:
            (self.denied if denied else self.allowed).add(clause.id)


def check_coverage(domain: Domain, *, seed: int = 0) -> Iterator[Finding]:
    """Yield clauses that never allow or never deny, tools that no task uses, and tasks that cannot be carried out."""
    reach = _Reach()
    for number in range(PEOPLE):
        _try_writes(domain, reach, number, random.Random(derive_seed("reach", seed, number)))
    if reach.broken:  # synthesis would break on them too
        yield from _name_broken(reach)
        return
    tasks = list(_make_tasks(domain, seed))
    for task in tasks:
        reach.tools.update(step.call.name for step in task.gold)
        reach.denied.update(task.refused)
        _ask_about_gold(domain, task, reach)
    yield from _play_some(domain, tasks[:DIALOGUES], reach)
    if not tasks:
        yield Finding(
            where="synthesis",
            what="no task could be made",
            fix="let `callers` return people whose known values a read tool takes, and writes that clauses allow",
        )
        return
    yield from _name_unreached(domain, reach)


def _try_writes(domain: Domain, reach: _Reach, number: int, rng: random.Random) -> None:
    """Ask every clause about writes drafted from what one person knows, in several situations."""
    database = domain.database("train", number % 8)
    people = list(domain.callers(database, "train"))
    session = domain.open(Initial(database=database))
    walk, other = (explore(domain, session, rng.choice(people), rng) for _ in range(2))
    reach.tools.update(read.call.name for read in walk.reads)
    served = _serve(domain, session, other, rng)
    for tool in agent_actions(domain):
        for _ in range(DRAFTS):
            arguments = draft_arguments(tool, walk, session, rng)
            if arguments is None:
                break
            call = ToolCall(id="reach", name=tool.name, arguments=arguments)
            for history in (walk.history(), [*served, *walk.history()]):
                _ask(domain, session, Case(session.state, "agent", call, history), reach)


def _serve(domain: Domain, session: Session, walk: Walk, rng: random.Random) -> list[tuple[ToolCall, str]]:
    """Return the history of a person for whom something was changed, on a fork."""
    trial, history = session.fork(), walk.history()
    for tool in agent_actions(domain):
        arguments = draft_arguments(tool, walk, session, rng)
        call = ToolCall(id="served", name=tool.name, arguments=arguments or {})
        if arguments is not None and not (result := trial.call("agent", call)).error:
            return [*history, (call, result.content)]
    return history


def _ask(domain: Domain, session: Session, case: Case, reach: _Reach) -> None:
    """Ask about a call as it stands and in the situations in which rules usually forbid it."""
    for variant in _vary(domain, session, case):
        for clause in domain.clauses:
            if variant.call.name in clause.tools and (clause.about == "state" or variant.turns):
                reach.note(clause, variant)


def _vary(domain: Domain, session: Session, case: Case) -> Iterator[Case]:
    """Yield the case, and situations near it.

    Before anything was read or said; after the call was made already; with arguments mixed up; with the domain's
    generic tools called in its place.
    """
    start = case.turns[:1]
    yield case
    yield replace(case, calls=(), turns=start)
    after = session.fork()
    made = after.call(case.seat, case.call)
    if not made.error:
        yield replace(case, state=after.state, calls=(*case.calls, (case.call, made.content)))
    given = case.call.arguments
    for name, other in itertools.permutations(given, 2):
        if type(given[name]) is type(given[other]) and given[name] != given[other]:
            yield replace(case, call=case.call.model_copy(update={"arguments": {**given, name: given[other]}}))
    for tool in domain.tools.values():
        if tool.kind == "generic" and tool.seat == case.seat:
            call = ToolCall(
                id="reach", name=tool.name, arguments=dict.fromkeys(tool.parameters.get("required", ()), "")
            )
            yield replace(case, call=call)
            yield replace(case, call=call, calls=(), turns=start)


def _ask_about_gold(domain: Domain, task: Task, reach: _Reach) -> None:
    """Ask about a task's writes where they stand: after the user's own steps."""
    session: Session = domain.open(task.initial)
    calls: list[tuple[ToolCall, str]] = []
    for step in task.gold:
        if domain.tools[step.call.name].kind == "write" and step.seat == "agent":
            _ask(domain, session, Case(session.state, step.seat, step.call, tuple(calls)), reach)
        result = session.call(step.seat, step.call)
        calls += [] if result.error else [(step.call, result.content)]


def _make_tasks(domain: Domain, seed: int) -> Iterator[Task]:
    pairs = write_plans(domain)
    for item in range(TASKS):
        task = synthesise(domain, pairs[item % len(pairs)], Order(seed, item))
        if task:
            yield task


def _play_some(domain: Domain, tasks: list[Task], reach: _Reach) -> Iterator[Finding]:
    """Play tasks with the oracle; its writes show what clauses about the dialogue allow, and deny before a word."""
    for task in [attach_checker(domain, task) for task in tasks]:
        episode = Episode(domain, task, seed=derive_seed("coverage", task.id))
        trace = play(episode, {"agent": Oracle(domain, {task.id: task}), "user": ScriptedUser()})
        verdict = judge(task, trace)
        if verdict.outcome == "error":
            yield Finding(where=f"task {task.id}", what=verdict.reason, fix="report this: a checker broke")
        _ask_about_dialogue(domain, task, trace.turns, reach)


def _ask_about_dialogue(domain: Domain, task: Task, turns: tuple[Turn, ...], reach: _Reach) -> None:
    session: Session = domain.open(task.initial)
    calls: list[tuple[ToolCall, str]] = []
    for position, turn in enumerate(turns):
        for call in turn.tool_calls:
            if domain.tools.get(call.name) and domain.tools[call.name].kind == "write" and turn.seat == "agent":
                _ask(domain, session, Case(session.state, turn.seat, call, tuple(calls), turns[:position]), reach)
            result = session.call(turn.seat, call)
            calls += [] if result.error else [(call, result.content)]


def _name_unreached(domain: Domain, reach: _Reach) -> Iterator[Finding]:
    yield from _name_broken(reach)
    for clause in domain.clauses:
        where = f"clause {clause.id}"
        if clause.id not in reach.allowed:
            yield Finding(where=where, what=f"nothing met it: {clause.text}", fix=_fix(clause, "allows"))
        if clause.id not in reach.denied:
            yield Finding(where=where, what=f"nothing broke it: {clause.text}", fix=_fix(clause, "denies"))
    for tool in domain.tools.values():
        # What a user merely looks up serves the dialogue and is in no gold path.
        needed = tool.kind == "write" or (tool.kind == "read" and tool.seat == "agent") or tool.is_handover
        if needed and tool.name not in reach.tools:
            fix = "let sources and yields lead to it, and clauses allow it on some database"
            yield Finding(
                where=f"tool {tool.name}", what="no task uses it and no caller's knowledge leads to it", fix=fix
            )


def _name_broken(reach: _Reach) -> Iterator[Finding]:
    for name, what in reach.broken.items():
        yield Finding(where=f"clause {name}", what=what, fix="let it return None where it has nothing to say")


def _fix(clause: Clause, verb: str) -> str:
    return f"give the databases a case of {', '.join(clause.tools[:3])} that it {verb}, or drop the clause"
