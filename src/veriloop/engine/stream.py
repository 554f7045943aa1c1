"""One item of a stream: synthesis, proof, demonstration, judgement; redrafted a bounded number of times."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from veriloop.check.sandbox import Sandbox, judge
from veriloop.core.base import Frozen, derive_seed
from veriloop.core.trace import Trace
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.engine.plan import PlanPair, Workflow
from veriloop.engine.synthesis import Order, synthesise
from veriloop.proof.blame import Judgement, judge_dialogue
from veriloop.proof.prove import Proof, attach_checker, prove
from veriloop.rollout.driver import play
from veriloop.rollout.episode import Episode
from veriloop.rollout.player import Player

Stage = Literal["synth", "proof", "rollout", "duplicate"]


class Rejection(Frozen):
    """A draft that was given up: at which stage, why, and what it was about."""

    attempt: int
    stage: Stage
    reason: str
    tools: tuple[str, ...] = ()
    tier: str = ""
    fault: str = ""


class Item(Frozen):
    """What came of one item: the proved task with its demonstrations, or only rejections."""

    item: int
    plan: str
    task: Task | None = None
    proof: Proof | None = None
    traces: tuple[Trace, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    mutants_tried: int = 0
    mutants_caught: int = 0

    @property
    def accepted(self) -> bool:
        """True when there is a proved task."""
        return self.task is not None


@dataclass(frozen=True, slots=True)
class Bench:
    """What a stream works with: the domain, the sandbox and the players of its demonstrations.

    demonstrator: makes the agent's seat from a task (an expert, or an oracle that sees the gold). verify: False leaves
    out proof and demonstration, for the ablation without verification.
    """

    domain: Domain
    sandbox: Sandbox
    user: Player
    demonstrator: Callable[[Task], Player]
    verify: bool = True


@dataclass(slots=True)
class _Attempts:
    rejections: list[Rejection] = field(default_factory=list)
    tried: int = 0
    caught: int = 0


def make_item(bench: Bench, pair: PlanPair, workflow: Workflow, order: Order, taken: frozenset[str] | set[str]) -> Item:
    """Make one item: draft, prove and demonstrate until a draft holds or the workflow's attempts are used up.

    taken: ids of tasks that exist already; a draft equal to one of them is rejected.
    """
    log = _Attempts()
    for attempt in range(workflow.attempts):
        draft = synthesise(bench.domain, pair, _with_attempt(order, attempt))
        if draft is None:
            log.rejections.append(Rejection(attempt=attempt, stage="synth", reason="nothing to draft for this caller"))
            continue
        made = _try_draft(bench, pair, workflow, draft, attempt, taken, log)
        if made:
            task, proof, traces, judgements = made
            return Item(
                item=order.item, plan=pair.name, task=task, proof=proof, traces=traces, judgements=judgements,
                rejections=tuple(log.rejections), mutants_tried=log.tried, mutants_caught=log.caught,
            )  # fmt: skip
    return Item(
        item=order.item, plan=pair.name, rejections=tuple(log.rejections),
        mutants_tried=log.tried, mutants_caught=log.caught,
    )  # fmt: skip


Made = tuple[Task, Proof | None, tuple[Trace, ...], tuple[Judgement, ...]]


def _try_draft(
    bench: Bench,
    pair: PlanPair,
    workflow: Workflow,
    draft: Task,
    attempt: int,
    taken: frozenset[str] | set[str],
    log: _Attempts,
) -> Made | None:
    def reject(stage: Stage, reason: str, fault: str = "") -> None:
        log.rejections.append(
            Rejection(
                attempt=attempt, stage=stage, reason=reason, tools=draft.tags.tools, tier=draft.tags.tier, fault=fault
            )
        )

    task = attach_checker(bench.domain, draft)
    if task.id in taken:
        return reject("duplicate", "the same task exists already")
    if not bench.verify:
        return task, None, (), ()
    proof = prove(bench.domain, task, bench.sandbox)
    log.tried += sum(score.tried for score in proof.classes.values())
    log.caught += sum(score.caught for score in proof.classes.values())
    if not proof.ok:
        return reject("proof", proof.problems[0])
    traces, judgements = _demonstrate(bench, pair, workflow, task)
    failed = next((judgement for judgement in judgements if judgement.blame), None)
    if failed and failed.blame:
        return reject("rollout", failed.blame.evidence, failed.blame.fault.value)
    return task, proof, traces, judgements


def _demonstrate(
    bench: Bench, pair: PlanPair, workflow: Workflow, task: Task
) -> tuple[tuple[Trace, ...], tuple[Judgement, ...]]:
    rubric = frozenset(item.id for item in pair.evaluation.rubric)
    agent = bench.demonstrator(task)
    traces, judgements = [], []
    for number in range(workflow.rollouts):
        seed = derive_seed("rollout", task.id, number)
        episode = Episode(bench.domain, task, seed=seed, names={"agent": agent.name, "user": bench.user.name})
        trace = play(episode, {"agent": agent, "user": bench.user})
        verdict = judge(task, trace)
        traces.append(trace)
        judgements.append(judge_dialogue(bench.domain, task, trace, verdict, bench.sandbox, rubric))
    return tuple(traces), tuple(judgements)


def _with_attempt(order: Order, attempt: int) -> Order:
    return Order(order.seed, order.item, attempt, order.split, order.databases)
