"""The anchor suite: dialogues and tasks known to be good or bad, which every candidate must still tell apart."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from veriloop.check.clause import find_violations
from veriloop.check.sandbox import judge
from veriloop.core.message import Seat, Turn
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
from veriloop.rollout.quality import measure_user
from veriloop.rollout.scripted import ScriptedUser

CHANGES, REFUSALS = 5, 2
"""Tasks in the suite, with and without a write; each gives a good dialogue, several bad ones and one bad task."""
_MADE_UP = "90417-XQ"
_CLOSED = re.compile(r"\banything else\b", re.IGNORECASE)


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
    """Build the suite from the first accepted items whose dialogue passed.

    Their demonstrations are good; idle agents and changes that rest on no word of the user are bad, and so are tasks
    whose checker expects nothing.
    """
    dialogues, bad_tasks = list[Anchor](), list[Task]()
    for task, trace in _pick(items):
        dialogues.append(Anchor("demonstration", task, trace, good=True))
        for player in (Noop(), Transfer()):
            idle = play(Episode(bench.domain, task), {"agent": player, "user": ScriptedUser()})
            dialogues.append(Anchor(player.name, task, idle, good=False))
        if not task.tags.no_write:
            dialogues.append(Anchor("mute_user", task, _mute_user(trace), good=False))
        dialogues += [Anchor(name, task, made, good=False) for name, made in _spoil(bench.domain, task, trace)]
        empty = attach_checker(bench.domain, task.model_copy(update={"gold": ()}))
        bad_tasks.append(empty)
    return AnchorSuite(tuple(dialogues), tuple(bad_tasks))


def _pick(items: Sequence[Item]) -> list[tuple[Task, Trace]]:
    # Without verification an accepted item's dialogue may have failed.
    passed = [item for item in items if item.judgements and not item.judgements[0].blame]
    found = [(item.task, item.traces[0]) for item in passed if item.task]
    refused = [(task, trace) for task, trace in found if task.tags.no_write]
    return [(task, trace) for task, trace in found if not task.tags.no_write][:CHANGES] + refused[:REFUSALS]


def find_misjudged(bench: Bench, suite: AnchorSuite, pairs: Sequence[PlanPair]) -> list[str]:
    """Return the anchors that some plan pair's evaluation gets wrong."""
    wrong = []
    # Plans that judge alike misjudge alike: each rubric is asked once, in the name of the first plan that has it.
    rubrics = {frozenset(item.id for item in pair.evaluation.rubric): pair for pair in reversed(pairs)}
    for rubric, pair in rubrics.items():
        for anchor in suite.dialogues:
            verdict = judge(anchor.task, anchor.trace)
            judged = judge_dialogue(bench.domain, anchor.task, anchor.trace, verdict, bench.sandbox, rubric)
            if (judged.verdict.passed and judged.success) != anchor.good:
                wrong.append(f"{pair.id}: {anchor.name} of task {anchor.task.id}")
    wrong += [f"task {task.id} without gold" for task in suite.bad_tasks if prove(bench.domain, task, bench.sandbox).ok]
    return wrong


def _spoil(domain: Domain, task: Task, trace: Trace) -> Iterator[tuple[str, Trace]]:
    """Yield the dialogue with one thing wrong each, where that can be told from it: not every task has room for all."""
    unconfirmed = _unconfirm(domain, trace)
    # Bad only where the policy asks for a yes.
    if find_violations(domain, task.initial, unconfirmed.turns):
        yield "unconfirmed", unconfirmed
    untold = _leave_out_facts(task, trace)
    if not measure_user(untold, task.user).goal_told:
        yield "untold", untold
    made_up = _map_speech(trace, "user", lambda text: f"My reference is {_MADE_UP}. {text}")
    if measure_user(made_up, task.user).invented:
        yield "made_up", made_up
    hurried = _map_speech(trace, "agent", lambda text: "Very well." if _CLOSED.search(text) else text)
    if measure_user(hurried, task.user).early_stop:
        yield "early_stop", hurried


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


def _leave_out_facts(task: Task, trace: Trace) -> Trace:
    """Return the dialogue with every fact of the requests left out of what the user said; their yes stays."""
    facts = [fact for request in task.user.requests for fact in request.facts]
    told = {text for fact in facts for text in (fact.text, *fact.forms) if "{text}" not in text}
    texts = sorted(told, key=len, reverse=True)
    if not texts:
        return trace
    pattern = re.compile("|".join(map(re.escape, texts)), re.IGNORECASE)
    return _map_speech(trace, "user", lambda text: pattern.sub("...", text))


def _map_speech(trace: Trace, seat: Seat, change: Callable[[str], str]) -> Trace:
    """Return the dialogue with what a seat said changed, the agent's greeting left out."""
    turns = tuple(
        turn.model_copy(update={"content": change(turn.content)})
        if position and turn.seat == seat and turn.spoken
        else turn
        for position, turn in enumerate(trace.turns)
    )
    return trace.model_copy(update={"turns": turns})


def _strike(turn: Turn) -> Turn:
    return turn.model_copy(update={"content": "..."})
