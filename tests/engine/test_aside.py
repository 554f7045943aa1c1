"""What callers are besides: it names nothing that a task could be about, and reads well in both persons."""

import random
import re
from collections import Counter

import pytest

from veriloop.domains.registry import load_domain
from veriloop.engine.aside import ASIDES, COUNTS, draw_asides
from veriloop.rollout.experts.talk import find_tool
from veriloop.rollout.experts.telecom import SYMPTOMS
from veriloop.rollout.first_person import speak
from veriloop.rollout.scripted import asks_for

DOMAINS = ("parcel", "tau2/airline", "tau2/retail", "tau2/telecom")


def test_none_holds_a_number_or_is_there_twice():
    assert len(set(ASIDES)) == len(ASIDES) >= 50
    assert not [aside for aside in ASIDES if re.search(r"\d", aside) or not re.match(r"Your? .+\.$", aside)]


@pytest.mark.parametrize("name", DOMAINS)
def test_none_is_taken_for_a_wish_or_a_step(name: str):
    if name != "parcel":
        pytest.importorskip("tau2")
    tools = tuple(load_domain(name).tools.values())
    for aside in ASIDES:
        said = speak(aside)
        assert find_tool(tools, said) is None, said
        assert not [tool.name for tool in tools if asks_for(tool, said)], said
        assert not [name for name, pattern in SYMPTOMS.items() if pattern.search(said)], said


def test_they_are_said_in_the_first_person():
    for aside in ASIDES:
        assert not re.search(r"\byou\b|\byour\b| I\.$", speak(aside), re.IGNORECASE), speak(aside)
    assert speak("You are on your lunch break.") == "I am on my lunch break."


def test_equal_randomness_draws_the_same_and_most_callers_have_one():
    assert draw_asides(random.Random(3)) == draw_asides(random.Random(3))
    counts = Counter(len(draw_asides(random.Random(n))) for n in range(600))
    assert set(counts) == set(COUNTS)
    assert counts[1] > 200 and counts[0] > 120 and counts[2] > 50
