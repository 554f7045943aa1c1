"""Instructions: everything that a user has to know stands in them, and no two read alike without need."""

import pytest

from veriloop.domains.task import Fact, Request
from veriloop.engine.scenario import render_request, render_user

EMAIL = Fact(label="email address", text="bo12@post.example", value="bo12@post.example", kind="email")
DAY = Fact(label="delivery day", text="friday", value="friday", argument="day", forms=("Let it be {text}.",))
MOVE = Request(topic="reschedule a delivery", facts=(DAY,))


def test_it_holds_every_fact_aside_and_name():
    user = render_user("Bo Lin", "terse", (EMAIL,), (MOVE,), ("You are on your lunch break.",))
    for text in ("Bo Lin", EMAIL.text, EMAIL.label, "You are on your lunch break."):
        assert text in user.known_info
    assert "reschedule a delivery" in user.reason_for_call
    assert "friday" in user.reason_for_call
    assert user.asides == ("You are on your lunch break.",)


@pytest.mark.parametrize("number", range(12))
def test_what_is_said_at_first_is_told_with_what_holds_in_the_end(number: int):
    slip = EMAIL.model_copy(update={"text": f"bo{number}@post.example", "slip": f"bo{number + 50}@post.example"})
    whim = DAY.model_copy(update={"whim": "monday", "text": f"friday {number}"})
    user = render_user("Bo Lin", "open", (slip,), (MOVE.model_copy(update={"facts": (whim,)}),))
    assert {slip.slip in user.known_info, slip.text in user.known_info} == {True}
    assert "monday" in user.reason_for_call
    assert user.reason_for_call.count(whim.text) >= 2


def test_equal_scenarios_read_alike_and_others_do_not():
    def write(number: int) -> str:
        fact = DAY.model_copy(update={"text": f"day {number}"})
        user = render_user(f"Bo {number}", "terse", (EMAIL,), (MOVE.model_copy(update={"facts": (fact,)}),))
        return f"{user.reason_for_call} {user.unknown_info} {user.task_instructions}".replace(f"day {number}", "")

    assert write(1) == write(1)
    assert len({write(number) for number in range(40)}) > 25


def test_what_cannot_be_done_is_said_and_several_wishes_are_told_apart():
    unable = MOVE.model_copy(update={"declines": {"flip": "flip the switch"}})
    assert "flip the switch" in render_request(unable)
    both = render_user("Bo", "terse", (), (MOVE, Request(topic="sing"))).reason_for_call
    assert both.index("reschedule") < both.index("sing")


def test_some_words_are_quoted():
    texts = [render_request(Request(topic="x", facts=(DAY.model_copy(update={"text": str(n)}),))) for n in range(30)]
    assert 5 < sum('"Let it be' in text for text in texts) < 25


def test_plain_ones_are_always_worded_alike():
    user = render_user("Bo Lin", "terse", (EMAIL,), (MOVE, MOVE), plain=True)
    assert user.known_info == "Your name is Bo Lin. Your email address is bo12@post.example."
    assert user.reason_for_call == " Then: ".join(
        ["You want to reschedule a delivery. The delivery day is friday."] * 2
    )
