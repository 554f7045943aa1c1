"""The exam of models that judge: cases whose answer is known, before and after a proposal rewrites how to judge.

A judge who objects to nothing raises every yield, so no proposal may have a verifier do worse on the anchors.
"""

from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

from veriloop.domains.task import Task
from veriloop.engine.anchor import Anchor, AnchorSuite
from veriloop.engine.flow import run_in_order
from veriloop.engine.plan import PlanPair
from veriloop.engine.role.cast import TaskVerifier, TrajectoryVerifier
from veriloop.engine.stream import Bench

Kind = tuple[str, str]
"""The role that is asked and what it is asked about, such as ("task_verifier", "bad tasks")."""


@dataclass(frozen=True, slots=True)
class Question:
    """A case for a judge. answer: asks it in a plan's name; True when it is right."""

    kind: Kind
    answer: Callable[[PlanPair], Coroutine[Any, Any, bool]]


def find_worse_judges(
    bench: Bench, suite: AnchorSuite, before: Sequence[PlanPair], after: Sequence[PlanPair]
) -> list[str]:
    """Return by which plans' new guidelines a judge does worse, a line each; nothing where scripts judge.

    Bad cases have to be found out and good ones let pass, as many of each as before. An answer that cannot be read
    lets pass, as it does in a run.
    """
    questions = [*_ask_about_dialogues(bench, suite), *_ask_about_tasks(bench, suite)]
    asked = Counter(question.kind for question in questions)
    worse = list[str]()
    for old, new in _find_reworded(before, after):
        was, now = (_mark(bench, questions, pair) for pair in (old, new))
        worse += [
            f"by the new guidelines of {new.id} the {role} is right about {now[role, about]} of {count} {about}, "
            f"before about {was[role, about]}"
            for (role, about), count in asked.items()
            if now[role, about] < was[role, about]
        ]
    return worse


def _find_reworded(before: Sequence[PlanPair], after: Sequence[PlanPair]) -> Iterator[tuple[PlanPair, PlanPair]]:
    """Yield of each rewording the first plan that gets it, as it was and as it is; verifiers read both parts."""
    by_id, seen = {pair.id: pair for pair in after}, set[tuple[str, str]]()
    for old in before:
        new = by_id.get(old.id, old)
        parts = (old.synthesis, new.synthesis), (old.evaluation, new.evaluation)
        task, judging = (now.guidelines if now.guidelines != was.guidelines else "" for was, now in parts)
        if (task or judging) and (task, judging) not in seen:
            seen.add((task, judging))
            yield old, new


def _ask_about_dialogues(bench: Bench, suite: AnchorSuite) -> Iterator[Question]:
    if judge := bench.trajectory_verifier:
        for anchor in suite.dialogues:
            kind = "trajectory_verifier", "good dialogues" if anchor.good else "bad dialogues"
            yield Question(kind, partial(_tells_dialogue, judge, anchor))


def _ask_about_tasks(bench: Bench, suite: AnchorSuite) -> Iterator[Question]:
    if judge := bench.task_verifier:
        for anchor in (anchor for anchor in suite.dialogues if anchor.good):
            yield Question(("task_verifier", "good tasks"), partial(_tells_task, judge, anchor.task, good=True))
        for task in suite.bad_tasks:
            yield Question(("task_verifier", "bad tasks"), partial(_tells_task, judge, task, good=False))


async def _tells_dialogue(judge: TrajectoryVerifier, anchor: Anchor, pair: PlanPair) -> bool:
    opinion = await judge.review_trace(pair, anchor.task, anchor.trace)
    return (opinion is None or opinion.success) == anchor.good


async def _tells_task(judge: TaskVerifier, task: Task, pair: PlanPair, *, good: bool) -> bool:
    objections = await judge.review_task(pair, task)
    return (not objections) == good


def _mark(bench: Bench, questions: Sequence[Question], pair: PlanPair) -> Counter[Kind]:
    """Return how many questions of each kind are answered right in a plan's name."""
    left = iter(questions)

    async def answer(question: Question) -> tuple[Kind, bool]:
        return question.kind, await question.answer(pair)

    def launch() -> Coroutine[Any, Any, tuple[Kind, bool]] | None:
        question = next(left, None)
        return answer(question) if question else None

    with closing(run_in_order(launch, bench.width, bench.line)) as answered:
        return Counter(kind for kind, right in answered if right)
