"""The anchor suite: dialogues and tasks known to be good or bad, which every candidate must still tell apart."""

from collections.abc import Sequence
from dataclasses import dataclass

from veriloop.check.clause import find_violations
from veriloop.check.sandbox import judge
from veriloop.core.message import Turn
from veriloop.core.trace import Trace
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.engine.plan import PlanPair
from veriloop.engine.stream import Bench, Item
from veriloop.proof.blame import judge_dialogue
from veriloop.proof.prove import attach_checker, prove
from veriloop.rollout.baseline import Noop, Transfer
from veriloop.rollout.driver import play
from veriloop.rollout.episode import Episode

ANCHORS = 4
"""Tasks in the suite; each gives one good dialogue, several bad ones and one bad task."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A dialogue with what is known of it."""

    name: str
    task: Task
    trace: Trace
    good: bool


@dataclass(frozen=True, slots=True)
class AnchorSuite:
    """Fixed from the first pilot on."""

    dialogues: tuple[Anchor, ...]
    bad_tasks: tuple[Task, ...]


def build_anchors(bench: Bench, items: Sequence[Item]) -> AnchorSuite:
    """Build the suite from the first proved items.

    Their demonstrations are good; idle agents and changes that rest on no word of the user are bad, and so are tasks
    whose checker expects nothing.
    """
    dialogues, bad_tasks = list[Anchor](), list[Task]()
    for item in [item for item in items if item.task and item.traces][:ANCHORS]:
        task, trace = item.task, item.traces[0]
        assert task is not None
        dialogues.append(Anchor("demonstration", task, trace, good=True))
        for player in (Noop(), Transfer()):
            idle = play(Episode(bench.domain, task), {"agent": player, "user": bench.user})
            dialogues.append(Anchor(player.name, task, idle, good=False))
        if not task.tags.no_write:
            dialogues.append(Anchor("mute_user", task, _mute_user(trace), good=False))
        unconfirmed = _unconfirm(bench.domain, trace)
        # Bad only where the policy asks for a yes; a domain without such a clause gives none.
        if find_violations(bench.domain, task.initial, unconfirmed.turns):
            dialogues.append(Anchor("unconfirmed", task, unconfirmed, good=False))
        empty = attach_checker(bench.domain, task.model_copy(update={"gold": ()}))
        bad_tasks.append(empty)
    return AnchorSuite(tuple(dialogues), tuple(bad_tasks))


def find_misjudged(bench: Bench, suite: AnchorSuite, pairs: Sequence[PlanPair]) -> list[str]:
    """Return the anchors that some plan pair's evaluation gets wrong."""
    wrong = []
    for pair in pairs:
        rubric = frozenset(item.id for item in pair.evaluation.rubric)
        for anchor in suite.dialogues:
            verdict = judge(anchor.task, anchor.trace)
            judged = judge_dialogue(bench.domain, anchor.task, anchor.trace, verdict, bench.sandbox, rubric)
            if (judged.verdict.passed and judged.success) != anchor.good:
                wrong.append(f"{pair.id}: {anchor.name} of task {anchor.task.id}")
    wrong += [f"task {task.id} without gold" for task in suite.bad_tasks if prove(bench.domain, task, bench.sandbox).ok]
    return wrong


def _mute_user(trace: Trace) -> Trace:
    """Return the dialogue with everything the user said struck out: its changes then rest on no word of theirs."""
    turns = tuple(_strike(turn) if turn.seat == "user" and turn.spoken else turn for turn in trace.turns)
    return trace.model_copy(update={"turns": turns})


def _unconfirm(domain: Domain, trace: Trace) -> Trace:
    """Return the dialogue with only the user's last words before each of the agent's writes struck out: no yes."""
    struck, turns, last = set[int](), trace.turns, -1
    for position, turn in enumerate(turns):
        if turn.seat == "user" and turn.spoken:
            last = position
        elif turn.seat == "agent" and any(domain.tools[call.name].kind == "write" for call in turn.tool_calls):
            struck.add(last)
    made = tuple(_strike(turn) if position in struck else turn for position, turn in enumerate(turns))
    return trace.model_copy(update={"turns": made})


def _strike(turn: Turn) -> Turn:
    return turn.model_copy(update={"content": "..."})
