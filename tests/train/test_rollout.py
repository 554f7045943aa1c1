from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from veriloop.core.errors import PlayerError
from veriloop.core.message import Message, Turn
from veriloop.core.trace import StopReason, Trace
from veriloop.core.verdict import Outcome, Verdict
from veriloop.domains.domain import Domain
from veriloop.domains.task import Task
from veriloop.local.model import LoadedModel
from veriloop.local.player import LocalPlayer, Sampling
from veriloop.proof.blame import Fault, Judgement, Opinion, add_opinion
from veriloop.rollout.episode import Limits
from veriloop.rollout.player import View
from veriloop.rollout.quality import measure_user
from veriloop.rollout.scripted import ScriptedUser
from veriloop.train.curriculum import TaskOrder
from veriloop.train.filter import Group, Kept
from veriloop.train.rollout import Arena, GroupShape, Rollout, Trajectory, measure_groups, reward_of

PAD = 0
PASS, FAIL, BROKEN = (Verdict(outcome=outcome, reason="") for outcome in (Outcome.PASS, Outcome.FAIL, Outcome.ERROR))


class Spy(LocalPlayer):
    """Keeps what was fed to the sampler before each reply, and the reply."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fed: dict[str, list[tuple[list[int], Any]]] = {}
        self.forgotten = 0
        self._open: dict[int, tuple[str, list[int]]] = {}
        begin, advance = self._sampler.begin, self._sampler.advance

        def note(ticket: int, key: str, context: list[int], seed: int) -> None:
            self._open[ticket] = key, list(context)
            begin(ticket, key, context, seed)

        def keep() -> Any:
            replies = advance()
            for ticket, reply in replies:
                key, context = self._open.pop(ticket)
                self.fed.setdefault(key, []).append((context, reply))
            return replies

        self._sampler.begin, self._sampler.advance = note, keep  # pyright: ignore[reportAttributeAccessIssue]

    def forget(self) -> None:
        self.forgotten += 1
        super().forget()


class Babbler(Spy):
    """An untrained model speaks in control tokens; its replies stand, but are heard as plain text."""

    def advance(self) -> list[tuple[int, Message]]:
        return [(ticket, _hear(message)) for ticket, message in super().advance()]


def _hear(message: Message) -> Message:
    if message.sampled is None:
        return message
    return message.model_copy(update={"malformed": None, "content": message.content or "hm", "tool_calls": ()})


class Talker:
    """A user that gives one message for ever, or fails."""

    name = "talker"

    def __init__(self, line: Message | None) -> None:
        self.line = line

    def reply(self, views: Sequence[View]) -> list[Message]:
        if self.line is None:
            raise PlayerError("endpoint down")
        return [self.line for _ in views]


def by_seed(task: Task, trace: Trace) -> Verdict:
    return PASS if trace.seed % 2 else FAIL


def make_arena(parcel: Domain, tasks: Sequence[Task], agent: LoadedModel, **options: Any) -> tuple[Arena, Spy]:
    player = options.get("player", Babbler)(
        agent, "agent", sampling=Sampling(tokens=6, context=options.get("context", 1400), rows=16)
    )
    players = {"agent": player, "user": options.get("user", ScriptedUser())}
    score = options.get("score", by_seed)
    return Arena(parcel, tasks, agent, players, score, limits=Limits(turns=options.get("turns", 9))), player


def trainer(step: int = 0) -> Any:
    return SimpleNamespace(state=SimpleNamespace(global_step=step))


def make_rollout(arena: Arena, tasks: Sequence[Task], shape: GroupShape) -> Rollout:
    return Rollout(arena, TaskOrder([task.id for task in tasks], 0), shape, PAD, 0)


def test_trajectories_are_what_the_player_fed_the_sampler(parcel: Domain, tasks: list[Task], agent: LoadedModel):
    arena, player = make_arena(parcel, tasks, agent)
    groups = arena.sample([task.id for task in tasks[:3]], 2, seed=1)
    assert [group.task for group in groups] == [task.id for task in tasks[:3]]
    for group in groups:
        for trajectory in group.trajectories:
            fed = player.fed[f"{group.task}/{trajectory.trace.seed}"]
            assert len(fed) > 1
            last_context, last_reply = fed[-1]
            assert trajectory.prompt == fed[0][0]
            assert trajectory.prompt + trajectory.completion == last_context + last_reply.ids
            mask, logprobs = [0] * len(trajectory.completion), [0.0] * len(trajectory.completion)
            for context, reply in fed:
                place = slice(len(context) - len(trajectory.prompt), None)
                place = slice(place.start, place.start + len(reply.ids))
                assert trajectory.completion[place] == reply.ids
                mask[place], logprobs[place] = [1] * len(reply.ids), reply.logprobs
            assert trajectory.mask == mask
            assert trajectory.logprobs == pytest.approx(logprobs)


def test_dialogues_of_a_group_differ_and_the_seed_repeats_them(parcel: Domain, tasks: list[Task], agent: LoadedModel):
    def play(seed: int) -> list[list[int]]:
        arena, _ = make_arena(parcel, tasks, agent)
        group = arena.sample([tasks[0].id], 3, seed)[0]
        return [trajectory.completion for trajectory in group.trajectories]

    first = play(1)
    assert len({tuple(ids) for ids in first}) == 3
    assert play(1) == first
    assert play(2) != first


def trace_with(stop: StopReason, error: str | None = None, turns: tuple[Turn, ...] = ()) -> Trace:
    return Trace(
        domain="parcel", task_id="t", players={}, seed=0, turns=turns, changes=(), digest="", stop=stop, error=error
    )


@pytest.mark.parametrize(
    ("stop", "error", "verdict", "reward"),
    [
        (StopReason.USER_STOP, None, PASS, 1.0),
        (StopReason.USER_STOP, None, FAIL, 0.0),
        (StopReason.USER_STOP, None, BROKEN, None),
        (StopReason.PLAYER_ERROR, "endpoint down", FAIL, None),
        (StopReason.PLAYER_ERROR, "endpoint down", PASS, None),
        (StopReason.MALFORMED, "user: empty reply", FAIL, None),
        (StopReason.MALFORMED, "agent: empty reply", FAIL, 0.0),
        (StopReason.MAX_TURNS, None, FAIL, 0.0),
        (StopReason.MAX_ERRORS, None, FAIL, 0.0),
        (StopReason.TRANSFER, None, PASS, 1.0),
    ],
)
def test_reward_is_none_where_the_agent_is_not_to_blame(
    stop: StopReason, error: str | None, verdict: Verdict, reward: float | None
):
    assert reward_of(trace_with(stop, error), verdict) == reward


@pytest.mark.parametrize("verdict", [PASS, FAIL])
@pytest.mark.parametrize("thought", [True, False])
def test_what_a_model_thinks_of_a_dialogue_is_no_part_of_its_reward(tasks: list[Task], verdict: Verdict, thought: bool):
    trace = trace_with(StopReason.USER_STOP)
    user = measure_user(trace, tasks[0].user)
    opinion = Opinion(success=thought, fault=None if thought else Fault.AGENT)
    judged = add_opinion(Judgement(verdict=verdict, user=user, success=True, judge=opinion), opinion)
    assert judged.success is thought
    assert reward_of(trace, judged.verdict) == float(verdict.passed)


@pytest.mark.parametrize("line", [None, Message(malformed="cut JSON")])
def test_void_and_user_malformed_dialogues_are_masked_places(
    parcel: Domain, tasks: list[Task], agent: LoadedModel, line: Message | None
):
    arena, _ = make_arena(parcel, tasks, agent, user=Talker(line), score=lambda task, trace: FAIL)
    rollout = make_rollout(arena, tasks, GroupShape(2, 2, 4))
    packed = rollout(["p"] * 4, trainer())
    assert packed["reward"] == [None] * 4
    assert packed["env_mask"] == [[0]] * 4 and packed["completion_ids"] == [[PAD]] * 4
    assert rollout.empty and rollout.metrics["groups_sampled"] == 4


def test_an_agent_with_a_full_context_keeps_what_it_sampled(parcel: Domain, tasks: list[Task], agent: LoadedModel):
    arena, player = make_arena(parcel, tasks, agent, context=90, turns=40, user=Talker(Message(content="and then?")))
    group = arena.sample([tasks[0].id], 2, seed=0)[0]
    for trajectory in group.trajectories:
        assert trajectory.trace.stop is StopReason.TOO_LONG and "too_long" in (trajectory.trace.error or "")
        fed = player.fed[f"{group.task}/{trajectory.trace.seed}"]
        assert trajectory.prompt + trajectory.completion == fed[-1][0] + fed[-1][1].ids
        assert sum(trajectory.mask) == sum(len(reply.ids) for _, reply in fed)
    assert None not in group.rewards


def test_an_agent_that_never_spoke_has_no_reward(parcel: Domain, tasks: list[Task], agent: LoadedModel):
    arena, _ = make_arena(parcel, tasks, agent, player=Spy, context=1, score=lambda task, trace: PASS)
    group = arena.sample([tasks[0].id], 2, seed=0)[0]
    assert group.rewards == (None, None)
    assert all(trajectory.completion == trajectory.mask == [] for trajectory in group.trajectories)


def test_kept_groups_come_first_and_the_rest_is_masked(parcel: Domain, tasks: list[Task], agent: LoadedModel):
    chosen = tasks[0].id
    rewards = iter([PASS, FAIL] * 50)
    arena, _ = make_arena(parcel, tasks, agent, score=lambda task, trace: next(rewards) if task.id == chosen else FAIL)
    rollout = make_rollout(arena, tasks, GroupShape(3, 2, len(tasks)))
    packed = rollout(["p"] * 6, trainer())
    assert {len(column) for column in packed.values()} == {6}
    assert packed["reward"] == [1.0, 0.0, None, None, None, None]
    for number in range(6):
        sizes = {len(packed[key][number]) for key in ("completion_ids", "logprobs", "env_mask")}
        assert len(sizes) == 1
        assert any(packed["env_mask"][number]) == (number < 2)
    assert not rollout.empty
    assert (rollout.metrics["groups_kept"], rollout.metrics["groups_all_failed"]) == (1, len(tasks) - 1)
    assert rollout.metrics["agent_tokens"] == sum(map(sum, packed["env_mask"]))


def test_without_filtering_every_group_is_trained_on(parcel: Domain, tasks: list[Task], agent: LoadedModel):
    arena, _ = make_arena(parcel, tasks, agent, score=lambda task, trace: FAIL)
    rollout = make_rollout(arena, tasks, GroupShape(2, 2, 8, filtering=False))
    packed = rollout(["p"] * 4, trainer())
    assert packed["reward"] == [0.0] * 4
    assert all(any(mask) for mask in packed["env_mask"])
    assert rollout.metrics["groups_sampled"] == rollout.metrics["groups_kept"] == 2


def test_every_call_forgets_the_caches_and_draws_anew(parcel: Domain, tasks: list[Task], agent: LoadedModel):
    arena, player = make_arena(parcel, tasks[:1], agent)
    rollout = make_rollout(arena, tasks[:1], GroupShape(1, 2, 1, filtering=False))
    first = rollout(["p"] * 2, trainer())
    second = rollout(["p"] * 2, trainer())
    assert player.forgotten == rollout.steps == 2
    assert first["completion_ids"] != second["completion_ids"]
    again = make_rollout(make_arena(parcel, tasks[:1], agent)[0], tasks[:1], GroupShape(1, 2, 1, filtering=False))
    assert again(["p"] * 2, trainer())["completion_ids"] == first["completion_ids"]


def test_solved_tasks_rest_in_the_rollouts_order(parcel: Domain, tasks: list[Task], agent: LoadedModel):
    arena, _ = make_arena(parcel, tasks, agent, score=lambda task, trace: PASS)
    rollout = make_rollout(arena, tasks, GroupShape(2, 2, 3))
    rollout(["p"] * 4, trainer())
    assert len(rollout.order.state()["resting"]) == 3


def test_measures_count_dropped_groups_and_voids():
    trace = trace_with(StopReason.USER_STOP, turns=(Turn(seat="user", content="a"),) * 4)
    one = Trajectory([1], [2, 3], [1, 0], [0.0, 0.0], trace)
    kept: Kept[Trajectory] = Kept()
    for rewards in ((1.0, 0.0, None), (1.0, 1.0, 1.0), (0.0, 0.0, None), (None, None, None)):
        kept.take(Group("t", (one,) * 3, rewards))
    assert measure_groups(kept) == {
        "reward_kept": 0.5, "reward_sampled": 0.5, "groups_kept": 1, "groups_sampled": 4, "groups_all_passed": 1,
        "groups_all_failed": 1, "void_trajectories": 1, "agent_tokens": 2, "turns": 4.0, "stop_user_stop": 1.0,
    }  # fmt: skip


def test_measures_of_nothing_are_zeros():
    assert set(measure_groups(Kept()).values()) == {0.0}
