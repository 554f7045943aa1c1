"""Checks a domain the way synthesis and training will use it: declarations, behaviour of tools, reach of clauses."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from veriloop.core.base import canonical_json, derive_seed
from veriloop.core.errors import ToolError
from veriloop.core.message import Seat, ToolCall, ToolResult
from veriloop.domains.domain import Caller, Domain
from veriloop.domains.registry import load_domain
from veriloop.domains.session import Session
from veriloop.domains.task import Initial
from veriloop.domains.tool import Tool
from veriloop.domains.walk import Walk, draft_arguments, explore
from veriloop.pipeline.coverage import check_coverage
from veriloop.pipeline.finding import Finding

Progress = Callable[[int, int], None]
DATABASES = 3
SPLITS = ("train", "test")
CALLERS = 6
"""People of each database whose calls are tried."""
DRAFTS = 4
_BOGUS: tuple[Any, ...] = ("no-such-thing-0", -1, None, ["no-such-thing-0"], {})


@dataclass(frozen=True, slots=True)
class Visit:
    """One person's knowledge explored on one database."""

    database: str
    walk: Walk
    session: Session


def check_domain(name: str, *, seed: int = 0, progress: Progress | None = None) -> list[Finding]:
    """Return what is wrong with a domain; raises InputError when it cannot be loaded at all."""
    domain = load_domain(name)
    report = progress or (lambda _done, _total: None)
    findings = list(check_declarations(domain))
    findings += check_people(domain)
    if any(finding.where == "kinds" or finding.where.startswith("caller of") for finding in findings):
        return _unique(findings)  # nobody can be visited then
    visits = list(make_visits(domain, seed))
    for number, visit in enumerate(visits):
        findings += check_behaviour(domain, visit, random.Random(derive_seed("behaviour", seed, number)))
        report(number + 1, len(visits) * 2)
    if not findings:  # synthesis on tools that misbehave only repeats the same findings
        findings += check_coverage(domain, seed=seed)
        report(len(visits) * 2, len(visits) * 2)
    return _unique(findings)


def check_declarations(domain: Domain) -> Iterator[Finding]:
    """Yield what is missing in the declarations of tools, sources, clauses and the policy."""
    if not domain.policy.strip():
        yield Finding(where="policy", what="it is empty", fix="write the rules that the agent must follow")
    for tool in domain.tools.values():
        yield from _check_tool(tool)
    seen = set[str]()
    for clause in domain.clauses:
        where = f"clause {clause.id}"
        if clause.id in seen:
            yield Finding(where=where, what="its id is given twice", fix="give every clause an id of its own")
        seen.add(clause.id)
        for name in clause.tools:
            if name not in domain.tools:
                yield Finding(where=where, what=f"it names the unknown tool {name!r}", fix="name tools of the domain")
        for name in clause.reads:
            if name not in domain.tools or domain.tools[name].kind != "read":
                yield Finding(
                    where=where, what=f"{name!r} is no read tool", fix="name the tool that shows the evidence"
                )


def check_people(domain: Domain) -> Iterator[Finding]:
    """Yield callers that synthesis could not use, and people of training databases whom the test set meets again."""
    known = dict[str, dict[str, str]]()
    for split in SPLITS:
        people = known.setdefault(split, {})
        for index in range(DATABASES):
            database = domain.database(split, index)
            for caller in domain.callers(database, split):
                if not isinstance(caller, Caller):
                    what = f"it is a {type(caller).__name__}"
                    yield Finding(where=f"caller of {database}", what=what, fix="let callers be Caller objects")
                    return
                people[canonical_json(caller.known)] = database
                if missing := sorted(caller.known.keys() - domain.kinds.keys()):
                    what = f"callers know their {missing[0]!r}, and `kinds` does not say what that is"
                    yield Finding(where="kinds", what=what, fix=f'add "{missing[0]}" to the domain\'s kinds')
    train, test = (known[split] for split in SPLITS)
    if both := sorted(train.keys() & test.keys()):
        what = f"{len(both)} callers of {train[both[0]]} are in {test[both[0]]} too, such as {both[0]}"
        fix = "give the databases of `test` people and identifiers of their own, or what is measured was trained on"
        yield Finding(where="callers", what=what, fix=fix)


def make_visits(domain: Domain, seed: int = 0) -> Iterator[Visit]:
    """Yield a few explored sessions of people of training databases."""
    for index in range(DATABASES):
        database = domain.database("train", index)
        people = list(domain.callers(database, "train"))
        rng = random.Random(derive_seed("visit", seed, database))
        for caller in rng.sample(people, min(CALLERS, len(people))):
            session = domain.open(Initial(database=database))
            yield Visit(database, explore(domain, session, caller, rng), session)


def check_behaviour(domain: Domain, visit: Visit, rng: random.Random) -> Iterator[Finding]:
    """Yield tools that break, answer differently on equal sessions, or change what they must not."""
    if visit.session.changes():
        yield Finding(where=visit.database, what="reads changed it", fix="let tools of kind `read` change nothing")
    for tool in domain.tools.values():
        drafts = [draft_arguments(tool, visit.walk, visit.session, rng) for _ in range(DRAFTS)]
        for arguments in [draft for draft in drafts if draft is not None]:
            yield from _check_call(domain, visit.database, tool, arguments)
            yield from _check_refusals(domain, visit.database, tool, arguments)


def _check_tool(tool: Tool) -> Iterator[Finding]:
    where = f"tool {tool.name}"
    if not tool.description:
        yield Finding(where=where, what="it has no description", fix="write a docstring; the agent reads it")
    if tool.kind == "generic" and not tool.is_handover:
        return
    for name in tool.parameters.get("required", ()):
        if name not in tool.sources:
            what = f"nothing says where the value of {name!r} comes from"
            yield Finding(where=where, what=what, fix=f"annotate it: {name}: Annotated[str, ref({name!r})]")
    if tool.kind == "write" and not tool.topics:
        fix = 'add topics=("have a parcel delivered on another day", ...) to its decorator'
        yield Finding(where=where, what="users have no words for it", fix=fix)


def _check_call(domain: Domain, database: str, tool: Tool, arguments: dict[str, Any]) -> Iterator[Finding]:
    where = f"tool {tool.name}"
    call = ToolCall(id="check", name=tool.name, arguments=arguments)
    sessions = [domain.open(Initial(database=database)) for _ in range(2)]
    before = sessions[0].digest()
    first, second = (_try(session, tool.seat, call) for session in sessions)
    if isinstance(first, Exception):
        yield _broke(where, arguments, first)
        return
    if first != second or sessions[0].digest() != sessions[1].digest():
        yield Finding(
            where=where,
            what=f"the same call {arguments!r} ended differently on two fresh sessions",
            fix="let it depend on the database and its arguments alone: no clock, no random numbers, no globals",
        )
    changed = bool(first.changes) or sessions[0].digest() != before
    if changed and (tool.kind != "write" or first.error):
        what = (
            f"it is a {tool.kind} tool but changed the database" if not first.error else "a refused call left a change"
        )
        yield Finding(where=where, what=what, fix="mark it as `write`, and raise ToolError before the first change")


def _check_refusals(domain: Domain, database: str, tool: Tool, arguments: dict[str, Any]) -> Iterator[Finding]:
    """Try the call with each argument spoilt, one missing, one too many, and from the wrong seat."""
    where = f"tool {tool.name}"
    session = domain.open(Initial(database=database))
    before = session.digest()
    wrong: Seat = "user" if tool.seat == "agent" else "agent"
    spoilt = [{**arguments, name: bogus} for name in arguments for bogus in _BOGUS]
    missing = [{key: value for key, value in arguments.items() if key != name} for name in arguments]
    tries = [(tool.seat, given) for given in (*spoilt, *missing, {**arguments, "no_such_parameter": 1})]
    for seat, given in [*tries, (wrong, arguments)]:
        result = _try(session, seat, ToolCall(id="check", name=tool.name, arguments=given))
        if isinstance(result, Exception):
            yield _broke(where, given, result)
        elif result.error and session.digest() != before:
            yield Finding(where=where, what=f"refusing {given!r} left a change", fix="check everything, then change")
        elif seat == wrong and not result.error:
            yield Finding(where=where, what=f"the {seat} could call it", fix="refuse calls of the other seat")
        if session.digest() != before:
            session = domain.open(Initial(database=database))


def _try(session: Session, seat: Seat, call: ToolCall) -> ToolResult | Exception:
    try:
        return session.call(seat, call)
    except Exception as error:  # noqa: BLE001 - the boundary to a domain's own code: what it raises is the finding
        return error


def _broke(where: str, arguments: dict[str, Any], error: Exception) -> Finding:
    cause = error.__cause__ or error
    what = f"called with {arguments!r} it raised {type(cause).__name__}: {cause}"
    return Finding(where=where, what=what, fix=f"raise {ToolError.__name__} with a sentence for the caller")


def _unique(findings: list[Finding]) -> list[Finding]:
    """Keep the first finding of each place and repair: one example is enough."""
    kept: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        kept.setdefault((finding.where, finding.fix), finding)
    return list(kept.values())
