"""Digests of what is held out: shingles of texts, ids in texts, and what a domain declares."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.domains.domain import Domain
from veriloop.domains.held_out import (
    DIGITS,
    SHINGLE,
    HeldOut,
    digest,
    digest_shingles,
    find_held_out,
    split_marks,
)
from veriloop.domains.task import UserScenario

WORDS = st.lists(st.sampled_from(["a", "bag", "of", "red", "shoes", "size", "nine", "please"]), max_size=30)


def tell(reason: str, known: str = "", persona: str = "") -> UserScenario:
    return UserScenario(
        persona=persona, reason_for_call=reason, known_info=known, unknown_info="", task_instructions=""
    )


@given(WORDS)
def test_a_text_has_a_shingle_for_each_run_of_words(words: list[str]) -> None:
    runs = {tuple(words[start : start + SHINGLE]) for start in range(max(1, len(words) - SHINGLE + 1))} - {()}
    assert len(digest_shingles(tell(" ".join(words)))) == len(runs)


@given(WORDS, WORDS)
def test_case_and_punctuation_do_not_count_and_a_part_has_no_shingle_that_the_whole_lacks(
    words: list[str], more: list[str]
) -> None:
    text = digest_shingles(tell(" ".join(words)))
    assert digest_shingles(tell(", ".join(words).upper() + "!")) == text
    if len(words) >= SHINGLE:
        assert text <= digest_shingles(tell(" ".join([*more, *words])))


def test_all_that_a_user_is_told_counts_but_the_persona() -> None:
    words = "one two three four five six seven"
    assert digest_shingles(tell("one two three", "four five six seven")) == digest_shingles(tell(words))
    assert digest_shingles(tell(words, persona="You are brief.")) == digest_shingles(tell(words))
    assert digest_shingles(tell("two one three four five six seven")) != digest_shingles(tell(words))
    assert digest_shingles(tell("")) == frozenset()


@pytest.mark.parametrize("mark", ["#W123", "555-123-2002", "ann_lee_12", "a.lee+x@mail.example", "C1001", "4NQLHD"])
def test_ids_numbers_and_addresses_are_found_in_a_sentence(mark: str) -> None:
    assert mark in split_marks(f"It is about ({mark}), or {mark}.")


def test_values_and_combinations_are_held_by_their_digests_alone() -> None:
    held = HeldOut(entities=frozenset({digest("ann_1")}), combinations=frozenset({digest("a+b")}))
    assert held.has_entity("ann_1") and not held.has_entity("ann_2") and not held.has_entity("a+b")
    assert held.has_combination("a+b") and not held.has_combination("ann_1") and not held.has_combination("")
    assert "ann" not in held.model_dump_json()
    assert len(digest("ann_1")) == DIGITS


def test_a_domain_says_what_it_holds_out_or_nothing(parcel: Domain) -> None:
    declared: Any = SimpleNamespace(held_out=HeldOut())
    assert find_held_out(declared) == HeldOut()
    assert find_held_out(parcel) is None
