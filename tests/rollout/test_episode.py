import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from veriloop.core.errors import PlayerError
from veriloop.core.message import Message, ToolCall
from veriloop.core.trace import StopReason, Trace
from veriloop.domains.domain import Domain
from veriloop.domains.task import Initial, Task, UserScenario
from veriloop.rollout.driver import play, play_async, play_batch
from veriloop.rollout.episode import GREETING, Episode, Limits
from veriloop.rollout.player import View


class Script:
    """Says its lines one after the other, the last one for ever; a callable line is asked with the view."""

    def __init__(self, *lines: Message | Callable[[View], Message]) -> None:
        self.name, self.lines = "script", lines
        self.views: list[View] = []

    def reply(self, views: Sequence[View]) -> list[Message]:
        return [self._answer(view) for view in views]

    def _answer(self, view: View) -> Message:
        self.views.append(view)
        line = self.lines[min(sum(turn.seat == view.seat for turn in view.turns), len(self.lines) - 1)]
        return line(view) if callable(line) else line


def say(text: str) -> Message:
    return Message(content=text)


def do(name: str, **arguments: Any) -> Message:
    return Message(content="aside", tool_calls=(ToolCall(id=f"c_{name}", name=name, arguments=arguments),))


STOP = say("Thanks. ###STOP###")


@pytest.fixture
def task(parcel: Domain) -> Task:
    scenario = UserScenario(persona="p", reason_for_call="r", known_info="k", unknown_info="u", task_instructions="t")
    return Task(domain="parcel", initial=Initial(database="train-0"), user=scenario, gold=())


def run(parcel: Domain, task: Task, agent: Script, user: Script, **options: Any) -> Trace:
    # The agent's first own turn is the greeting, so its lines begin after it.
    agent.lines = (say(GREETING), *agent.lines)
    return play(Episode(parcel, task, **options), {"agent": agent, "user": user})


def test_turns_alternate_and_a_call_keeps_the_turn(parcel: Domain, task: Task):
    agent = Script(do("find_lockers", customer_id="C0"), say("no lockers"), say("bye"))
    user = Script(say("hello"), STOP)
    trace = run(parcel, task, agent, user)
    assert [turn.seat for turn in trace.turns] == ["agent", "user", "agent", "agent", "user"]
    assert trace.turns[0].content == GREETING
    assert trace.turns[2].results[0].error
    assert trace.stop is StopReason.USER_STOP
    assert not trace.void


@pytest.mark.parametrize(
    ("said", "stop"),
    [
        ("###STOP###", StopReason.USER_STOP),
        ("ok ###TRANSFER###", StopReason.TRANSFER),
        ("###OUT-OF-SCOPE### sorry", StopReason.OUT_OF_SCOPE),
    ],
)
def test_the_user_ends_the_dialogue(parcel: Domain, task: Task, said: str, stop: StopReason):
    assert run(parcel, task, Script(say("hm")), Script(say(said))).stop is stop


def test_the_agent_cannot_end_it(parcel: Domain, task: Task):
    trace = run(parcel, task, Script(say("###STOP###")), Script(say("a"), say("b"), STOP))
    assert len(trace.turns) == 6
    assert trace.stop is StopReason.USER_STOP


def test_turn_limit(parcel: Domain, task: Task):
    trace = run(parcel, task, Script(say("a")), Script(say("b")), limits=Limits(turns=7))
    assert (trace.stop, len(trace.turns)) == (StopReason.MAX_TURNS, 7)


def test_error_limit_counts_both_seats(parcel: Domain, task: Task):
    agent, user = Script(do("no_such_tool")), Script(do("no_such_tool"), say("help"))
    trace = run(parcel, task, agent, user, limits=Limits(errors=3))
    assert trace.stop is StopReason.MAX_ERRORS
    assert sum(result.error for turn in trace.turns for result in turn.results) == 3
    assert [turn.seat for turn in trace.turns] == ["agent", "user", "user", "agent", "agent"]


def test_malformed_output_ends_the_dialogue_with_its_reason(parcel: Domain, task: Task):
    trace = run(parcel, task, Script(Message(malformed="cut JSON")), Script(say("hi")))
    assert (trace.stop, trace.error) == (StopReason.MALFORMED, "agent: cut JSON")


def test_a_player_that_fails_voids_the_dialogue(parcel: Domain, task: Task):
    def fail(view: View) -> Message:
        raise PlayerError("endpoint down")

    trace = run(parcel, task, Script(fail), Script(say("hi")))
    assert (trace.stop, trace.error, trace.void) == (StopReason.PLAYER_ERROR, "endpoint down", True)


def test_each_seat_sees_only_its_part(parcel: Domain, task: Task):
    email = next(iter(parcel.callers("train-0", "train"))).known["email"]
    agent = Script(do("find_customer", email=email), say("found you"), say("bye"))
    user = Script(do("check_app", email=email), say("hello"), STOP)
    run(parcel, task, agent, user)
    last = agent.views[-1]
    assert [turn.content for turn in last.turns] == [GREETING, "hello", "aside"]
    assert last.system == parcel.policy
    assert last.scenario is None
    assert {tool.seat for tool in last.tools} == {"agent"}
    last = user.views[-1]
    assert [turn.content for turn in last.turns] == [GREETING, "aside", "hello", "found you"]
    assert last.turns[1].results[0].content.startswith("{")
    assert last.scenario == task.user and "Reason for call: r" in last.system
    assert {tool.seat for tool in last.tools} == {"user"}
    assert len({view.key for view in [*agent.views, *user.views]}) == 1


def test_writes_are_in_the_trace(parcel: Domain, task: Task):
    email = next(iter(parcel.callers("train-0", "train"))).known["email"]
    user = Script(do("enable_locker_pickup", email=email), do("enable_locker_pickup", email=email), STOP)
    trace = run(parcel, task, Script(say("a")), user)
    assert all(change.table == "apps" and change.key == email for change in trace.changes)
    assert trace.digest != run(parcel, task, Script(say("a")), Script(STOP)).digest or not trace.changes


def test_misuse_is_a_programming_error(parcel: Domain, task: Task):
    episode = Episode(parcel, task)
    with pytest.raises(RuntimeError, match="not over yet"):
        episode.trace()
    episode.feed(STOP)
    assert episode.pending() is None
    with pytest.raises(RuntimeError, match="is over"):
        episode.feed(STOP)


class Counter(Script):
    """A user that stops after as many turns as its episode's seed says; notes how many were asked together."""

    def __init__(self) -> None:
        super().__init__()
        self.widths: list[int] = []
        self.order: list[int] = []

    def reply(self, views: Sequence[View]) -> list[Message]:
        self.widths.append(len(views))
        self.order += [view.seed for view in views if len(view.turns) == 1]
        return [STOP if sum(t.seat == "user" for t in view.turns) >= view.seed else say("more") for view in views]


def test_batch_refills_finished_places_in_order(parcel: Domain, task: Task):
    lengths = [3, 0, 5, 1, 0, 2, 4]
    user = Counter()
    episodes = (Episode(parcel, task, seed=seed) for seed in lengths)
    found = dict(play_batch(episodes, {"agent": Script(say("hm")), "user": user}, width=3))
    assert sorted(found) == list(range(7))
    assert [found[position].seed for position in range(7)] == lengths
    assert user.order == lengths
    assert max(user.widths) == 3
    assert sum(user.widths) == sum(length + 1 for length in lengths)


def test_three_drivers_give_the_same_traces(parcel: Domain, tasks: list[Task]):
    from veriloop.rollout.experts import load_expert
    from veriloop.rollout.scripted import ScriptedUser

    def episodes() -> list[Episode]:
        return [Episode(parcel, task, seed=seed) for seed, task in enumerate(tasks)]

    players: Any = {"agent": load_expert("parcel"), "user": ScriptedUser()}
    one = [play(episode, players) for episode in episodes()]
    assert dict(play_batch(episodes(), players, width=3)) == dict(enumerate(one))

    async def collect() -> dict[int, Trace]:
        return {position: trace async for position, trace in play_async(episodes(), players, width=3)}

    assert asyncio.run(collect()) == dict(enumerate(one))


def test_batch_failure_voids_only_who_was_asked(parcel: Domain, task: Task):
    class Flaky(Counter):
        def reply(self, views: Sequence[View]) -> list[Message]:
            if any(view.seed == 2 for view in views):
                raise PlayerError("down")
            return super().reply(views)

    players = {"agent": Script(say("hm")), "user": Flaky()}
    found = dict(play_batch([Episode(parcel, task, seed=seed) for seed in (1, 0, 2, 0)], players, width=2))
    assert [found[position].void for position in range(4)] == [True, False, True, False]


class Slow:
    """An agent that needs as many steps for an answer as its episode's seed says."""

    name = "slow"

    def __init__(self) -> None:
        self.left: dict[int, int] = {}
        self.most = 0
        self.cancelled = False

    def begin(self, ticket: int, view: View) -> None:
        self.left[ticket] = view.seed

    def advance(self) -> list[tuple[int, Message | PlayerError]]:
        self.most = max(self.most, len(self.left))
        self.left = {ticket: steps - 1 for ticket, steps in self.left.items()}
        done = [ticket for ticket, steps in self.left.items() if steps < 0]
        return [(ticket, say(f"after {-self.left.pop(ticket)}")) for ticket in done]

    def cancel(self) -> None:
        self.cancelled = bool(self.left)
        self.left.clear()


def test_nobody_waits_for_the_longest_answer_of_a_batch(parcel: Domain, task: Task):
    agent, user = Slow(), Counter()
    episodes = [Episode(parcel, task, seed=seed) for seed in (20, 1, 2, 1)]
    played = list(play_batch(episodes, {"agent": agent, "user": user}, width=4))
    assert [position for position, _ in played] == [1, 3, 2, 0], "who is answered fast is done fast"
    assert agent.most == 4 and not agent.cancelled
    assert [len(trace.turns) for _, trace in sorted(played, key=lambda found: found[0])] == [42, 4, 6, 4]


def test_leaving_a_batch_early_cancels_the_answers_under_way(parcel: Domain, task: Task):
    agent = Slow()
    episodes = [Episode(parcel, task, seed=seed) for seed in (0, 9, 9)]
    stream = play_batch(episodes, {"agent": agent, "user": Counter()}, width=3)
    assert next(stream)[0] == 0
    stream.close()
    assert agent.cancelled and not agent.left


class Waiting:
    """An agent that waits for somebody else; fails for one seed."""

    name = "waiting"

    def __init__(self) -> None:
        self.inside = self.most = 0

    async def reply_async(self, view: View) -> Message:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await asyncio.sleep(0.005)
        self.inside -= 1
        if view.seed == 3:
            raise PlayerError("timed out")
        return say("hm")


def test_async_runs_many_at_once_and_voids_failures(parcel: Domain, task: Task):
    agent, seeds = Waiting(), [3, 1, 2, 4, 1, 1]

    async def collect() -> dict[int, Trace]:
        episodes = (Episode(parcel, task, seed=seed) for seed in seeds)
        players: Any = {"agent": agent, "user": Counter()}
        return {position: trace async for position, trace in play_async(episodes, players, width=4)}

    found = asyncio.run(collect())
    assert [found[position].stop for position in range(6)] == [
        StopReason.PLAYER_ERROR if seed == 3 else StopReason.USER_STOP for seed in seeds
    ]
    assert found[0].error == "timed out"
    assert agent.most == 4


def test_leaving_an_async_run_early_cancels_the_rest(parcel: Domain, task: Task):
    agent = Waiting()

    async def take_one() -> None:
        episodes = (Episode(parcel, task, seed=seed) for seed in (0, 9, 9, 9))
        players: Any = {"agent": agent, "user": Counter()}
        async for _ in (stream := play_async(episodes, players, width=4)):
            break
        await stream.aclose()
        before = agent.inside
        await asyncio.sleep(0.05)
        assert agent.inside <= before

    asyncio.run(asyncio.wait_for(take_one(), 5))
