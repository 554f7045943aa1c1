"""The queue through which many dialogues share one player."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from veriloop.core.errors import PlayerError
from veriloop.core.message import Message, ToolCall, ToolResult
from veriloop.evaluate.adapter import GatheringPlayer, SeatLog
from veriloop.rollout.player import View


def make_view(key: str) -> View:
    return View(key=key, task_id=key, seat="agent", system="", tools=(), turns=(), seed=0)


class Slow:
    """Echoes keys after a pause, and notes how many it was asked at once and whether it was entered twice."""

    name = "slow"

    def __init__(self, broken: str = "") -> None:
        self.sizes, self.inside, self.overlapped, self.broken = list[int](), threading.Lock(), False, broken

    def reply(self, views: Sequence[View]) -> list[Message]:
        if not self.inside.acquire(blocking=False):
            self.overlapped = True
            raise AssertionError("entered twice")
        try:
            self.sizes.append(len(views))
            time.sleep(0.02)
            if any(view.key == self.broken for view in views):
                raise PlayerError("down")
            return [Message(content=view.key) for view in views]
        finally:
            self.inside.release()


def test_each_thread_gets_its_own_answer_and_waiting_ones_are_batched() -> None:
    slow = Slow()
    player = GatheringPlayer(slow)
    keys = [str(number) for number in range(60)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda key: player.reply([make_view(key)])[0].content, keys))
    assert answers == keys
    assert not slow.overlapped
    assert sum(slow.sizes) == 60
    assert max(slow.sizes) > 1
    assert len(slow.sizes) < 60


def test_several_views_of_one_thread_are_answered_in_order() -> None:
    player = GatheringPlayer(Slow())
    assert [m.content for m in player.reply([make_view("a"), make_view("b")])] == ["a", "b"]
    assert player.name == "slow"


def test_a_failure_reaches_every_thread_that_shared_it_and_nobody_hangs() -> None:
    player = GatheringPlayer(Slow(broken="0"))
    outcomes = list[str]()

    def ask(key: str) -> None:
        try:
            outcomes.append(player.reply([make_view(key)])[0].content)
        except PlayerError as error:
            outcomes.append(str(error))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, map(str, range(16))))
    assert len(outcomes) == 16
    assert "down" in outcomes
    assert len([outcome for outcome in outcomes if outcome != "down"]) > 0
    assert player.reply([make_view("later")])[0].content == "later"


def test_a_failure_is_no_empty_answer() -> None:
    with pytest.raises(PlayerError):
        GatheringPlayer(Slow(broken="x")).reply([make_view("x")])


def test_a_seat_log_keeps_results_with_the_call() -> None:
    log = SeatLog("agent")
    log.hear("Hello.")
    log.say(Message(tool_calls=(ToolCall(id="1", name="look"), ToolCall(id="2", name="look"))))
    log.receive([ToolResult(call_id="1", content="a"), ToolResult(call_id="2", content="b")])
    log.hear("Still there?")
    assert [turn.seat for turn in log.turns] == ["user", "agent", "user"]
    assert [result.content for result in log.turns[1].results] == ["a", "b"]
    assert log.turns[1].spoken == ""


def test_the_users_log_hears_the_agent() -> None:
    log = SeatLog("user")
    log.hear("Hi! How can I help you today?")
    log.say(Message(content="Bye."))
    assert [turn.seat for turn in log.turns] == ["agent", "user"]


def test_a_bug_in_a_player_is_raised_and_leaves_the_queue_usable() -> None:
    class Buggy(Slow):
        def reply(self, views: Sequence[View]) -> list[Message]:
            if views[0].key == "bug":
                raise ZeroDivisionError
            return super().reply(views)

    player = GatheringPlayer(Buggy())
    with pytest.raises(ZeroDivisionError):
        player.reply([make_view("bug")])
    assert player.reply([make_view("later")])[0].content == "later"
