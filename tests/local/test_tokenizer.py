import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veriloop.local.codec import alias_tokens
from veriloop.local.tokenizer import CONTROL, END, PAD, train_tokenizer

TEXTS = ["I want to send parcel <V3> back, please.", 'get_parcel {"tracking": "<V3>"}'] * 5
TOKENIZER = train_tokenizer(TEXTS, vocabulary=700)


@pytest.mark.parametrize("token", [*CONTROL, *alias_tokens()])
def test_control_tokens_and_aliases_are_never_split(token: str):
    ids = TOKENIZER.encode(f"a{token}b {token}", add_special_tokens=False)
    assert ids.count(TOKENIZER.convert_tokens_to_ids(token)) == 2
    assert len(TOKENIZER.encode(token, add_special_tokens=False)) == 1


@given(st.text(st.characters(blacklist_categories=("Cs",)), max_size=60))
def test_any_text_comes_back(text: str):
    ids = TOKENIZER.encode(text, add_special_tokens=False)
    assert TOKENIZER.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False) == text


@given(st.integers(0, 10**12))
def test_digits_stand_alone(number: int):
    assert len(TOKENIZER.encode(str(number), add_special_tokens=False)) == len(str(number))


def test_words_of_the_texts_become_tokens():
    assert len(TOKENIZER.encode(" parcel", add_special_tokens=False)) == 1
    assert len(TOKENIZER.encode(" zebra", add_special_tokens=False)) > 1


def test_end_and_padding_are_known():
    assert (TOKENIZER.eos_token, TOKENIZER.pad_token) == (END, PAD)
    assert TOKENIZER.eos_token_id != TOKENIZER.pad_token_id


def test_equal_texts_make_equal_tokenizers():
    again = train_tokenizer(TEXTS, vocabulary=700)
    assert again.backend_tokenizer.to_str() == TOKENIZER.backend_tokenizer.to_str()


def test_the_vocabulary_is_bounded():
    words = [f"{a}{b}{c} " * 3 for a in "abcdefg" for b in "hijklmn" for c in "opqrstu"]
    assert len(train_tokenizer(words, vocabulary=650)) == 650


def test_the_template_renders_calls_as_the_parser_reads_them():
    call = {"type": "function", "id": "c", "function": {"name": "get_parcel", "arguments": {"tracking": "<V3>"}}}
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "", "tool_calls": [call]}]
    text = TOKENIZER.apply_chat_template(messages, tokenize=False)
    assert text == f"<|user|>hi<|end|><|assistant|><|call|>get_parcel {json.dumps({'tracking': '<V3>'})}<|end|>"


JOINED = train_tokenizer(
    ['{"status": "Active", "line": "<V3>", "used": 25.3}', "Mobile Data: Yes\nWi-Fi: No", "Bar: 📵 No Signal | 🔋 42%"]
    * 9,
    vocabulary=700,
    joined=True,
)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ('{"status": "Active",', ['{"status": "Active",']),
        (' "line": "<V3>"', [' "line": "', "<V3>", '"']),
        (' "used": 25.3}', [' "used": ', "25", ".", "3", "}"]),
        ("Mobile Data: Yes\n", ["Mobile Data: Yes\n"]),
        (" 📵 No Signal | 🔋 42%", [" 📵 No Signal |", " 🔋", " ", "42", "%"]),
    ],
)
def test_longer_pieces_are_fields_lines_and_numbers(text: str, tokens: list[str]):
    ids = JOINED.encode(text, add_special_tokens=False)
    assert [JOINED.decode([token]) for token in ids] == tokens


@given(st.text(st.characters(blacklist_categories=("Cs",)), max_size=60))
def test_any_text_comes_back_from_longer_pieces(text: str):
    ids = JOINED.encode(text, add_special_tokens=False)
    assert JOINED.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False) == text
