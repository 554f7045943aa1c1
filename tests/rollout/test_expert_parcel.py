"""The parcel expert: its own reading of the policy agrees with the clauses, and it holds against difficult users."""

import random
from collections import Counter
from typing import Any

import pytest

from veriloop.check.clause import find_violations
from veriloop.check.sandbox import judge
from veriloop.core.message import Message, ToolCall
from veriloop.core.trace import StopReason
from veriloop.domains.clause import Case, find_denials
from veriloop.domains.parcel.clauses import PARCEL_WRITES
from veriloop.domains.task import Initial
from veriloop.engine.planner import write_plans
from veriloop.engine.setting import Order
from veriloop.engine.synthesis import synthesise
from veriloop.proof.prove import attach_checker
from veriloop.rollout.driver import play
from veriloop.rollout.episode import Episode
from veriloop.rollout.experts.parcel import ParcelExpert
from veriloop.rollout.experts.parcel_rules import find_objection
from veriloop.rollout.oracle import Oracle
from veriloop.rollout.scripted import ScriptedUser

OWN_STEPS = {"P15", "P18"}
"""Clauses that the user's own step in the app lifts; the expert asks for the step instead of refusing."""


@pytest.fixture(scope="module")
def many(parcel):
    pairs = write_plans(parcel)
    drafts = [synthesise(parcel, pairs[item % 2], Order(seed=61, item=item)) for item in range(60)]
    return [attach_checker(parcel, draft) for draft in drafts if draft]


def draw_value(tool: str, state: Any, customer: Any, rng: random.Random) -> tuple[str, Any, Any, dict[str, Any]]:
    """Return (argument, its value, what a user says for it, what the expert read besides)."""
    if tool == "reschedule_delivery":
        day = rng.choice(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday"))
        return "day", day, day, {"days": list(state.areas[customer.area].days)}
    if tool == "redirect_to_locker":
        locker = rng.choice(state.lockers.where(area=customer.area))
        return "locker_id", locker.locker_id, locker.name, {"locker": locker.model_dump()}
    if tool == "hold_parcel":
        days = rng.randint(1, 12)
        return "days", days, str(days), {}
    texts = {"leave_with_neighbour": ("neighbour", "Eve Dunn"), "change_address": ("street", "Oak Row 2")}
    name, text = texts.get(tool, ("", ""))
    return name, text, text, {}


def read_parcel(state: Any, parcel: Any) -> dict[str, Any]:
    claim = state.claims.get(parcel.tracking)
    return {**parcel.model_dump(), "claim": claim.kind if claim else None}


@pytest.mark.parametrize("tool", PARCEL_WRITES)
def test_its_rules_are_those_of_the_clauses(parcel, tool):
    """On every parcel of four databases, expert and clauses say the same, though they share no code."""
    seen = Counter[bool]()
    for database in ("train-0", "train-9", "test-1", "test-5"):
        rng = random.Random(database)
        state = parcel.open(Initial(database=database)).state
        for row in state.parcels:
            customer = state.customers[row.customer_id]
            name, value, said, extra = draw_value(tool, state, customer, rng)
            call = ToolCall(id="1", name=tool, arguments={"tracking": row.tracking} | ({name: value} if name else {}))
            found = ToolCall(id="0", name="find_customer", arguments={})
            identified = [(found, f'{{"customer_id": "{customer.customer_id}"}}')]
            denials = find_denials(parcel.clauses, Case(state, "agent", call, identified))
            denied = bool({denial.clause for denial in denials} - OWN_STEPS)
            objection = find_objection(tool, customer.model_dump(), read_parcel(state, row), said, extra)
            assert (objection is not None) == denied, (row, denials, objection)
            seen[denied] += 1
    assert set(seen) == {True, False}


def test_somebody_elses_parcel_is_refused_before_anything_else(parcel):
    state = parcel.open(Initial(database="train-0")).state
    rows = list(state.parcels)
    other = next(row for row in rows if row.customer_id != rows[0].customer_id)
    customer = state.customers[rows[0].customer_id].model_dump()
    for tool in PARCEL_WRITES:
        assert "not addressed to you" in str(find_objection(tool, customer, read_parcel(state, other), "1", {}))


class Wrapped(ScriptedUser):
    """A scripted user whose answers a test bends once; `change` sees each answer until it returns another one."""

    def __init__(self, change: Any) -> None:
        self._change, self.bent = change, False

    def reply(self, views):
        return [self._bend(view, message) for view, message in zip(views, super().reply(views), strict=True)]

    def _bend(self, view: Any, message: Message) -> Message:
        if self.bent:
            return message
        changed = self._change(view, message)
        self.bent = changed is not None
        return message if changed is None else changed


def identity_of(task):
    return task.user.identity[0].text


def test_an_unknown_identity_first_does_not_stop_it(parcel, many):
    """The caller mistypes e-mail or phone number at first and gives the right one when asked again."""
    bent = 0
    for task in many:
        right = identity_of(task)
        wrong = f"nobody{right}" if "@" in right else "555-000-0000"
        user = Wrapped(
            lambda _, m, r=right, w=wrong: Message(content=m.content.replace(r, w)) if r in m.content else None
        )
        trace = play(Episode(parcel, task, seed=1), {"agent": ParcelExpert(), "user": user})
        refused = [result for turn in trace.turns for result in turn.results if result.error]
        assert user.bent == bool(refused)
        assert judge(task, trace).passed, task.user.reason_for_call
        bent += user.bent
    assert bent == len(many)


def test_a_no_to_the_first_confirmation_only_delays(parcel, many):
    for task in many:
        user = Wrapped(lambda _, m: Message(content="No, wait a moment.") if m.content.startswith("Yes") else None)
        trace = play(Episode(parcel, task, seed=2), {"agent": ParcelExpert(), "user": user})
        assert judge(task, trace).passed, task.user.reason_for_call
        assert find_violations(parcel, task.initial, trace.turns) == []


class Stubborn(ScriptedUser):
    """Says no to every confirmation."""

    def reply(self, views):
        answers = super().reply(views)
        return [Message(content="No, do not do that.") if m.content.startswith("Yes") else m for m in answers]


def test_nothing_changes_for_a_user_who_never_agrees(parcel, many):
    for task in many[:20]:
        trace = play(Episode(parcel, task), {"agent": ParcelExpert(), "user": Stubborn()})
        assert not any(change.table in ("parcels", "claims", "customers") for change in trace.changes)


class Idle(ScriptedUser):
    """Never makes its own step, but says so."""

    def reply(self, views):
        answers = super().reply(views)
        return [Message(content="I have done that.") if m.tool_calls else m for m in answers]


def test_a_step_only_claimed_is_looked_up_and_the_change_refused(parcel, many):
    needing = [task for task in many if any(step.seat == "user" for step in task.gold)]
    assert needing
    for task in needing:
        trace = play(Episode(parcel, task), {"agent": ParcelExpert(), "user": Idle()})
        assert trace.stop in (StopReason.USER_STOP, StopReason.TRANSFER)
        assert not judge(task, trace).passed
        assert find_violations(parcel, task.initial, trace.turns) == []


def test_it_never_breaks_a_clause_with_any_persona(parcel, many):
    for seed, task in enumerate(many):
        trace = play(Episode(parcel, task, seed=seed), {"agent": ParcelExpert(), "user": ScriptedUser()})
        assert find_violations(parcel, task.initial, trace.turns) == []


def test_it_plays_from_the_view_alone(parcel, many):
    """The same dialogue with all that names the task left out gets the same answers."""
    task = many[0]
    episode, user, expert = Episode(parcel, task), ScriptedUser(), ParcelExpert()
    while view := episode.pending():
        if view.seat == "user":
            episode.feed(user.reply([view])[0])
            continue
        blank = type(view)(view.key, "", "agent", "", (), view.turns, 0)
        (message,) = expert.reply([view])
        assert expert.reply([blank]) == [message]
        episode.feed(message)
    assert judge(task, episode.trace()).passed


@pytest.mark.parametrize("player", ["expert", "oracle"])
@pytest.mark.parametrize("clause", sorted(OWN_STEPS))
def test_a_step_that_the_user_declines_is_asked_for_and_then_the_wish_refused(parcel, player, clause):
    pair = write_plans(parcel)[0]
    plan = pair.synthesis.model_copy(update={"tiers": {"refusal": 1.0}, "clauses": {clause: 1.0}})
    drafted = (synthesise(parcel, pair.model_copy(update={"synthesis": plan}), Order(62, n)) for n in range(20))
    task = attach_checker(parcel, next(task for task in drafted if task and task.refused == (clause,)))
    agent = ParcelExpert() if player == "expert" else Oracle(parcel, {task.id: task})
    trace = play(Episode(parcel, task, seed=1), {"agent": agent, "user": ScriptedUser()})
    assert judge(task, trace).passed
    (words,) = task.user.requests[0].declines.values()
    assert [turn.seat for turn in trace.turns if words in turn.spoken] == ["agent", "user"]
    assert trace.changes == ()
