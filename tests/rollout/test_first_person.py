"""Instructions in the first person, as a scripted user says them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.rollout.first_person import speak, speak_wish


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("You are Mia Li.\nYour user id is mia_li_3668.", "I am Mia Li. My user id is mia_li_3668."),
        ("You're upset that they told you no.", "I'm upset that they told me no."),
        ("You paid it yourself with your card; it is yours.", "I paid it myself with my card; it is mine."),
        ("Youth fares and bayous stay.", "Youth fares and bayous stay."),
        ("You've moved; you'd like a refund for you.", "I've moved; I'd like a refund for me."),
    ],
)  # fmt: skip
def test_you_become_i(text: str, said: str) -> None:
    assert speak(text) == said


def test_a_wish_goes_on_from_i_want_to() -> None:
    assert speak_wish("You want to cancel your order.") == "cancel my order"
    assert speak_wish("You would like to know what your bill is.") == "know what my bill is"


def test_what_is_no_wish_is_told() -> None:
    assert speak_wish("Your phone shows no service.") == "tell you why I am calling: My phone shows no service"


@given(st.text())
def test_any_text_can_be_said_in_one_line(text: str) -> None:
    assert "\n" not in speak(text) and "\n" not in speak_wish(text)
    assert speak(speak(text)) == speak(text)
