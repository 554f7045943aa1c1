"""A task as a model submits it, and what can be wrong with it before it is proved."""

import random
from collections.abc import Iterator
from typing import Any

from pydantic import Field, JsonValue

from veriloop.check.allow import CheckerError, validate_checker
from veriloop.core.base import Frozen
from veriloop.core.message import Seat, ToolCall
from veriloop.domains.domain import Domain, agent_actions
from veriloop.domains.task import Fact, Request, SeatCall, Task
from veriloop.domains.tool import Tool
from veriloop.engine.assembly import Outline, assemble, write_fact, write_request
from veriloop.engine.draft import Draft, apply_draft
from veriloop.engine.plan import PlanPair
from veriloop.engine.request import drop_implied
from veriloop.engine.setting import Order, Setting

VALUES_SHOWN = 8
"""Values named in an objection to one that cannot be meant."""


class SubmittedRequest(Frozen):
    """One wish: the write it amounts to, how it is called in the caller's words, and the rule that forbids it if any.

    says: for an argument of the write how the caller puts it, with the value in it; arguments left out are worded for
    them, and those that go without saying are not said. declines: the caller's own tools by which what is refused could
    still be done, and which they are not able to use.
    """

    tool: str
    arguments: dict[str, JsonValue]
    topic: str = Field(min_length=1, max_length=200)
    says: dict[str, str] = {}
    refused_by: str | None = None
    declines: tuple[str, ...] = ()


class SubmittedCall(Frozen):
    """One call of the right way through the task."""

    seat: Seat
    name: str
    arguments: dict[str, JsonValue] = {}


class Submission(Frozen):
    """A whole task. identity: kinds of what the caller says of themselves. told: values they must hear by the end."""

    identity: tuple[str, ...]
    requests: tuple[SubmittedRequest, ...] = Field(min_length=1, max_length=4)
    gold: tuple[SubmittedCall, ...] = Field(max_length=60)
    told: tuple[str, ...] = ()


class CheckedSubmission(Submission):
    """A whole task with a checker, where models may write them.

    checker: Python source with check(changes, calls, messages), or nothing to have one compiled from the gold calls.
    """

    checker: str | None = None


def find_submission_problems(setting: Setting, shape: tuple[bool, ...], submission: Submission) -> list[str]:
    """Return what cannot be made a task of, each with what there is instead; proving it comes later."""
    return [
        *_check_identity(setting, submission),
        *_check_shape(shape, submission),
        *(
            f"requests.{number}.{problem}"
            for number, wish in enumerate(submission.requests)
            for problem in _check_wish(setting, wish)
        ),
        *_check_gold(setting.domain, submission),
        *_check_checker(submission),
    ]


def build_task(
    setting: Setting, pair: PlanPair, order: Order, manner: tuple[str, str], submission: Submission, rng: random.Random
) -> Task:
    """Return the task of a submission without problems. manner: tier and persona."""
    session, start = setting.session.fork(), 0
    drafts, requests = list[Draft](), list[Request]()
    for wish in submission.requests:
        steps, start = _own_steps(submission, wish, start)
        draft = Draft(setting.domain.tools[wish.tool], dict(wish.arguments), steps, wish.refused_by, wish.declines)
        worded = _reword(write_request(setting, draft, rng), wish)
        requests.append(drop_implied(setting.domain, setting.caller, session, draft, worded, rng))
        drafts.append(draft)
        apply_draft(session, draft)
    known = setting.caller.known
    outline = Outline(
        *manner,
        identity=tuple(write_fact(setting, kind, known[kind]) for kind in submission.identity),
        requests=tuple(requests),
        drafts=tuple(drafts),
        gold=tuple(SeatCall(seat=step.seat, call=_call(step, n)) for n, step in enumerate(submission.gold)),
        told=submission.told,
        checker=read_checker(submission),
    )
    return assemble(setting, pair, order, outline)


def read_checker(submission: Submission) -> str:
    """Return the checker that was handed in; empty where there is none."""
    return (submission.checker or "") if isinstance(submission, CheckedSubmission) else ""


def _own_steps(submission: Submission, wish: SubmittedRequest, start: int) -> tuple[tuple[ToolCall, ...], int]:
    """Return the user's own steps before a wish's write in the gold, looked for from `start`, and where to go on."""
    rest = submission.gold[start:]
    for number, step in enumerate(rest):
        if step.name == wish.tool and step.arguments == wish.arguments:
            return tuple(_call(own, n) for n, own in enumerate(rest[:number]) if own.seat == "user"), start + number + 1
    return (), start


def _call(step: SubmittedCall, number: int) -> ToolCall:
    return ToolCall(id=f"gold_{number}", name=step.name, arguments=step.arguments)


def _reword(request: Request, wish: SubmittedRequest) -> Request:
    def put(fact: Fact) -> Fact:
        text = wish.says.get(fact.argument)
        return fact if text is None else fact.model_copy(update={"text": text, "value": wish.arguments[fact.argument]})

    return request.model_copy(update={"topic": wish.topic, "facts": tuple(put(fact) for fact in request.facts)})


def _check_identity(setting: Setting, submission: Submission) -> Iterator[str]:
    known = setting.caller.known
    for kind in submission.identity:
        if kind not in known or kind not in setting.domain.kinds:
            yield f"identity: the caller has no {kind!r}; choose from {', '.join(known)}"


def _check_shape(shape: tuple[bool, ...], submission: Submission) -> Iterator[str]:
    if [wish.refused_by is None for wish in submission.requests] != list(shape):
        wanted = ", ".join("one that is carried out" if allowed else "one that is refused" for allowed in shape)
        yield f"requests: the task is to have, in this order: {wanted}"


def _check_wish(setting: Setting, wish: SubmittedRequest) -> Iterator[str]:
    domain = setting.domain
    tool = next((tool for tool in agent_actions(domain) if tool.name == wish.tool), None)
    if tool is None:
        names = ", ".join(tool.name for tool in agent_actions(domain))
        yield f"tool: {wish.tool!r} is none of what the agent can do for a caller: {names}"
        return
    yield from _check_arguments(setting, tool, wish.arguments)
    for name, text in wish.says.items():
        if name not in wish.arguments:
            yield f"says: {name} is no argument of this request"
        elif str(wish.arguments[name]) not in text:
            yield f"says.{name}: the words must hold the value {wish.arguments[name]!r}; or leave it out"
    about = [clause.id for clause in domain.clauses if wish.tool in clause.tools]
    if wish.refused_by and wish.refused_by not in about:
        yield f"refused_by: {wish.refused_by!r} is no rule about {wish.tool}; those are {', '.join(about)}"
    own = [tool.name for tool in domain.tools.values() if tool.seat == "user" and tool.kind == "write"]
    if unknown := [name for name in wish.declines if name not in own]:
        yield f"declines: {', '.join(unknown)} is no tool of the caller's; those are {', '.join(own) or 'none'}"


def _check_arguments(setting: Setting, tool: Tool, arguments: dict[str, Any]) -> Iterator[str]:
    names = tool.parameters["properties"]
    missing = [name for name in tool.parameters.get("required", []) if name not in arguments]
    unknown = [name for name in arguments if name not in tool.sources]
    if missing:
        yield f"arguments: {', '.join(missing)} is missing"
    if unknown:
        yield f"arguments: there is no {', '.join(unknown)}; the tool takes {', '.join(names)}"
    if missing or unknown:
        return
    chosen: dict[str, Any] = {}
    for name, value in arguments.items():
        source = tool.sources[name]
        there = source.candidates(setting.walk.scope(setting.session, chosen))
        values = value if isinstance(value, list) and value not in there else [value]
        if not source.free and not all(item in there for item in values):
            some = ", ".join(map(repr, there[:VALUES_SHOWN]))
            yield f"arguments.{name}: {value!r} cannot be meant here; what can: {some or 'nothing'}"
            return
        chosen[name] = value


def _check_checker(submission: Submission) -> Iterator[str]:
    """Yield why a checker cannot be used, before a proof is spent on it."""
    if source := read_checker(submission):
        try:
            validate_checker(source)
        except CheckerError as error:
            yield f"checker: {error}"


def _check_gold(domain: Domain, submission: Submission) -> Iterator[str]:
    for number, step in enumerate(submission.gold):
        tool = domain.tools.get(step.name)
        if tool is None:
            yield f"gold.{number}.name: there is no tool {step.name!r}"
        elif tool.seat != step.seat:
            yield f"gold.{number}.seat: {step.name} belongs to the {tool.seat}"
