"""However a fact is told, an agent that knows the sentences finds it again, whole and in order."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.domains.registry import load_domain
from veriloop.domains.source import choice, said_as
from veriloop.domains.task import Fact
from veriloop.rollout.experts.talk import find_tool
from veriloop.rollout.wording import (
    OWN_FORMS,
    WISH_FORMS,
    answer_with,
    collect_forms,
    find_told,
    is_told,
    tell,
)

DOMAINS = ("parcel", "tau2/airline", "tau2/retail", "tau2/telecom")
TEXTS = st.from_regex(r"[A-Za-z0-9#@][A-Za-z0-9#@'-]{0,11}( [A-Za-z0-9#-]{2,9}){0,3}", fullmatch=True).filter(
    lambda text: not any(word in f" {text.lower()} " for word in (" is ", " on ", " the ", " my ", " be "))
)
INSURANCE = said_as(
    choice("insurance", ("yes", "no"), "travel insurance"),
    yes=("Please insure the trip.",),
    no=("No insurance for me.",),
)


def load(name: str):
    if name != "parcel":
        pytest.importorskip("tau2")
    return load_domain(name)


@given(st.sampled_from((*WISH_FORMS, *OWN_FORMS)), TEXTS)
def test_what_is_told_under_a_label_is_found_whole(form: str, text: str):
    sentence = form.format(label="delivery day", text=text)
    assert find_told(sentence, "delivery day") == [text]
    assert find_told(f"Hello there. {sentence} Thank you!", "delivery day") == [text]
    assert find_told(f"Sorry, I misread it: {sentence}", "delivery day") == [text]


@pytest.mark.parametrize("name", DOMAINS)
def test_the_sentences_of_a_domain_are_found_under_their_label_and_ask_for_nothing(name: str):
    domain = load(name)
    tools = tuple(tool for tool in domain.tools.values() if tool.seat == "agent")
    collected = collect_forms(tools)
    sources = [source for tool in tools for source in tool.sources.values() if source.told and source.forms]
    assert len(sources) > 4
    for source in sources:
        for text, forms in source.forms.items():
            for form in forms:
                sentence = form.format(text=text or "Q7X3")
                assert find_told(sentence, source.label, collected[source.label]) == [text or "Q7X3"], sentence
                assert find_tool(tools, sentence) is None, f"{sentence!r} sounds like another wish"


@pytest.mark.parametrize("name", DOMAINS)
def test_who_tells_a_fact_under_its_label_asks_for_nothing(name: str):
    domain = load(name)
    tools = tuple(tool for tool in domain.tools.values() if tool.seat == "agent")
    told = [source.label for tool in tools for source in tool.sources.values() if source.told]
    own = [source.label for source in domain.kinds.values()]
    for label, forms in [(label, WISH_FORMS) for label in told] + [(label, OWN_FORMS) for label in own]:
        for form in forms:
            sentence = form.format(label=label, text="Q7X3")
            assert find_tool(tools, sentence) is None, f"{sentence!r} sounds like a wish"


def test_the_last_value_comes_last_and_another_label_is_not_mistaken_for_it():
    said = "The new zip code is 78734. No. Regarding the new zip code: 10001."
    assert find_told(said, "new zip code") == ["78734", "10001"]
    assert find_told(said, "zip code") == []


def test_a_sentence_that_stands_for_a_value_gives_that_value():
    forms = INSURANCE.forms
    assert find_told("Good. Please insure the trip.", "travel insurance", forms) == ["yes"]
    assert find_told("No insurance for me.", "travel insurance", forms) == ["no"]
    assert find_told("The travel insurance: yes.", "travel insurance", forms) == ["yes"]
    assert INSURANCE.list_forms("no") == ("No insurance for me.",)
    assert choice("day", ("monday",)).list_forms("monday") == ()


def test_a_decimal_point_or_an_address_ends_no_sentence():
    assert find_told("The item is the Mug (size 1.5 L).", "item") == ["the Mug (size 1.5 L)"]
    assert find_told("My email address is a.b@post.example.", "email address") == ["a.b@post.example"]


@pytest.mark.parametrize("at_first", [False, True])
def test_a_fact_is_told_in_many_ways_and_always_found(at_first: bool):
    fact = Fact(label="delivery day", text="friday", value="friday", argument="day", whim="monday")
    said = {tell(fact, random.Random(n), at_first=at_first) for n in range(80)}
    said |= {answer_with(fact, random.Random(n), at_first=at_first) for n in range(80)}
    assert len(said) == len(WISH_FORMS)
    assert {text for sentence in said for text in find_told(sentence, fact.label)} == {
        "monday" if at_first else "friday"
    }


def test_own_words_are_preferred_but_not_for_what_is_wished_at_first_nor_when_asked_by_name():
    fact = Fact(label="day", text="friday", value="friday", argument="day", forms=("Let it be {text}.",), whim="monday")
    assert tell(fact, random.Random(0)) == "Let it be friday."
    assert "monday" in tell(fact, random.Random(0), at_first=True)
    assert "the day" in answer_with(fact, random.Random(0)).lower()


def test_a_whole_sentence_tells_a_fact_whose_wording_it_does_not_hold():
    fact = Fact(label="insurance", text="no", value="no", argument="i", forms=("Leave it out.", "With {text}."))
    assert is_told(fact, "Well. Leave it out.")
    assert is_told(fact, "I said no, thanks.")
    assert not is_told(fact, "With nothing, I do not know.")
