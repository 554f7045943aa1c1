"""The alias codec: reversible, stable within a dialogue, different between dialogues."""

import re

from hypothesis import given
from hypothesis import strategies as st

from veriloop.local.codec import ALIASES, AliasCodec, PlainCodec

words = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9@._+-]{0,14}", fullmatch=True)
texts = st.lists(words | st.text(alphabet='abc .,!?\n"{}:', max_size=12), max_size=12).map(" ".join)


@given(st.lists(texts, min_size=1, max_size=6), st.integers(0, 2**32))
def test_decoding_gives_the_text_back(parts, seed):
    codec = AliasCodec(seed)
    encoded = [codec.encode(part) for part in parts]
    assert [codec.decode(part) for part in encoded] == parts


@given(st.integers(0, 1000))
def test_no_long_word_with_a_digit_is_left(seed):
    text = "parcel VP41608533 of ada.b25@post.example, phone 555-191-1568, C56242; 12 kg, 3 days, Rowan Lane 30."
    encoded = AliasCodec(seed).encode(text)
    assert not re.search(r"VP4|post\.example|555|C56", encoded)
    assert "12 kg, 3 days, Rowan Lane 30." in encoded
    assert len(set(re.findall(r"<v\d+>", encoded))) == 4


def test_the_same_word_keeps_its_alias_and_punctuation_stays_outside():
    codec = AliasCodec(1)
    first, second = codec.encode("VP123."), codec.encode('"VP123"')
    assert first[:-1] == second.strip('"')
    assert first.endswith(".")


def test_seeds_give_different_aliases():
    assert len({AliasCodec(seed).encode("VP123") for seed in range(40)}) > 10


def test_when_aliases_run_out_words_stay_as_they_are():
    codec = AliasCodec(0)
    encoded = [codec.encode(f"ID{number:04d}") for number in range(ALIASES + 3)]
    assert encoded[-1] == f"ID{ALIASES + 2:04d}"
    assert len(set(encoded)) == ALIASES + 3


def test_an_alias_never_given_out_decodes_to_itself():
    codec = AliasCodec(0)
    codec.encode("VP123")
    unknown = next(f"<v{n}>" for n in range(ALIASES) if f"<v{n}>" not in codec.table())
    assert codec.decode(unknown) == unknown


def test_a_table_continues_a_dialogue():
    codec = AliasCodec(5)
    codec.encode("VP123 C9999")
    again = AliasCodec(5, codec.table())
    assert again.encode("C9999 VP123") == codec.encode("C9999 VP123")
    assert again.encode("NEW77") == codec.encode("NEW77")


def test_the_plain_codec_changes_nothing():
    codec = PlainCodec()
    assert codec.decode(codec.encode("VP123")) == "VP123"
    assert codec.table() == {}
