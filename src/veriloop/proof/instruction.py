"""The instruction's half of the proof: what the user is given suffices, nothing is idle, and it means one thing."""

import itertools
import random
import re
from collections.abc import Sequence
from typing import Any

from veriloop.check.compile import evidence_calls
from veriloop.core.base import derive_seed
from veriloop.core.message import ToolCall
from veriloop.domains.clause import Case, find_denials
from veriloop.domains.domain import Domain
from veriloop.domains.remedy import find_remedies
from veriloop.domains.session import Session
from veriloop.domains.source import Source
from veriloop.domains.task import Fact, Request, Task
from veriloop.domains.tool import Tool
from veriloop.domains.walk import Walk, pooled_values
from veriloop.proof.replay import Replay

_WORD = re.compile(r"[\w-]+")
COMBINATIONS = 256
"""Readings of one request that are executed at most; with more the instruction counts as too loose."""


def check_instruction(domain: Domain, task: Task, walk: Walk, gold: Replay) -> list[str]:
    """Return what is wrong with a task's instruction; `walk` starts from what the user can tell."""
    problems = find_underived(domain, task, gold)
    problems += _find_idle_identity(task, walk)
    session = domain.open(task.initial)
    for request, wanted in zip(task.user.requests, task.wanted, strict=True):
        for step in _steps_before(task, wanted):
            session.call(step.seat, step.call)
        problems += _find_open_choices(domain, request, wanted)
        problems += _find_readings(domain, task, walk, session, request, wanted)
        problems += _find_idle_facts(domain, task, walk, session, request, wanted)
        problems += _find_way_out(domain, task, walk, session, request, wanted)
        if _is_gold(task, wanted):
            session.call("agent", wanted)
    return problems


def _is_gold(task: Task, wanted: ToolCall) -> bool:
    return any(step.call.name == wanted.name and step.call.arguments == wanted.arguments for step in task.gold)


def _steps_before(task: Task, wanted: ToolCall) -> list[Any]:
    """Return the user's own steps that precede a wanted write in the gold, after the write before it."""
    found: list[Any] = []
    for step in task.gold:
        if step.seat == "user":
            found.append(step)
        elif step.call.name == wanted.name and step.call.arguments == wanted.arguments:
            return found
        elif any(step.call.name == other.name and step.call.arguments == other.arguments for other in task.wanted):
            found = []
    return []


def find_underived(domain: Domain, task: Task, gold: Replay) -> list[str]:
    """Return gold arguments that are neither told nor read before, and user steps whose arguments are not told."""
    facts = [*task.user.identity, *(fact for request in task.user.requests for fact in request.facts)]
    told = {_plain(part) for fact in facts for part in _list_told(fact)} - {""}
    problems, read_so_far = [], ""
    for step, result in zip(gold.calls, gold.results, strict=True):
        tool = domain.tools[step.call.name]
        # What is said to whom the user goes is in the agent's own words, and so is what nobody tells of a user's step.
        asked = tool.is_handover or (step.seat == "user" and not any(source.told for source in tool.sources.values()))
        pairs = () if asked else pooled_values(tool, step.call.arguments)
        for kind, value in pairs:
            known = _plain(value) in told or (step.seat == "agent" and str(value) in read_so_far)
            if not known:
                problems.append(f"instruction: {step.call.name}: {kind} {value!r} is neither told nor read")
        read_so_far += result.content if step.seat == "agent" and tool.kind == "read" else ""
    return problems


def _list_told(fact: Fact) -> list[Any]:
    """Return the values that a fact tells: its own, or what stands in the words that only describe it."""
    return _items(fact.value) if fact.value is not None else [fact.text, *_WORD.findall(fact.text)]


def _plain(value: Any) -> str:
    """Return a value without case and punctuation: who says basic economy means basic_economy."""
    return "".join(letter for letter in str(value).lower() if letter.isalnum())


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _find_idle_identity(task: Task, walk: Walk) -> list[str]:
    """Find identity facts without which the caller could still be identified and act."""
    steps = {str(v) for step in task.gold if step.seat == "user" for v in step.call.arguments.values()}
    openings = [walk.known_kinds(position) or frozenset[str]() for position in walk.opening_reads()]
    problems = []
    for fact in task.user.identity:
        rest = {other.kind for other in task.user.identity if other is not fact}
        if str(fact.value) not in steps and any(kinds <= rest for kinds in openings):
            problems.append(f"instruction: {fact.label} is told but nothing needs it")
    return problems


def _find_open_choices(domain: Domain, request: Request, wanted: ToolCall) -> list[str]:
    """Find choices without limit that nothing tells: what candidates there are is only a sample of them."""
    told = {fact.argument for fact in request.facts}
    sources = domain.tools[wanted.name].sources
    left = [source for name, source in sources.items() if name in wanted.arguments and name not in told]
    return [
        f"instruction: {wanted.name}: nothing tells which {source.label} is meant"
        for source in left
        if source.free and source.told
    ]


def _readings(tool: Tool, facts: dict[str, Fact], walk: Walk, session: Session, free: str = "") -> list[dict[str, Any]]:
    """Return the argument choices that fit the told facts; the parameter `free` may take any candidate."""
    partial: list[dict[str, Any]] = [{}]
    for name, source in tool.sources.items():
        grown = []
        for arguments in partial:
            scope = walk.scope(session, arguments)
            fact = None if name == free else facts.get(name)
            grown += [{**arguments, name: value} for value in _fitting(source, fact, scope)]
        partial = list(itertools.islice(grown, COMBINATIONS + 1))
    return partial


def _fitting(source: Source, fact: Fact | None, scope: Any) -> list[Any]:
    """Return the values a fact can mean; a free choice means what was said, whatever the samples are."""
    if fact is not None and fact.value is not None:
        return [fact.value]
    candidates = source.candidates(scope)
    return candidates if fact is None else [value for value in candidates if source.wording(value, scope) == fact.text]


def _find_readings(
    domain: Domain, task: Task, walk: Walk, session: Session, request: Request, wanted: ToolCall
) -> list[str]:
    """Execute every reading of a request that the clauses allow: all must end where the gold write ends."""
    tool = domain.tools[wanted.name]
    readings = _readings(tool, {fact.argument: fact for fact in request.facts}, walk, session)
    if len(readings) > COMBINATIONS:
        return [f"instruction: {wanted.name} can be read in more than {COMBINATIONS} ways"]
    if wanted.arguments not in readings:
        return [f"instruction: {wanted.name}: what is told does not fit the wanted arguments"]
    ends = {end for arguments in readings if (end := _end(domain, walk, session, tool, arguments))}
    if _is_gold(task, wanted):
        gold = _end(domain, walk, session, tool, wanted.arguments)
        return [] if ends == {gold} else [f"instruction: {wanted.name} has {len(ends)} possible end states"]
    if ends:
        return [f"instruction: {wanted.name} should be refused but {len(ends)} readings are allowed"]
    return _find_open_evidence(domain, task, wanted, readings)


def _find_open_evidence(domain: Domain, task: Task, wanted: ToolCall, readings: Sequence[dict[str, Any]]) -> list[str]:
    """Find what a refused request leaves open though the reads that show why it is refused are about it."""
    shown = {str(value) for read in evidence_calls(domain, task) for value in read.arguments.values()}
    names = [name for name, value in wanted.arguments.items() if str(value) in shown]
    left = [name for name in names if any(reading.get(name) != wanted.arguments[name] for reading in readings)]
    return [f"instruction: {wanted.name} should be refused but which {name} is meant is open" for name in left]


def _find_idle_facts(
    domain: Domain, task: Task, walk: Walk, session: Session, request: Request, wanted: ToolCall
) -> list[str]:
    """Find facts without which only the wanted arguments would remain, but for those that the user's own steps need."""
    tool = domain.tools[wanted.name]
    own = [value for step in _steps_before(task, wanted) for value in step.call.arguments.values()]
    facts = [fact for fact in request.facts if fact.value not in own]
    idle = [fact for fact in facts if is_idle(tool, fact, request.facts, walk, session, wanted.arguments)]
    return [f"instruction: the {fact.label} is told but nothing else could be meant" for fact in idle]


def is_idle(
    tool: Tool, fact: Fact, facts: Sequence[Fact], walk: Walk, session: Session, wanted: dict[str, Any]
) -> bool:
    """Return whether the other ones of `facts` leave nothing but the wanted arguments."""
    if tool.sources[fact.argument].free:
        return False
    others = {other.argument: other for other in facts if other is not fact}
    readings = _readings(tool, others, walk, session, free=fact.argument)
    return all(reading == wanted for reading in readings)


def _find_way_out(
    domain: Domain, task: Task, walk: Walk, session: Session, request: Request, wanted: ToolCall
) -> list[str]:
    """Find steps of the user's by which what is refused could be done and that the user does not decline."""
    if _is_gold(task, wanted):
        steps = [step.call.name for step in _steps_before(task, wanted)]
        return [
            f"instruction: the user declines {name}, which the gold needs" for name in steps if name in request.declines
        ]
    rng = random.Random(derive_seed("way-out", task.id, wanted.name))
    steps = [step.name for step in find_remedies(domain, session, walk, wanted, rng)]
    refused = f"instruction: {wanted.name} should be refused but the user could"
    return [f"{refused} {name}" for name in steps if name not in request.declines]


def _end(domain: Domain, walk: Walk, session: Session, tool: Tool, arguments: dict[str, Any]) -> str | None:
    """Return the digest after a call that clauses and tools allow, None when they do not."""
    call = ToolCall(id="reading", name=tool.name, arguments=arguments)
    if find_denials(domain.clauses, Case(session.state, tool.seat, call, walk.history())):
        return None
    trial = session.fork()
    result = trial.call(tool.seat, call)
    acts = bool(result.changes) or tool.is_handover
    return trial.digest() if acts and not result.error else None
