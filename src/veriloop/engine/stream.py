"""One item of a stream: synthesis, proof, dialogues, judgement, difficulty; mended and redrafted within bounds."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeVar

from veriloop.check.allow import CheckerError, validate_checker
from veriloop.check.sandbox import Sandbox, judge
from veriloop.core.base import Frozen, derive_seed
from veriloop.core.message import Seat
from veriloop.core.trace import Trace
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.engine.difficulty import Difficulty, Trial
from veriloop.engine.flow import Line, run_steps
from veriloop.engine.plan import Advice, PlanPair, Workflow
from veriloop.engine.role.cast import (
    Advisable,
    AnyPlayer,
    Demonstrator,
    DraftError,
    Planner,
    Synthesiser,
    TaskVerifier,
    TrajectoryVerifier,
)
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import ScriptedSynthesiser
from veriloop.proof.blame import Blame, Fault, Judgement, add_opinion, judge_dialogue
from veriloop.proof.prove import Proof, attach_checker, prove_in_steps
from veriloop.rollout.driver import play_async
from veriloop.rollout.episode import Episode

Stage = Literal["synth", "duplicate", "proof", "review", "rollout", "difficulty"]
Taken = Callable[[str], bool]
T = TypeVar("T")
AHEAD = 16
"""Items begun at once where nobody waits for an endpoint; as many processes at most have something to do."""
_OF_THE_DRAFT = (Fault.TASK, Fault.CHECKER)
_DUPLICATE = "the same task exists already"


class Rejection(Frozen):
    """A version of a draft that was given up: at which stage, why, and what it was about.

    repair: 0 for the first version. also: what else was wrong with it.
    """

    attempt: int
    repair: int = 0
    stage: Stage
    reason: str
    also: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    tier: str = ""
    fault: str = ""


class Failure(Frozen):
    """A dialogue that failed, with its task and what is known of it; blame included."""

    task: Task
    trace: Trace
    judgement: Judgement


class Item(Frozen):
    """What came of one item: the proved task with its demonstrations, or only rejections.

    traces, judgements: the demonstrations. failures: dialogues that are none, of rejected drafts as well. difficulty:
    None where nobody tried the task.
    """

    item: int
    plan: str
    task: Task | None = None
    proof: Proof | None = None
    traces: tuple[Trace, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    failures: tuple[Failure, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    difficulty: Difficulty | None = None
    mutants_tried: int = 0
    mutants_caught: int = 0

    @property
    def accepted(self) -> bool:
        """True when there is a proved task."""
        return self.task is not None


class Crew(Protocol):
    """Those who make items in other processes."""

    async def make(self, pair: PlanPair, workflow: Workflow, order: Order, is_taken: Taken) -> Item:
        """Return what `make_item` would return here."""
        ...


@dataclass(frozen=True, slots=True)
class Bench:
    """What a stream works with: the domain, the sandbox, and who plays which role.

    agent: the player of its seat, or what makes one for each task. Planner and verifiers are only there as models:
    else a script writes the plans, and proof and executed rules verify. verify: False keeps every draft and every
    dialogue, proved or not, passed or not, for the ablation without verification. judge: reads dialogues like the
    trajectory verifier, and what it thinks is kept and decides nothing. trial: who tries proved tasks, so
    that those of the right difficulty are kept. width: items begun before the first of them is used; what is made
    depends on it, so it is the same for every crew. line: to the endpoints of models. crew: makes the items
    elsewhere, on a bench of their own that is like this one.
    """

    domain: Domain
    sandbox: Sandbox
    user: AnyPlayer
    agent: AnyPlayer | Demonstrator
    verify: bool = True
    planner: Planner | None = None
    synthesiser: Synthesiser = field(default_factory=ScriptedSynthesiser)
    task_verifier: TaskVerifier | None = None
    trajectory_verifier: TrajectoryVerifier | None = None
    judge: TrajectoryVerifier | None = None
    trial: Trial | None = None
    width: int = AHEAD
    line: Line | None = None
    crew: Crew | None = None

    def make(self, pair: PlanPair, workflow: Workflow, order: Order, is_taken: Taken) -> Coroutine[Any, Any, Item]:
        """Make one item, here or by the crew; see `make_item`."""
        if self.crew:
            return self.crew.make(pair, workflow, order, is_taken)
        return make_item(self, pair, workflow, order, is_taken)

    @property
    def advisable(self) -> tuple[str, ...]:
        """The roles whose prompts may be added to. Who judges is not among them: nobody advises their own judge."""
        seats = {"synthesiser": self.synthesiser, "user": self.user, "agent": self.agent}
        return tuple(role for role, player in seats.items() if isinstance(player, Advisable))

    @property
    def judges(self) -> tuple[str, ...]:
        """The verifiers that are models: those who read the guidelines of evaluation plans."""
        seats = {"task_verifier": self.task_verifier, "trajectory_verifier": self.trajectory_verifier}
        return tuple(role for role, judge in seats.items() if judge)

    def advise(self, advice: Advice) -> "Bench":
        """Return the bench whose roles read the advice."""
        agent = _advise(self.agent, advice.get("agent"))
        return replace(
            self,
            synthesiser=_advise(self.synthesiser, advice.get("synthesiser")),
            user=_advise(self.user, advice.get("user")),
            agent=agent,
        )


def _advise(role: T, lines: tuple[str, ...] | None) -> T:
    advised: Any = role.advise(lines) if lines and isinstance(role, Advisable) else role
    return advised


@dataclass(frozen=True, slots=True)
class _Made:
    task: Task
    proof: Proof | None = None
    demonstrations: tuple[tuple[Trace, Judgement], ...] = ()
    difficulty: Difficulty | None = None


@dataclass(frozen=True, slots=True)
class _Problem:
    """Why a version of a draft is given up, and all that whoever made it should know to mend it.

    mendable: False where the draft is not at fault, so that another version would fare no better.
    """

    stage: Stage
    evidence: tuple[str, ...]
    fault: str = ""
    mendable: bool = True


@dataclass(slots=True)
class _Log:
    rejections: list[Rejection] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    tried: int = 0
    caught: int = 0

    def reject(self, attempt: int, repair: int, problem: _Problem, draft: Task | None = None) -> None:
        about = {"tools": draft.tags.tools, "tier": draft.tags.tier} if draft else {}
        self.rejections.append(
            Rejection(
                attempt=attempt,
                repair=repair,
                stage=problem.stage,
                reason=problem.evidence[0],
                also=problem.evidence[1:],
                fault=problem.fault,
                **about,
            )
        )

    def close(self, order: Order, pair: PlanPair, made: _Made | None) -> Item:
        demonstrations = made.demonstrations if made else ()
        return Item(
            item=order.item,
            plan=pair.name,
            task=made.task if made else None,
            proof=made.proof if made else None,
            traces=tuple(trace for trace, _ in demonstrations),
            judgements=tuple(judgement for _, judgement in demonstrations),
            failures=tuple(self.failures),
            difficulty=made.difficulty if made else None,
            rejections=tuple(self.rejections),
            mutants_tried=self.tried,
            mutants_caught=self.caught,
        )


def drop_duplicate(item: Item) -> Item:
    """Return an item whose task was made by another one at the same time as what it then is: a rejected draft."""
    assert item.task is not None
    tags = item.task.tags
    attempt = item.rejections[-1].attempt if item.rejections else 0
    rejection = Rejection(attempt=attempt, stage="duplicate", reason=_DUPLICATE, tools=tags.tools, tier=tags.tier)
    nothing = {"task": None, "proof": None, "traces": (), "judgements": (), "difficulty": None}
    return item.model_copy(update={**nothing, "rejections": (*item.rejections, rejection)})


async def make_item(bench: Bench, pair: PlanPair, workflow: Workflow, order: Order, is_taken: Taken) -> Item:
    """Make one item: draft, prove and play, mend what was found wrong, until a draft holds or all attempts are used.

    is_taken: whether a task of that id exists already; a draft equal to it is rejected.
    """
    log, bench = _Log(), bench.advise(workflow.advice)
    for attempt in range(workflow.attempts):
        made = await _make_attempt(bench, pair, workflow, replace(order, attempt=attempt), is_taken, log)
        if made:
            return log.close(order, pair, made)
    return log.close(order, pair, None)


async def _make_attempt(
    bench: Bench, pair: PlanPair, workflow: Workflow, order: Order, is_taken: Taken, log: _Log
) -> _Made | None:
    drafting = bench.synthesiser.start(bench.domain, pair, order)
    problems: tuple[str, ...] = ()
    for repair in range(1 + workflow.repairs):
        try:
            draft = await drafting.draft(problems)
        except DraftError as error:
            log.reject(order.attempt, repair, _Problem("synth", (str(error),)))
            return None
        if draft is None:
            return None
        found = await _try_draft(bench, pair, workflow, draft, is_taken, log)
        if isinstance(found, _Made):
            return found
        log.reject(order.attempt, repair, found, draft)
        if not found.mendable:
            return None
        problems = found.evidence
    return None


async def _try_draft(
    bench: Bench, pair: PlanPair, workflow: Workflow, draft: Task, is_taken: Taken, log: _Log
) -> _Made | _Problem:
    task = draft if draft.checker else attach_checker(bench.domain, draft)
    if is_taken(task.id):
        return _Problem("duplicate", (_DUPLICATE,))
    if not bench.verify:
        try:
            validate_checker(task.checker)  # what is not proved is written all the same
        except CheckerError as error:
            return _Problem("proof", (str(error),))
        return _Made(task, demonstrations=tuple(await _play(bench, pair, workflow, task)))
    proof = await run_steps(prove_in_steps(bench.domain, task, bench.sandbox))
    log.tried += proof.tried
    log.caught += proof.caught
    if not proof.ok:
        return _Problem("proof", proof.problems)
    if bench.task_verifier and (objections := await bench.task_verifier.review_task(pair, task)):
        return _Problem("review", objections)
    played = await _play(bench, pair, workflow, task)
    log.failures += [Failure(task=task, trace=trace, judgement=found) for trace, found in played if found.blame]
    blames = [found.blame for _, found in played if found.blame]
    # A task or checker at fault is mended or dropped; an agent or user at fault only costs that dialogue, as long as
    # another one shows that the task can be done.
    if at_fault := next((blame for blame in blames if blame.fault in _OF_THE_DRAFT), None):
        return _blame_draft(at_fault)
    good = tuple((trace, found) for trace, found in played if not found.blame)
    if played and not good:
        return _blame_draft(blames[0])
    if bench.trial is None:
        return _Made(task, proof, good)
    difficulty = await bench.trial.measure(bench.domain, bench.user, task)
    if problem := bench.trial.find_problem(difficulty):
        return _Problem("difficulty", (problem,))
    return _Made(task, proof, good, difficulty)


def _blame_draft(blame: Blame) -> _Problem:
    return _Problem("rollout", (blame.evidence,), blame.fault.value, blame.fault in _OF_THE_DRAFT)


async def _play(bench: Bench, pair: PlanPair, workflow: Workflow, task: Task) -> Sequence[tuple[Trace, Judgement]]:
    """Play and judge a task's dialogues, all at once."""
    rubric = frozenset(item.id for item in pair.evaluation.rubric)
    agent = bench.agent(task) if callable(bench.agent) else bench.agent
    names: dict[Seat, str] = {"agent": agent.name, "user": bench.user.name}
    seeds = [derive_seed("rollout", task.id, number) for number in range(workflow.rollouts)]
    episodes = [Episode(bench.domain, task, seed=seed, names=names) for seed in seeds]
    players: dict[Seat, AnyPlayer] = {"agent": agent, "user": bench.user}
    traces = {number: trace async for number, trace in play_async(episodes, players, width=len(episodes))}
    played = list[tuple[Trace, Judgement]]()
    for _, trace in sorted(traces.items()):
        verdict = judge(task, trace)
        found = judge_dialogue(bench.domain, task, trace, verdict, bench.sandbox, rubric)
        if bench.trajectory_verifier and (opinion := await bench.trajectory_verifier.review_trace(pair, task, trace)):
            found = add_opinion(found, opinion)
        if bench.judge:
            found = found.model_copy(update={"judge": await bench.judge.review_trace(pair, task, trace)})
        played.append((trace, found))
    return played
