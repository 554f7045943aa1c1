"""Graded cases for each role: real requests about made-up work whose right answer is known.

Tasks and dialogues come from the scripts, so that what is right is proved, not thought; what is wrong was made wrong on
purpose.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise

from veriloop.core.base import derive_seed
from veriloop.core.message import Message, Seat, Turn
from veriloop.core.trace import Trace
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.engine.anchor import Anchor, build_anchors
from veriloop.engine.evolution import Evidence, ProposalError
from veriloop.engine.fitness import list_facets
from veriloop.engine.plan import PlanPair, Reach, Workflow, share
from veriloop.engine.role.planner import ModelPlanner
from veriloop.engine.role.reflector import ModelReflector
from veriloop.engine.role.verifier import ModelVerifier
from veriloop.engine.setting import Order
from veriloop.engine.stream import Bench, Item, make_item
from veriloop.llm.structured import ShapeError
from veriloop.rollout.episode import STOP_TOKENS, Episode
from veriloop.rollout.player import AsyncPlayer, View
from veriloop.rollout.quality import measure_user
from veriloop.rollout.wording import is_said, is_told

CASES = 5
"""Cases of each role."""
UNREAD = "none of its answers can be read"


@dataclass(frozen=True, slots=True)
class Case:
    """One case. ask: sends it and returns what is wrong with the answer, nothing when it is right."""

    name: str
    ask: Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Moment:
    """A point of a good dialogue: what the seat sees, what it said or did then, and all turns before."""

    task: Task
    trace: Trace
    position: int
    view: View

    @property
    def turn(self) -> Turn:
        """What the seat did."""
        return self.trace.turns[self.position]


def probe_planner(planner: ModelPlanner, domain: Domain, reach: Reach, pairs: Sequence[PlanPair]) -> Iterator[Case]:
    """Yield one case for each plan: it must be usable at the first answer, with the plans before it in mind."""
    plans = [pair.synthesis for pair in pairs][:CASES]

    def ask(number: int) -> Callable[[], Awaitable[str]]:
        async def propose() -> str:
            seed = derive_seed("probe", number)
            try:
                await planner.propose(domain, reach, plans[:number], len(plans), seed, tries=1)
            except ShapeError as error:
                return str(error)
            return ""

        return propose

    for number in range(len(plans)):
        yield Case(f"a plan after {number} others", ask(number))


def probe_synthesiser(bench: Bench, pairs: Sequence[PlanPair]) -> Iterator[Case]:
    """Yield cases in which a task has to be handed in that the proof accepts, mended once at most.

    bench: with the model as synthesiser and scripts in all other seats.
    """

    def ask(number: int) -> Callable[[], Awaitable[str]]:
        async def make() -> str:
            order = Order(derive_seed("probe") % 2**31, number)
            workflow = Workflow(attempts=1, repairs=1)
            item = await make_item(bench, pairs[number % len(pairs)], workflow, order, lambda _: False)
            return "" if item.accepted else item.rejections[-1].reason if item.rejections else "no task"

        return make

    for number in range(CASES):
        yield Case(f"a task for caller {number}", ask(number))


def probe_task_verifier(
    verifier: ModelVerifier, pair: PlanPair, domain: Domain, items: Sequence[Item]
) -> Iterator[Case]:
    """Yield proved tasks, two of which are spoiled: one asks for another task's wish, one leaves its change out."""
    tasks = [item.task for item in items if item.task]
    changed = [task for task in tasks if not task.tags.no_write]

    def ask(task: Task, *, good: bool) -> Callable[[], Awaitable[str]]:
        async def review() -> str:
            found = await verifier.read_task(pair, task)
            if found is None:
                return UNREAD
            if found.good == good:
                return ""
            return f"objects to a proved task: {'; '.join(found.problems)}" if good else "lets a wrong task through"

        return review

    for task in tasks[: CASES - 2]:
        yield Case(f"the proved task {task.id}", ask(task, good=True))
    for one, other in islice(pairwise(changed), 1):
        swapped = one.model_copy(update={"user": other.user})
        yield Case("a task with another one's instruction", ask(swapped, good=False))
        kept = tuple(step for step in one.gold if domain.tools[step.call.name].kind != "write")
        yield Case("a task that changes nothing", ask(one.model_copy(update={"gold": kept}), good=False))


def probe_trajectory_verifier(
    verifier: ModelVerifier, pair: PlanPair, bench: Bench, items: Sequence[Item]
) -> Iterator[Case]:
    """Yield two good dialogues and three bad ones of different kinds."""
    suite = build_anchors(bench, items).dialogues
    good = [anchor for anchor in suite if anchor.good]
    bad = list({anchor.name: anchor for anchor in suite if not anchor.good}.values())

    def ask(anchor: Anchor) -> Callable[[], Awaitable[str]]:
        async def review() -> str:
            opinion = await verifier.review_trace(pair, anchor.task, anchor.trace)
            if opinion is None:
                return UNREAD
            if opinion.success == anchor.good:
                return ""
            return "lets a bad dialogue through" if opinion.success else f"objects to a good one: {opinion.evidence}"

        return review

    for anchor in [*good[:2], *bad[: CASES - 2]]:
        yield Case("a demonstration" if anchor.good else f"a dialogue spoiled: {anchor.name}", ask(anchor))


def probe_user(player: AsyncPlayer, domain: Domain, items: Sequence[Item]) -> Iterator[Case]:
    """Yield points of demonstrations at which what a user has to do is beyond doubt."""
    moments = [moment for item in items for moment in find_moments(domain, item, "user")]
    opening = [moment for moment in moments if len(moment.trace.turns[: moment.position]) == 1]
    acting = [moment for moment in moments if moment.turn.tool_calls]
    ending = [moment for moment in moments if _find_stop(moment.turn.content)]
    telling = [moment for moment in moments if moment not in opening and find_told(moment)]
    yield from _pose(player, {"opens": opening, "acts": acting, "ends": ending, "tells": telling}, grade_user)


def probe_agent(player: AsyncPlayer, domain: Domain, items: Sequence[Item]) -> Iterator[Case]:
    """Yield points of demonstrations at which an agent has to look something up, or to make the change agreed on."""
    moments = [moment for item in items for moment in find_moments(domain, item, "agent") if _calls_well(moment.turn)]
    writing = [m for m in moments if domain.tools[m.turn.tool_calls[0].name].kind == "write"]
    reading = [m for m in moments if m not in writing]

    def grade(moment: Moment, message: Message) -> str:
        return grade_agent(domain, moment, message)

    yield from _pose(player, {"makes the change": writing, "looks up": reading}, grade)


def _calls_well(turn: Turn) -> bool:
    """Return whether a turn calls and none of it fails: what a caller mistyped finds nothing, whoever looks it up."""
    return bool(turn.tool_calls) and not any(result.error for result in turn.results)


def probe_reflector(reflector: ModelReflector, evidence: Evidence) -> Iterator[Case]:
    """Yield pilots in which far too much of one tool was made: the proposal must have less of it asked for."""

    def ask(name: str, crowded: Evidence) -> Callable[[], Awaitable[str]]:
        async def propose() -> str:
            try:
                candidate = await reflector.propose(crowded, tries=1)
            except ProposalError as error:
                return str(error)
            before, after = _ask_for(evidence.pairs, name), _ask_for(candidate.pairs, name)
            return "" if after < before else f"{name} is asked for as much as before ({after:.2f} of all tools)"

        return propose

    made = {name for item in evidence.items for name in list_facets(item).get("tools", ())}
    for name in sorted(made)[:CASES]:
        about = tuple(item for item in evidence.items if name in list_facets(item).get("tools", ()))
        yield Case(f"too much of {name}", ask(name, replace(evidence, items=evidence.items + about * 8)))


def find_moments(domain: Domain, item: Item, seat: Seat) -> Iterator[Moment]:
    """Yield every point of an item's first demonstration at which a seat had the word."""
    if item.task is None or not item.traces:
        return
    episode, trace = Episode(domain, item.task, seed=item.traces[0].seed), item.traces[0]
    for position, turn in enumerate(trace.turns[1:], start=1):
        view = episode.pending()
        assert view is not None
        if view.seat == seat:
            yield Moment(item.task, trace, position, view)
        episode.feed(Message(content=turn.content, tool_calls=turn.tool_calls))


def grade_user(moment: Moment, message: Message) -> str:
    """Return what a user did wrong at a point: its own tools, its end and its facts are fixed, its words are not."""
    if message.malformed:
        return message.malformed
    wanted, called = ([call.name for call in calls] for calls in (moment.turn.tool_calls, message.tool_calls))
    if wanted != called:
        return f"calls {', '.join(called) or 'no tool'} instead of {', '.join(wanted) or 'speaking'}"
    stop, found = _find_stop(moment.turn.content), _find_stop(message.content)
    if stop != found:
        return f"ends with {found}" if found else f"does not end with {stop}"
    told = find_told(moment)
    if told and not any(is_said(text, message.content) for text in told):
        return f"does not say {' or '.join(told)}"
    turns = (*moment.trace.turns[: moment.position], Turn(seat="user", content=message.content))
    if invented := measure_user(moment.trace.model_copy(update={"turns": turns}), moment.task.user).invented:
        return f"makes up {', '.join(invented)}"
    return ""


def grade_agent(domain: Domain, moment: Moment, message: Message) -> str:
    """Return what an agent did wrong at a point: a change is fixed, a look-up may be any that works."""
    if message.malformed:
        return message.malformed
    if not message.tool_calls:
        return f"speaks instead of calling {moment.turn.tool_calls[0].name}"
    wanted = [(call.name, call.arguments) for call in moment.turn.tool_calls]
    if domain.tools[wanted[0][0]].kind == "write":
        called = [(call.name, call.arguments) for call in message.tool_calls]
        return "" if called == wanted else f"calls {called} instead of {wanted}"
    session = domain.open(moment.task.initial)
    for turn in moment.trace.turns[: moment.position]:
        for call in turn.tool_calls:
            session.call(turn.seat, call)
    results = [session.call("agent", call) for call in message.tool_calls]
    return next((result.content for result in results if result.error), "")


def find_told(moment: Moment) -> list[str]:
    """Return the facts of the script that the user told at a point and at none before."""
    before = " ".join(turn.content for turn in moment.trace.turns[: moment.position] if turn.seat == "user")
    scenario = moment.task.user
    facts = [*scenario.identity, *(fact for request in scenario.requests for fact in request.facts)]
    said = {fact.text for fact in facts if is_told(fact, moment.turn.content)}
    return sorted(text for text in said if not is_said(text, before))


def _pose(
    player: AsyncPlayer, kinds: dict[str, list[Moment]], grade: Callable[[Moment, Message], str]
) -> Iterator[Case]:
    """Yield cases of all kinds in turn until there are enough."""

    def ask(moment: Moment) -> Callable[[], Awaitable[str]]:
        async def reply() -> str:
            return grade(moment, await player.reply_async(moment.view))

        return reply

    named = [[(f"the {moment.view.seat} {kind}", moment) for moment in found] for kind, found in kinds.items()]
    rows = [row[depth] for depth in range(CASES) for row in named if depth < len(row)]
    for name, moment in rows[:CASES]:
        yield Case(name, ask(moment))


def _find_stop(content: str) -> str | None:
    return next((token for token in STOP_TOKENS if token in content), None)


def _ask_for(pairs: Sequence[PlanPair], tool: str) -> float:
    return sum(share(pair.synthesis.tools).get(tool, 0.0) for pair in pairs) / len(pairs)
